//! Keys of a roster whose nodes are gone: when that is believed.
//!
//! A key that only empties, or whose members cannot be read, is none of these: it holds. Only a roster whose keys have
//! files of their own that go with them (`each`) lets keys go; for any other a key that is gone has no members.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{ParentState, Roster};
use crate::config::Guard;
use crate::decide::event::Event;
use crate::decide::guard::{LossGuard, SuspiciousLoss};
use crate::decide::hold::{Hold, KeyLossCause, Reason};
use crate::decide::member_set::MemberSet;
use crate::decide::moment::Moment;
use crate::decide::saved::GuardHistory;
use crate::model::version::VersionTracker;

/// What is known of keys that went.
#[derive(Debug, Clone, Default)]
pub struct RemovedKeys {
    /// Keys go when their nodes do.
    enabled: bool,
    /// The keys whose nodes the registry shows.
    present: BTreeSet<Arc<str>>,
    /// Keys that have files from before the agent began.
    file_keys: BTreeSet<Arc<str>>,
    /// Keys that are believed to be gone.
    gone: BTreeSet<Arc<str>>,
    /// By how many keys there were.
    guarded: LossGuard,
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

impl RemovedKeys {
    /// Whether a key is believed to be gone.
    pub fn is_key_removed(&self, key: &str) -> bool {
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
        above: (&ParentState, VersionTracker),
        guard: Guard,
    ) -> Option<Reason> {
        let (from, to) = (known, known - left);
        if *above.0 == ParentState::Absent {
            return Some(Reason::KeysGone { from, to, doubt: KeyLossCause::NoBase });
        }
        if let Some((shown, highest)) = above.1.regression() {
            return Some(Reason::KeysGone { from, to, doubt: KeyLossCause::Older { shown, highest } });
        }
        let SuspiciousLoss { from, until } = self.guarded.objection(now, to, guard)?;
        let percent = guard.max_shrink_percent;
        Some(Reason::KeysGone { from, to, doubt: KeyLossCause::Shrunk { percent, until } })
    }
}

impl Roster {
    /// What keys were measured by at the last start; `recent` says whether they are to be measured by it now.
    pub fn restore_removed_keys(&mut self, guard_history: &GuardHistory, recent: bool) {
        if recent || guard_history.loss.is_some() {
            self.removed_keys.guarded = LossGuard::from_saved(guard_history.sizes.iter().copied(), guard_history.loss);
        }
        self.removed_keys.held = guard_history.held;
    }

    /// What keys are measured by, for the next start.
    pub fn removed_keys_history(&self) -> GuardHistory {
        let (sizes, loss) = self.removed_keys.guarded.known();
        let held = self.removed_keys.hold.as_ref().map(|hold| hold.since).or(self.removed_keys.held);
        GuardHistory { sizes: sizes.collect(), loss, held, ..GuardHistory::default() }
    }

    /// Whether that changed since this was last asked for.
    pub fn take_removed_keys_changed(&mut self) -> bool {
        std::mem::take(&mut self.removed_keys.changed)
    }

    /// Says whether keys go when their nodes do.
    pub fn set_keys_removable(&mut self, yes: bool) {
        if self.removed_keys.enabled != yes {
            self.is_dirty = true;
            let RemovedKeys { present, guarded, held, .. } = std::mem::take(&mut self.removed_keys);
            // What keys were measured by while they did not go says nothing; what was saved does.
            let (guarded, held) = if yes { (guarded, held) } else { (LossGuard::default(), None) };
            self.removed_keys = RemovedKeys { enabled: yes, present, guarded, held, ..RemovedKeys::default() };
        }
    }

    /// These keys have files from before the agent began: those that went meanwhile go now, as if they were known.
    pub fn add_file_keys(&mut self, keys: impl Iterator<Item = Arc<str>>) {
        self.removed_keys.file_keys.extend(keys);
        self.is_dirty = true;
    }

    /// Whether a key's node is believed to be gone for good.
    pub fn is_key_removed(&self, key: &str) -> bool {
        self.removed_keys.is_key_removed(key)
    }

    /// Whether this key's members are not what the registry shows.
    pub fn is_key_held(&self, key: &str) -> bool {
        let held = self.member_sets.get(key).is_some_and(|members| members.hold().is_some());
        held || self.hold.is_some() || (self.removed_keys.hold.is_some() && !self.removed_keys.present.contains(key))
    }

    pub fn key_added(&mut self, key: &Arc<str>) {
        self.removed_keys.present.insert(Arc::clone(key));
        self.removed_keys.gone.remove(key);
    }

    /// Whether a key's node is gone, and it is for [`Roster::evaluate_removed_keys`] to say what comes of that.
    pub fn is_departing(&self, key: &str) -> bool {
        self.removed_keys.enabled && !key.is_empty() && !self.removed_keys.present.contains(key)
    }

