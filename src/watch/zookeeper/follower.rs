//! Follows all subjects through one connection.
//!
//! First the watches are set, then comes one `sync`, then everything is read. So every change after a read is reported
//! by an event, and every change before it is in what was read. From then on events only tell what to read again.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::model::node_path::Subject;
use crate::model::version::Versions;
use crate::watch::cache::Diff;
use crate::watch::dirty::DirtySet;
use crate::watch::event_sender::EventSender;
use crate::watch::{BoxFuture, Subjects, changed};
use crate::zk::{Bytes, Connection, RequestResult, Stat};

use super::checks::Checks;
use super::dirty_tracker::{DirtyTracker, Id, List};
use super::list_watches::ListWatches;
use super::node_versions::ReadResult;
use super::reader::{Mode, ReadError, Reader};
use super::reconcile;
use super::reconcile::{Reconciliation, ServerState};
use super::servers::Servers;
use super::subscriptions::{Subscription, Subscriptions};

mod lists;

/// How many subjects are read at once. A server handles the requests of a connection in order, so more would only wait.
const MAX_READS: usize = 64;

/// What outlives the connection.
pub struct Context<'a> {
    pub subscriptions: &'a mut Subscriptions,
    /// Learns the servers that the ensemble names.
    pub servers: &'a mut Servers,
    pub events: &'a EventSender,
    /// How often everything is checked without an event.
    pub check_interval: Duration,
}

/// Why following ended.
pub struct FollowEnd {
    pub error: ReadError,
    /// When the first update was sent, if one was.
    pub useful_since: Option<Instant>,
}

/// A request has its reply.
enum Completed {
    Read(Id, Instant, Result<ReadResult, ReadError>),
    Check(Id, Result<Vec<ServerState>, ReadError>),
    ListWatch(List, RequestResult<()>),
    Ensemble(RequestResult<(Bytes, Stat)>),
}

/// Follows all subjects through one connection.
pub struct Follower<'a> {
    connection: Connection,
    reader: Reader,
    mode: Mode,
    /// The session is the previous one, so what was read before is still of use.
    is_resumed: bool,
    tracker: Arc<DirtyTracker>,
    context: Context<'a>,
    requests: FuturesUnordered<BoxFuture<'static, Completed>>,
    /// How many subjects are being read.
    reads: usize,
    /// When to read which subject.
    read_queue: BTreeSet<(Instant, Id)>,
    checks: Checks,
    list_watches: ListWatches,
    /// The subjects that were read through this connection.
    read_once: BTreeSet<Id>,
    /// What has to be sent, in order.
    outbox: VecDeque<(Subject, Diff, Versions)>,
    useful_since: Option<Instant>,
}

impl<'a> Follower<'a> {
    /// A follower that has sent no request yet.
    pub fn new(
        connection: Connection,
        tracker: Arc<DirtyTracker>,
        mode: Mode,
        is_resumed: bool,
        context: Context<'a>,
    ) -> Self {
        if mode == Mode::Recursive {
            tracker.keep_lists_apart();
        }
        Self {
            reader: Reader::new(connection.clone(), mode),
            connection,
            mode,
            is_resumed,
            tracker,
            requests: FuturesUnordered::new(),
            reads: 0,
            read_queue: BTreeSet::new(),
            checks: Checks::new(context.check_interval),
            list_watches: ListWatches::default(),
            context,
            read_once: BTreeSet::new(),
            outbox: VecDeque::new(),
            useful_since: None,
        }
    }

    /// Follows until the connection is lost or cannot be used.
    pub async fn run(mut self, subjects: &mut watch::Receiver<Subjects>) -> FollowEnd {
        let wanted = subjects.borrow_and_update().clone();
        let error = match self.set_up(&wanted).await {
            Ok(()) => self.serve(subjects).await,
            Err(error) => error,
        };
        self.context.subscriptions.connection_lost();
        FollowEnd { error, useful_since: self.useful_since }
    }

