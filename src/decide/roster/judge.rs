//! Judging what the registry shows, once it has settled, and putting together what templates see.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Roster, Top};
use crate::decide::event::Event;
use crate::decide::hold::{Hold, Reason};
use crate::decide::member_set::{MemberSet, Verdict};
use crate::decide::moment::Moment;
use crate::decide::publication::RosterValue;
use crate::model::member::Quarantine;

impl Roster {
    /// When something of it is to be judged next.
    pub fn due(&self) -> Option<Moment> {
        if !self.reached {
            return None;
        }
        if self.top_changed {
            return Some(Moment::START);
        }
        self.unsettled.iter().filter_map(|key| self.due_of(key)).chain(self.departed_due()).min()
    }

    fn due_of(&self, key: &Arc<str>) -> Option<Moment> {
        self.musters.get(key)?.due(&self.config)
    }

    /// Judges what is due. Says whether templates see something else than before.
    pub fn judge(&mut self, now: Moment, host: &str, events: &mut Vec<Event>) -> bool {
        if !self.reached {
            return false;
        }
        self.top_changed = false;
        let due: Vec<Arc<str>> =
            self.unsettled.iter().filter(|key| self.due_of(key).is_some_and(|due| due <= now)).cloned().collect();
        let mut changed = false;
        for key in due {
            changed |= self.judge_key(now, &key, host, events);
        }
        // Musters with nothing left to wait for are looked at no more.
        let (musters, config) = (&self.musters, &self.config);
        self.unsettled.retain(|key| musters.get(key).is_some_and(|muster| muster.due(config).is_some()));
        changed |= self.judge_departed(now, events);
        if changed || self.value.is_none() {
            changed = self.gather() || changed;
        }
        if !self.is_loaded && !self.admitted.is_empty() && self.value.is_some() {
            self.is_loaded = true;
            events.push(self.loaded());
        }
        let is_older = |muster: &MemberSet| matches!(muster.hold(), Some(Hold { reason: Reason::Older { .. }, .. }));
        if !self.doubts_state() && !self.musters.values().any(is_older) {
            self.top_stamp.accept();
        }
        self.say_unfit_keys(events);
        self.judge_top(now, events);
        changed
    }

    fn say_unfit_keys(&mut self, events: &mut Vec<Event>) {
        for (key, said) in self.unfit_keys.iter_mut().filter(|(_, said)| !**said) {
            *said = true;
            let reason = Quarantine::Control { place: "its name".to_owned() };
            let path = self.config.subject.members_of(key);
            events.push(Event::MemberQuarantined { roster: Arc::clone(&self.config.name), path, reason });
        }
    }

    fn judge_key(&mut self, now: Moment, key: &Arc<str>, host: &str, events: &mut Vec<Event>) -> bool {
        let (departing, forgettable) = (self.is_departing(key), self.is_forgotten(key));
        let Some(muster) = self.musters.get_mut(key) else {
            return false;
        };
        if departing && muster.good().is_some() {
            muster.rest();
            return false;
        }
        let before = muster.good().cloned();
        let verdict = muster.judge(now, &self.config, host, self.recalled.get(key));
        if muster.good().is_some() {
            self.recalled.remove(key);
        }
        if let Some(format) = muster.chosen()
            && self.told.insert(format.clone())
        {
            let (roster, path) = (Arc::clone(&self.config.name), self.config.subject.members_of(key));
            events.push(Event::FormatChosen { roster, path, format: format.clone() });
        }
        for (name, why) in muster.unfit() {
            if self.quarantined.insert((Arc::clone(key), Arc::clone(name))) {
                let (path, reason) = (self.config.subject.members_of(key).child(name), why.clone());
                events.push(Event::MemberQuarantined { roster: Arc::clone(&self.config.name), path, reason });
            }
        }
        let unfit: BTreeSet<&Arc<str>> = muster.unfit().map(|(name, _)| name).collect();
        self.quarantined.retain(|(of, name)| of != key || unfit.contains(name));
        match verdict {
            Verdict::Admit { changed, released } => {
                self.admitted.insert(Arc::clone(key));
                let forgotten = muster.is_absent() && forgettable;
                let (after, zxid) = (muster.good().cloned(), muster.stamp().current());
                if forgotten && !key.is_empty() {
                    // With min = 0 a key that is gone is gone.
                    self.musters.remove(key);
                }
                if released {
                    let path = self.config.subject.members_of(key).to_string();
                    events.push(Event::HoldReleased { roster: Arc::clone(&self.config.name), path });
                }
                if self.is_loaded && changed {
                    let (before, after) = (before.as_deref().unwrap_or_default(), after.as_deref().unwrap_or_default());
                    events.extend(self.members_change(key, before, after, zxid));
                }
                changed || (forgotten && !key.is_empty())
            }
            Verdict::Hold { new } => {
                self.held.insert(Arc::clone(key));
                let kept = muster.good().map(|seats| seats.len());
                if kept.is_none() && muster.is_absent() && forgettable && !key.is_empty() {
                    // A key that never had enough members and is gone leaves nothing behind.
                    self.musters.remove(key);
                } else if new && let Some(hold) = muster.hold() {
                    let path = self.config.subject.members_of(key);
                    let (reason, path) = (hold.reason.describe(&path), path.to_string());
                    let roster = Arc::clone(&self.config.name);
                    events.push(Event::RosterHeld { roster, path, reason, members: kept });
                }
                false
            }
        }
    }

    /// Puts the value for templates together. Says whether there is one now where there was none.
    pub fn gather(&mut self) -> bool {
        let had = self.value.is_some();
        let good = || self.musters.iter().filter_map(|(key, muster)| Some((key, muster.good()?)));
        self.value = if self.is_keyed() {
            let map: BTreeMap<_, _> = good().map(|(key, seats)| (Arc::clone(key), Arc::clone(seats))).collect();
            let may_be_empty = self.config.bounds.min() == 0 && self.top == Top::Present;
            (!map.is_empty() || may_be_empty || had).then_some(RosterValue::Map(map))
        } else {
            good().next().map(|(_, seats)| RosterValue::List(Arc::clone(seats)))
        };
        self.value.is_some() && !had
    }

    /// A keyed roster as a whole holds when its base cannot be read, or when no key ever had enough members.
    fn judge_top(&mut self, now: Moment, events: &mut Vec<Event>) {
        if !self.is_keyed() {
            return;
        }
        let reason = match &self.top {
            Top::Unreadable(why) => Some(Reason::Unreadable(Arc::clone(why))),
            Top::Absent | Top::Present if self.value.is_none() => {
                Some(Reason::NoKeys { min: self.config.bounds.min(), absent: self.top == Top::Absent })
            }
            Top::Unseen | Top::Absent | Top::Present => None,
        };
        match (reason, self.hold.take()) {
            (Some(reason), known) => {
                if known.as_ref().is_none_or(|hold| hold.reason != reason) {
                    events.push(self.held_as_a_whole(&reason));
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
