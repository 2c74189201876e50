//! Follows all subjects through one connection.
//!
//! First the watches, then one `sync`, then the readings: what changes after a reading is heard of, and what was there
//! before it is seen. From then on events only say where to look; what is said is what was read.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::model::node_path::Subject;
use crate::model::registry_event::Bytes;
use crate::model::version::Versions;
use crate::watch::cache::Diff;
use crate::watch::dirty::DirtySet;
use crate::watch::event_sender::EventSender;
use crate::watch::{BoxFuture, Subjects, changed};

use super::dirty_tracker::{DirtyTracker, Id};
use super::node_versions::ReadResult;
use super::reader::{Mode, ReadError, Reader};
use super::reconcile;
use super::reconcile::{Found, Reconciliation};
use super::servers::Servers;
use super::subscriptions::{Subscription, Subscriptions};
use crate::zk::{Answer, Connection, ConnectionLost, Stat};

/// How many subjects are read at once. A server answers one connection's requests one by one; more would only wait there.
const AT_ONCE: usize = 64;

/// What a follower has to do with.
pub struct FollowContext<'a> {
    /// What is known, from earlier connections too.
    pub subscriptions: &'a mut Subscriptions,
    /// Learns what the ensemble says of its servers.
    pub servers: &'a mut Servers,
    /// Who is told.
    pub events: &'a EventSender,
    /// How often everything is looked at although nothing was heard of it.
    pub reconcile: Duration,
}

/// How following ended: never well.
pub struct Ended {
    /// Why.
    pub error: ReadError,
    /// Since when something that was read was told.
    pub home: Option<Instant>,
}

/// Something that was asked for has come.
enum Done {
    Read(Id, Instant, Result<ReadResult, ReadError>),
    Looked(Id, Result<Vec<Found>, ReadError>),
    Ensemble(Answer<(Bytes, Stat)>),
}

/// Follows through one connection.
pub struct Follower<'a> {
    connection: Connection,
    reader: Reader,
    mode: Mode,
    /// The session is the one from before: it has not missed its own end, and what was read under it is not forgotten.
    is_carried: bool,
    tracker: Arc<DirtyTracker>,
    context: FollowContext<'a>,
    work: FuturesUnordered<BoxFuture<'static, Done>>,
    readings: usize,
    /// When to read which subject.
    agenda: BTreeSet<(Instant, Id)>,
    /// When to look through which subject.
    reviews: BTreeSet<(Instant, Id)>,
    /// Those that have been read through this connection.
    seen: BTreeSet<Id>,
    /// The subject that is being looked through; one at a time, and one request at a time.
    review: Option<(Id, Reconciliation)>,
    is_looking: bool,
    /// What is still to be said, in order.
    outbox: VecDeque<(Subject, Diff, Versions)>,
    home: Option<Instant>,
}

impl<'a> Follower<'a> {
    /// Nothing is asked yet.
    pub fn new(
        connection: Connection,
        tracker: Arc<DirtyTracker>,
        mode: Mode,
        is_carried: bool,
        context: FollowContext<'a>,
    ) -> Self {
        Self {
            reader: Reader::new(connection.clone(), mode),
            connection,
            mode,
            is_carried,
            tracker,
            context,
            work: FuturesUnordered::new(),
            readings: 0,
            agenda: BTreeSet::new(),
            reviews: BTreeSet::new(),
            seen: BTreeSet::new(),
            review: None,
            is_looking: false,
            outbox: VecDeque::new(),
            home: None,
        }
    }

    /// Follows until there is error with the connection.
    pub async fn run(mut self, subjects: &mut watch::Receiver<Subjects>) -> Ended {
        let wanted = subjects.borrow_and_update().clone();
        let error = match self.open(&wanted).await {
            Ok(()) => self.serve(subjects).await,
            Err(error) => error,
        };
        self.context.subscriptions.doubt();
        Ended { error, home: self.home }
    }

