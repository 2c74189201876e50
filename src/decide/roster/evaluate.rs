//! Evaluates settled views, and derives what templates see.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{ParentState, Roster};
use crate::config::RosterConfig;
use crate::decide::event::Event;
use crate::decide::hold::{Hold, Reason};
use crate::decide::member_set::{MemberSet, Verdict};
use crate::decide::moment::Moment;
use crate::decide::publication::RosterValue;
use crate::model::quarantine::Quarantine;

impl Roster {
    /// When the next evaluation is due.
    pub fn due(&self) -> Option<Moment> {
        if !self.reached {
            return None;
        }
        if self.is_dirty {
            return Some(Moment::START);
        }
        self.unsettled.iter().filter_map(|key| self.due_of(key)).chain(self.removed_keys_due()).min()
    }

    fn due_of(&self, key: &Arc<str>) -> Option<Moment> {
        self.member_sets.get(key)?.due(&self.config)
    }

    /// Evaluates what is due. Returns whether templates see a change.
    pub fn evaluate(&mut self, now: Moment, host: &str, events: &mut Vec<Event>) -> bool {
        if !self.reached {
            return false;
        }
        let mut changed = std::mem::take(&mut self.is_dirty) && self.drop_excluded_keys(events);
        let due: Vec<Arc<str>> =
            self.unsettled.iter().filter(|key| self.due_of(key).is_some_and(|due| due <= now)).cloned().collect();
        for key in due {
            changed |= self.evaluate_key(now, &key, host, events);
        }
        // Keys without pending changes or holds need no further evaluation.
        let (member_sets, config) = (&self.member_sets, &self.config);
        self.unsettled.retain(|key| member_sets.get(key).is_some_and(|members| members.due(config).is_some()));
        changed |= self.evaluate_removed_keys(now, events);
        // Templates keep what they see rather than lose every key.
        changed &= self.value.is_none() || !self.lacks_keys();
        if changed || self.value.is_none() {
            changed = self.rebuild_value() || changed;
        }
        if !self.is_loaded && !self.admitted.is_empty() && self.value.is_some() {
            self.is_loaded = true;
            events.push(self.loaded_event());
        }
        let is_older = |members: &MemberSet| matches!(members.hold(), Some(Hold { reason: Reason::Older { .. }, .. }));
        if !self.has_older_keys() && !self.member_sets.values().any(is_older) {
            self.parent_version.accept();
        }
        self.report_invalid_keys(events);
        self.evaluate_parent(now, events);
        changed
    }

    fn report_invalid_keys(&mut self, events: &mut Vec<Event>) {
        for (key, said) in self.invalid_keys.iter_mut().filter(|(_, said)| !**said) {
            *said = true;
            let reason = Quarantine::Control { place: "its name".to_owned() };
            let path = self.config.subject.members_of(key);
            events.push(Event::MemberQuarantined { roster: Arc::clone(&self.config.name), path, reason });
        }
    }

    fn evaluate_key(&mut self, now: Moment, key: &Arc<str>, host: &str, events: &mut Vec<Event>) -> bool {
        let (departing, forgettable) = (self.is_departing(key), self.is_forgotten(key));
        let Some(members) = self.member_sets.get_mut(key) else {
            return false;
        };
        if departing && members.good().is_some() {
            members.defer_removal();
            return false;
        }
        let before = members.good().cloned();
        let verdict = members.evaluate(now, &self.config, host, self.saved_slots.get(key));
        if members.good().is_some() {
            self.saved_slots.remove(key);
        }
        if let Some(format) = members.chosen()
            && self.reported_formats.insert(format.clone())
        {
            let (roster, path) = (Arc::clone(&self.config.name), self.config.subject.members_of(key));
            events.push(Event::FormatChosen { roster, path, format: format.clone() });
        }
        let left_out = left_out(members, &self.config, key);
        self.left_out.retain(|(of, name)| of != key || left_out.contains_key(name));
        for (name, event) in left_out {
            if self.left_out.insert((Arc::clone(key), name)) {
                events.push(event);
            }
        }
        match verdict {
            Verdict::NoKey => false,
            Verdict::Admit { changed, released } => {
                self.admitted.insert(Arc::clone(key));
                let forgotten = members.is_absent() && forgettable;
                let (after, zxid) = (members.good().cloned(), members.version().current());
                if forgotten && !key.is_empty() {
                    // With `min = 0`, a key without a node does not exist.
                    self.member_sets.remove(key);
                }
                if released {
                    let path = self.config.subject.members_of(key).to_string();
                    events.push(Event::HoldReleased { roster: Arc::clone(&self.config.name), path });
                }
                if self.is_loaded && changed {
                    let (before, after) = (before.as_deref().unwrap_or_default(), after.as_deref().unwrap_or_default());
                    events.extend(self.members_changed_event(key, before, after, zxid));
                }
                changed || (forgotten && !key.is_empty())
            }
            Verdict::Hold { new } => {
                self.held.insert(Arc::clone(key));
                let kept = members.good().map(|slotted| slotted.len());
                if kept.is_none() && members.is_absent() && forgettable && !key.is_empty() {
                    // A key that never had enough members leaves nothing behind.
                    self.member_sets.remove(key);
                } else if new && let Some(hold) = members.hold() {
                    let path = self.config.subject.members_of(key);
                    let (reason, path) = (hold.reason.describe(&path), path.to_string());
                    let roster = Arc::clone(&self.config.name);
                    events.push(Event::RosterHeld { roster, path, reason, kept });
                }
                false
            }
        }
    }

