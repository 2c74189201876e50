//! Keys of a roster whose nodes are gone: when they are removed.
//!
//! A key that is only empty or unreadable is held instead. Keys are removed only if they have files that are removed
//! with them (`each`). For any other roster a key without a node has no members.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{ParentState, Roster};
use crate::config::Guard;
use crate::decide::event::Event;
use crate::decide::guard::{LossGuard, SuspiciousLoss};
use crate::decide::hold::{Hold, KeyLossCause, Reason};
use crate::decide::moment::Moment;
use crate::decide::saved::GuardHistory;
use crate::model::version::VersionTracker;

/// The state of keys whose nodes are gone.
#[derive(Debug, Clone, Default)]
pub struct RemovedKeys {
    /// Keys are removed with their nodes.
    enabled: bool,
    /// The keys whose nodes exist.
    present: BTreeSet<Arc<str>>,
    /// Keys that have files of earlier runs.
    file_keys: BTreeSet<Arc<str>>,
    /// Keys that are removed.
    gone: BTreeSet<Arc<str>>,
    /// The guard of the number of keys.
    guarded: LossGuard,
    hold: Option<Hold>,
    /// The keys that the hold keeps.
    kept: BTreeSet<Arc<str>>,
    /// The start of the hold at the end of the previous run.
    held: Option<Moment>,
    /// The guard or the hold changed since it was last saved.
    changed: bool,
    /// An operator accepts the removal of exactly these keys.
    accepted: Option<BTreeSet<Arc<str>>>,
}

impl RemovedKeys {
    /// Whether a key is removed.
    pub fn is_key_removed(&self, key: &str) -> bool {
        self.gone.contains(key)
    }

    /// The hold that keeps keys.
    pub fn hold(&self) -> Option<&Hold> {
        self.hold.as_ref()
    }

    /// Whether the hold keeps this key.
    pub fn keeps(&self, key: &str) -> bool {
        self.hold.is_some() && self.kept.contains(key)
    }

    /// The reason to keep `left` of `known` keys, if any.
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
            return Some(Reason::KeysGone { from, to, cause: KeyLossCause::NoParent });
        }
        if let Some((shown, highest)) = above.1.regression() {
            return Some(Reason::KeysGone { from, to, cause: KeyLossCause::Older { shown, highest } });
        }
        let SuspiciousLoss { from, until } = self.guarded.objection(now, to, guard)?;
        let percent = guard.max_shrink_percent;
        Some(Reason::KeysGone { from, to, cause: KeyLossCause::Shrunk { percent, until } })
    }
}

impl Roster {
    /// Restores the saved guard of the keys. `recent` says whether it applies to the first view.
    pub fn restore_removed_keys(&mut self, guard_history: &GuardHistory, recent: bool) {
        if recent || guard_history.loss.is_some() {
            self.removed_keys.guarded = LossGuard::from_saved(guard_history.sizes.iter().copied(), guard_history.loss);
        }
        self.removed_keys.held = guard_history.held;
    }

    /// The guard history of the keys, to be saved.
    pub fn removed_keys_history(&self) -> GuardHistory {
        let (sizes, loss) = self.removed_keys.guarded.known();
        let held = self.removed_keys.hold.as_ref().map(|hold| hold.since).or(self.removed_keys.held);
        GuardHistory { sizes: sizes.collect(), loss, held, ..GuardHistory::default() }
    }

    /// Whether it changed since the last call.
    pub fn take_removed_keys_changed(&mut self) -> bool {
        std::mem::take(&mut self.removed_keys.changed)
    }

    /// Sets whether keys are removed with their nodes.
    pub fn set_keys_removable(&mut self, yes: bool) {
        if self.removed_keys.enabled != yes {
            self.is_dirty = true;
            let RemovedKeys { present, guarded, held, .. } = std::mem::take(&mut self.removed_keys);
            // The baseline of keys that were not removable does not apply. A saved one does.
            let (guarded, held) = if yes { (guarded, held) } else { (LossGuard::default(), None) };
            self.removed_keys = RemovedKeys { enabled: yes, present, guarded, held, ..RemovedKeys::default() };
        }
    }

    /// Whether keys are removed with their nodes.
    pub fn removes_keys(&self) -> bool {
        self.removed_keys.enabled
    }

