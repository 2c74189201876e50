//! One `[[roster]]`: its path's members, or those of each key that its `*` matches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::hold::{Hold, Reason};
use super::member::{Quarantine, is_breaking};
use super::moment::Moment;
use super::muster::{Muster, Verdict};
use super::notice::Notice;
use super::publication::RosterValue;
use super::slots::{self, RosterSlots};
use crate::config::RosterConfig;
use crate::sighting::{Change, Members, Seen, View};

/// A roster's state. The key of a plain path's only muster is the empty string.
#[derive(Debug, Clone)]
pub struct Roster {
    config: Arc<RosterConfig>,
    musters: BTreeMap<Arc<str>, Muster>,
    unsettled: BTreeSet<Arc<str>>,
    top: Top,
    fresh: bool,
    /// The node above, or the configuration, changed: the roster as a whole is to be judged.
    top_changed: bool,
    /// Changes may have been dropped unjudged when the registry went away.
    dropped: bool,
    value: Option<RosterValue>,
    hold: Option<Hold>,
    quarantined: BTreeSet<(Arc<str>, Arc<str>)>,
    /// Keys that are left out because of their names, and whether that was said.
    unfit_keys: BTreeMap<Arc<str>, bool>,
    /// The numbers that members had before the agent began, for the first good view of each path.
    recalled: RosterSlots,
}

/// What is known of the node above the members or the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Top {
    /// The registry has said nothing of it yet.
    Unseen,
    Absent,
    Unreadable(Arc<str>),
    Present,
}

impl Roster {
    /// A roster that nothing is known of.
    pub fn new(config: Arc<RosterConfig>, recalled: RosterSlots) -> Self {
        Self {
            config,
            musters: BTreeMap::new(),
            unsettled: BTreeSet::new(),
            top: Top::Unseen,
            fresh: false,
            top_changed: false,
            dropped: false,
            value: None,
            hold: None,
            quarantined: BTreeSet::new(),
            unfit_keys: BTreeMap::new(),
            recalled,
        }
    }

    /// How it is configured.
    pub fn config(&self) -> &Arc<RosterConfig> {
        &self.config
    }

    /// Takes on changed bounds and waits; the members are judged by them at once.
    pub fn reconfigure(&mut self, now: Moment, config: Arc<RosterConfig>) {
        if config == self.config {
            return;
        }
        self.config = config;
        self.top_changed = true;
        let keys: Vec<Arc<str>> = self.musters.keys().cloned().collect();
        for key in keys {
            self.touch(now, &key);
        }
    }

    /// The whole of it was read.
    pub fn reset(&mut self, now: Moment, view: &View) {
        self.fresh = true;
        self.top_changed = true;
        match view {
            View::Members(seen) => {
                self.top = top_of(seen);
                self.reset_muster(now, &Arc::from(""), seen);
            }
            View::Keyed(seen) => {
                self.top = top_of(seen);
                let none = BTreeMap::new();
                let keys = match seen {
                    Seen::Present(keys) => keys,
                    Seen::Absent => &none,
                    // Nothing is known of any key: each keeps what it has.
                    Seen::Unreadable(_) => return,
                };
                for (key, members) in keys {
                    self.reset_muster(now, key, members);
                }
                let gone: Vec<Arc<str>> = self.musters.keys().filter(|key| !keys.contains_key(*key)).cloned().collect();
                for key in gone {
                    self.vanish(now, &key);
                }
            }
            View::Node(_) => {}
        }
        self.dropped = false;
    }

    /// Something of it changed.
    pub fn update(&mut self, now: Moment, change: &Change) {
        let plain: Arc<str> = Arc::from("");
        let config = Arc::clone(&self.config);
        match change {
            Change::Put { key, name, reading } => {
                let key = key.as_ref().unwrap_or(&plain);
                if let Some(muster) = self.musters.get_mut(key) {
                    muster.put(now, name, reading, &config);
                    self.unsettled.insert(Arc::clone(key));
                }
            }
            Change::Left { key, name } => {
                let key = key.as_ref().unwrap_or(&plain);
                if let Some(muster) = self.musters.get_mut(key) {
                    muster.left(now, name);
                    self.unsettled.insert(Arc::clone(key));
                }
            }
            Change::Key { key, members } => self.reset_muster(now, key, members),
            Change::KeyLeft { key } => self.vanish(now, key),
        }
    }

