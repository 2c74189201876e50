//! Members that a check refuses: found by trying without them, and left out until they change.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::publication::{Failure, Seated, Snapshot};

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
    /// What a search has ended for, and what it had to say: it is not searched again.
    pub(super) searched: Option<(Snapshot, Option<String>)>,
    /// Who is left out.
    pub(super) left_out: AllLeftOut,
    /// Why the check refused what it was given last, until it is known whether members are at fault.
    pub(super) refused: Option<Failure>,
    /// The search for them, once it has begun.
    pub(super) search: Option<Search>,
}

impl Isolation {
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
