//! The registry of a ZooKeeper ensemble.
//!
//! One session serves all subjects, through one connection after another. A [`follower`] serves each connection. What
//! is known of the subjects outlives the connection, and so does the session, until its timeout: then the next
//! connection only has to find the differences.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::config::{RegistryConfig, Watches};
use crate::decide::Event;
use crate::error::Setback;
use crate::log::emit;
use crate::model::node_path::NodePath;
use crate::model::registry_event::{RegistryEvent, Unreachable};
use crate::state::session::SavedSession;
use crate::zk::{Connection, SessionId};

use super::event_sender::EventSender;
use super::own_nodes::OwnNodes;
use super::session_counters::SessionCounters;
use super::{BoxFuture, Link, Node, RESYNC_INTERVAL, Registry, StateAccess, Subjects};

use connect::Connected;
use follower::{Context, FollowEnd, Follower};
use reader::{Mode, ReadError};
use servers::Servers;
use session::Session;
use subscriptions::Subscriptions;

#[cfg(any(test, fuzzing))]
pub use servers::ensemble::any as any_ensemble;

mod checks;
pub mod chroot;
pub mod command;
mod connect;
mod dirty_tracker;
mod follower;
mod list;
mod list_watches;
pub mod lock_session;
mod node_versions;
mod reader;
mod reconcile;
mod servers;
mod session;
mod subscriptions;
#[cfg(test)]
mod tests;

/// A ZooKeeper ensemble.
#[derive(Debug)]
pub struct ZooKeeper {
    config: RegistryConfig,
    state: StateAccess,
    /// A server was found to be older than 3.6.
    is_old: AtomicBool,
    /// How often everything is checked without an event.
    check_interval: Duration,
    /// The current connection, for the nodes that are registered.
    connection: watch::Sender<Option<Connection>>,
    own_nodes: Arc<OwnNodes>,
    keeps_session: Arc<AtomicBool>,
    counters: Arc<SessionCounters>,
    /// Continues the session that an earlier process saved.
    continues_session: bool,
}

impl ZooKeeper {
    /// An ensemble that is not contacted yet.
    pub fn new(config: RegistryConfig, state: StateAccess) -> Self {
        Self {
            config,
            state,
            is_old: AtomicBool::new(false),
            check_interval: RESYNC_INTERVAL,
            connection: watch::Sender::new(None),
            own_nodes: Arc::default(),
            keeps_session: Arc::default(),
            counters: Arc::default(),
            continues_session: false,
        }
    }

    /// Continues the session that an earlier process saved.
    #[must_use]
    pub fn continuing_session(self) -> Self {
        Self { continues_session: true, ..self }
    }

    /// Its session, in which nodes can be registered.
    pub fn link(&self) -> Link {
        let (own_nodes, keeps_session) = (Arc::clone(&self.own_nodes), Arc::clone(&self.keeps_session));
        let counters = Arc::clone(&self.counters);
        Link { connection: self.connection.subscribe(), own_nodes, keeps_session, counters }
    }

    /// The session that an earlier process saved.
    fn saved_session(&self) -> Session {
        let mut session = Session::default();
        if let (true, StateAccess::ReadWrite(state_dir)) = (self.continues_session, &self.state) {
            // A file that cannot be read is logged by the registrar.
            let saved =
                SavedSession::load(&SavedSession::file(state_dir, &self.config.name), &self.config.url.to_string());
            if let Some((id, password, timeout)) = saved.ok().and_then(|saved| saved.session()) {
                session.set_id(SessionId::saved(id, password, timeout));
            }
        }
        session
    }

    fn mode(&self) -> Mode {
        match self.config.watches {
            Watches::Oneshot => Mode::Oneshot,
            Watches::Auto if self.is_old.load(Ordering::Relaxed) => Mode::Oneshot,
            Watches::Auto | Watches::Recursive => Mode::Recursive,
        }
    }

    async fn run(&self, mut subjects: watch::Receiver<Subjects>, events: EventSender, stop: CancellationToken) {
        let mut client = Client {
            registry: self,
            servers: Servers::new(&self.config, &self.state),
            session: self.saved_session(),
            is_first: true,
            subscriptions: Subscriptions::default(),
            events: &events,
            lost: None,
            answers: Vec::new(),
            expired: Vec::new(),
        };
        loop {
            let Some(connected) = events.until_stopped(&stop, client.connect()).await else { return };
            let Connected::Yes { connection, tracker, is_resumed } = connected else { continue };
            let context = Context {
                subscriptions: &mut client.subscriptions,
                servers: &mut client.servers,
                events: &events,
                check_interval: self.check_interval,
            };
            self.connection.send_replace(Some(connection.clone()));
            let follower = Follower::new(connection.clone(), tracker, self.mode(), is_resumed, context);
            let end = events.until_stopped(&stop, follower.run(&mut subjects)).await;
            self.connection.send_replace(None);
            let Some(end) = end else {
                if !self.keeps_session.load(Ordering::Relaxed) {
                    connection.close().await;
                }
                return;
            };
            if events.until_stopped(&stop, client.disconnected(end, &connection)).await.is_none() {
                return;
            }
        }
    }
}

