//! Members that a check refuses: found by trying without them, and left out until they change or pass.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::moment::Moment;
use super::publication::{Failure, Seated, Snapshot};
use crate::backoff;

mod search;
mod spot;

pub use spot::Spot;

pub(super) use search::{Search, Step};
pub(super) use spot::{lists, without};

/// A member that is left out of one template.
#[derive(Debug, Clone, PartialEq)]
pub struct LeftOut {
    /// As it was when it was refused: a changed one is tried again.
    pub seated: Seated,
    /// What the check said of it, with the end of its output.
    pub why: String,
    /// How often the check has refused it as it is.
    pub(super) times: u32,
    /// When it is tried again as it is; `None`: when another template of the unit, whose check refuses it, takes it back,
    /// or never in a single pass.
    pub again: Option<Moment>,
}

impl LeftOut {
    /// Refused for the first time.
    pub(super) fn new(seated: Seated, why: &str) -> Self {
        Self { seated, why: why.to_owned(), times: 1, again: None }
    }

    /// It is tried again after a pause that grows.
    pub(super) fn put_off(&mut self, now: Moment) {
        self.again = Some(now + backoff::REFUSAL.pause(self.times));
    }
}

/// The members that are left out, by where they stand.
pub type AllLeftOut = BTreeMap<Spot, LeftOut>;

/// What a template knows of the members that its check refuses.
#[derive(Debug, Clone, Default)]
pub(super) struct Isolation {
    /// What passed its check last.
    pub(super) passed: Option<Snapshot>,
    /// What the publication or the probe under way shows.
    pub(super) shown: Option<Snapshot>,
    /// What a search has ended for.
    pub(super) searched: Option<Searched>,
    /// Who is left out.
    pub(super) left_out: AllLeftOut,
    /// Who of them is tried again now.
    pub(super) trial: Option<Spot>,
    /// Some have passed their trial, and are not served yet.
    pub(super) has_taken_back: bool,
    /// Why the check refused what it was given last, until it is known whether members are at fault.
    pub(super) refused: Option<Failure>,
    /// The search for them, once it has begun.
    pub(super) search: Option<Search>,
}

/// A search that has ended.
#[derive(Debug, Clone)]
pub(super) struct Searched {
    pub(super) full: Snapshot,
    /// What it had to say.
    pub(super) remark: Option<String>,
    /// How many have ended for the same.
    pub(super) times: u32,
    /// For the same it is not searched again before that: what the check was at may have been something that passes.
    pub(super) again: Moment,
}

impl Isolation {
    /// A search has ended.
    pub(super) fn has_searched(&mut self, now: Moment, full: Snapshot, remark: Option<String>) {
        let before = self.searched.as_ref().filter(|before| before.full == full);
        let times = before.map_or(0, |before| before.times).saturating_add(1);
        self.searched = Some(Searched { full, remark, times, again: now + backoff::REFUSAL.pause(times) });
    }

    /// Who is to be tried again now, if anybody is.
    pub(super) fn due(&self, now: Moment) -> Option<Spot> {
        let due = self.left_out.iter().filter_map(|(spot, out)| Some((out.again.filter(|again| *again <= now)?, spot)));
        due.min().map(|(_, spot)| spot.clone())
    }

    /// When somebody is to be tried again.
    pub(super) fn next_trial(&self) -> Option<Moment> {
        self.left_out.values().filter_map(|out| out.again).min()
    }

    /// Whether members at fault are looked for.
    pub(super) fn is_searching(&self) -> bool {
        self.refused.is_some()
    }

    /// Ends the search, whatever it has found.
    pub(super) fn end_search(&mut self) -> Option<Failure> {
        self.search = None;
        self.refused.take()
    }

    /// What a template sees without those that are left out; one that has changed is no longer one of them.
    pub(super) fn filter(&self, full: Snapshot, each: Option<&Arc<str>>) -> Snapshot {
        if self.left_out.is_empty() {
            return full;
        }
        let lists = lists(&full, each);
        let still = self.left_out.iter().filter(|(spot, out)| spot.find(&lists) == Some(&out.seated));
        let gone = still.map(|(spot, _)| spot).collect();
        without(&full, each, &gone)
    }

    /// Forgets those that have changed or are gone, and all of a list of which too many would be left out by now. Gives
    /// those that changed.
    pub(super) fn review(
        &mut self,
        full: &Snapshot,
        each: Option<&Arc<str>>,
        min: impl Fn(&str) -> usize,
    ) -> Vec<Spot> {
        let lists = lists(full, each);
        let mut changed = Vec::new();
        self.left_out.retain(|spot, out| {
            let now = spot.find(&lists);
            changed.extend(now.filter(|now| **now != out.seated).map(|_| spot.clone()));
            now == Some(&out.seated)
        });
        let over = spot::over(&lists, self.left_out.keys(), min);
        self.left_out.retain(|spot, _| over.iter().all(|over| over.place != spot.place()));
        changed
    }
}