    fn reset_muster(&mut self, now: Moment, key: &Arc<str>, seen: &Seen<Members>) {
        if key.chars().any(is_breaking) {
            // As a member would be: a template that writes the key would write a line of its own.
            self.top_changed |= self.unfit_keys.insert(Arc::clone(key), false).is_none();
            return;
        }
        if let Some(muster) = self.musters.get_mut(key) {
            muster.reset(now, seen, &self.config);
            if self.dropped {
                muster.touch(now);
            }
            self.unsettled.insert(Arc::clone(key));
        } else {
            self.musters.insert(Arc::clone(key), Muster::new(seen, &self.config));
            self.touch(now, key);
        }
    }

    fn touch(&mut self, now: Moment, key: &Arc<str>) {
        if let Some(muster) = self.musters.get_mut(key) {
            muster.touch(now);
            self.unsettled.insert(Arc::clone(key));
        }
    }

    fn vanish(&mut self, now: Moment, key: &Arc<str>) {
        self.unfit_keys.remove(key);
        if let Some(muster) = self.musters.get_mut(key) {
            muster.vanish(now);
            if self.dropped {
                muster.touch(now);
            }
            self.unsettled.insert(Arc::clone(key));
        }
    }

    /// The registry is not reached: nothing is judged until it has been read again.
    pub fn away(&mut self) {
        self.fresh = false;
        self.dropped = true;
        self.unsettled.clear();
        for muster in self.musters.values_mut() {
            muster.unsettle();
        }
    }

    /// When something of it is to be judged next.
    pub fn due(&self) -> Option<Moment> {
        if !self.fresh {
            return None;
        }
        if self.top_changed {
            return Some(Moment::START);
        }
        self.unsettled.iter().filter_map(|key| self.due_of(key)).min()
    }

    fn due_of(&self, key: &Arc<str>) -> Option<Moment> {
        let muster = self.musters.get(key)?;
        // The first view is judged at once: it is whole, and a template may be waiting for it.
        if muster.good().is_none() && muster.hold().is_none() {
            return Some(Moment::START);
        }
        muster.due(&self.config)
    }

    /// Judges what is due. Says whether templates see something else than before.
    pub fn judge(&mut self, now: Moment, host: &str, notices: &mut Vec<Notice>) -> bool {
        if !self.fresh {
            return false;
        }
        self.top_changed = false;
        let due: Vec<Arc<str>> =
            self.unsettled.iter().filter(|key| self.due_of(key).is_some_and(|due| due <= now)).cloned().collect();
        let mut changed = false;
        for key in due {
            changed |= self.judge_key(now, &key, host, notices);
        }
        // Musters with nothing left to wait for are looked at no more.
        let (musters, config) = (&self.musters, &self.config);
        self.unsettled.retain(|key| musters.get(key).is_some_and(|muster| muster.due(config).is_some()));
        if changed || self.value.is_none() {
            changed = self.gather() || changed;
        }
        self.say_unfit_keys(notices);
        self.judge_top(now, notices);
        changed
    }

    fn say_unfit_keys(&mut self, notices: &mut Vec<Notice>) {
        for (key, said) in self.unfit_keys.iter_mut().filter(|(_, said)| !**said) {
            *said = true;
            let why = Quarantine::Control { place: "its name".to_owned() };
            let path = self.config.subject.members_of(key);
            notices.push(Notice::Quarantined { roster: Arc::clone(&self.config.name), path, why });
        }
    }

