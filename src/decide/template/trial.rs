//! Members that are left out are trial_ended again as they are, now and then: what their check was at may have passed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Template;
use crate::decide::event::Event;
use crate::decide::isolate::{IsolatedMember, MemberRef};
use crate::decide::key::Key;
use crate::decide::moment::Moment;
use crate::decide::publication::{Outcome, Snapshot, Stage};
use crate::decide::roster::Roster;

impl Template {
    /// When a member that is left out is to be trial_ended again: nobody is while more than that is to be done.
    pub fn trial_due(&self) -> Option<Moment> {
        let is_quiet = !self.is_searching() && !self.publish.is_queued() && !self.is_removing();
        if is_quiet { self.isolation.next_trial() } else { None }
    }

    /// Whether the next probe is to be made, in a search or to try one again.
    pub fn is_probe_due(&self, now: Moment) -> bool {
        let is_due = self.trial_due().is_some_and(|due| due <= now);
        !self.publish.is_in_flight() && (self.is_searching() || is_due || self.isolation.has_readmitted)
    }

    /// What is to be checked to try one again who is left out: all that is served, and him.
    ///
    /// Once nobody else is due, those who passed are served together.
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
        // Should nothing ever be heard of the probe, it is trial_ended again all the same.
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

    /// A trial ended. Gives the member if he has passed.
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
                if failure.stage == Stage::Refused {
                    out.why.clone_from(&failure.message);
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

    /// Whether its own check own_isolated this member.
    pub fn own_isolated(&self, member_ref: &MemberRef) -> Option<&IsolatedMember> {
        self.isolation.isolated.get(member_ref).filter(|out| out.retry_at.is_some())
    }

    /// Another template of its unit takes a member back, and so does it.
    pub fn readmit(&mut self, member_ref: &MemberRef) {
        if self.isolation.isolated.remove(member_ref).is_some() {
            self.queue();
        }
    }
}
