//! The registries that are followed: one task each, started, changed and stopped as the configuration says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch as channel};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::RegistryConfig;
use crate::decide::{Event, Plan};
use crate::log::emit;
use crate::model::node_path::Subject;
use crate::model::registry_event::{RegistryEvent, Update};
use crate::watch;
use crate::watch::saved::{Saved, SavedSource};
use crate::watch::session_counters::SessionCounts;
use crate::watch::{Link, Registry, StateAccess, Subjects};

#[cfg(test)]
mod tests;

/// How many events may wait for the event loop. While the queue is full, a registry merges further changes.
const QUEUE: usize = 8;

/// The pause before a registry that ended unexpectedly is started again.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// The tasks of all registries, and the queue of their events.
#[derive(Debug)]
pub struct Registries {
    running: BTreeMap<Arc<str>, Running>,
    next_generation: u64,
    out: mpsc::Sender<(u64, RegistryEvent)>,
    events: mpsc::Receiver<(u64, RegistryEvent)>,
    tasks: TaskTracker,
    state: StateAccess,
    /// Shown in place of every registry.
    saved: Option<Arc<SavedSource>>,
    /// Nodes can be registered in the sessions, and the session of an earlier process is continued.
    has_services: bool,
}

#[derive(Debug)]
struct Running {
    config: Arc<RegistryConfig>,
    /// Distinguishes the events of this task from those of an earlier registry of the same name.
    generation: u64,
    subjects: channel::Sender<Subjects>,
    /// How often the subjects changed. Subjects added by the last change have this number.
    changes: u64,
    stop: CancellationToken,
    /// Its session, for services.
    link: Option<Link>,
}

impl Running {
    fn set_subjects(&mut self, wanted: &BTreeSet<Subject>) {
        self.changes += 1;
        let number = self.changes;
        self.subjects.send_if_modified(|subjects| {
            let count = subjects.len();
            subjects.retain(|subject, _| wanted.contains(subject));
            let mut is_modified = subjects.len() != count;
            for subject in wanted {
                subjects.entry(subject.clone()).or_insert_with(|| {
                    is_modified = true;
                    number
                });
            }
            is_modified
        });
    }
}

impl Registries {
    /// No registries yet. They use the state directory as `state` says.
    pub fn new(state: StateAccess) -> Self {
        let (out, events) = mpsc::channel(QUEUE);
        Self {
            running: BTreeMap::new(),
            next_generation: 0,
            out,
            events,
            tasks: TaskTracker::new(),
            state,
            saved: None,
            has_services: false,
        }
    }

    /// Sessions of an earlier process are continued. Only the agent may do that: to close such a session deletes its nodes.
    #[must_use]
    pub fn with_services(self) -> Self {
        Self { has_services: true, ..self }
    }

    /// Shows these views in place of every registry.
    pub fn show_saved(&mut self, saved: Arc<SavedSource>) {
        self.saved = Some(saved);
    }

    /// The session of a registry that is followed.
    pub fn link(&self, name: &str) -> Option<Link> {
        self.running.get(name)?.link.clone()
    }

    /// What the sessions of the registries that are followed have done. Only a ZooKeeper ensemble has a session.
    pub fn sessions(&self) -> BTreeMap<Arc<str>, SessionCounts> {
        let links = self.running.iter().filter_map(|(name, running)| Some((name, running.link.as_ref()?)));
        links.map(|(name, link)| (Arc::clone(name), link.counters.read())).collect()
    }

    /// Follows exactly the subjects of the plan. A registry that did not change keeps its session, and a subject that
    /// did not change keeps its watch.
    /// The registries of services are followed without subjects, too.
    pub fn follow(&mut self, configs: &[Arc<RegistryConfig>], plan: &Plan, of_services: &BTreeSet<Arc<str>>) {
        let mut wanted = subjects(plan);
        for name in of_services {
            wanted.entry(Arc::clone(name)).or_default();
        }
        self.running.retain(|name, running| {
            let is_same = configs.contains(&running.config) && wanted.contains_key(name);
            if !is_same {
                running.stop.cancel();
            }
            is_same
        });
        for config in configs {
            let Some(wanted) = wanted.get(&config.name) else {
                continue;
            };
            if let Some(running) = self.running.get_mut(&config.name) {
                running.set_subjects(wanted);
            } else {
                self.start(config, wanted, of_services.contains(&config.name));
            }
        }
    }

