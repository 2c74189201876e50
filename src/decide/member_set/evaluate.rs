//! Evaluates the view of one path: it is admitted or held.

use std::sync::Arc;

use super::MemberSet;
use super::observed::{FilteredMembers, Observed};
use crate::config::{AboveMax, RosterConfig};
use crate::decide::guard::SuspiciousLoss;
use crate::decide::hold::{Hold, Reason};
use crate::decide::moment::Moment;
use crate::decide::slots::Numbers;
use crate::decide::{slot_assignment, slots};
use crate::model::node_path::Subject;
use crate::payload::DecodedChildren;

/// The result of an evaluation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The members are admitted.
    Admit {
        /// Templates see a change.
        changed: bool,
        /// A hold ended.
        released: bool,
    },
    /// The last known-good members are kept.
    Hold {
        /// The reason is new, or differs in more than a version that changes constantly.
        new: bool,
    },
    /// The name below the `*` is no key: it never had members, and no child of it is one.
    NoKey,
}

impl MemberSet {
    /// Evaluates the current view, and admits it if there is no reason to hold it.
    ///
    /// `saved` are the slots of the members in earlier runs.
    pub fn evaluate(&mut self, now: Moment, config: &RosterConfig, host: &str, saved: Option<&Numbers>) -> Verdict {
        self.settle.clear();
        (self.evaluated, self.accepted) = (true, false);
        if self.is_no_key(config) {
            self.hold = None;
            return Verdict::NoKey;
        }
        if let Some(reason) = self.objection(now, config) {
            let known = self.hold.take();
            let new = known.as_ref().is_none_or(|hold| !hold.reason.is_repeat_of(&reason));
            let since = known.map(|hold| hold.since).or(self.held).unwrap_or(now);
            self.hold = Some(Hold { reason, since });
            return Verdict::Hold { new };
        }
        self.version.accept();
        let members = self.observed.members().unwrap_or_default();
        let taken = slot_assignment::pick(&members, config.bounds.max(), config.pick, host);
        self.guarded.admit(now, members.len(), config.guard);
        slots::expire(&mut self.reserved_slots, now, config.slot_keep);
        let before = self.good.as_deref().unwrap_or_default();
        let inherited = slot_assignment::slots_by_address(&taken, before);
        if !config.slot_keep.is_zero() {
            // New members do not get the slots of members that leave in the same view.
            slots::reserve(&mut self.reserved_slots, now, before, &taken, &inherited);
        }
        let slotted = match (&self.good, saved) {
            (Some(good), _) => slot_assignment::reassign(taken, good, &inherited, &self.reserved_slots),
            (None, Some(saved)) => slot_assignment::assign(taken, saved, &self.reserved_slots),
            (None, None) => slot_assignment::assign(taken, &Numbers::new(), &self.reserved_slots),
        };
        slots::release(&mut self.reserved_slots, &slotted);
        let slotted = slot_assignment::sort(slotted, config.order);
        let changed = self.good.as_deref() != Some(&*slotted);
        if changed {
            self.good = Some(slotted);
        }
        self.held = None;
        Verdict::Admit { changed, released: self.hold.take().is_some() }
    }

    /// The reason to hold the current view, if any.
    fn objection(&mut self, now: Moment, config: &RosterConfig) -> Option<Reason> {
        if let Observed::Unreadable(why) = &self.observed {
            return Some(Reason::Unreadable(Arc::clone(why)));
        }
        if let Some(excess) = self.observed.filtered().and_then(FilteredMembers::excess) {
            return Some(Reason::TooLarge(excess));
        }
        let have = self.observed.members().map_or(0, |members| members.len());
        if let Some(older) = self.older() {
            return Some(older);
        }
        // More than `max` members are held, but count as a recovery. Fewer than `min` do not.
        let doubt = (have >= config.bounds.min()).then(|| self.guarded.objection(now, have, config.guard)).flatten();
        if let Some(reason) = out_of_bounds(have, config) {
            return Some(self.with_the_rest(reason));
        }
        let SuspiciousLoss { from, until } = doubt?;
        Some(Reason::Shrunk { from, to: have, percent: config.guard.max_shrink_percent, until })
    }

    fn is_no_key(&self, config: &RosterConfig) -> bool {
        let is_keyed = matches!(config.subject, Subject::Keyed { .. });
        let children = self.observed.children().filter(|_| is_keyed && self.good.is_none());
        children.is_some_and(DecodedChildren::has_only_non_members)
    }

    /// Adds the counts of other nodes on the path to a reason.
    fn with_the_rest(&self, reason: Reason) -> Reason {
        match reason {
            Reason::BelowMin { have, min, .. } => Reason::BelowMin {
                have,
                min,
                quarantined: self.quarantined().count(),
                not_members: self.not_members().count(),
                filtered: self.excluded().count(),
                absent: self.observed.filtered().is_none(),
            },
            other => other,
        }
    }

    /// The reason, if the view is older than one that was seen before and lacks known-good members.
    fn older(&self) -> Option<Reason> {
        let (shown, highest) = self.version.regression()?;
        let good = self.good.as_deref()?;
        let taken = self.observed.filtered().map(|filtered| filtered.taken());
        let is_lost = |name: &str| taken.as_ref().is_none_or(|taken| !taken.contains_key(name));
        let lost = good.iter().filter(|entry| is_lost(entry.member.name())).count();
        (lost > 0).then_some(Reason::Older { lost, of: good.len(), shown, highest })
    }

    /// The path was removed. The removal is evaluated together with the other keys; the members are kept until then.
    pub fn defer_removal(&mut self) {
        self.settle.clear();
        (self.evaluated, self.accepted) = (true, false);
        self.hold = None;
    }
}

/// The bound that this number of members violates, if any.
pub fn out_of_bounds(have: usize, config: &RosterConfig) -> Option<Reason> {
    let bounds = config.bounds;
    if have < bounds.min() {
        let min = bounds.min();
        return Some(Reason::BelowMin { have, min, quarantined: 0, not_members: 0, filtered: 0, absent: false });
    }
    let max = bounds.max().filter(|max| bounds.above_max() == AboveMax::Hold && have > *max)?;
    Some(Reason::AboveMax { have, max })
}