    fn judge_key(&mut self, now: Moment, key: &Arc<str>, host: &str, notices: &mut Vec<Notice>) -> bool {
        let Some(muster) = self.musters.get_mut(key) else {
            return false;
        };
        let verdict = muster.judge(now, &self.config, host, self.recalled.get(key));
        if muster.good().is_some() {
            self.recalled.remove(key);
        }
        for (name, why) in muster.unfit() {
            if self.quarantined.insert((Arc::clone(key), Arc::clone(name))) {
                let (path, why) = (self.config.subject.members_of(key).child(name), why.clone());
                notices.push(Notice::Quarantined { roster: Arc::clone(&self.config.name), path, why });
            }
        }
        let unfit: BTreeSet<&Arc<str>> = muster.unfit().map(|(name, _)| name).collect();
        self.quarantined.retain(|(of, name)| of != key || unfit.contains(name));
        match verdict {
            Verdict::Admit { changed, released } => {
                let forgotten = muster.is_absent();
                if forgotten && !key.is_empty() {
                    // With min = 0 a key that is gone is gone.
                    self.musters.remove(key);
                }
                if released {
                    let path = self.config.subject.members_of(key);
                    notices.push(Notice::Released { roster: Arc::clone(&self.config.name), path: path.to_string() });
                }
                changed || (forgotten && !key.is_empty())
            }
            Verdict::Hold { new } => {
                let kept = muster.good().map(|seats| seats.len());
                if kept.is_none() && muster.is_absent() && !key.is_empty() {
                    // A key that never had enough members and is gone leaves nothing behind.
                    self.musters.remove(key);
                } else if new && let Some(hold) = muster.hold() {
                    let why = hold.reason.of(&self.config.subject.members_of(key));
                    notices.push(Notice::Holding { roster: Arc::clone(&self.config.name), why, kept });
                }
                false
            }
        }
    }

    /// Puts the value for templates together. Says whether there is one now where there was none.
    fn gather(&mut self) -> bool {
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
    fn judge_top(&mut self, now: Moment, notices: &mut Vec<Notice>) {
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
        let roster = Arc::clone(&self.config.name);
        match (reason, self.hold.take()) {
            (Some(reason), known) => {
                if known.as_ref().is_none_or(|hold| hold.reason != reason) {
                    let kept = self.value.as_ref().map(|_| self.musters.len());
                    notices.push(Notice::Holding { roster, why: reason.of(&self.config.subject), kept });
                }
                self.hold = Some(Hold { reason, since: known.map_or(now, |hold| hold.since) });
            }
            (None, Some(_)) => notices.push(Notice::Released { roster, path: self.config.subject.to_string() }),
            (None, None) => {}
        }
    }

    fn is_keyed(&self) -> bool {
        matches!(self.config.subject, crate::node::Subject::Keyed { .. })
    }

    /// What templates see; `None` while there never was a good view.
    pub fn value(&self) -> Option<&RosterValue> {
        self.value.as_ref()
    }

    /// The numbers of its members. What was recalled and not needed yet is kept: its path may only be late.
    pub fn slots(&self) -> RosterSlots {
        let good =
            self.musters.iter().filter_map(|(key, muster)| Some((Arc::clone(key), slots::numbers(muster.good()?))));
        self.recalled.clone().into_iter().chain(good).collect()
    }

    /// Whether the registry has said anything of it since the agent began.
    pub fn is_seen(&self) -> bool {
        self.top != Top::Unseen
    }

    /// Whether what templates see is not what the registry shows. A key that never had enough members is left out, and
    /// is no reason to call the others held.
    pub fn is_held(&self) -> bool {
        let stands_in = |muster: &Muster| muster.hold().is_some() && (muster.good().is_some() || !self.is_keyed());
        self.hold.is_some() || self.musters.values().any(stands_in)
    }

    /// The holds in force, each with the path that it is about.
    pub fn holds(&self) -> Vec<(String, &Hold)> {
        let own = self.hold.iter().map(|hold| (self.config.subject.to_string(), hold));
        let musters = self.musters.iter().filter_map(|(key, muster)| {
            muster.hold().map(|hold| (self.config.subject.members_of(key).to_string(), hold))
        });
        own.chain(musters).collect()
    }
}

fn top_of<T>(seen: &Seen<T>) -> Top {
    match seen {
        Seen::Absent => Top::Absent,
        Seen::Unreadable(why) => Top::Unreadable(Arc::clone(why)),
        Seen::Present(_) => Top::Present,
    }
}
