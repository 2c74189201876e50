//! Runs the services of this host: their checks, their data, and their nodes in the registries.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::decide::Moment;
use crate::decide::event::Event;
use crate::decide::registration::{NodeState, Registrations, Wants};
use crate::decide::report::{DrainReport, ServiceReport};
use crate::log::emit;
use crate::state::drains::{self, Drain};
use crate::state::session::SavedSession;
use crate::watch::Link;

use super::checks::Checks;
use super::event::RegistrarEvent;
use super::nodes::RegistryNodes;
use super::running::Running;

/// After a lost session, the first write waits for up to this long, so that a fleet does not write at once.
const START_JITTER: Duration = Duration::from_millis(500);

/// How long a stop waits for deletions. A frozen ensemble must not delay it further.
const STOP_LIMIT: Duration = Duration::from_secs(3);

/// How far the stop is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    No,
    /// Nodes are being deleted, until this time at the latest.
    Deleting(Moment),
    /// Readers of the registry get time to follow, until this time.
    Draining(Moment),
    Done,
}

/// The services of this host.
pub struct Registrar {
    services: BTreeMap<Arc<str>, Running>,
    registries: BTreeMap<Arc<str>, RegistryNodes>,
    drains: BTreeMap<String, Drain>,
    state_dir: PathBuf,
    checks: Checks,
    stop: Stop,
    keeps_sessions: bool,
    /// Nodes were registered when the stop began, so that their readers get time to follow.
    drains_at_stop: bool,
    generations: u64,
    started_at: Instant,
    sender: mpsc::UnboundedSender<RegistrarEvent>,
    events: mpsc::UnboundedReceiver<RegistrarEvent>,
    cancel: CancellationToken,
}