    /// Sets the watches, and waits for the `sync` that makes the server up to date. All requests are sent at once. The
    /// first read of the only subject follows the `sync` without a pause: the server answers in order.
    async fn set_up(&mut self, wanted: &Subjects) -> Result<(), ReadError> {
        if !self.is_resumed {
            // Later connections may resume this session before everything was read under it.
            self.context.subscriptions.clear_cached();
        }
        self.context.subscriptions.set_wanted(wanted);
        let mut tops = Vec::new();
        for (id, subscription) in self.context.subscriptions.all() {
            // One-shot watches are only set by a full read.
            let reads_lists = self.is_resumed && self.mode == Mode::Recursive;
            let first = if reads_lists { subscription.cached.view.all_lists() } else { DirtySet::all() };
            self.tracker.track(id, &subscription.subject, first);
            tops.push((id, subscription.subject.top().clone()));
        }
        let only = self.context.subscriptions.all().next().filter(|_| tops.len() == 1 && !self.is_resumed);
        let only = only.map(|(id, subscription)| (id, subscription.subject.clone()));
        let began = Instant::now();
        let reading = async {
            let (id, subject) = only.as_ref()?;
            // Events after this show what has to be read again.
            self.tracker.take(*id);
            Some((*id, self.reader.read_all(subject, true).await))
        };
        let watching = join_all(tops.iter().map(|(_, top)| self.reader.watch(top)));
        let (chroot, watched, synced, read) =
            tokio::join!(biased; self.reader.check_chroot(), watching, self.reader.sync(), reading);
        // Checked first: a server that is too old also closes the connection, which the other requests report.
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
                // Retried by the read.
                Err(ReadError::Refused(_)) => self.tracker.add(*id, DirtySet::all()),
                Err(error) => return Err(error),
            }
        }
        synced?;
        match read {
            Some((id, read)) if self.context.subscriptions.get(id).is_some_and(|only| only.is_watched) => {
                self.apply(id, began, read)
            }
            _ => Ok(()),
        }
    }

    async fn serve(&mut self, subjects: &mut watch::Receiver<Subjects>) -> ReadError {
        self.read_ensemble();
        if self.context.subscriptions.all().next().is_none() {
            // Only services use this connection.
            self.useful_since = Some(Instant::now());
            self.context.events.send_connected().await;
        }
        loop {
            self.start_reads();
            self.continue_checks();
            self.set_list_watches();
            let wake = self.wake();
            tokio::select! {
                biased;
                Some(permit) = self.context.events.reserve(), if !self.outbox.is_empty() => {
                    if let Some((subject, diff, versions)) = self.outbox.pop_front() {
                        permit.send_diff(&subject, diff, versions);
                        self.useful_since.get_or_insert_with(Instant::now);
                    }
                }
                Some(completed) = self.requests.next(), if !self.requests.is_empty() => {
                    if let Err(error) = self.complete(completed) {
                        return error;
                    }
                }
                lost = self.connection.lost() => return ReadError::Lost(lost),
                dirty = self.tracker.changed() => {
                    for id in dirty {
                        self.queue_read(id);
                    }
                    self.record_fired();
                }
                () = changed(subjects) => {
                    let wanted = subjects.borrow_and_update().clone();
                    self.set_wanted(&wanted);
                }
                () = self.connection.ensemble_changed() => self.read_ensemble(),
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
            }
        }
    }

    /// When the next read or check can start.
    fn wake(&self) -> Option<Instant> {
        let read = self.read_queue.first().filter(|_| self.may_read()).map(|(at, _)| *at);
        read.into_iter().chain(self.checks.wake()).chain(self.list_watches.wake()).min()
    }

    /// Whether more may be read: what was read has to be sent first. Meanwhile events merge in the dirty sets.
    fn may_read(&self) -> bool {
        self.reads < MAX_READS && self.outbox.is_empty()
    }

    fn queue_read(&mut self, id: Id) {
        if let Some(at) = self.context.subscriptions.get(id).and_then(Subscription::queue_read) {
            self.read_queue.insert((at, id));
        }
    }

    fn start_reads(&mut self) {
        let now = Instant::now();
        while self.may_read()
            && let Some((_, id)) = self.read_queue.first().copied().filter(|(at, _)| *at <= now)
        {
            self.read_queue.pop_first();
            self.start_read(id, now);
        }
    }

    fn start_read(&mut self, id: Id, began: Instant) {
        let Some(subscription) = self.context.subscriptions.get(id) else {
            return;
        };
        let mut dirty = self.tracker.take(id);
        subscription.cached.view.widen(&mut dirty);
        subscription.dequeue(!dirty.is_empty());
        if dirty.is_empty() {
            return;
        }
        self.reads += 1;
        let (reader, subject) = (self.reader.clone(), subscription.subject.clone());
        let (is_watched, cached) = (subscription.is_watched, Arc::clone(&subscription.cached));
        self.requests.push(Box::pin(async move {
            let reading = async {
                if !is_watched {
                    reader.watch(subject.top()).await?;
                }
                // The server may have been cut off since the `sync` of the connection. A read after an event is as
                // recent as the event, but no event caused this read.
                if !is_watched || cached.view.is_unreadable() {
                    reader.sync().await?;
                }
                reader.read_dirty(&subject, &cached, dirty).await
            };
            let result = reading.await;
            drop(cached);
            Completed::Read(id, began, result)
        }));
    }

    fn complete(&mut self, completed: Completed) -> Result<(), ReadError> {
        match completed {
            Completed::Read(id, began, result) => {
                self.reads -= 1;
                self.apply(id, began, result)
            }
            Completed::Check(id, states) => {
                self.checks.request_done();
                self.compare(id, states)
            }
            Completed::ListWatch(list, reply) => self.list_watch_set(&list, reply),
            Completed::Ensemble(reply) => {
                // Servers before 3.5 have no list, and some do not allow to read it.
                if let Ok((config, _)) = reply?.value {
                    self.context.servers.learn(&config);
                }
                Ok(())
            }
        }
    }

    fn apply(&mut self, id: Id, began: Instant, result: Result<ReadResult, ReadError>) -> Result<(), ReadError> {
        let Some(subscription) = self.context.subscriptions.get(id) else {
            return Ok(());
        };
        let diff = match result {
            Ok(result) => subscription.apply(id, began, result, &self.tracker),
            // Other subjects are not affected.
            Err(ReadError::Refused(reason)) => subscription.refuse(id, &reason, &self.tracker),
            Err(error) => return Err(error),
        };
        // The lists of a known subject were read first; the data of its members is checked now.
        let is_known = !subscription.cached.view.all_lists().all;
        if let Some((diff, versions)) = diff {
            self.outbox.push_back((subscription.subject.clone(), diff, versions));
        }
        if !self.tracker.is_clean(id) {
            self.queue_read(id);
        }
        if self.read_once.insert(id) {
            let is_unchecked = self.is_resumed && self.mode == Mode::Recursive && is_known;
            self.checks.queue_first(id, is_unchecked);
        }
        Ok(())
    }

    /// Sends the next request of the current check, or of the next one that is due.
    fn continue_checks(&mut self) {
        loop {
            if let Some((id, subject, items)) = self.checks.next_request(self.context.subscriptions) {
                let reader = self.reader.clone();
                self.requests.push(Box::pin(async move {
                    Completed::Check(id, reconcile::check(&reader, &subject, items).await)
                }));
                return;
            }
            let Some(id) = self.checks.take_due() else { return };
            self.start_check(id);
        }
    }

    fn start_check(&mut self, id: Id) {
        let Some(subscription) = self.context.subscriptions.get(id) else {
            return;
        };
        // With one-shot watches, only a full read replaces a lost watch.
        if let Some(check) = Reconciliation::new(&subscription.cached).filter(|_| self.mode == Mode::Recursive) {
            self.checks.start(id, check);
        } else {
            self.tracker.add(id, DirtySet::all());
            self.checks.queue_next(id);
        }
    }

    fn compare(&mut self, id: Id, states: Result<Vec<ServerState>, ReadError>) -> Result<(), ReadError> {
        let Some(subscription) = self.context.subscriptions.get(id) else {
            return Ok(());
        };
        let dirty = match states {
            Ok(states) => reconcile::differences(&subscription.cached, states),
            // A full read shows what the refusal means.
            Err(ReadError::Refused(_)) => DirtySet::all(),
            Err(error) => return Err(error),
        };
        self.tracker.add(id, dirty);
        Ok(())
    }

    fn set_wanted(&mut self, wanted: &Subjects) {
        let (removed, added) = self.context.subscriptions.set_wanted(wanted);
        for id in removed {
            self.tracker.untrack(id);
        }
        for id in added {
            if let Some(subscription) = self.context.subscriptions.get(id) {
                self.tracker.track(id, &subscription.subject, DirtySet::all());
            }
        }
    }

    fn read_ensemble(&mut self) {
        let connection = self.connection.clone();
        self.requests.push(Box::pin(async move { Completed::Ensemble(connection.ensemble().await) }));
    }
}
