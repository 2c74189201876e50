//! A session that holds one lock, for `rosterd lock`.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::config::RegistryConfig;
use crate::decide::Moment;
use crate::decide::contender::{Contender, LockEffect, Reply, Standing};
use crate::watch::StateAccess;
use crate::watch::lock::LockNode;
use crate::watch::own_nodes::OwnNodes;
use crate::zk::{Connection, ConnectionLost};

use super::connect::{Connected, connect};
use super::servers::Servers;
use super::session::Session;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockEvent {
    /// A server answers again, or for the first time.
    Connected,
    /// No server answers, for this reason.
    Away {
        /// The reason.
        reason: String,
        /// A retry would fail in the same way.
        is_final: bool,
    },
    /// The contender stands elsewhere. After `Lost` and `Released` nothing more happens.
    Changed {
        /// Where it stands.
        standing: Standing,
        /// The name of its node.
        node: String,
    },
    /// A request was refused, for this reason.
    Failed(String),
}

/// Contends for a lock, once: after the lock was lost or released, the session is closed.
pub struct LockSession {
    config: RegistryConfig,
    servers: Servers,
    session: Session,
    node: LockNode,
    contender: Contender,
    watched: Arc<OwnNodes>,
    started: Instant,
    events: mpsc::UnboundedSender<LockEvent>,
    release: CancellationToken,
    is_releasing: bool,
    is_over: bool,
}

/// A request under way.
type UnderWay = Pin<Box<dyn Future<Output = Result<Reply, ConnectionLost>> + Send>>;

impl LockSession {
    /// Starts a task that contends until the lock is lost, or released as `release` asks.
    pub fn start(
        config: RegistryConfig,
        state: &StateAccess,
        node: LockNode,
        release: CancellationToken,
    ) -> mpsc::UnboundedReceiver<LockEvent> {
        let (events, receiver) = mpsc::unbounded_channel();
        let session = Self {
            servers: Servers::new(&config, state),
            config,
            session: Session::default(),
            node,
            contender: Contender::default(),
            watched: Arc::default(),
            started: Instant::now(),
            events,
            release,
            is_releasing: false,
            is_over: false,
        };
        tokio::spawn(session.run());
        receiver
    }

    async fn run(mut self) {
        while !self.is_over {
            if let Some(connection) = self.connect().await {
                self.contend(connection).await;
            }
        }
    }

    fn now(&self) -> Moment {
        Moment::after_start(self.started.elapsed())
    }

    fn tell(&self, event: LockEvent) {
        // The receiver may have seen enough.
        let _ = self.events.send(event);
    }

    /// One round of tries; `None` if there is no connection yet.
    async fn connect(&mut self) -> Option<Connection> {
        let expiry = self.session.id().map(|id| id.last_heard + id.timeout);
        let pause = self.session.pause();
        let counters = Arc::default();
        let connecting = async {
            sleep(pause).await;
            connect(&self.config, &mut self.servers, &mut self.session, &self.watched, &counters).await
        };
        let connected = tokio::select! {
            biased;
            () = self.release.cancelled(), if !self.is_releasing => {
                self.start_release();
                return None;
            }
            // By this host's clock. A server may still wait for the session, but another one must not be relied on.
            () = sleep_until(expiry.unwrap_or(self.started)), if expiry.is_some() => Connected::SessionExpired(vec![]),
            connected = connecting => connected,
        };
        match connected {
            Connected::Yes { connection, .. } => return Some(connection),
            Connected::SessionExpired(_) => {
                self.session.drop_id();
                self.session.skip_pause();
                let effects = self.contender.expired();
                self.follow(effects);
            }
            Connected::No { reasons, is_final } => {
                self.session.no_server(Instant::now());
                self.tell(LockEvent::Away { reason: reasons.join("; "), is_final });
            }
        }
        None
    }

    fn start_release(&mut self) {
        self.is_releasing = true;
        let effects = self.contender.release(self.now());
        self.follow(effects);
    }

    /// Tells what happened, without a connection.
    fn follow(&mut self, effects: Vec<LockEffect>) {
        for effect in effects {
            self.apply(effect);
        }
    }

    /// Tells what happened. Returns the request to send.
    fn apply(&mut self, effect: LockEffect) -> Option<crate::decide::contender::Request> {
        match effect {
            LockEffect::Send(request) => return Some(request),
            LockEffect::Changed(standing) => {
                self.is_over |= matches!(standing, Standing::Lost(_) | Standing::Released);
                let node = self.contender.node().unwrap_or_default().to_owned();
                self.tell(LockEvent::Changed { standing, node });
            }
            LockEffect::Failed(reason, _) => {
                // The end of the session deletes the node.
                self.is_over |= self.is_releasing;
                self.tell(LockEvent::Failed(reason));
            }
        }
        None
    }

    /// Contends until the connection is lost, or everything is over.
    async fn contend(&mut self, connection: Connection) {
        let since = Instant::now();
        self.tell(LockEvent::Connected);
        let mut effects = self.contender.connected(self.now(), connection.session().id, &self.node.digits());
        let mut under_way: Option<UnderWay> = None;
        loop {
            for effect in std::mem::take(&mut effects) {
                let Some(request) = self.apply(effect).filter(|_| !self.is_over) else { continue };
                let (node, connection, watched) = (self.node.clone(), connection.clone(), Arc::clone(&self.watched));
                under_way = Some(Box::pin(async move { node.send(&connection, &watched, &request).await }));
            }
            if self.is_over {
                drop(under_way);
                return connection.close().await;
            }
            let reply = async {
                match &mut under_way {
                    Some(request) => request.await,
                    None => pending().await,
                }
            };
            let wake = self.contender.next_wake().map(|wake| self.started + wake.since_start());
            tokio::select! {
                reply = reply => {
                    under_way = None;
                    match reply {
                        Ok(reply) => effects = self.contender.done(self.now(), reply),
                        Err(lost) => return self.disconnected(&connection, since, &lost),
                    }
                }
                _ = self.watched.changed() => effects = self.contender.changed(self.now()),
                lost = connection.lost() => return self.disconnected(&connection, since, &lost),
                () = self.release.cancelled(), if !self.is_releasing => {
                    self.is_releasing = true;
                    effects = self.contender.release(self.now());
                }
                () = sleep_until(wake.unwrap_or(self.started)), if wake.is_some() => {
                    effects = self.contender.tick(self.now());
                }
            }
        }
    }

    fn disconnected(&mut self, connection: &Connection, since: Instant, lost: &ConnectionLost) {
        self.servers.lost(true);
        self.session.suspend(since, Instant::now(), connection.session());
        let effects = self.contender.disconnected();
        self.follow(effects);
        self.tell(LockEvent::Away { reason: lost.to_string(), is_final: false });
    }
}
