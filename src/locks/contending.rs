//! Contends for one lock: sends the requests that [`Contender`] decides, and reports its standing.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::{LockConfig, RegistryConfig};
use crate::decide::Moment;
use crate::decide::contender::{Contender, LockEffect, Reply, Request, Standing};
use crate::decide::event::{Event, seconds};
use crate::log::emit;
use crate::register::node::{acl, open_acl};
use crate::watch::lock::LockNode;
use crate::watch::own_nodes::OwnNodes;
use crate::watch::{BoxFuture, Link};
use crate::zk::Connection;

use super::LockState;

/// While a lock is held, a `sync` is sent each time that this part of the session timeout has passed.
const SYNCS: u32 = 4;

/// Contends for one lock.
pub struct Contending<R> {
    lock: Arc<LockConfig>,
    node: LockNode,
    link: Link,
    contender: Contender,
    /// The connection, or the last one.
    connection: Option<Connection>,
    is_connected: bool,
    /// Records the events of the watched node.
    watched: Arc<OwnNodes>,
    /// The request that has no reply yet.
    request: Option<BoxFuture<'static, Option<Reply>>>,
    /// The `sync` that has no reply yet.
    sync: Option<BoxFuture<'static, ()>>,
    /// When the last one was sent.
    synced: Option<Instant>,
    started: Instant,
    report: R,
}

impl<R: Fn(LockState) + Send> Contending<R> {
    /// A contender that does nothing yet. `report` is called with each change.
    pub fn new(lock: Arc<LockConfig>, registry: &RegistryConfig, link: Link, report: R) -> Self {
        Self {
            node: LockNode {
                path: lock.path.clone(),
                identifier: lock.identifier.clone().unwrap_or_default(),
                acl: acl(&registry.auth).into(),
                acl_above: open_acl().into(),
            },
            lock,
            link,
            contender: Contender::resuming(),
            connection: None,
            is_connected: false,
            watched: Arc::default(),
            request: None,
            sync: None,
            synced: None,
            started: Instant::now(),
            report,
        }
    }

    /// Contends until `release`, or until the registry is no longer followed, which ends the session.
    pub async fn run(mut self, release: CancellationToken) {
        // There may be a connection already.
        self.link.connection.mark_changed();
        let mut is_releasing = false;
        loop {
            let wake = self.contender.next_wake().map(|wake| self.started + wake.since_start());
            let sleep = async move {
                match wake {
                    Some(wake) => tokio::time::sleep_until(wake).await,
                    None => std::future::pending().await,
                }
            };
            let sync_at = self.sync_at();
            let due = async move {
                match sync_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let synced = async {
                match &mut self.sync {
                    Some(sync) => sync.await,
                    None => std::future::pending().await,
                }
            };
            let reply = async {
                match &mut self.request {
                    Some(request) => request.await,
                    None => std::future::pending().await,
                }
            };
            let effects = tokio::select! {
                changed = self.link.connection.changed() => match changed {
                    Ok(()) => self.reconnected(),
                    Err(_) => return,
                },
                reply = reply => {
                    self.request = None;
                    let now = self.now();
                    // A connection that is lost is reported in the other way, too.
                    reply.map(|reply| self.contender.done(now, reply)).unwrap_or_default()
                }
                _ = self.watched.changed() => self.contender.changed(self.now()),
                () = sleep => self.contender.tick(self.now()),
                () = due => {
                    self.send_sync();
                    Vec::new()
                }
                () = synced => {
                    self.sync = None;
                    // The lock counts as held for longer now.
                    self.tell(self.contender.standing().clone());
                    Vec::new()
                }
                () = release.cancelled(), if !is_releasing => {
                    is_releasing = true;
                    self.contender.release(self.now())
                }
            };
            self.perform(effects);
            // Without a connection, the node is still there, and the session may be resumed.
            if is_releasing && *self.contender.standing() == Standing::Released {
                return;
            }
        }
    }

    fn now(&self) -> Moment {
        Moment::after_start(self.started.elapsed())
    }

    fn reconnected(&mut self) -> Vec<LockEffect> {
        let connection = self.link.connection.borrow_and_update().clone();
        let mut effects =
            if std::mem::take(&mut self.is_connected) { self.contender.disconnected() } else { Vec::new() };
        (self.request, self.sync, self.synced) = (None, None, None);
        if let Some(connection) = connection {
            let session = connection.session().id;
            (self.connection, self.is_connected) = (Some(connection), true);
            effects.extend(self.contender.connected(self.now(), session, &self.node.digits()));
        }
        effects
    }

    fn perform(&mut self, effects: Vec<LockEffect>) {
        for effect in effects {
            match effect {
                LockEffect::Send(request) => {
                    if matches!(request, Request::Watch { .. }) {
                        // The node that was watched before does not matter any more.
                        self.watched = Arc::default();
                        self.link.own_nodes.attach(&self.watched);
                    }
                    if let Some(connection) = self.connection.clone() {
                        let (node, watched) = (self.node.clone(), Arc::clone(&self.watched));
                        self.request =
                            Some(Box::pin(async move { node.send(&connection, &watched, &request).await.ok() }));
                    }
                }
                LockEffect::Changed(standing) => self.tell(standing),
                LockEffect::Failed(reason, pause) => self.failed(reason, pause),
            }
        }
    }

    /// When a `sync` is to be sent, to learn that the leader of the ensemble still hears of the session.
    fn sync_at(&self) -> Option<Instant> {
        let is_due = self.is_connected && self.sync.is_none() && *self.contender.standing() == Standing::Held;
        let timeout = self.connection.as_ref().filter(|_| is_due)?.session().timeout;
        Some(self.synced.map_or(self.started, |synced| synced + timeout / SYNCS))
    }

    fn send_sync(&mut self) {
        if let Some(connection) = self.connection.clone() {
            let path = self.lock.path.clone();
            self.synced = Some(Instant::now());
            // A connection that is lost is reported in another way.
            self.sync = Some(Box::pin(async move { _ = connection.sync(path.as_str()).await }));
        }
    }

    fn tell(&self, standing: Standing) {
        let (node, connection) = (self.contender.node().map(Arc::from), self.connection.clone());
        (self.report)(LockState { standing, node, connection });
    }

    fn failed(&self, reason: String, pause: Duration) {
        let (lock, path) = (Arc::clone(&self.lock.name), self.lock.path.to_string());
        emit(Event::LockFailed { lock, path, reason, retry_in_s: seconds(pause) });
    }
}
