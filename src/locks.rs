//! The locks of this agent. A task for each contends for it in the session of its registry.
//!
//! A lock counts as held for two thirds of the session timeout after the last `sync` that was answered. The leader of the
//! ensemble keeps the session, and so the lock, for longer than that, so that this agent knows first. A follower alone,
//! which answers everything else, may be cut off from the leader.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, LockConfig, RegistryConfig};
use crate::decide::contender::{Loss, Standing};
use crate::decide::lock::LockStanding;
use crate::decide::{Event, Input};
use crate::log::emit;
use crate::watch::Link;
use crate::zk::Connection;

use contending::Contending;

mod contending;

/// While a lock is not held only because the ensemble has not answered in time, this part of the session timeout passes
/// until the next look.
const LOOKS: u32 = 24;

/// What a task knows of its lock.
#[derive(Debug, Clone)]
pub struct LockState {
    /// Its place in the line.
    pub standing: Standing,
    /// The name of its node.
    pub node: Option<Arc<str>>,
    /// The connection, or the last one.
    pub connection: Option<Connection>,
}

/// An event for the locks.
#[derive(Debug)]
pub enum LockEvent {
    /// The state of the lock of this name and generation changed.
    State(Arc<str>, u64, LockState),
    /// Time has passed.
    Tick,
}

/// The locks of this agent.
pub struct Locks {
    entries: BTreeMap<Arc<str>, Entry>,
    generations: u64,
    /// No lock is held any more.
    is_stopping: bool,
    /// The locks that are no longer configured, until they are released.
    leaving: Vec<Entry>,
    sender: mpsc::UnboundedSender<LockEvent>,
    events: mpsc::UnboundedReceiver<LockEvent>,
}

/// One lock.
struct Entry {
    config: Arc<LockConfig>,
    registry: Arc<RegistryConfig>,
    /// Distinguishes the events of its task from those of an earlier one.
    generation: u64,
    state: Option<LockState>,
    /// What the engine knows.
    told: Option<LockStanding>,
    release: CancellationToken,
    /// The task has ended.
    over: CancellationToken,
    task: JoinHandle<()>,
}

impl LockState {
    fn holds(&self) -> bool {
        matches!(self.standing, Standing::Held | Standing::Suspended)
    }

    /// When the lock stops to count as held, unless a server answers before that.
    fn lapses_at(&self) -> Option<Instant> {
        let session = self.connection.as_ref().filter(|_| self.holds())?.session();
        Some(session.confirmed + session.timeout / 3 * 2)
    }

    fn timeout(&self) -> Duration {
        self.connection.as_ref().map(|connection| connection.session().timeout).unwrap_or_default()
    }
}

impl Entry {
    fn new(
        config: &Arc<LockConfig>,
        registry: &Arc<RegistryConfig>,
        link: Link,
        generation: u64,
        earlier: Vec<CancellationToken>,
        sender: mpsc::UnboundedSender<LockEvent>,
    ) -> Self {
        let (release, over) = (CancellationToken::new(), CancellationToken::new());
        let name = Arc::clone(&config.name);
        // The agent may be gone.
        let report = move |state| _ = sender.send(LockEvent::State(Arc::clone(&name), generation, state));
        let contending = Contending::new(Arc::clone(config), registry, link, report);
        let (asked, guard) = (release.clone(), over.clone().drop_guard());
        let task = tokio::spawn(async move {
            let _guard = guard;
            // In one session, there is one contender for a lock at a time.
            for over in earlier {
                over.cancelled().await;
            }
            contending.run(asked).await;
        });
        let (config, registry) = (Arc::clone(config), Arc::clone(registry));
        Self { config, registry, generation, state: None, told: None, release, over, task }
    }

    /// What the engine is to know, if that is not what it knows. With `given_up`, the lock is not held, for this reason.
    fn update(&mut self, now: Instant, given_up: Option<&str>) -> Option<Input> {
        let state = self.state.as_ref()?;
        // Until it is in the line for the first time, nothing is known.
        if self.told.is_none() && state.node.is_none() {
            return None;
        }
        let is_held = given_up.is_none() && state.lapses_at().is_some_and(|lapses| now < lapses);
        let standing = LockStanding { is_held, node: state.node.clone(), identifier: self.identifier() };
        if self.told.as_ref() == Some(&standing) {
            return None;
        }
        let told = self.told.replace(standing.clone());
        self.emit(told.as_ref(), given_up);
        Some(Input::Lock(Arc::clone(&self.config.name), standing))
    }

    fn identifier(&self) -> Arc<str> {
        self.config.identifier.clone().unwrap_or_default()
    }

