//! What is known of every subject, through all connections.

use std::collections::BTreeMap;
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

/// The least time between two readings of one subject: in a storm many events become one reading. One that comes after
/// a rest is looked at at once.
const PACE: Duration = Duration::from_millis(10);

/// The same while the subject is too large, or refused.
const PACE_UNREADABLE: Duration = Duration::from_secs(1);

/// How long until a subject that cannot be watched or read is tried again: soon at first, as for a server that is throttled.
const REFUSED: Backoff = Backoff::doubling(Duration::from_secs(1), Duration::from_secs(30));

/// One subject.
#[derive(Debug)]
pub struct Subscription {
    /// What it is.
    pub subject: Subject,
    /// What is known of it. A reading under way has a share in it.
    pub cached: Arc<CachedSubject>,
    /// This connection tells of its changes.
    pub is_watched: bool,
    /// It is being read.
    pub is_reading: bool,
    /// It stands in the agenda.
    is_due: bool,
    /// When it may be read next.
    not_before: Instant,
    /// Its number in [`Subjects`].
    number: u64,
    /// How often it could not be read since it last was.
    refusals: u32,
}

impl Subscription {
    /// When it is to be read; `None` where that is settled already, or it is being read and looked at after that. However
    /// often something is heard of it, it stands in the agenda once.
    pub fn due(&mut self) -> Option<Instant> {
        if self.is_reading || std::mem::replace(&mut self.is_due, true) {
            return None;
        }
        Some(self.not_before.max(Instant::now()))
    }

    /// Its time has come.
    pub fn begin(&mut self) {
        self.is_due = false;
    }

    /// Takes a reading up that began at `began`, and gives what is new in it. What has to be read besides is noted.
    pub fn take(
        &mut self,
        id: Id,
        began: Instant,
        result: ReadResult,
        tracker: &DirtyTracker,
    ) -> Option<(Diff, Versions)> {
        self.refusals = 0;
        let cached = Arc::make_mut(&mut self.cached);
        let news = cached.take(result);
        let pace = if cached.known.is_unreadable() { PACE_UNREADABLE } else { PACE };
        self.not_before = began + pace;
        if cached.known.is_too_large() {
            tracker.add(id, DirtySet::all());
        } else if tracker.is_clean(id) {
            tracker.add(id, DirtySet { lists: cached.take_short(), ..DirtySet::default() });
        }
        news
    }

    /// Takes up that it could not be read.
    pub fn refuse(&mut self, id: Id, why: &str, tracker: &DirtyTracker) -> Option<(Diff, Versions)> {
        self.refusals = self.refusals.saturating_add(1);
        self.not_before = Instant::now() + REFUSED.jittered(self.refusals, fastrand::f64());
        tracker.add(id, DirtySet::all());
        Arc::make_mut(&mut self.cached).refused(&self.subject, why)
    }
}

/// Every subject that is subscription.
#[derive(Debug, Default)]
pub struct Subscriptions {
    subjects: BTreeMap<Id, Subscription>,
    last: Id,
}

impl Subscriptions {
    /// A subject, if it is still subscription.
    pub fn get(&mut self, id: Id) -> Option<&mut Subscription> {
        self.subjects.get_mut(&id)
    }

    /// All of them.
    pub fn all(&mut self) -> impl Iterator<Item = (Id, &mut Subscription)> {
        self.subjects.iter_mut().map(|(id, subscription)| (*id, subscription))
    }

    /// Ends what is not wanted any more, and begins what is new: gives what ended and what began.
    pub fn adopt(&mut self, wanted: &Subjects) -> (Vec<Id>, Vec<Id>) {
        let gone =
            |(_, subscription): &(&Id, &Subscription)| wanted.get(&subscription.subject) != Some(&subscription.number);
        let ended: Vec<Id> = self.subjects.iter().filter(gone).map(|(id, _)| *id).collect();
        for id in &ended {
            self.subjects.remove(id);
        }
        let known: std::collections::BTreeSet<&Subject> =
            self.subjects.values().map(|subscription| &subscription.subject).collect();
        let new: Vec<(Subject, u64)> = wanted
            .iter()
            .filter(|(subject, _)| !known.contains(subject))
            .map(|(subject, number)| (subject.clone(), *number))
            .collect();
        let mut begun = Vec::with_capacity(new.len());
        for (subject, number) in new {
            self.last += 1;
            begun.push(self.last);
            let subscription = Subscription {
                subject,
                cached: Arc::default(),
                is_watched: false,
                is_reading: false,
                is_due: false,
                not_before: Instant::now(),
                number,
                refusals: 0,
            };
            self.subjects.insert(self.last, subscription);
        }
        (ended, begun)
    }

    /// Nothing that was said counts any more: the connection is lost, and with it the watches.
    pub fn doubt(&mut self) {
        for subscription in self.subjects.values_mut() {
            Arc::make_mut(&mut subscription.cached).known.mark_unsent();
            subscription.is_watched = false;
            subscription.is_reading = false;
            subscription.is_due = false;
            // Another server may well do what this one refused.
            subscription.refusals = 0;
            subscription.not_before = Instant::now();
        }
    }

    /// Nothing that was read counts any more: it was read under another session, however long ago.
    pub fn forget(&mut self) {
        for subscription in self.subjects.values_mut() {
            subscription.cached = Arc::default();
        }
    }
}
