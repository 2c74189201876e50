//! The registry of a ZooKeeper ensemble.
//!
//! One session serves all subjects. Each is followed by its own [`follower`] for as long as a connection lasts; on the
//! next one all begin anew, because watches do not come through a reconnect, and nobody can say what was missed. A
//! session that does not come back by itself within [`GRACE`] is given up for a new one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use zookeeper_client::{SessionState, StateWatcher};

use crate::config::{RegistryConfig, Watches};
use crate::error::Setback;
use crate::node::{NodePath, Subject};
use crate::sighting::Sighting;

use super::pauses::Pauses;
use super::teller::Teller;
use super::{Boxed, Node, Registry, Wanted, changed};

mod fact;
mod follower;
mod look;
mod oneshot;
mod probe;
mod reader;
mod servers;
mod session;
mod wire;

use session::{Session, Trouble};

/// How long a session has to come back by itself, though it could live longer. The client's pauses between tries double,
/// so later than this a new session is had sooner, and nothing but watches hangs on this one. Measured with one server
/// that was down for 1.5 s to 9.5 s, and a session timeout of 10 s: given up after 2 s, the agent was back 0.6 s after
/// the server at the latest; with the session kept for as long as it lives, up to 4.2 s after it.
const GRACE: Duration = Duration::from_secs(2);

/// A connection that lasts less is none: after some of them in a row, a pause is due. The client makes none.
const SHORT: Duration = Duration::from_secs(1);

/// How many short connections a session may have in a row.
const SHORT_IN_A_ROW: u32 = 5;

/// A ZooKeeper ensemble.
#[derive(Debug)]
pub struct ZooKeeper {
    config: RegistryConfig,
    /// The servers were seen to be older than 3.6.
    is_old: AtomicBool,
}

/// Why a session was left.
enum End {
    /// Somebody wants to stop, or nobody listens.
    Stopped,
    /// It is of no use any more: why.
    Over(String),
    /// It did not come back in time, or cannot be used further: another one has to be had.
    Again,
    /// The servers turned out to be old: another one has to be had at once, and used in another way.
    Old,
}

impl ZooKeeper {
    /// An ensemble that is not contacted yet.
    pub fn new(config: RegistryConfig) -> Self {
        Self { config, is_old: AtomicBool::new(false) }
    }

    fn is_oneshot(&self) -> bool {
        match self.config.watches {
            Watches::Oneshot => true,
            Watches::Recursive => false,
            Watches::Auto => self.is_old.load(Ordering::Relaxed),
        }
    }