    /// Emits what changed since `before`.
    fn emit(&self, before: Option<&LockStanding>, given_up: Option<&str>) {
        let (Some(state), Some(now)) = (&self.state, &self.told) else { return };
        let (lock, path) = (Arc::clone(&self.config.name), self.config.path.to_string());
        match (before.is_some_and(|before| before.is_held), &state.standing) {
            (false, _) if now.is_held => emit(Event::LockAcquired { lock, path }),
            (true, standing) if !now.is_held => {
                let reason = match (given_up, standing) {
                    (Some(reason), _) => reason.to_owned(),
                    (None, Standing::Lost(Loss::SessionExpired)) => "the session expired".to_owned(),
                    (None, Standing::Lost(Loss::NodeDeleted)) => "another client deleted its node".to_owned(),
                    _ => format!(
                        "the ensemble has not answered for {:?}, and the session may end",
                        state.timeout() / 3 * 2
                    ),
                };
                emit(Event::LockLost { lock, path, reason });
            }
            (false, Standing::Waiting { ahead, holder })
                if before.and_then(|before| before.node.as_ref()).is_none() =>
            {
                emit(Event::LockWaiting { lock, path, ahead: *ahead, holder: holder.clone() });
            }
            _ => {}
        }
    }
}

impl Locks {
    /// No locks yet.
    pub fn new() -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        Self { entries: BTreeMap::new(), generations: 0, is_stopping: false, leaving: Vec::new(), sender, events }
    }

    /// Uses another configuration. `link` gives the session of a registry that is followed. Returns what the engine is to
    /// know. Locks that are no longer configured are not held any more, and [`release_left`](Self::release_left) releases
    /// them.
    pub fn configure(&mut self, config: &Config, link: impl Fn(&str) -> Option<Link>) -> Vec<Input> {
        self.leaving.retain(|entry| !entry.task.is_finished());
        let now = Instant::now();
        let mut inputs = Vec::new();
        let kept = |entry: &Entry| config.locks.contains(&entry.config) && config.registries.contains(&entry.registry);
        for (name, mut entry) in self.entries.extract_if(.., |_, entry| !kept(entry)) {
            entry.update(now, Some("it is not configured any more, or in another way"));
            if let Some(told) = entry.told.take() {
                inputs.push(Input::Lock(name, LockStanding { is_held: false, node: None, ..told }));
            }
            self.leaving.push(entry);
        }
        for lock in &config.locks {
            let registry = config.registries.iter().find(|registry| registry.name == lock.registry);
            if let (false, Some(registry), Some(link)) =
                (self.entries.contains_key(&lock.name), registry, link(&lock.registry))
            {
                self.generations += 1;
                let is_earlier = |it: &&Entry| (&it.config.registry, &it.config.path) == (&lock.registry, &lock.path);
                let earlier = self.leaving.iter().filter(is_earlier).map(|it| it.over.clone()).collect();
                let entry = Entry::new(lock, registry, link, self.generations, earlier, self.sender.clone());
                self.entries.insert(Arc::clone(&lock.name), entry);
            }
        }
        inputs
    }

    /// Waits for the next event. Cancel safe.
    pub async fn next(&mut self) -> LockEvent {
        let wake = self.entries.values().filter_map(|entry| {
            let state = entry.state.as_ref()?;
            let is_held = entry.told.as_ref().is_some_and(|told| told.is_held);
            let look = (state.standing == Standing::Held).then(|| Instant::now() + state.timeout() / LOOKS);
            if is_held { state.lapses_at() } else { look.filter(|_| !self.is_stopping) }
        });
        let wake = wake.min();
        let sleep = async move {
            match wake {
                Some(wake) => sleep_until(wake).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // The channel never closes: `sender` is here.
            Some(event) = self.events.recv() => event,
            () = sleep => LockEvent::Tick,
        }
    }

    /// Handles an event. Returns what the engine is to know.
    pub fn handle(&mut self, event: LockEvent) -> Vec<Input> {
        if let LockEvent::State(name, generation, state) = event
            && let Some(entry) = self.entries.get_mut(&name).filter(|entry| entry.generation == generation)
        {
            entry.state = Some(state);
        }
        self.update()
    }

    /// What the engine is to know by now. Before every other step of the engine: the process may have been stopped for
    /// longer than the session lives.
    pub fn update(&mut self) -> Vec<Input> {
        let (now, given_up) = (Instant::now(), self.is_stopping.then_some("the agent is stopping"));
        self.entries.values_mut().filter_map(|entry| entry.update(now, given_up)).collect()
    }

    /// Holds nothing any more. The locks are released by [`release`](Self::release), so that files can be written before.
    pub fn stop(&mut self) -> Vec<Input> {
        self.is_stopping = true;
        self.update()
    }

    /// The names of the registries with the same configuration as before in which this agent contends. A lock that is to be
    /// released needs the session until then.
    pub fn registries(&self, config: &Config) -> impl Iterator<Item = Arc<str>> {
        let entries = self.entries.values().chain(&self.leaving).filter(|entry| !entry.task.is_finished());
        entries.map(|entry| &entry.registry).filter(|it| config.registries.contains(it)).map(|it| Arc::clone(&it.name))
    }

    /// Releases the locks that are no longer configured.
    pub fn release_left(&self) {
        self.leaving.iter().for_each(|entry| entry.release.cancel());
    }

    /// Releases every lock, and waits until that is done.
    pub async fn release(&mut self) {
        self.leaving.extend(std::mem::take(&mut self.entries).into_values());
        self.release_left();
        for entry in self.leaving.drain(..) {
            // A task that failed has released nothing, and the end of the session does.
            let _ = entry.task.await;
        }
    }
}
