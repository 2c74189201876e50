//! What is known of every subject, through all connections.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::backoff::Backoff;
use crate::model::node_path::Subject;
use crate::model::registry_event::Versions;
use crate::watch::Wanted;
use crate::watch::cache::Told;
use crate::watch::dirty::Dirty;

use super::dirty_tracker::{Ears, Id};
use super::node_versions::{Held, ReadResult};

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
pub struct Followed {
    /// What it is.
    pub subject: Subject,
    /// What is known of it. A reading under way has a share in it.
    pub held: Arc<Held>,
    /// This connection tells of its changes.
    pub is_watched: bool,
    /// It is being read.
    pub is_reading: bool,
    /// It stands in the agenda.
    is_due: bool,
    /// When it may be read next.
    not_before: Instant,
    /// Its number in [`Wanted`].
    number: u64,
    /// How often it could not be read since it last was.
    refusals: u32,
}

impl Followed {
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
    pub fn take(&mut self, id: Id, began: Instant, readout: ReadResult, ears: &Ears) -> Option<(Told, Versions)> {
        self.refusals = 0;
        let held = Arc::make_mut(&mut self.held);
        let news = held.take(readout);
        let pace = if held.known.is_unreadable() { PACE_UNREADABLE } else { PACE };
        self.not_before = began + pace;
        if held.known.is_too_large() {
            ears.add(id, Dirty::whole());
        } else if ears.is_clean(id) {
            ears.add(id, Dirty { lists: held.take_short(), ..Dirty::default() });
        }
        news
    }

    /// Takes up that it could not be read.
    pub fn refuse(&mut self, id: Id, why: &str, ears: &Ears) -> Option<(Told, Versions)> {
        self.refusals = self.refusals.saturating_add(1);
        self.not_before = Instant::now() + REFUSED.jittered(self.refusals, fastrand::f64());
        ears.add(id, Dirty::whole());
        Arc::make_mut(&mut self.held).refused(&self.subject, why)
    }
}

/// Every subject that is followed.
#[derive(Debug, Default)]
pub struct Desk {
    subjects: BTreeMap<Id, Followed>,
    last: Id,
}

impl Desk {
    /// A subject, if it is still followed.
    pub fn get(&mut self, id: Id) -> Option<&mut Followed> {
        self.subjects.get_mut(&id)
    }

    /// All of them.
    pub fn all(&mut self) -> impl Iterator<Item = (Id, &mut Followed)> {
        self.subjects.iter_mut().map(|(id, followed)| (*id, followed))
    }

    /// Ends what is not wanted any more, and begins what is new: gives what ended and what began.
    pub fn adopt(&mut self, wanted: &Wanted) -> (Vec<Id>, Vec<Id>) {
        let gone = |(_, followed): &(&Id, &Followed)| wanted.get(&followed.subject) != Some(&followed.number);
        let ended: Vec<Id> = self.subjects.iter().filter(gone).map(|(id, _)| *id).collect();
        for id in &ended {
            self.subjects.remove(id);
        }
        let known: std::collections::BTreeSet<&Subject> =
            self.subjects.values().map(|followed| &followed.subject).collect();
        let new: Vec<(Subject, u64)> = wanted
            .iter()
            .filter(|(subject, _)| !known.contains(subject))
            .map(|(subject, number)| (subject.clone(), *number))
            .collect();
        let mut begun = Vec::with_capacity(new.len());
        for (subject, number) in new {
            self.last += 1;
            begun.push(self.last);
            let followed = Followed {
                subject,
                held: Arc::default(),
                is_watched: false,
                is_reading: false,
                is_due: false,
                not_before: Instant::now(),
                number,
                refusals: 0,
            };
            self.subjects.insert(self.last, followed);
        }
        (ended, begun)
    }

    /// Nothing that was said counts any more: the connection is lost, and with it the watches.
    pub fn doubt(&mut self) {
        for followed in self.subjects.values_mut() {
            Arc::make_mut(&mut followed.held).known.unsay();
            followed.is_watched = false;
            followed.is_reading = false;
            followed.is_due = false;
            // Another server may well do what this one refused.
            followed.refusals = 0;
            followed.not_before = Instant::now();
        }
    }

    /// Nothing that was read counts any more: it was read under another session, however long ago.
    pub fn forget(&mut self) {
        for followed in self.subjects.values_mut() {
            followed.held = Arc::default();
        }
    }
}
