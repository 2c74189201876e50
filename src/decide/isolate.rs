//! Members that a check refuses: found by trying without them, and left out until they change or pass.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::moment::Moment;
use super::publication::{Failure, SlottedMember, Snapshot};
use crate::model::backoff;

mod bisect;
mod member_ref;

pub use member_ref::MemberRef;

pub(crate) use bisect::{Search, Step};
pub(crate) use member_ref::{lists, without};

/// A member that is left out of one template.
#[derive(Debug, Clone, PartialEq)]
pub struct LeftOut {
    /// As it was when it was refused: a changed one is tried again.
    pub seated: SlottedMember,
    /// What the check said of it, with the end of its output.
    pub why: String,
    /// How often the check has refused it as it is.
    pub times: u32,
    /// When it is tried again as it is; `None`: when another template of the unit, whose check refuses it, takes it back,
    /// or never in a single pass.
    pub again: Option<Moment>,
}

impl LeftOut {
    /// Refused for the first time.
    pub fn new(seated: SlottedMember, why: &str) -> Self {
        Self { seated, why: why.to_owned(), times: 1, again: None }
    }

    /// It is tried again after a pause that grows.
    pub fn put_off(&mut self, now: Moment) {
        self.again = Some(now + backoff::REFUSAL.pause(self.times));
    }
}

/// The members that are left out, by where they stand.
pub type AllLeftOut = BTreeMap<MemberRef, LeftOut>;

/// What a template knows of the members that its check refuses.
#[derive(Debug, Clone, Default)]
pub struct Isolation {
    /// What passed its check last.
    pub passed: Option<Snapshot>,
    /// What the publication or the probe under way shows.
    pub shown: Option<Snapshot>,
    /// What a search has ended for.
    pub searched: Option<Searched>,
    /// Who is left out.
    pub left_out: AllLeftOut,
    /// Who of them is tried again now.
    pub trial: Option<MemberRef>,
    /// Some have passed their trial, and are not served yet.
    pub has_taken_back: bool,
    /// Why the check refused what it was given last, until it is known whether members are at fault.
    pub refused: Option<Failure>,
    /// The search for them, once it has begun.
    pub search: Option<Search>,
}

/// A search that has ended.
#[derive(Debug, Clone)]
pub struct Searched {
    pub full: Snapshot,
    /// What it had to say.
    pub remark: Option<String>,
    /// How many have ended for the same.
    pub times: u32,
    /// For the same it is not searched again before that: what the check was at may have been something that passes.
    pub again: Moment,
}

impl Isolation {
    /// A search has ended.
    pub fn has_searched(&mut self, now: Moment, full: Snapshot, remark: Option<String>) {
        let before = self.searched.as_ref().filter(|before| before.full == full);
        let times = before.map_or(0, |before| before.times).saturating_add(1);
        self.searched = Some(Searched { full, remark, times, again: now + backoff::REFUSAL.pause(times) });
    }

    /// Who is to be tried again now, if anybody is.
    pub fn due(&self, now: Moment) -> Option<MemberRef> {
        let due = self.left_out.iter().filter_map(|(spot, out)| Some((out.again.filter(|again| *again <= now)?, spot)));
        due.min().map(|(_, spot)| spot.clone())
    }

    /// When somebody is to be tried again.
    pub fn next_trial(&self) -> Option<Moment> {
        self.left_out.values().filter_map(|out| out.again).min()
    }

    /// Whether members at fault are looked for.
    pub fn is_searching(&self) -> bool {
        self.refused.is_some()
    }

    /// Ends the search, whatever it has found.
    pub fn end_search(&mut self) -> Option<Failure> {
        self.search = None;
        self.refused.take()
    }

    /// What a template sees without those that are left out; one that has changed is no longer one of them.
    pub fn filter(&self, full: Snapshot, each: Option<&Arc<str>>) -> Snapshot {
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
    pub fn review(&mut self, full: &Snapshot, each: Option<&Arc<str>>, min: impl Fn(&str) -> usize) -> Vec<MemberRef> {
        let lists = lists(full, each);
        let mut changed = Vec::new();
        self.left_out.retain(|spot, out| {
            let now = spot.find(&lists);
            changed.extend(now.filter(|now| **now != out.seated).map(|_| spot.clone()));
            now == Some(&out.seated)
        });
        let over = member_ref::over(&lists, self.left_out.keys(), min);
        self.left_out.retain(|spot, _| over.iter().all(|over| over.place != spot.place()));
        changed
    }
}