    /// Derives the value for templates. Returns whether there is one now and was none before.
    pub fn rebuild_value(&mut self) -> bool {
        let had = self.value.is_some();
        let good = || self.member_sets.iter().filter_map(|(key, members)| Some((key, members.good()?)));
        self.value = if self.is_keyed() {
            let map: BTreeMap<_, _> = good().map(|(key, slotted)| (Arc::clone(key), Arc::clone(slotted))).collect();
            let may_be_empty = self.config.bounds.min() == 0 && self.parent == ParentState::Present;
            (!map.is_empty() || may_be_empty || had).then_some(RosterValue::Map(map))
        } else {
            good().next().map(|(_, slotted)| RosterValue::List(Arc::clone(slotted)))
        };
        self.value.is_some() && !had
    }

    /// A keyed roster is held as a whole if its parent cannot be read, if no key ever had enough members, or if `where`
    /// now excludes every key that had.
    fn evaluate_parent(&mut self, now: Moment, events: &mut Vec<Event>) {
        if !self.is_keyed() {
            return;
        }
        let reason = match &self.parent {
            ParentState::Unreadable(why) => Some(Reason::Unreadable(Arc::clone(why))),
            ParentState::Absent | ParentState::Present if self.value.is_none() || self.lacks_keys() => {
                Some(Reason::NoKeys { min: self.config.bounds.min(), absent: self.parent == ParentState::Absent })
            }
            ParentState::Unseen | ParentState::Absent | ParentState::Present => None,
        };
        match (reason, self.hold.take()) {
            (Some(reason), known) => {
                if known.as_ref().is_none_or(|hold| hold.reason != reason) {
                    events.push(self.held_event(&reason));
                }
                self.hold = Some(Hold { reason, since: known.map_or(now, |hold| hold.since) });
            }
            (None, Some(_)) => {
                let (roster, path) = (Arc::clone(&self.config.name), self.config.subject.to_string());
                events.push(Event::HoldReleased { roster, path });
            }
            (None, None) => {}
        }
    }
}

/// The events of the nodes of a key that are left out, or used without their data, by name.
fn left_out(members: &MemberSet, config: &RosterConfig, key: &str) -> BTreeMap<Arc<str>, Event> {
    let (roster, path) = (&config.name, config.subject.members_of(key));
    let quarantined = members.quarantined().map(|(name, reason)| {
        let (roster, path, reason) = (Arc::clone(roster), path.child(name), reason.clone());
        (Arc::clone(name), Event::MemberQuarantined { roster, path, reason })
    });
    let others = members.not_members().map(|(name, reason)| {
        (Arc::clone(name), Event::NotAMember { roster: Arc::clone(roster), path: path.child(name), reason })
    });
    let data_errors = members.data_errors().map(|(name, reason)| {
        (Arc::clone(name), Event::MemberDataIgnored { roster: Arc::clone(roster), path: path.child(name), reason })
    });
    quarantined.chain(others).chain(data_errors).collect()
}