impl Registrar {
    /// No services yet.
    pub fn new(state_dir: &Path, started_at: Instant) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let drained = drains::load(state_dir).unwrap_or_else(|reason| {
            let effect = "drained services are registered again";
            emit(Event::StateReadFailed { file: Some(drains::file(state_dir)), reason, effect });
            BTreeMap::new()
        });
        let cancel = CancellationToken::new();
        Self {
            services: BTreeMap::new(),
            registries: BTreeMap::new(),
            drains: drained,
            state_dir: state_dir.to_owned(),
            checks: Checks::new(cancel.clone()),
            stop: Stop::No,
            keeps_sessions: false,
            drains_at_stop: false,
            generations: 0,
            started_at,
            sender,
            events,
            cancel,
        }
    }

    fn now(&self) -> Moment {
        Moment::after_start(self.started_at.elapsed())
    }

    /// The registries that hold nodes of these services.
    pub fn registries(config: &Config) -> BTreeSet<Arc<str>> {
        config.services.iter().map(|service| Arc::clone(&service.registry)).collect()
    }

    /// Uses another configuration. `link` gives the session of a registry that is followed.
    pub fn configure(&mut self, config: &Config, link: impl Fn(&str) -> Option<Link>) {
        let now = self.now();
        let wanted = Self::registries(config);
        // One without services stays until its nodes are deleted.
        self.registries.retain(|name, nodes| {
            let is_needed = wanted.contains(name) || !nodes.registrations.is_empty();
            is_needed && config.registries.contains(nodes.registry())
        });
        for registry in config.registries.iter().filter(|registry| wanted.contains(&registry.name)) {
            if self.registries.contains_key(&registry.name) {
                continue;
            }
            let Some(link) = link(&registry.name) else { continue };
            self.generations += 1;
            let file = SavedSession::file(&self.state_dir, &registry.name);
            let nodes = RegistryNodes::new(registry, link, file, self.generations, &self.sender, now);
            self.registries.insert(Arc::clone(&registry.name), nodes);
        }
        self.services.retain(|name, _| config.services.iter().any(|service| service.name == *name));
        for config in &config.services {
            match self.services.get_mut(&config.name) {
                Some(running) => running.configure(config, now),
                None => _ = self.services.insert(Arc::clone(&config.name), Running::new(Arc::clone(config), now)),
            }
        }
        self.work();
    }

    /// Waits for the next event. Cancel safe.
    pub async fn next(&mut self) -> RegistrarEvent {
        let wake = self.next_wake().map(|wake| self.started_at + wake.since_start());
        let sleep = async move {
            match wake {
                Some(wake) => tokio::time::sleep_until(wake.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(event) = self.events.recv() => event,
            () = sleep => RegistrarEvent::Tick,
        }
    }

    fn next_wake(&self) -> Option<Moment> {
        let now = self.now();
        let services = self.services.values().filter(|_| self.stop == Stop::No);
        let services = services.flat_map(|running| running.service.next_check().into_iter().chain(running.next_data));
        let nodes = self.registries.values().filter_map(|nodes| nodes.registrations.next_wake(now));
        let stop = match self.stop {
            Stop::Deleting(at) | Stop::Draining(at) => Some(at),
            Stop::No | Stop::Done => None,
        };
        let wall = SystemTime::now();
        let drains = self.drains.values().filter_map(|drain| Some(now + drain.left(wall)?));
        services.chain(nodes).chain(stop).chain(drains).min()
    }

    /// Handles an event.
    pub fn handle(&mut self, event: RegistrarEvent) {
        let now = self.now();
        match event {
            RegistrarEvent::Nodes(registry, generation, event) => {
                let start = now + START_JITTER.mul_f64(fastrand::f64());
                let nodes = self.registries.get_mut(&registry).filter(|nodes| nodes.generation() == generation);
                if let Some(nodes) = nodes {
                    nodes.handle(event, now, start);
                }
            }
            RegistrarEvent::Checked(name, number, result) => {
                if let Some(running) = self.services.get_mut(&name) {
                    running.service.checked(now, number, result, fastrand::f64()).into_iter().for_each(emit);
                }
            }
            RegistrarEvent::Data(name, command, result) => {
                if let Some(running) = self.services.get_mut(&name) {
                    running.data(now, &command, result);
                }
            }
            RegistrarEvent::Tick => {}
        }
        self.work();
    }

    /// Starts what is due, and brings the nodes to what is wanted.
    fn work(&mut self) {
        let now = self.now();
        self.end_drains();
        if self.stop == Stop::No {
            for (name, running) in &mut self.services {
                running.start(now, name, &self.checks, &self.sender);
            }
        }
        let mut wants: BTreeMap<Arc<str>, Wants> = BTreeMap::new();
        for (name, running) in self.services.iter().filter(|_| self.stop == Stop::No) {
            let is_drained = self.drains.contains_key(&**name);
            if let Some((id, want)) = running.want(is_drained) {
                let registry = Arc::clone(&running.service.config().registry);
                wants.entry(registry).or_default().insert(id, (Arc::clone(name), want));
            }
        }
        for (name, nodes) in &mut self.registries {
            let effects = nodes.registrations.want(now, wants.remove(name).unwrap_or_default());
            nodes.perform(effects);
        }
        self.advance_stop(now);
    }

    fn end_drains(&mut self) {
        let wall = SystemTime::now();
        let over: Vec<String> =
            self.drains.iter().filter(|(_, drain)| drain.is_over(wall)).map(|(name, _)| name.clone()).collect();
        for name in &over {
            self.drains.remove(name);
            emit(Event::ServiceUndrained { service: Arc::from(&**name), uid: None });
        }
        if !over.is_empty() {
            self.save_drains();
        }
    }

    fn save_drains(&self) {
        if let Err(why) = drains::save(&self.state_dir, &self.drains) {
            let (file, effect) = (Some(drains::file(&self.state_dir)), "drains are lost on a restart");
            emit(Event::StateWriteFailed { file, reason: why.to_string(), effect });
        }
    }

    /// Takes a service out, or changes how long it is out. Returns whether there is such a service.
    pub fn drain(&mut self, name: &str, drain: Drain) -> bool {
        let Some((service, _)) = self.services.get_key_value(name) else { return false };
        emit(Event::ServiceDrained { service: Arc::clone(service), uid: drain.uid, reason: drain.reason.clone() });
        self.drains.insert(name.to_owned(), drain);
        self.save_drains();
        self.work();
        true
    }

    /// Brings a service back. Returns whether it was out.
    pub fn undrain(&mut self, name: &str, uid: u32) -> bool {
        if self.drains.remove(name).is_none() {
            return false;
        }
        emit(Event::ServiceUndrained { service: Arc::from(name), uid: Some(uid) });
        self.save_drains();
        self.work();
        true
    }

    /// The names of the services.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.services.keys().map(|name| &**name)
    }

    /// The state of every service.
    pub fn report(&self) -> Vec<ServiceReport> {
        let wall = SystemTime::now();
        let report = |(name, running): (&Arc<str>, &Running)| {
            let config = running.service.config();
            let id = &running.node.id;
            let registrations = self.registries.get(&config.registry).map(|nodes| &nodes.registrations);
            ServiceReport {
                name: name.to_string(),
                registry: config.registry.to_string(),
                node: id.to_string(),
                is_connected: registrations.is_some_and(Registrations::is_connected),
                health: running.service.health(),
                rise_and_fall: (config.rise, config.fall),
                since: running.service.since(),
                check_error: running.service.last_error().map(str::to_owned),
                data_error: running.data_error.clone(),
                state: registrations.and_then(|it| Some(it.nodes().get(id)?.state.clone())),
                drain: self.drains.get(&**name).map(|drain| DrainReport {
                    left: drain.left(wall),
                    reason: drain.reason.clone(),
                    uid: drain.uid,
                }),
            }
        };
        self.services.iter().map(report).collect()
    }

    /// Stops: with `keep`, nodes and sessions stay for the next process; else every node is deleted first.
    pub fn stop(&mut self, keep: bool) {
        let now = self.now();
        if self.stop != Stop::No {
            self.stop = Stop::Done;
            return;
        }
        self.cancel.cancel();
        if keep {
            self.keeps_sessions = true;
            self.registries.values().for_each(RegistryNodes::keep);
            self.stop = Stop::Done;
            return;
        }
        let is_registered = |nodes: &RegistryNodes| {
            nodes.registrations.nodes().values().any(|node| node.state == NodeState::Registered)
        };
        self.drains_at_stop = self.registries.values().any(is_registered);
        self.stop = Stop::Deleting(now + STOP_LIMIT);
        self.work();
    }

    /// Whether it has stopped.
    pub fn is_stopped(&self) -> bool {
        self.stop == Stop::Done
    }

    /// Whether the sessions are left to the next process.
    pub fn keeps_sessions(&self) -> bool {
        self.keeps_sessions
    }

    fn advance_stop(&mut self, now: Moment) {
        if let Stop::Deleting(limit) = self.stop {
            // Without a connection, the nodes stay until the session ends.
            let is_done = |nodes: &RegistryNodes| nodes.registrations.is_empty() || !nodes.registrations.is_connected();
            let is_deleted = self.registries.values().all(is_done);
            if is_deleted || now >= limit {
                let services = self.services.values().filter(|_| self.drains_at_stop);
                let drain = services.map(|running| running.service.config().drain).max().unwrap_or_default();
                self.stop = Stop::Draining(now + drain);
            }
        }
        if let Stop::Draining(until) = self.stop
            && now >= until
        {
            self.stop = Stop::Done;
        }
    }

    /// Forgets the sessions, which are about to be closed.
    pub async fn forget_sessions(&self) {
        for nodes in self.registries.values() {
            nodes.forget_session().await;
        }
    }
}