    /// Adds keys that have files of earlier runs. If their nodes are gone, they are removed like known keys.
    pub fn add_file_keys(&mut self, keys: impl Iterator<Item = Arc<str>>) {
        self.removed_keys.file_keys.extend(keys);
        self.is_dirty = true;
    }

    /// Whether a key is removed for good.
    pub fn is_key_removed(&self, key: &str) -> bool {
        self.removed_keys.is_key_removed(key)
    }

    /// Whether this key's members differ from what the registry shows.
    pub fn is_key_held(&self, key: &str) -> bool {
        let held = self.member_sets.get(key).is_some_and(|members| members.hold().is_some());
        held || self.hold.is_some() || (self.removed_keys.hold.is_some() && !self.removed_keys.present.contains(key))
    }

    pub fn key_added(&mut self, key: &Arc<str>) {
        self.removed_keys.present.insert(Arc::clone(key));
        self.removed_keys.gone.remove(key);
    }

    /// Whether a key's node is gone, which [`Roster::evaluate_removed_keys`] evaluates.
    pub fn is_departing(&self, key: &str) -> bool {
        self.removed_keys.enabled && !key.is_empty() && !self.removed_keys.present.contains(key)
    }

    /// Whether a key without members is dropped: its node is gone, or keys are not removable.
    pub fn is_forgotten(&self, key: &str) -> bool {
        !self.removed_keys.enabled || !self.removed_keys.present.contains(key)
    }

    /// The keys that would be removed, and the number of known keys.
    fn departing(&self) -> (BTreeSet<Arc<str>>, usize) {
        let good = self.member_sets.iter().filter(|(_, members)| members.good().is_some()).map(|(key, _)| key);
        let known: BTreeSet<&Arc<str>> = good.chain(&self.removed_keys.file_keys).collect();
        let left = known.iter().filter(|key| !self.removed_keys.present.contains(**key));
        (left.map(|key| Arc::clone(key)).collect(), known.len())
    }

    /// When the hold on removed keys times out.
    pub fn removed_keys_due(&self) -> Option<Moment> {
        self.removed_keys.hold.as_ref().and_then(|hold| hold.reason.until())
    }

    /// Evaluates the keys whose nodes are gone. Returns whether any was removed.
    pub fn evaluate_removed_keys(&mut self, now: Moment, events: &mut Vec<Event>) -> bool {
        if !self.removed_keys.enabled || matches!(self.parent, ParentState::Unseen | ParentState::Unreadable(_)) {
            return false;
        }
        let (all, known) = self.departing();
        // A node that was just removed can return soon.
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
            let new = held.as_ref().is_none_or(|hold| !hold.reason.is_repeat_of(&reason));
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
            self.drop_key(key, events);
            self.removed_keys.file_keys.remove(key);
            self.removed_keys.gone.insert(Arc::clone(key));
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

    /// The keys that a hold keeps, and whose removal an operator can accept.
    pub fn held_keys(&self) -> BTreeSet<Arc<str>> {
        if self.removed_keys.hold.is_some() { self.departing().0 } else { BTreeSet::new() }
    }

    /// Accepts the removal of the keys that a hold keeps. Returns whether there was such a hold.
    pub fn accept_removed_keys(&mut self) -> bool {
        let held = self.removed_keys.hold.is_some();
        if held {
            self.removed_keys.accepted = Some(self.departing().0);
            self.is_dirty = true;
        }
        held
    }

    /// Drops the acceptance, because the registry cannot be reached.
    pub fn forget_accepted_keys(&mut self) {
        self.removed_keys.accepted = None;
    }

    /// Sets the keys whose nodes exist.
    pub fn set_present_keys(&mut self, keys: impl Iterator<Item = Arc<str>>) {
        self.removed_keys.present = keys.collect();
        let RemovedKeys { present, gone, .. } = &mut self.removed_keys;
        gone.retain(|key| !present.contains(key));
    }

    pub fn key_removed(&mut self, key: &str) {
        self.removed_keys.present.remove(key);
    }

    /// Whether keys are missing in an older view, which is not accepted as the new state before they are evaluated.
    pub fn has_older_keys(&self) -> bool {
        self.removed_keys.enabled && self.parent_version.regression().is_some() && !self.departing().0.is_empty()
    }
}
