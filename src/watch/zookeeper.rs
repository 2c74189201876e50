//! The registry of a ZooKeeper ensemble.
//!
//! One session serves all subjects, through one connection after the other, and each connection is subscription by a
//! [`follower`] for as long as it lasts. What is known of the subjects outlives the connection, and so, for as long as
//! the servers grant it, does the session: then the next connection only has to show what differs.

use std::future::Future;
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
use crate::model::registry_event::RegistryEvent;

use super::event_sender::EventSender;
use super::{BoxFuture, Node, RESYNC_INTERVAL, Registry, StateAccess, Subjects};

use crate::zk::Connection;
use connect::Reached;
use follower::{Ended, FollowContext, Follower};
use reader::{Mode, ReadError};
use servers::Servers;
use session::Session;
use subscriptions::Subscriptions;

#[cfg(any(test, fuzzing))]
pub use servers::ensemble::any as any_ensemble;

mod connect;
mod dirty_tracker;
mod follower;
mod list;
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
    keep: StateAccess,
    /// The servers were seen to be older than 3.6.
    is_old: AtomicBool,
    /// How often everything is looked at although nothing was heard of it.
    reconcile: Duration,
}

impl ZooKeeper {
    /// An ensemble that is not contacted yet.
    pub fn new(config: RegistryConfig, keep: StateAccess) -> Self {
        Self { config, keep, is_old: AtomicBool::new(false), reconcile: RESYNC_INTERVAL }
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
            servers: Servers::new(&self.config, &self.keep),
            session: Session::default(),
            subscriptions: Subscriptions::default(),
            events: &events,
            lost: None,
            is_expired: false,
        };
        loop {
            let Some(reached) = unless(&stop, &events, client.reach()).await else { return };
            let Reached::Connected(connection, tracker, is_carried) = reached else { continue };
            let context = FollowContext {
                subscriptions: &mut client.subscriptions,
                servers: &mut client.servers,
                events: &events,
                reconcile: self.reconcile,
            };
            let follower = Follower::new(connection.clone(), tracker, self.mode(), is_carried, context);
            let Some(ended) = unless(&stop, &events, follower.run(&mut subjects)).await else {
                connection.close().await;
                return;
            };
            if unless(&stop, &events, client.ended(ended, &connection)).await.is_none() {
                return;
            }
        }
    }
}

/// Does some work, but no longer than somebody wants it and listens.
async fn unless<T>(stop: &CancellationToken, events: &EventSender, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        () = events.closed() => None,
        done = work => Some(done),
    }
}

/// What outlives the connections.
struct Client<'a> {
    registry: &'a ZooKeeper,
    servers: Servers,
    session: Session,
    subscriptions: Subscriptions,
    events: &'a EventSender,
    /// Why the last connection was lost, in words.
    lost: Option<String>,
    /// The session from before is over, which is still to be said.
    is_expired: bool,
}

impl Client<'_> {
    /// Tries every address once, after a pause where one is due.
    async fn reach(&mut self) -> Reached {
        sleep(self.session.pause()).await;
        let reached = connect::round(&self.registry.config, &mut self.servers, &mut self.session).await;
        match &reached {
            Reached::Connected(connection, _, is_carried) => {
                tracing::debug!(server = connection.server(), is_carried, "connected");
                if std::mem::take(&mut self.is_expired) {
                    self.say_away(&["the session expired"]).await;
                }
            }
            Reached::Expired => {
                self.session.hurry();
                self.is_expired = true;
            }
            Reached::Nowhere(found) => {
                let is_expired = std::mem::take(&mut self.is_expired);
                if self.session.failed(Instant::now()) || is_expired {
                    let seen = [("the session expired", is_expired), ("no server gave a session", self.lost.is_none())];
                    let seen = seen.into_iter().filter(|(_, is_so)| *is_so).map(|(words, _)| words);
                    let words: Vec<&str> = seen.chain(found.iter().map(String::as_str)).collect();
                    self.say_away(&words).await;
                }
            }
        }
        reached
    }

    /// A connection is over: says so, and sees to what is next.
    async fn ended(&mut self, ended: Ended, connection: &Connection) {
        let (now, session_id) = (Instant::now(), connection.session());
        if let Ended { error: ReadError::Lost(_), home: Some(home) } = &ended {
            self.session.suspend(*home, now, session_id);
            self.lost = Some(ended.error.into());
            self.events.send_suspended().await;
            return;
        }
        self.session.keep(session_id);
        if ended.error == ReadError::TooOld && self.registry.config.watches == Watches::Auto {
            emit(Event::WatchesDowngraded { registry: Arc::from(self.events.registry()) });
            self.registry.is_old.store(true, Ordering::Relaxed);
            self.session.hurry();
            return;
        }
        let is_due = self.session.failed(now);
        let is_lost = matches!(ended.error, ReadError::Lost(_));
        self.lost = None;
        if is_due || !is_lost {
            self.say_away(&[&String::from(ended.error)]).await;
        }
    }

    async fn say_away(&self, words: &[&str]) {
        let words: Vec<&str> = self.lost.as_deref().into_iter().chain(words.iter().copied()).collect();
        self.events.send_unreachable(format!("{}: {}", self.registry.config.url, words.join("; "))).await;
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
        Box::pin(list::look(&self.config, &self.keep, path, recursive))
    }
}
