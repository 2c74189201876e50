//! Keys of a roster whose nodes are gone: when that is believed.
//!
//! A key that only empties, or whose members cannot be read, is none of these: it holds. Only a roster whose keys have
//! files of their own that go with them (`each`) lets keys go; for any other a key that is gone has no members.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Roster, Top};
use crate::config::Guard;
use crate::decide::event::Event;
use crate::decide::guard::{Doubt, Guarded};
use crate::decide::hold::{Hold, KeyDoubt, Reason};
use crate::decide::member_set::MemberSet;
use crate::decide::moment::Moment;
use crate::decide::saved::GuardHistory;
use crate::model::version::VersionTracker;

/// What is known of keys that went.
#[derive(Debug, Clone, Default)]
pub struct Departed {
    /// Keys go when their nodes do.
    enabled: bool,
    /// The keys whose nodes the registry shows.
    there: BTreeSet<Arc<str>>,
    /// Keys that have files from before the agent began.
    claimed: BTreeSet<Arc<str>>,
    /// Keys that are believed to be gone.
    gone: BTreeSet<Arc<str>>,
    /// By how many keys there were.
    guarded: Guarded,
    hold: Option<Hold>,
    /// The keys that the hold keeps.
    kept: BTreeSet<Arc<str>>,
    /// Since when a hold was in force that the agent before this one left.
    held: Option<Moment>,
    /// What is measured by changed since it was last remembered.
    changed: bool,
    /// A person lets exactly these go.
    accepted: Option<BTreeSet<Arc<str>>>,
}

impl Departed {
    /// Whether a key is believed to be gone.
    pub fn is_gone(&self, key: &str) -> bool {
        self.gone.contains(key)
    }

    /// The hold that keeps keys from going.
    pub fn hold(&self) -> Option<&Hold> {
        self.hold.as_ref()
    }

    /// Whether the hold keeps this key from going.
    pub fn keeps(&self, key: &str) -> bool {
        self.hold.is_some() && self.kept.contains(key)
    }

    /// What speaks against letting `left` of `known` keys go.
    fn objection(
        &mut self,
        now: Moment,
        left: usize,
        known: usize,
        above: (&Top, VersionTracker),
        guard: Guard,
    ) -> Option<Reason> {
        let (from, to) = (known, known - left);
        if *above.0 == Top::Absent {
            return Some(Reason::KeysGone { from, to, doubt: KeyDoubt::NoBase });
        }
        if let Some((shown, highest)) = above.1.regression() {
            return Some(Reason::KeysGone { from, to, doubt: KeyDoubt::Older { shown, highest } });
        }
        let Doubt { from, until } = self.guarded.objection(now, to, guard)?;
        let percent = guard.max_shrink_percent;
        Some(Reason::KeysGone { from, to, doubt: KeyDoubt::Shrunk { percent, until } })
    }
}

impl Roster {
    /// What keys were measured by at the last start; `recent` says whether they are to be measured by it now.
    pub fn recall_departed(&mut self, course: &GuardHistory, recent: bool) {
        if recent || course.loss.is_some() {
            self.departed.guarded = Guarded::recalled(course.sizes.iter().copied(), course.loss);
        }
        self.departed.held = course.held;
    }

    /// What keys are measured by, for the next start.
    pub fn departed_course(&self) -> GuardHistory {
        let (sizes, loss) = self.departed.guarded.known();
        let held = self.departed.hold.as_ref().map(|hold| hold.since).or(self.departed.held);
        GuardHistory { sizes: sizes.collect(), loss, held, ..GuardHistory::default() }
    }

    /// Whether that changed since this was last asked for.
    pub fn take_departed_changed(&mut self) -> bool {
        std::mem::take(&mut self.departed.changed)
    }

    /// Says whether keys go when their nodes do.
    pub fn let_keys_go(&mut self, yes: bool) {
        if self.departed.enabled != yes {
            self.top_changed = true;
            let Departed { there, guarded, held, .. } = std::mem::take(&mut self.departed);
            // What keys were measured by while they did not go says nothing; what was recalled does.
            let (guarded, held) = if yes { (guarded, held) } else { (Guarded::default(), None) };
            self.departed = Departed { enabled: yes, there, guarded, held, ..Departed::default() };
        }
    }

    /// These keys have files from before the agent began: those that went meanwhile go now, as if they were known.
    pub fn claim(&mut self, keys: impl Iterator<Item = Arc<str>>) {
        self.departed.claimed.extend(keys);
        self.top_changed = true;
    }

    /// Whether a key's node is believed to be gone for good.
    pub fn is_gone(&self, key: &str) -> bool {
        self.departed.is_gone(key)
    }

    /// Whether this key's members are not what the registry shows.
    pub fn is_key_held(&self, key: &str) -> bool {
        let held = self.musters.get(key).is_some_and(|muster| muster.hold().is_some());
        held || self.hold.is_some() || (self.departed.hold.is_some() && !self.departed.there.contains(key))
    }