    async fn run(&self, mut subjects: watch::Receiver<Wanted>, teller: Teller, stop: CancellationToken) {
        let mut pauses = Pauses::default();
        loop {
            let opened = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = teller.closed() => return,
                opened = Session::open(&self.config) => opened,
            };
            let began = Instant::now();
            let end = match opened {
                Err(why) => End::Over(why),
                Ok(session) => {
                    let end = tokio::select! {
                        biased;
                        () = stop.cancelled() => End::Stopped,
                        () = teller.closed() => End::Stopped,
                        end = self.serve(&session, &mut subjects, &teller) => end,
                    };
                    if matches!(end, End::Stopped) {
                        session.close().await;
                        return;
                    }
                    end
                }
            };
            if teller.is_home() {
                pauses.reset();
            }
            let seen = match end {
                End::Over(seen) => Some(seen),
                End::Again if began.elapsed() < SHORT => Some("the connection was lost at once".into()),
                End::Again | End::Old | End::Stopped => None,
            };
            if let Some(seen) = seen {
                let pausing = async {
                    let next = Instant::now() + pauses.next();
                    self.say_away(&teller, &seen).await;
                    sleep_until(next).await;
                };
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    () = teller.closed() => return,
                    () = pausing => {}
                }
            }
        }
    }

    /// Follows the subjects for as long as the session lasts.
    async fn serve(&self, session: &Session, subjects: &mut watch::Receiver<Wanted>, teller: &Teller) -> End {
        let mut states = session.states();
        let mut state = states.state();
        let mut short = 0;
        loop {
            state = match state {
                SessionState::SyncConnected if short == SHORT_IN_A_ROW => {
                    return End::Over("the servers drop the connection as soon as it is used".into());
                }
                SessionState::SyncConnected => {
                    let began = Instant::now();
                    let next = self.connected(session, &mut states, subjects, teller).await;
                    short = if began.elapsed() < SHORT { short + 1 } else { 0 };
                    match next {
                        Ok(state) => state,
                        Err(end) => return end,
                    }
                }
                // The watches of an older server are not taken along: see `oneshot`.
                SessionState::Disconnected if self.is_oneshot() => return End::Again,
                SessionState::Disconnected => {
                    let waiting = async {
                        let over = Instant::now() + GRACE;
                        self.say_away(teller, "the connection was lost").await;
                        sleep_until(over).await;
                    };
                    tokio::select! {
                        biased;
                        state = states.changed() => state,
                        () = waiting => return End::Again,
                    }
                }
                state => return End::Over(session::ended(&self.config, state)),
            };
        }
    }

    /// Follows the subjects through one connection. Gives the session's next state, or the end of it.
    async fn connected(
        &self,
        session: &Session,
        states: &mut StateWatcher,
        subjects: &mut watch::Receiver<Wanted>,
        teller: &Teller,
    ) -> Result<SessionState, End> {
        if let Err(Trouble::Over(why)) = session.check_chroot().await {
            return Err(End::Over(why));
        }
        let oneshot = self.is_oneshot();
        let mut followers = FuturesUnordered::new();
        let mut followed = BTreeMap::new();
        let mut lost = None;
        subjects.mark_changed();
        loop {
            tokio::select! {
                biased;
                // Before the state: a server before 3.6 answers and hangs up at once, and the answer says why.
                // Not as a pattern: one that does not match would leave all followers unpolled.
                ended = followers.next(), if !followers.is_empty() => match ended.flatten() {
                    None => {}
                    // The state follows; if it does not, the session is not what it seems.
                    Some(Trouble::Lost) => lost = lost.or(Some(Instant::now() + GRACE)),
                    Some(Trouble::TooOld) if self.config.watches == Watches::Auto => {
                        tracing::info!(registry = teller.registry(), "server before 3.6: one-shot watches");
                        self.is_old.store(true, Ordering::Relaxed);
                        return Err(End::Old);
                    }
                    Some(Trouble::TooOld) => {
                        return Err(End::Over("the server knows no persistent watches, which came with ZooKeeper 3.6; \
                            write watches = \"auto\" or \"oneshot\"".into()));
                    }
                    Some(Trouble::Over(why) | Trouble::Refused(why)) => return Err(End::Over(why)),
                },
                state = states.changed() => return Ok(state),
                () = changed(subjects) => {
                    for (subject, token) in take_changes(&mut followed, &subjects.borrow_and_update()) {
                        let follow = follower::follow(session, subject, teller, oneshot);
                        followers.push(token.run_until_cancelled_owned(follow));
                    }
                }
                () = sleep_until(lost.unwrap_or_else(Instant::now)), if lost.is_some() => return Err(End::Again),
            }
        }
    }

    /// Says that the registry is not reached, with the reason, which takes a moment to find.
    async fn say_away(&self, teller: &Teller, seen: &str) {
        if teller.is_away_due() {
            teller.away(probe::why(&self.config, seen).await).await;
        }
    }
}

/// Ends what is not wanted any more, and gives what is new.
fn take_changes(
    followed: &mut BTreeMap<Subject, (u64, CancellationToken)>,
    wanted: &Wanted,
) -> Vec<(Subject, CancellationToken)> {
    followed.retain(|subject, (number, token)| {
        let stays = wanted.get(subject) == Some(number);
        if !stays {
            token.cancel();
        }
        stays
    });
    let mut new = Vec::new();
    for (subject, number) in wanted {
        if !followed.contains_key(subject) {
            let token = CancellationToken::new();
            followed.insert(subject.clone(), (*number, token.clone()));
            new.push((subject.clone(), token));
        }
    }
    new
}

impl Registry for ZooKeeper {
    fn follow(
        self: Arc<Self>,
        subjects: watch::Receiver<Wanted>,
        out: mpsc::Sender<Sighting>,
        stop: CancellationToken,
    ) -> Boxed<'static, ()> {
        Box::pin(async move {
            let teller = Teller::new(Arc::clone(&self.config.name), out);
            self.run(subjects, teller, stop).await;
        })
    }

    fn look(&self, path: NodePath, recursive: bool) -> Boxed<'_, Result<Option<Node>, Setback>> {
        Box::pin(look::look(&self.config, path, recursive))
    }
}
