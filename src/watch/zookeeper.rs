//! The registry of a ZooKeeper ensemble.
//!
//! One session serves all subjects, through one connection after the other, and each connection is followed by a
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
use super::{Boxed, Keep, Node, RESYNC, Registry, Wanted};

use crate::zk::Connection;
use connect::Reached;
use follower::{Bench, Ended, Follower};
use reader::{Mode, ReadError};
use servers::Servers;
use session::Session;
use subscriptions::Desk;

#[cfg(any(test, fuzzing))]
pub use servers::ensemble::any as any_ensemble;

mod connect;
mod dirty_tracker;
mod exhibitor;
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
    keep: Keep,
    /// The servers were seen to be older than 3.6.
    is_old: AtomicBool,
    /// How often everything is looked at although nothing was heard of it.
    reconcile: Duration,
}

impl ZooKeeper {
    /// An ensemble that is not contacted yet.
    pub fn new(config: RegistryConfig, keep: Keep) -> Self {
        Self { config, keep, is_old: AtomicBool::new(false), reconcile: RESYNC }
    }

    fn mode(&self) -> Mode {
        match self.config.watches {
            Watches::Oneshot => Mode::Oneshot,
            Watches::Auto if self.is_old.load(Ordering::Relaxed) => Mode::Oneshot,
            Watches::Auto | Watches::Recursive => Mode::Recursive,
        }
    }

    async fn run(&self, mut subjects: watch::Receiver<Wanted>, teller: EventSender, stop: CancellationToken) {
        let mut keeper = Keeper {
            registry: self,
            servers: Servers::new(&self.config, &self.keep),
            session: Session::default(),
            desk: Desk::default(),
            teller: &teller,
            lost: None,
            is_expired: false,
        };
        loop {
            let Some(reached) = unless(&stop, &teller, keeper.reach()).await else { return };
            let Reached::Connected(connection, ears, is_carried) = reached else { continue };
            let bench = Bench {
                desk: &mut keeper.desk,
                servers: &mut keeper.servers,
                teller: &teller,
                reconcile: self.reconcile,
            };
            let follower = Follower::new(connection.clone(), ears, self.mode(), is_carried, bench);
            let Some(ended) = unless(&stop, &teller, follower.run(&mut subjects)).await else {
                connection.close().await;
                return;
            };
            if unless(&stop, &teller, keeper.ended(ended, &connection)).await.is_none() {
                return;
            }
        }
    }
}

/// Does some work, but no longer than somebody wants it and listens.
async fn unless<T>(stop: &CancellationToken, teller: &EventSender, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        () = teller.closed() => None,
        done = work => Some(done),
    }
}

/// What outlives the connections.
struct Keeper<'a> {
    registry: &'a ZooKeeper,
    servers: Servers,
    session: Session,
    desk: Desk,
    teller: &'a EventSender,
    /// Why the last connection was lost, in words.
    lost: Option<String>,
    /// The session from before is over, which is still to be said.
    is_expired: bool,
}

impl Keeper<'_> {
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
        let (now, ticket) = (Instant::now(), connection.ticket());
        if let Ended { trouble: ReadError::Lost(_), home: Some(home) } = &ended {
            self.session.suspend(*home, now, ticket);
            self.lost = Some(ended.trouble.into());
            self.teller.suspended().await;
            return;
        }
        self.session.keep(ticket);
        if ended.trouble == ReadError::TooOld && self.registry.config.watches == Watches::Auto {
            emit(Event::WatchesDowngraded { registry: Arc::from(self.teller.registry()) });
            self.registry.is_old.store(true, Ordering::Relaxed);
            self.session.hurry();
            return;
        }
        let is_due = self.session.failed(now);
        let is_lost = matches!(ended.trouble, ReadError::Lost(_));
        self.lost = None;
        if is_due || !is_lost {
            self.say_away(&[&String::from(ended.trouble)]).await;
        }
    }

    async fn say_away(&self, words: &[&str]) {
        let words: Vec<&str> = self.lost.as_deref().into_iter().chain(words.iter().copied()).collect();
        self.teller.away(format!("{}: {}", self.registry.config.url, words.join("; "))).await;
    }
}

impl Registry for ZooKeeper {
    fn follow(
        self: Arc<Self>,
        subjects: watch::Receiver<Wanted>,
        out: mpsc::Sender<RegistryEvent>,
        stop: CancellationToken,
    ) -> Boxed<'static, ()> {
        Box::pin(async move {
            let teller = EventSender::new(Arc::clone(&self.config.name), out);
            self.run(subjects, teller, stop).await;
        })
    }

    fn look(&self, path: NodePath, recursive: bool) -> Boxed<'_, Result<Option<Node>, Setback>> {
        Box::pin(list::look(&self.config, &self.keep, path, recursive))
    }
}