    pub fn key_is_there(&mut self, key: &Arc<str>) {
        self.departed.there.insert(Arc::clone(key));
        self.departed.gone.remove(key);
    }

    /// Whether a key's node is gone, and it is for [`Roster::judge_departed`] to say what comes of that.
    pub fn is_departing(&self, key: &str) -> bool {
        self.departed.enabled && !key.is_empty() && !self.departed.there.contains(key)
    }

    /// Whether a key without members is no key: with `min = 0`, and with its node gone or keys staying as they are.
    pub fn is_forgotten(&self, key: &str) -> bool {
        !self.departed.enabled || !self.departed.there.contains(key)
    }

    /// The keys that would go, and how many are known.
    fn departing(&self) -> (BTreeSet<Arc<str>>, usize) {
        let good = self.musters.iter().filter(|(_, muster)| muster.good().is_some()).map(|(key, _)| key);
        let known: BTreeSet<&Arc<str>> = good.chain(&self.departed.claimed).collect();
        let left = known.iter().filter(|key| !self.departed.there.contains(**key));
        (left.map(|key| Arc::clone(key)).collect(), known.len())
    }

    /// When the hold on departed keys ends by time.
    pub fn departed_due(&self) -> Option<Moment> {
        self.departed.hold.as_ref().and_then(|hold| hold.reason.until())
    }

    /// Judges the keys whose nodes are gone. Says whether any went.
    pub fn judge_departed(&mut self, now: Moment, events: &mut Vec<Event>) -> bool {
        if !self.departed.enabled || matches!(self.top, Top::Unseen | Top::Unreadable(_)) {
            return false;
        }
        let (all, known) = self.departing();
        // What has just gone may come back in a moment.
        let (musters, unsettled) = (&self.musters, &self.unsettled);
        let settled = |key: &&Arc<str>| !unsettled.contains(*key) || !musters.contains_key(*key);
        let left: BTreeSet<Arc<str>> = all.iter().filter(settled).cloned().collect();
        self.departed.guarded.begin(now, known);
        let accepted = self.departed.accepted.take().is_some_and(|accepted| accepted == left);
        let objection = if left.is_empty() || accepted {
            None
        } else {
            let above = (&self.top, self.top_stamp);
            self.departed.objection(now, left.len(), known, above, self.config.guard)
        };
        if let Some(reason) = objection {
            let held = self.departed.hold.take();
            let new = held.as_ref().is_none_or(|hold| !hold.reason.says_the_same_as(&reason));
            if new {
                events.push(self.held_as_a_whole(&reason));
                self.departed.changed = true;
            }
            let since = held.map(|hold| hold.since).or(self.departed.held).unwrap_or(now);
            self.departed.hold = Some(Hold { reason, since });
            self.departed.kept = left;
            return false;
        }
        for key in &left {
            let muster = self.musters.remove(key).filter(|_| self.is_loaded);
            let before = muster.as_ref().and_then(MemberSet::good).map_or(&[][..], |good| good);
            events.extend(self.members_change(key, before, &[], self.top_stamp.current()));
            self.unsettled.remove(key);
            self.departed.claimed.remove(key);
            self.departed.gone.insert(Arc::clone(key));
            self.admitted.insert(Arc::clone(key));
        }
        let count = known - left.len();
        if accepted {
            self.departed.guarded.accept(now, count);
        } else {
            self.departed.guarded.admit(now, count, self.config.guard);
        }
        self.departed.changed |= self.departed.held.take().is_some();
        if self.departed.hold.take().is_some() {
            self.departed.changed = true;
            let (roster, path) = (Arc::clone(&self.config.name), self.config.subject.to_string());
            events.push(Event::HoldReleased { roster, path });
        }
        !left.is_empty()
    }

    /// The keys that a hold keeps, where a person may let them go.
    pub fn held_keys(&self) -> BTreeSet<Arc<str>> {
        if self.departed.hold.is_some() { self.departing().0 } else { BTreeSet::new() }
    }

    /// A person lets the keys go that a hold keeps. Says whether there was one.
    pub fn accept_departed(&mut self) -> bool {
        let held = self.departed.hold.is_some();
        if held {
            self.departed.accepted = Some(self.departing().0);
            self.top_changed = true;
        }
        held
    }

    /// Nothing of it is seen any more.
    pub fn departed_unseen(&mut self) {
        self.departed.accepted = None;
    }

    /// The whole of the keys was read.
    pub fn keys_there(&mut self, keys: impl Iterator<Item = Arc<str>>) {
        self.departed.there = keys.collect();
        let Departed { there, gone, .. } = &mut self.departed;
        gone.retain(|key| !there.contains(key));
    }

    pub fn key_left(&mut self, key: &str) {
        self.departed.there.remove(key);
    }

    /// Keys that are missing in an older state hold back the belief in it, from before they are judged.
    pub fn doubts_state(&self) -> bool {
        self.departed.enabled && self.top_stamp.regression().is_some() && !self.departing().0.is_empty()
    }
}
