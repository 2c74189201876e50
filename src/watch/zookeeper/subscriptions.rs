//! The subjects that are followed, with what is known of each. They outlive connections.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::backoff::Backoff;
use crate::model::node_path::Subject;
use crate::model::version::Versions;
use crate::watch::Subjects;
use crate::watch::cache::Diff;
use crate::watch::dirty::DirtySet;

use super::dirty_tracker::{DirtyTracker, Id};
use super::node_versions::{CachedSubject, ReadResult};

#[cfg(test)]
mod tests;

/// The least time between two reads of one subject, so that a burst of events becomes one read. The first event after a
/// pause is read at once.
const MIN_READ_INTERVAL: Duration = Duration::from_millis(10);

/// The same while the subject is unreadable.
const MIN_READ_INTERVAL_UNREADABLE: Duration = Duration::from_secs(1);

/// The pause after the server refused to watch or read a subject.
const REFUSED: Backoff = Backoff::doubling(Duration::from_secs(1), Duration::from_secs(30));

/// One subject that is followed.
#[derive(Debug)]
pub struct Subscription {
    pub subject: Subject,
    /// What is known of it. A read under way shares it.
    pub cached: Arc<CachedSubject>,
    /// The server sends events of it through this connection.
    pub is_watched: bool,
    read: ReadState,
    /// When it may be read next.
    not_before: Instant,
    /// Its number in [`Subjects`].
    number: u64,
    /// How often in a row the server refused to read it.
    refusals: u32,
}

/// Whether a subject is being read. However many events come, it is queued once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadState {
    Idle,
    Queued,
    Reading,
}

impl Subscription {
    /// Queues a read, and returns when to start it; `None` if one is queued or under way.
    pub fn queue_read(&mut self) -> Option<Instant> {
        if self.read != ReadState::Idle {
            return None;
        }
        self.read = ReadState::Queued;
        Some(self.not_before.max(Instant::now()))
    }

    /// The queued read was taken from the queue: it starts, or there is nothing to read.
    pub fn dequeue(&mut self, is_reading: bool) {
        self.read = if is_reading { ReadState::Reading } else { ReadState::Idle };
    }

    /// Applies the result of a read that started at `began`, and returns what to send. Marks what else has to be read.
    pub fn apply(
        &mut self,
        id: Id,
        began: Instant,
        result: ReadResult,
        tracker: &DirtyTracker,
    ) -> Option<(Diff, Versions)> {
        self.read = ReadState::Idle;
        self.is_watched = true;
        self.refusals = 0;
        let cached = Arc::make_mut(&mut self.cached);
        let diff = cached.apply(result);
        let is_unreadable = cached.view.is_unreadable();
        self.not_before = began + if is_unreadable { MIN_READ_INTERVAL_UNREADABLE } else { MIN_READ_INTERVAL };
        if cached.view.is_too_large() {
            tracker.add(id, DirtySet::all());
        } else if tracker.is_clean(id) {
            tracker.add(id, DirtySet { lists: cached.take_incomplete(), ..DirtySet::default() });
        }
        diff
    }

    /// Records that the server refused a read, and returns what to send.
    pub fn refuse(&mut self, id: Id, reason: &str, tracker: &DirtyTracker) -> Option<(Diff, Versions)> {
        self.read = ReadState::Idle;
        self.refusals = self.refusals.saturating_add(1);
        self.not_before = Instant::now() + REFUSED.jittered(self.refusals, fastrand::f64());
        tracker.add(id, DirtySet::all());
        Arc::make_mut(&mut self.cached).set_unreadable(&self.subject, reason)
    }
}

/// Every subject that is followed.
#[derive(Debug, Default)]
pub struct Subscriptions {
    subjects: BTreeMap<Id, Subscription>,
    last: Id,
}

impl Subscriptions {
    /// A subject, if it is still followed.
    pub fn get(&mut self, id: Id) -> Option<&mut Subscription> {
        self.subjects.get_mut(&id)
    }

    /// All subjects.
    pub fn all(&mut self) -> impl Iterator<Item = (Id, &mut Subscription)> {
        self.subjects.iter_mut().map(|(id, subscription)| (*id, subscription))
    }

    /// Changes the set of subjects. Returns the removed and the added ones.
    pub fn set_wanted(&mut self, wanted: &Subjects) -> (Vec<Id>, Vec<Id>) {
        let is_gone = |(_, known): &(&Id, &Subscription)| wanted.get(&known.subject) != Some(&known.number);
        let removed: Vec<Id> = self.subjects.iter().filter(is_gone).map(|(id, _)| *id).collect();
        for id in &removed {
            self.subjects.remove(id);
        }
        let known: BTreeSet<&Subject> = self.subjects.values().map(|subscription| &subscription.subject).collect();
        let new: Vec<(Subject, u64)> = wanted
            .iter()
            .filter(|(subject, _)| !known.contains(subject))
            .map(|(subject, number)| (subject.clone(), *number))
            .collect();
        let mut added = Vec::with_capacity(new.len());
        for (subject, number) in new {
            self.last += 1;
            added.push(self.last);
            let subscription = Subscription {
                subject,
                cached: Arc::default(),
                is_watched: false,
                read: ReadState::Idle,
                not_before: Instant::now(),
                number,
                refusals: 0,
            };
            self.subjects.insert(self.last, subscription);
        }
        (removed, added)
    }

    /// The connection is lost, and with it the watches and the reads under way. Every view has to be sent again.
    pub fn connection_lost(&mut self) {
        for subscription in self.subjects.values_mut() {
            Arc::make_mut(&mut subscription.cached).view.mark_unsent();
            subscription.is_watched = false;
            subscription.read = ReadState::Idle;
            // Another server may do what this one refused.
            subscription.refusals = 0;
            subscription.not_before = Instant::now();
        }
    }

    /// Drops what is known of every subject: it was read under another session, perhaps long ago.
    pub fn clear_cached(&mut self) {
        for subscription in self.subjects.values_mut() {
            subscription.cached = Arc::default();
        }
    }
}