    fn start(&mut self, config: &Arc<RegistryConfig>, wanted: &BTreeSet<Subject>, is_of_services: bool) {
        self.next_generation += 1;
        let generation = self.next_generation;
        let (subjects, receiver) = channel::channel(wanted.iter().map(|subject| (subject.clone(), 0)).collect());
        let (sender, mut events) = mpsc::channel(1);
        let stop = CancellationToken::new();
        let (registry, link): (Arc<dyn Registry>, _) = if let Some(saved) = &self.saved {
            (Arc::new(Saved::new(Arc::clone(&config.name), Arc::clone(saved))), None)
        } else if self.has_services {
            // Without services, nothing would delete the nodes of that session.
            watch::open_with_session(config, &self.state, is_of_services)
        } else {
            (watch::open(config, &self.state), None)
        };
        self.tasks.spawn(supervise(registry, Arc::clone(&config.name), receiver, sender, stop.clone()));
        let out = self.out.clone();
        self.tasks.spawn(async move {
            while let Some(event) = events.recv().await {
                if out.send((generation, event)).await.is_err() {
                    return;
                }
            }
        });
        let running = Running { config: Arc::clone(config), generation, subjects, changes: 0, stop, link };
        self.running.insert(Arc::clone(&config.name), running);
    }

    /// The next event. Events of a registry that is no longer followed are dropped.
    pub async fn next(&mut self) -> RegistryEvent {
        loop {
            // The queue never closes: `out` is here.
            let Some((generation, event)) = self.events.recv().await else {
                return std::future::pending().await;
            };
            if self.running.get(&event.registry).is_some_and(|running| running.generation == generation) {
                return event;
            }
        }
    }

    /// Closes every session, and waits until that is done.
    pub async fn close(mut self) {
        for running in self.running.values() {
            running.stop.cancel();
        }
        self.tasks.close();
        // Events are drained, so that no registry waits for space in the queue when it is to stop.
        tokio::select! {
            () = self.tasks.wait() => {}
            () = async { while self.events.recv().await.is_some() {} } => {}
        }
    }
}

/// Follows a registry until `stop`. If it ends unexpectedly, which is a bug in this program, it is reported as
/// unreachable and started again: an agent without events must not assume that nothing changes.
async fn supervise(
    registry: Arc<dyn Registry>,
    name: Arc<str>,
    subjects: channel::Receiver<Subjects>,
    out: mpsc::Sender<RegistryEvent>,
    stop: CancellationToken,
) {
    loop {
        // In a task of its own, so that a panic ends only that task.
        let following = tokio::spawn(Arc::clone(&registry).follow(subjects.clone(), out.clone(), stop.clone()));
        let ended = following.await;
        if stop.is_cancelled() || out.is_closed() {
            return;
        }
        let reason = match ended {
            Ok(()) => "the registry client ended unexpectedly".to_owned(),
            Err(error) => format!("the registry client failed: {error}"),
        };
        emit(Event::RegistryRestarted { registry: Arc::clone(&name), reason: reason.clone() });
        let unreachable = RegistryEvent { registry: Arc::clone(&name), update: Update::Unreachable(reason.into()) };
        // The receiver may be gone; the next iteration finds that out.
        let _ = out.send(unreachable).await;
        if stop.run_until_cancelled(tokio::time::sleep(RESTART_PAUSE)).await.is_none() {
            return;
        }
    }
}

impl Default for Registries {
    /// No registries, without access to a state directory.
    fn default() -> Self {
        Self::new(StateAccess::None)
    }
}

/// The subjects of a plan by registry.
fn subjects(plan: &Plan) -> BTreeMap<Arc<str>, BTreeSet<Subject>> {
    let mut wanted: BTreeMap<Arc<str>, BTreeSet<Subject>> = BTreeMap::new();
    for roster in &plan.rosters {
        wanted.entry(Arc::clone(&roster.config.registry)).or_default().insert(roster.config.subject.clone());
    }
    for key in &plan.keys {
        wanted.entry(Arc::clone(&key.config.registry)).or_default().insert(key.config.subject.clone());
    }
    wanted
}
