//! Members that are left out are tried again as they are, now and then: what their check was at may have passed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Template;
use crate::decide::event::Event;
use crate::decide::isolate::{LeftOut, MemberRef};
use crate::decide::key::Key;
use crate::decide::moment::Moment;
use crate::decide::publication::{Outcome, Snapshot, Stage};
use crate::decide::roster::Roster;

impl Template {
    /// When a member that is left out is to be tried again: nobody is while more than that is to be done.
    pub fn trial_due(&self) -> Option<Moment> {
        let is_quiet = !self.is_searching() && !self.turn.is_wanted() && !self.is_going();
        if is_quiet { self.isolation.next_trial() } else { None }
    }

    /// Whether the next probe is to be made, in a search or to try one again.
    pub fn is_to_probe(&self, now: Moment) -> bool {
        let is_due = self.trial_due().is_some_and(|due| due <= now);
        !self.turn.is_in_flight() && (self.is_searching() || is_due || self.isolation.has_taken_back)
    }

    /// What is to be checked to try one again who is left out: all that is served, and him.
    ///
    /// Once nobody else is due, those who passed are served together.
    pub fn try_again(
        &mut self,
        now: Moment,
        rosters: &BTreeMap<Arc<str>, Roster>,
        keys: &BTreeMap<Arc<str>, Key>,
    ) -> Option<Snapshot> {
        let due = self.trial_due().filter(|due| *due <= now).and_then(|_| self.isolation.due(now));
        let Some(spot) = due else {
            if std::mem::take(&mut self.isolation.has_taken_back) {
                self.want();
            }
            return None;
        };
        // Should nothing ever be heard of the probe, it is tried again all the same.
        self.isolation.left_out.get_mut(&spot)?.put_off(now);
        if !self.missing(rosters, keys).is_empty() {
            return None;
        }
        let out = self.isolation.left_out.remove(&spot)?;
        let snapshot = self.snapshot(rosters, keys);
        self.isolation.left_out.insert(spot.clone(), out);
        self.isolation.trial = Some(spot);
        Some(snapshot)
    }

    /// A trial ended. Gives the member if he has passed.
    pub fn tried(
        &mut self,
        now: Moment,
        spot: MemberRef,
        outcome: &Outcome,
        events: &mut Vec<Event>,
    ) -> Option<MemberRef> {
        match outcome {
            Outcome::Failed(failure) => {
                let out = self.isolation.left_out.get_mut(&spot)?;
                out.times = out.times.saturating_add(1);
                out.put_off(now);
                if failure.stage == Stage::Refused {
                    out.why.clone_from(&failure.message);
                }
                None
            }
            Outcome::Abandoned => None,
            _ => {
                self.isolation.left_out.remove(&spot)?;
                self.isolation.has_taken_back = true;
                let (template, MemberRef { roster, key, member }) = (Arc::clone(&self.plan.config.name), spot.clone());
                events.push(Event::MemberReadmitted { template, roster, key, member });
                Some(spot)
            }
        }
    }

    /// Whether its own check refuses this member.
    pub fn refuses(&self, spot: &MemberRef) -> Option<&LeftOut> {
        self.isolation.left_out.get(spot).filter(|out| out.again.is_some())
    }

    /// Another template of its unit takes a member back, and so does it.
    pub fn take_in(&mut self, spot: &MemberRef) {
        if self.isolation.left_out.remove(spot).is_some() {
            self.want();
        }
    }
}