/// What outlives the connections.
struct Client<'a> {
    registry: &'a ZooKeeper,
    servers: Servers,
    session: Session,
    subscriptions: Subscriptions,
    events: &'a EventSender,
    /// No connection was there yet. A session is an earlier process's then, of which nothing is known here.
    is_first: bool,
    /// Why the last connection was lost.
    lost: Option<String>,
    /// What the servers answered in the last round of tries.
    answers: Vec<String>,
    /// The previous session has expired, for these reasons, and this was not reported yet.
    expired: Vec<String>,
}

impl Client<'_> {
    /// Tries every address once, after a pause if one is due.
    async fn connect(&mut self) -> Connected {
        let pause = self.session.pause();
        // A timer waits for the next millisecond at least, and `get` takes only a few.
        if !pause.is_zero() {
            sleep(pause).await;
        }
        let ZooKeeper { config, own_nodes, counters, .. } = self.registry;
        let mut connected = connect::connect(config, &mut self.servers, &mut self.session, own_nodes, counters).await;
        match &connected {
            Connected::Yes { .. } => counters.connected(),
            // Before the first connection it is the session of an earlier process.
            Connected::SessionExpired(_) if self.is_first => {}
            Connected::SessionExpired(_) => counters.expired(),
            Connected::No { .. } => counters.disconnected(self.session.id().is_some()),
        }
        match &mut connected {
            Connected::Yes { connection, is_resumed, .. } => {
                *is_resumed &= !std::mem::take(&mut self.is_first);
                tracing::debug!(server = connection.server(), is_resumed, "connected");
                let expired = std::mem::take(&mut self.expired);
                if !expired.is_empty() {
                    self.report_unreachable(expired, false).await;
                }
            }
            Connected::SessionExpired(_) if self.is_first => {
                self.session.skip_pause();
            }
            Connected::SessionExpired(reasons) => {
                self.session.skip_pause();
                // A round that ends with its first try shows little.
                self.expired = if reasons.len() == 1 { std::mem::take(&mut self.answers) } else { Vec::new() };
                self.expired.extend_from_slice(reasons);
            }
            Connected::No { reasons, is_final } => {
                self.answers.clone_from(reasons);
                let is_due = self.session.no_server(Instant::now());
                let mut parts = std::mem::take(&mut self.expired);
                if is_due || *is_final || !parts.is_empty() {
                    // The answers before a session expired, if there are any, say more than those after.
                    if parts.len() < 2 || *is_final {
                        let fact = "could not establish a session with any server".to_owned();
                        parts.extend(self.lost.is_none().then_some(fact));
                        parts.extend_from_slice(reasons);
                    }
                    self.report_unreachable(parts, *is_final).await;
                }
            }
        }
        connected
    }

    /// Reports that a connection ended, and decides when to try the next one.
    async fn disconnected(&mut self, end: FollowEnd, connection: &Connection) {
        let (now, session_id) = (Instant::now(), connection.session());
        self.registry.counters.disconnected(true);
        if matches!(end.error, ReadError::Lost(_)) {
            self.servers.lost(end.useful_since.is_some());
        }
        self.answers.clear();
        if let FollowEnd { error: ReadError::Lost(_), useful_since: Some(since) } = &end {
            self.session.suspend(*since, now, session_id);
            self.lost = Some(end.error.into());
            self.events.send_suspended().await;
            return;
        }
        self.session.set_id(session_id);
        if end.error == ReadError::TooOld && self.registry.config.watches == Watches::Auto {
            emit(Event::WatchesDowngraded { registry: Arc::from(self.events.registry()) });
            self.registry.is_old.store(true, Ordering::Relaxed);
            self.session.skip_pause();
            return;
        }
        let is_due = self.session.failed(now);
        let is_lost = matches!(end.error, ReadError::Lost(_));
        let is_final = matches!(end.error, ReadError::Unusable(_) | ReadError::TooOld);
        self.lost = None;
        if is_due || !is_lost {
            self.report_unreachable(vec![end.error.into()], is_final).await;
        }
    }

    async fn report_unreachable(&self, parts: Vec<String>, is_final: bool) {
        let parts: Vec<String> = self.lost.iter().cloned().chain(parts).collect();
        let reason = format!("{}: {}", self.registry.config.url, parts.join("; "));
        self.events.send_unreachable(Unreachable { reason, is_final }).await;
    }
}

impl Registry for ZooKeeper {
    fn follow(
        self: Arc<Self>,
        subjects: watch::Receiver<Subjects>,
        out: mpsc::Sender<RegistryEvent>,
        stop: CancellationToken,
    ) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let events = EventSender::new(Arc::clone(&self.config.name), out);
            self.run(subjects, events, stop).await;
        })
    }

    fn read(&self, path: NodePath, recursive: bool) -> BoxFuture<'_, Result<Option<Node>, Setback>> {
        Box::pin(list::read(&self.config, &self.state, path, recursive))
    }
}
