//! Follows one subject through one connection.
//!
//! First the watch, then `sync`, then the reading: what changes after the reading is heard of, and what was there
//! before it is seen. From then on events only say where to look; what is said is what was read.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use zookeeper_client::{AddWatchMode, EventType, PersistentWatcher, WatchedEvent};

use crate::node::Subject;
use crate::sighting::{Seen, View};
use crate::watch::RESYNC;
use crate::watch::dirty::{Dirty, Event};
use crate::watch::known::{Known, Told};
use crate::watch::teller::Teller;

use super::oneshot::{Fired, Oneshots};
use super::reader::Reader;
use super::session::{Session, Trouble};

/// The least time between two readings of one subject: in a storm many events become one reading.
const PACE: Duration = Duration::from_millis(10);

/// The same while the subject is too large, or refused.
const PACE_UNREADABLE: Duration = Duration::from_secs(1);

/// How long until a subject that cannot be watched or read is tried again: soon, as for a server that is throttled, and
/// after that twice as long each time up to the most.
const REFUSED_FIRST: Duration = Duration::from_secs(1);
const REFUSED_MOST: Duration = Duration::from_secs(30);

/// Follows `subject` until there is trouble with the session.
pub async fn follow(session: &Session, subject: Subject, teller: &Teller, oneshot: bool) -> Trouble {
    let mut pause = REFUSED_FIRST;
    loop {
        let began = Instant::now();
        let Err(trouble) = watched(session, &subject, teller, oneshot).await;
        let Trouble::Refused(why) = trouble else {
            return trouble;
        };
        // Other subjects of the session are none the worse for it.
        teller.told(&subject, Told::Reset(unreadable(&subject, &why))).await;
        if began.elapsed() > REFUSED_MOST {
            pause = REFUSED_FIRST;
        }
        sleep(pause.mul_f64(fastrand::f64().mul_add(0.5, 0.5))).await;
        pause = (pause * 2).min(REFUSED_MOST);
    }
}

async fn watched(session: &Session, subject: &Subject, teller: &Teller, oneshot: bool) -> Result<Never, Trouble> {
    let (oneshots, events) = if oneshot {
        let (oneshots, fired) = Oneshots::new();
        (Some(oneshots), Events::Oneshot(fired))
    } else {
        let top = subject.top().as_str();
        let watching = session.ask(session.client().watch(top, AddWatchMode::PersistentRecursive)).await?;
        (None, Events::Recursive(watching.map_err(|error| Trouble::Refused(format!("watch {top}: {error}")))?))
    };
    let mut follower = Follower { subject, events, dirty: Dirty::whole(), known: Known::default() };
    follower.run(session, &Reader::new(session, oneshots.as_ref()), teller).await
}

fn unreadable(subject: &Subject, why: &str) -> View {
    match subject {
        Subject::Members(_) => View::Members(Seen::Unreadable(why.into())),
        Subject::Keyed { .. } => View::Keyed(Seen::Unreadable(why.into())),
        Subject::Node(_) => View::Node(Seen::Unreadable(why.into())),
    }
}

/// Never made: a follower only ends in trouble.
enum Never {}

struct Follower<'a> {
    subject: &'a Subject,
    events: Events,
    dirty: Dirty,
    known: Known,
}

impl Follower<'_> {
    async fn run(&mut self, session: &Session, reader: &Reader<'_>, teller: &Teller) -> Result<Never, Trouble> {
        let top = self.subject.top().as_str();
        if let Err(error) = self.listening(session.ask(session.client().sync(top))).await?? {
            return Err(Trouble::Refused(format!("sync {top}: {error}")));
        }
        let mut resync = resync_at();
        loop {
            let began = Instant::now();
            self.known.widen(&mut self.dirty);
            let dirty = self.dirty.take();
            if !dirty.is_clean() {
                let reread = self.listening(reader.reread(self.subject, dirty)).await??;
                if let Some(told) = self.known.take(reread) {
                    self.listening(teller.told(self.subject, told)).await?;
                }
                self.dirty.whole |= self.known.is_too_large();
            }
            let pace = if self.known.is_unreadable() { PACE_UNREADABLE } else { PACE };
            self.listening(sleep_until(began + pace)).await?;
            while self.dirty.is_clean() {
                tokio::select! {
                    event = self.events.next() => self.note(&event?),
                    () = sleep_until(resync) => {
                        self.dirty.whole = true;
                        resync = resync_at();
                    }
                }
            }
        }
    }

    /// Takes up events while something else is done, so that they need no room.
    async fn listening<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Trouble> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                event = self.events.next() => self.note(&event?),
            }
        }
    }

    fn note(&mut self, event: &WatchedEvent) {
        let what = match event.event_type {
            EventType::NodeCreated => Event::Came,
            EventType::NodeDeleted => Event::Went,
            EventType::NodeDataChanged => Event::Data,
            EventType::NodeChildrenChanged => Event::Children,
            EventType::Session => return,
        };
        self.dirty.note(self.subject, what, &event.path);
    }
}

/// When everything is read again, jittered by a tenth.
fn resync_at() -> Instant {
    Instant::now() + RESYNC.mul_f64(fastrand::f64().mul_add(0.2, 0.9))
}

/// Where events come from.
enum Events {
    Recursive(PersistentWatcher),
    Oneshot(mpsc::UnboundedReceiver<Fired>),
}

impl Events {
    /// The next event of a node. Must not be called after it failed.
    async fn next(&mut self) -> Result<WatchedEvent, Trouble> {
        loop {
            let event = match self {
                Self::Recursive(watcher) => watcher.changed().await,
                Self::Oneshot(fired) => {
                    let fired = fired.recv().await.ok_or(Trouble::Lost)?;
                    fired.ok_or_else(|| Trouble::Over("a watch came to a sudden end".into()))?
                }
            };
            if event.event_type != EventType::Session {
                return Ok(event);
            }
            if event.session_state.is_terminated() {
                return Err(Trouble::Lost);
            }
        }
    }
}
