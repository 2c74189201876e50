//! Members that a check refuses: found by trying without them, and left out until they change or pass.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::moment::Moment;
use super::publication::{Failure, SlottedMember, Snapshot};
use crate::model::backoff;

mod bisect;
mod member_ref;

pub use member_ref::MemberRef;

pub(crate) use bisect::{BisectStep, Bisection};
pub(crate) use member_ref::{lists, without};

/// A member that is left out of one template.
#[derive(Debug, Clone, PartialEq)]
pub struct IsolatedMember {
    /// As it was when it was refused: a changed one is tried again.
    pub member: SlottedMember,
    /// What the check said of it, with the end of its output.
    pub why: String,
    /// How often the check has refused it as it is.
    pub times: u32,
    /// When it is tried again as it is; `None`: when another template of the unit, whose check refuses it, takes it back,
    /// or never in a single pass.
    pub retry_at: Option<Moment>,
}

impl IsolatedMember {
    /// Refused for the first time.
    pub fn new(member: SlottedMember, why: &str) -> Self {
        Self { member, why: why.to_owned(), times: 1, retry_at: None }
    }

    /// It is tried again after a pause that grows.
    pub fn schedule_retry(&mut self, now: Moment) {
        self.retry_at = Some(now + backoff::REFUSAL.pause(self.times));
    }
}

/// The members that are left out, by where they stand.
pub type IsolatedMembers = BTreeMap<MemberRef, IsolatedMember>;

/// What a template knows of the members that its check refuses.
#[derive(Debug, Clone, Default)]
pub struct Isolation {
    /// What passed its check last.
    pub passed: Option<Snapshot>,
    /// What the publication or the probe under way shows.
    pub in_flight: Option<Snapshot>,
    /// What a search has ended for.
    pub last_search: Option<FinishedSearch>,
    /// Who is left out.
    pub isolated: IsolatedMembers,
    /// Who of them is tried again now.
    pub trial: Option<MemberRef>,
    /// Some have passed their trial, and are not served yet.
    pub has_readmitted: bool,
    /// Why the check refused what it was given last, until it is known whether members are at fault.
    pub refused: Option<Failure>,
    /// The search for them, once it has begun.
    pub search: Option<Bisection>,
}

/// A search that has ended.
#[derive(Debug, Clone)]
pub struct FinishedSearch {
    pub full: Snapshot,
    /// What it had to say.
    pub remark: Option<String>,
    /// How many have ended for the same.
    pub times: u32,
    /// For the same it is not last_search again before that: what the check was at may have been something that passes.
    pub retry_at: Moment,
}

impl Isolation {
    /// A search has ended.
    pub fn record_search(&mut self, now: Moment, full: Snapshot, remark: Option<String>) {
        let before = self.last_search.as_ref().filter(|before| before.full == full);
        let times = before.map_or(0, |before| before.times).saturating_add(1);
        self.last_search = Some(FinishedSearch { full, remark, times, retry_at: now + backoff::REFUSAL.pause(times) });
    }

    /// Who is to be tried again now, if anybody is.
    pub fn due(&self, now: Moment) -> Option<MemberRef> {
        let due = self
            .isolated
            .iter()
            .filter_map(|(member_ref, out)| Some((out.retry_at.filter(|again| *again <= now)?, member_ref)));
        due.min().map(|(_, member_ref)| member_ref.clone())
    }

    /// When somebody is to be tried again.
    pub fn next_trial(&self) -> Option<Moment> {
        self.isolated.values().filter_map(|out| out.retry_at).min()
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
        if self.isolated.is_empty() {
            return full;
        }
        let lists = lists(&full, each);
        let still = self.isolated.iter().filter(|(member_ref, out)| member_ref.find(&lists) == Some(&out.member));
        let gone = still.map(|(member_ref, _)| member_ref).collect();
        without(&full, each, &gone)
    }

    /// Forgets those that have changed or are gone, and all of a list of which too many would be left out by now. Gives
    /// those that changed.
    pub fn review(&mut self, full: &Snapshot, each: Option<&Arc<str>>, min: impl Fn(&str) -> usize) -> Vec<MemberRef> {
        let lists = lists(full, each);
        let mut changed = Vec::new();
        self.isolated.retain(|member_ref, out| {
            let now = member_ref.find(&lists);
            changed.extend(now.filter(|now| **now != out.member).map(|_| member_ref.clone()));
            now == Some(&out.member)
        });
        let over = member_ref::over_limit(&lists, self.isolated.keys(), min);
        self.isolated.retain(|member_ref, _| over.iter().all(|over| over.place != member_ref.place()));
        changed
    }
}