    /// Whether a key without members is no key: with `min = 0`, and with its node gone or keys staying as they are.
    pub fn is_forgotten(&self, key: &str) -> bool {
        !self.removed_keys.enabled || !self.removed_keys.present.contains(key)
    }

    /// The keys that would go, and how many are known.
    fn departing(&self) -> (BTreeSet<Arc<str>>, usize) {
        let good = self.member_sets.iter().filter(|(_, members)| members.good().is_some()).map(|(key, _)| key);
        let known: BTreeSet<&Arc<str>> = good.chain(&self.removed_keys.file_keys).collect();
        let left = known.iter().filter(|key| !self.removed_keys.present.contains(**key));
        (left.map(|key| Arc::clone(key)).collect(), known.len())
    }

    /// When the hold on departed keys ends by time.
    pub fn removed_keys_due(&self) -> Option<Moment> {
        self.removed_keys.hold.as_ref().and_then(|hold| hold.reason.until())
    }

    /// Judges the keys whose nodes are gone. Says whether any went.
    pub fn evaluate_removed_keys(&mut self, now: Moment, events: &mut Vec<Event>) -> bool {
        if !self.removed_keys.enabled || matches!(self.parent, ParentState::Unseen | ParentState::Unreadable(_)) {
            return false;
        }
        let (all, known) = self.departing();
        // What has just gone may come back in a moment.
        let (member_sets, unsettled) = (&self.member_sets, &self.unsettled);
        let settled = |key: &&Arc<str>| !unsettled.contains(*key) || !member_sets.contains_key(*key);
        let left: BTreeSet<Arc<str>> = all.iter().filter(settled).cloned().collect();
        self.removed_keys.guarded.begin(now, known);
        let accepted = self.removed_keys.accepted.take().is_some_and(|accepted| accepted == left);
        let objection = if left.is_empty() || accepted {
            None
        } else {
            let above = (&self.parent, self.parent_version);
            self.removed_keys.objection(now, left.len(), known, above, self.config.guard)
        };
        if let Some(reason) = objection {
            let held = self.removed_keys.hold.take();
            let new = held.as_ref().is_none_or(|hold| !hold.reason.says_the_same_as(&reason));
            if new {
                events.push(self.held_event(&reason));
                self.removed_keys.changed = true;
            }
            let since = held.map(|hold| hold.since).or(self.removed_keys.held).unwrap_or(now);
            self.removed_keys.hold = Some(Hold { reason, since });
            self.removed_keys.kept = left;
            return false;
        }
        for key in &left {
            let members = self.member_sets.remove(key).filter(|_| self.is_loaded);
            let before = members.as_ref().and_then(MemberSet::good).map_or(&[][..], |good| good);
            events.extend(self.members_changed_event(key, before, &[], self.parent_version.current()));
            self.unsettled.remove(key);
            self.removed_keys.file_keys.remove(key);
            self.removed_keys.gone.insert(Arc::clone(key));
            self.admitted.insert(Arc::clone(key));
        }
        let count = known - left.len();
        if accepted {
            self.removed_keys.guarded.accept(now, count);
        } else {
            self.removed_keys.guarded.admit(now, count, self.config.guard);
        }
        self.removed_keys.changed |= self.removed_keys.held.take().is_some();
        if self.removed_keys.hold.take().is_some() {
            self.removed_keys.changed = true;
            let (roster, path) = (Arc::clone(&self.config.name), self.config.subject.to_string());
            events.push(Event::HoldReleased { roster, path });
        }
        !left.is_empty()
    }

    /// The keys that a hold keeps, where a person may let them go.
    pub fn held_keys(&self) -> BTreeSet<Arc<str>> {
        if self.removed_keys.hold.is_some() { self.departing().0 } else { BTreeSet::new() }
    }

    /// A person lets the keys go that a hold keeps. Says whether there was one.
    pub fn accept_removed_keys(&mut self) -> bool {
        let held = self.removed_keys.hold.is_some();
        if held {
            self.removed_keys.accepted = Some(self.departing().0);
            self.is_dirty = true;
        }
        held
    }

    /// Nothing of it is seen any more.
    pub fn forget_accepted_keys(&mut self) {
        self.removed_keys.accepted = None;
    }

    /// The whole of the keys was read.
    pub fn set_present_keys(&mut self, keys: impl Iterator<Item = Arc<str>>) {
        self.removed_keys.present = keys.collect();
        let RemovedKeys { present, gone, .. } = &mut self.removed_keys;
        gone.retain(|key| !present.contains(key));
    }

    pub fn key_removed(&mut self, key: &str) {
        self.removed_keys.present.remove(key);
    }

    /// Keys that are missing in an older state hold back the belief in it, from before they are judged.
    pub fn has_older_keys(&self) -> bool {
        self.removed_keys.enabled && self.parent_version.regression().is_some() && !self.departing().0.is_empty()
    }
}