    /// Sets the watches, and waits for the `sync` after which what the server says counts. All of it in one go.
    async fn open(&mut self, wanted: &Subjects) -> Result<(), ReadError> {
        if !self.is_carried {
            // Also for the connections that carry this session on before all of it has been read.
            self.context.subscriptions.forget();
        }
        self.context.subscriptions.adopt(wanted);
        let mut tops = Vec::new();
        for (id, subscription) in self.context.subscriptions.all() {
            // One-shot watches come only with a whole reading.
            let lists = self.is_carried && self.mode == Mode::Recursive;
            let first = if lists { subscription.cached.known.all_lists() } else { DirtySet::all() };
            self.tracker.follow(id, &subscription.subject, first);
            tops.push((id, subscription.subject.top().clone()));
        }
        let watching = join_all(tops.iter().map(|(_, top)| self.reader.watch(top)));
        let (chroot, watched, synced) = tokio::join!(self.reader.check_chroot(), watching, self.reader.sync());
        // It hangs up as it says so, and the others only see that.
        if watched.iter().any(|watched| matches!(watched, Err(ReadError::TooOld))) {
            return Err(ReadError::TooOld);
        }
        chroot?;
        for ((id, _), watched) in tops.iter().zip(watched) {
            match watched {
                Ok(()) => {
                    if let Some(subscription) = self.context.subscriptions.get(*id) {
                        subscription.is_watched = true;
                    }
                }
                // Tried again when it is read.
                Err(ReadError::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        synced
    }

    async fn serve(&mut self, subjects: &mut watch::Receiver<Subjects>) -> ReadError {
        self.ask_ensemble();
        loop {
            self.start_due();
            self.start_review();
            let wake = self.wake();
            tokio::select! {
                biased;
                Some(permit) = self.context.events.reserve(), if !self.outbox.is_empty() => {
                    if let Some((subject, told, versions)) = self.outbox.pop_front() {
                        permit.send_diff(&subject, told, versions);
                        self.home.get_or_insert_with(Instant::now);
                    }
                }
                Some(done) = self.work.next(), if !self.work.is_empty() => {
                    if let Err(error) = self.done(done) {
                        return error;
                    }
                }
                lost = self.connection.lost() => return ReadError::Lost(lost),
                woken = self.tracker.woken() => woken.into_iter().for_each(|id| self.schedule(id)),
                () = changed(subjects) => {
                    let wanted = subjects.borrow_and_update().clone();
                    self.adopt(&wanted);
                }
                () = self.connection.ensemble_changed() => self.ask_ensemble(),
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
            }
        }
    }

    /// When something is to be begun that could be begun.
    fn wake(&self) -> Option<Instant> {
        let reading = self.agenda.first().filter(|_| self.may_read());
        let review = self.reviews.first().filter(|_| self.review.is_none());
        reading.into_iter().chain(review).map(|(at, _)| *at).min()
    }

    /// What is read has to be said before more is read: meanwhile events become one.
    fn may_read(&self) -> bool {
        self.readings < AT_ONCE && self.outbox.is_empty()
    }

    fn schedule(&mut self, id: Id) {
        if let Some(at) = self.context.subscriptions.get(id).and_then(Subscription::due) {
            self.agenda.insert((at, id));
        }
    }

    fn start_due(&mut self) {
        let now = Instant::now();
        while self.may_read()
            && let Some((_, id)) = self.agenda.first().copied().filter(|(at, _)| *at <= now)
        {
            self.agenda.pop_first();
            self.read(id, now);
        }
    }

    fn read(&mut self, id: Id, began: Instant) {
        let Some(subscription) = self.context.subscriptions.get(id) else {
            return;
        };
        subscription.begin();
        let mut dirty = self.tracker.take(id);
        subscription.cached.known.widen(&mut dirty);
        if dirty.is_empty() {
            return;
        }
        subscription.is_reading = true;
        self.readings += 1;
        let (reader, subject, is_watched) =
            (self.reader.clone(), subscription.subject.clone(), subscription.is_watched);
        let cached = Arc::clone(&subscription.cached);
        self.work.push(Box::pin(async move {
            let reading = async {
                if !is_watched {
                    reader.watch(subject.top()).await?;
                }
                // The server may have been cut off since the connection's own `sync`: what is told through events is as
                // late as they are, but this is told for the first time.
                if !is_watched || cached.known.is_unreadable() {
                    reader.sync().await?;
                }
                reader.reread(&subject, &cached, dirty).await
            };
            let read = reading.await;
            drop(cached);
            Done::Read(id, began, read)
        }));
    }

    fn done(&mut self, done: Done) -> Result<(), ReadError> {
        match done {
            Done::Read(id, began, read) => {
                self.readings -= 1;
                self.take(id, began, read)
            }
            Done::Looked(id, found) => {
                self.is_looking = false;
                self.compare(id, found)
            }
            Done::Ensemble(answer) => {
                // Servers before 3.5 have none, and some let nobody read it.
                if let Ok((config, _)) = answer?.value {
                    self.context.servers.learn(&config);
                }
                Ok(())
            }
        }
    }

    fn take(&mut self, id: Id, began: Instant, read: Result<ReadResult, ReadError>) -> Result<(), ReadError> {
        let Some(subscription) = self.context.subscriptions.get(id) else {
            return Ok(());
        };
        subscription.is_reading = false;
        let news = match read {
            Ok(result) => {
                subscription.is_watched = true;
                subscription.take(id, began, result, &self.tracker)
            }
            // Other subjects are none the worse for it.
            Err(ReadError::Refused(why)) => subscription.refuse(id, &why, &self.tracker),
            Err(error) => return Err(error),
        };
        if let Some((told, versions)) = news {
            self.outbox.push_back((subscription.subject.clone(), told, versions));
        }
        if !self.tracker.is_clean(id) {
            self.schedule(id);
        }
        if self.seen.insert(id) {
            // The names are right by now; the data of those that stayed is looked at besides.
            let is_kept = |subscription: &mut Subscription| !subscription.cached.known.all_lists().all;
            let is_old = self.is_carried
                && self.mode == Mode::Recursive
                && self.context.subscriptions.get(id).is_some_and(is_kept);
            let at = if is_old { Duration::ZERO } else { self.context.reconcile.mul_f64(fastrand::f64()) };
            self.reviews.insert((Instant::now() + at, id));
        }
        Ok(())
    }

    /// Looks through one subject after the other.
    fn start_review(&mut self) {
        if self.is_looking {
            return;
        }
        loop {
            if self.review.is_none() {
                let Some((_, id)) = self.reviews.first().copied().filter(|(at, _)| *at <= Instant::now()) else {
                    return;
                };
                self.reviews.pop_first();
                self.begin_review(id);
            }
            let Some((id, mut review)) = self.review.take() else { continue };
            let Some(subscription) = self.context.subscriptions.get(id) else { continue };
            let items = review.next(&subscription.cached);
            if items.is_empty() {
                self.review_again(id);
                continue;
            }
            let (reader, subject) = (self.reader.clone(), subscription.subject.clone());
            self.work.push(Box::pin(async move { Done::Looked(id, reconcile::look(&reader, &subject, items).await) }));
            self.review = Some((id, review));
            self.is_looking = true;
            return;
        }
    }

    fn begin_review(&mut self, id: Id) {
        let Some(subscription) = self.context.subscriptions.get(id) else {
            return;
        };
        // Where watches come with the readings, a lost one is only had back by reading.
        if let Some(review) = Reconciliation::of(&subscription.cached).filter(|_| self.mode == Mode::Recursive) {
            self.review = Some((id, review));
        } else {
            self.tracker.add(id, DirtySet::all());
            self.review_again(id);
        }
    }

    /// Jittered by a tenth, so that agents do not ask all at once.
    fn review_again(&mut self, id: Id) {
        let after = self.context.reconcile.mul_f64(fastrand::f64().mul_add(0.2, 0.9));
        self.reviews.insert((Instant::now() + after, id));
    }

    fn compare(&mut self, id: Id, found: Result<Vec<Found>, ReadError>) -> Result<(), ReadError> {
        let Some(subscription) = self.context.subscriptions.get(id) else {
            return Ok(());
        };
        let dirty = match found {
            Ok(found) => reconcile::differs(&subscription.cached, found),
            // It will say more to the reading of all.
            Err(ReadError::Refused(_)) => DirtySet::all(),
            Err(error) => return Err(error),
        };
        self.tracker.add(id, dirty);
        Ok(())
    }

    fn adopt(&mut self, wanted: &Subjects) {
        let (ended, begun) = self.context.subscriptions.adopt(wanted);
        for id in ended {
            self.tracker.leave(id);
        }
        for id in begun {
            if let Some(subscription) = self.context.subscriptions.get(id) {
                self.tracker.follow(id, &subscription.subject, DirtySet::all());
            }
        }
    }

    fn ask_ensemble(&mut self) {
        let connection = self.connection.clone();
        self.work.push(Box::pin(async move { Done::Ensemble(connection.ensemble().await) }));
    }
}

impl From<ReadError> for String {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Lost(ConnectionLost(why)) => format!("the connection was lost: {why}"),
            ReadError::Over(why) | ReadError::Refused(why) => why,
            ReadError::TooOld => {
                "the server knows no persistent watches, which came with ZooKeeper 3.6; write watches = \
                \"auto\" or \"oneshot\""
                    .into()
            }
        }
    }
}
