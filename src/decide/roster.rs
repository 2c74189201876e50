//! One `[[roster]]`: its path's members, or those of each key that its `*` matches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::freshness::Freshness;
use super::hold::Hold;
use super::member_set::MemberSet;
use super::moment::Moment;
use super::publication::RosterValue;
use super::saved::Recalled;
use super::slots::RosterSlots;
use crate::config::RosterConfig;
use crate::model::member::is_breaking;
use crate::model::registry_event::{Change, Members, Seen, View};
use crate::model::version::{VersionTracker, Versions};
use crate::payload::Format;

use departed::Departed;

mod accept;
mod departed;
mod judge;
mod membership;
mod persistence;
mod report;

/// A roster's state. The key of a plain path's only muster is the empty string.
#[derive(Debug, Clone)]
pub struct Roster {
    config: Arc<RosterConfig>,
    musters: BTreeMap<Arc<str>, MemberSet>,
    unsettled: BTreeSet<Arc<str>>,
    top: Top,
    /// How late the node above the keys was seen.
    top_stamp: VersionTracker,
    /// The registry is reached and has been heard of this: what is known may be judged.
    reached: bool,
    freshness: Freshness,
    /// The node above, or the configuration, changed: the roster as a whole is to be judged.
    top_changed: bool,
    /// Changes may have been dropped unjudged when the registry went away.
    dropped: bool,
    value: Option<RosterValue>,
    /// The first view that is taken is no change.
    is_loaded: bool,
    hold: Option<Hold>,
    quarantined: BTreeSet<(Arc<str>, Arc<str>)>,
    /// Formats that `auto` has chosen for a path of it, and that were said.
    told: BTreeSet<Format>,
    /// Keys that are left out because of their names, and whether that was said.
    unfit_keys: BTreeMap<Arc<str>, bool>,
    /// The numbers that members had before the agent began, for the first good view of each path.
    recalled: RosterSlots,
    /// The keys of which a view was admitted since this was last asked for.
    admitted: BTreeSet<Arc<str>>,
    /// The keys of which a view was held since.
    held: BTreeSet<Arc<str>>,
    departed: Departed,
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
    /// A roster, and what is remembered of it. `host` is this host's name.
    ///
    /// The members that were last good are known, and nothing is rendered from them: see [`Roster::stand_in`].
    pub fn new(config: Arc<RosterConfig>, recalled: Option<&Recalled>, url: &str, host: &str) -> Self {
        let mut roster = Self {
            musters: BTreeMap::new(),
            unsettled: BTreeSet::new(),
            top: Top::Unseen,
            top_stamp: VersionTracker::default(),
            reached: false,
            freshness: Freshness::NEVER,
            top_changed: false,
            dropped: false,
            value: None,
            is_loaded: false,
            hold: None,
            quarantined: BTreeSet::new(),
            told: BTreeSet::new(),
            unfit_keys: BTreeMap::new(),
            recalled: recalled.map(Recalled::slots).unwrap_or_default(),
            admitted: BTreeSet::new(),
            held: BTreeSet::new(),
            departed: Departed::default(),
            config,
        };
        if let Some(recalled) = recalled.filter(|recalled| recalled.origin == roster.origin(url)) {
            roster.recall(recalled, host);
        }
        roster
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

    /// The whole of it was read, and is so late.
    pub fn reset(&mut self, now: Moment, view: &View, versions: &Versions) {
        self.reached = true;
        self.top_changed = true;
        let above = versions.get("").copied();
        match view {
            View::Members(seen) => {
                self.see_top(now, top_of(seen));
                self.reset_muster(now, &Arc::from(""), seen, versions);
            }
            View::Keyed(seen) => {
                self.see_top(now, top_of(seen));
                self.top_stamp.observe(above);
                let none = BTreeMap::new();
                let keys = match seen {
                    Seen::Present(keys) => keys,
                    Seen::Absent => &none,
                    // Nothing is known of any key: each keeps what it has.
                    Seen::Unreadable(_) => return,
                };
                self.keys_there(keys.keys().cloned());
                for (key, members) in keys {
                    self.reset_muster(now, key, members, versions);
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

    fn see_top(&mut self, now: Moment, top: Top) {
        match &top {
            Top::Unreadable(_) => self.freshness.lose(now),
            _ => self.freshness.confirm(),
        }
        self.top = top;
    }

    /// Something of it changed, and it is so late now.
    pub fn update(&mut self, now: Moment, changes: &[Change], versions: &Versions) {
        for (key, stamp) in versions {
            if self.is_keyed() && key.is_empty() {
                self.top_stamp.observe(Some(*stamp));
            } else if let Some(muster) = self.musters.get_mut(key) {
                muster.stamped(now, Some(*stamp));
                self.unsettled.insert(Arc::clone(key));
            }
        }
        for change in changes {
            self.change(now, change, versions);
        }
    }

    fn change(&mut self, now: Moment, change: &Change, versions: &Versions) {
        let plain: Arc<str> = Arc::from("");
        match change {
            Change::Put { key, name, reading } => {
                let key = key.as_ref().unwrap_or(&plain);
                if let Some(muster) = self.musters.get_mut(key) {
                    muster.put(now, name, reading, &self.config);
                    self.unsettled.insert(Arc::clone(key));
                }
            }
            Change::Removed { key, name } => {
                let key = key.as_ref().unwrap_or(&plain);
                if let Some(muster) = self.musters.get_mut(key) {
                    muster.left(now, name, &self.config);
                    self.unsettled.insert(Arc::clone(key));
                }
            }
            Change::KeyPut { key, members } => {
                self.key_is_there(key);
                self.reset_muster(now, key, members, versions);
            }
            Change::KeyRemoved { key } => {
                self.key_left(key);
                self.vanish(now, key);
            }
        }
    }

    fn reset_muster(&mut self, now: Moment, key: &Arc<str>, seen: &Seen<Members>, versions: &Versions) {
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
        } else {
            self.musters.insert(Arc::clone(key), MemberSet::new(seen, &self.config));
        }
        if let Some(muster) = self.musters.get_mut(key) {
            muster.stamped(now, versions.get(key).copied());
        }
        self.unsettled.insert(Arc::clone(key));
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
            muster.stamped_from_above(now, self.top_stamp);
            // What a hold keeps was judged already, and goes on being held.
            if self.dropped && !self.departed.keeps(key) {
                muster.touch(now);
            }
            self.unsettled.insert(Arc::clone(key));
        }
    }

    /// The registry is not reached: nothing is judged until it has been read again.
    pub fn away(&mut self, now: Moment) {
        self.freshness.lose(now);
        self.reached = false;
        self.dropped = true;
        self.unsettled.clear();
        self.departed_unseen();
        for muster in self.musters.values_mut() {
            muster.unsettle();
        }
    }

    fn is_keyed(&self) -> bool {
        matches!(self.config.subject, crate::model::node_path::Subject::Keyed { .. })
    }

    /// What templates see; `None` while there never was a good view.
    pub fn value(&self) -> Option<&RosterValue> {
        self.value.as_ref()
    }

    /// Lets the present views through that only their loss of members holds, and makes them what later ones are measured
    /// by. Gives the paths that this is about.
    pub fn accept(&mut self, now: Moment) -> Vec<String> {
        if !self.reached {
            return Vec::new();
        }
        let (musters, config) = (self.musters.iter_mut(), &self.config);
        let held: Vec<Arc<str>> =
            musters.filter_map(|(key, muster)| muster.accept(now, config).then(|| Arc::clone(key))).collect();
        self.unsettled.extend(held.iter().cloned());
        let keys = self.accept_departed().then(|| self.config.subject.to_string());
        held.iter().map(|key| self.config.subject.members_of(key).to_string()).chain(keys).collect()
    }

    /// Whether the registry is reached and its path has been read since, so that what is known is what there is.
    #[cfg(test)]
    pub fn is_fresh(&self) -> bool {
        self.freshness.is_live()
    }

    /// How long ago the view was last confirmed, which is nothing while it is fresh; `None` where that is not known.
    pub fn age(&self, now: Moment) -> Option<Duration> {
        self.freshness.age(now)
    }

    /// Whether the registry has said anything of it since the agent began.
    pub fn is_seen(&self) -> bool {
        self.top != Top::Unseen
    }

    /// Whether what templates see is not what the registry shows. A key that never had enough members is left out, and
    /// is no reason to call the others held.
    pub fn is_held(&self) -> bool {
        let stands_in = |muster: &MemberSet| muster.hold().is_some() && (muster.good().is_some() || !self.is_keyed());
        self.hold.is_some() || self.departed.hold().is_some() || self.musters.values().any(stands_in)
    }

    /// The holds in force, each with the path that it is about.
    pub fn holds(&self) -> Vec<(String, &Hold)> {
        let own = self.hold.iter().chain(self.departed.hold()).map(|hold| (self.config.subject.to_string(), hold));
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
