//! Members with which a template cannot be rendered, or that its check rejects. A search finds them by rendering and
//! checking the file without some members. They are left out until they change or pass.

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
    /// The member when it was refused. A changed one is retried.
    pub member: SlottedMember,
    /// How the file fails with it.
    pub failure: Failure,
    /// How often the file has failed with it unchanged.
    pub times: u32,
    /// When it is retried unchanged. `None` if another template of the unit decides that, or in a single pass.
    pub retry_at: Option<Moment>,
}

impl IsolatedMember {
    /// Creates it after the first failure.
    pub fn new(member: SlottedMember, failure: Failure) -> Self {
        Self { member, failure, times: 1, retry_at: None }
    }

    /// Schedules its next retry, with backoff.
    pub fn schedule_retry(&mut self, now: Moment) {
        self.retry_at = Some(now + backoff::REFUSAL.pause(self.times));
    }
}

/// The members that are left out.
pub type IsolatedMembers = BTreeMap<MemberRef, IsolatedMember>;

/// What a template knows of the members that it leaves out.
#[derive(Debug, Clone, Default)]
pub struct Isolation {
    /// What was last rendered, and passed the check.
    pub passed: Option<Snapshot>,
    /// What the publication or probe in flight shows.
    pub in_flight: Option<Snapshot>,
    /// The last search.
    pub last_search: Option<FinishedSearch>,
    /// The members that are left out.
    pub isolated: IsolatedMembers,
    /// The member that is being retried.
    pub trial: Option<MemberRef>,
    /// Some members have passed a retry and are not in the file yet.
    pub has_readmitted: bool,
    /// The last failure, until it is known whether members are at fault.
    pub refused: Option<Failure>,
    /// The search for them, once it has begun.
    pub search: Option<Bisection>,
}

/// A finished search.
#[derive(Debug, Clone)]
pub struct FinishedSearch {
    pub full: Snapshot,
    /// Its result, if it explains something.
    pub remark: Option<String>,
    /// How many searches ended for the same snapshot.
    pub times: u32,
    /// The same snapshot is not searched again before this time. The cause of the failure can be temporary.
    pub retry_at: Moment,
}

impl Isolation {
    /// Records a finished search.
    pub fn record_search(&mut self, now: Moment, full: Snapshot, remark: Option<String>) {
        let before = self.last_search.as_ref().filter(|before| before.full == full);
        let times = before.map_or(0, |before| before.times).saturating_add(1);
        self.last_search = Some(FinishedSearch { full, remark, times, retry_at: now + backoff::REFUSAL.pause(times) });
    }

    /// The member that is due for a retry, if any.
    pub fn due(&self, now: Moment) -> Option<MemberRef> {
        let due = self
            .isolated
            .iter()
            .filter_map(|(member_ref, out)| Some((out.retry_at.filter(|again| *again <= now)?, member_ref)));
        due.min().map(|(_, member_ref)| member_ref.clone())
    }

    /// When the next member is due for a retry.
    pub fn next_trial(&self) -> Option<Moment> {
        self.isolated.values().filter_map(|out| out.retry_at).min()
    }

    /// Whether a search for members at fault is in progress.
    pub fn is_searching(&self) -> bool {
        self.refused.is_some()
    }

    /// Ends the search. Returns the failure that began it.
    pub fn end_search(&mut self) -> Option<Failure> {
        self.search = None;
        self.refused.take()
    }

    /// The snapshot without the members that are left out. A changed member is not left out.
    pub fn filter(&self, full: Snapshot, each: Option<&Arc<str>>) -> Snapshot {
        if self.isolated.is_empty() {
            return full;
        }
        let lists = lists(&full, each);
        let still = self.isolated.iter().filter(|(member_ref, out)| member_ref.find(&lists) == Some(&out.member));
        let gone = still.map(|(member_ref, _)| member_ref).collect();
        without(&full, each, &gone)
    }

    /// Drops members that have changed or are gone, and all members of a list of which too many would be left out now.
    /// Returns those that changed.
    pub fn drop_changed(
        &mut self,
        full: &Snapshot,
        each: Option<&Arc<str>>,
        min: impl Fn(&str) -> usize,
    ) -> Vec<MemberRef> {
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
