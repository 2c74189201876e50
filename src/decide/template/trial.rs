//! Members that are left out are retried unchanged from time to time, because the cause of the failure can be
//! temporary.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Template;
use crate::decide::event::Event;
use crate::decide::isolate::{IsolatedMember, MemberRef};
use crate::decide::key::Key;
use crate::decide::moment::Moment;
use crate::decide::publication::{Outcome, Snapshot};
use crate::decide::roster::Roster;

impl Template {
    /// When a member is due for a retry; `None` while the template has other work.
    pub fn trial_due(&self) -> Option<Moment> {
        let is_quiet = !self.is_searching() && !self.publish.is_queued() && !self.is_removing() && !self.is_pinned();
        if is_quiet { self.isolation.next_trial() } else { None }
    }

    /// Whether a probe is due, for a search or for a retry.
    pub fn is_probe_due(&self, now: Moment) -> bool {
        let is_due = self.trial_due().is_some_and(|due| due <= now);
        !self.publish.is_in_flight()
            && !self.is_pinned()
            && (self.is_searching() || is_due || self.isolation.has_readmitted)
    }

    /// The snapshot for a retry: everything in the file, and one member that is left out.
    ///
    /// When no other member is due, those that passed are added to the file together.
    pub fn begin_trial(
        &mut self,
        now: Moment,
        rosters: &BTreeMap<Arc<str>, Roster>,
        keys: &BTreeMap<Arc<str>, Key>,
    ) -> Option<Snapshot> {
        let due = self.trial_due().filter(|due| *due <= now).and_then(|_| self.isolation.due(now));
        let Some(member_ref) = due else {
            if std::mem::take(&mut self.isolation.has_readmitted) {
                self.queue();
            }
            return None;
        };
        // If the probe never ends, the member is retried nevertheless.
        self.isolation.isolated.get_mut(&member_ref)?.schedule_retry(now);
        if !self.missing(rosters, keys).is_empty() {
            return None;
        }
        let out = self.isolation.isolated.remove(&member_ref)?;
        let snapshot = self.snapshot(rosters, keys);
        self.isolation.isolated.insert(member_ref.clone(), out);
        self.isolation.trial = Some(member_ref);
        Some(snapshot)
    }

    /// A retry ended. Returns the member if it passed.
    pub fn trial_ended(
        &mut self,
        now: Moment,
        member_ref: MemberRef,
        outcome: &Outcome,
        events: &mut Vec<Event>,
    ) -> Option<MemberRef> {
        match outcome {
            Outcome::Failed(failure) => {
                let out = self.isolation.isolated.get_mut(&member_ref)?;
                out.times = out.times.saturating_add(1);
                out.schedule_retry(now);
                if failure.stage.depends_on_members() {
                    out.failure.clone_from(failure);
                }
                None
            }
            Outcome::Abandoned => None,
            _ => {
                self.isolation.isolated.remove(&member_ref)?;
                self.isolation.has_readmitted = true;
                let (template, MemberRef { roster, key, member }) =
                    (Arc::clone(&self.plan.config.name), member_ref.clone());
                events.push(Event::MemberReadmitted { template, roster, key, member });
                Some(member_ref)
            }
        }
    }

    /// This member's refusal, if it was by this template's own check.
    pub fn own_isolated(&self, member_ref: &MemberRef) -> Option<&IsolatedMember> {
        self.isolation.isolated.get(member_ref).filter(|out| out.retry_at.is_some())
    }

    /// Readmits a member that another template of its unit readmits.
    pub fn readmit(&mut self, member_ref: &MemberRef) {
        if self.isolation.isolated.remove(member_ref).is_some() {
            self.queue();
        }
    }
}
