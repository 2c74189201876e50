//! One `[[roster]]`: its path's members, or those of each key that its `*` matches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::freshness::Freshness;
use super::hold::Hold;
use super::member_set::MemberSet;
use super::moment::Moment;
use super::publication::RosterValue;
use super::saved::SavedRoster;
use super::slots::RosterSlots;
use crate::config::RosterConfig;
use crate::model::member::is_breaking;
use crate::model::registry_event::{Change, Members, Seen, View};
use crate::model::version::{VersionTracker, Versions};
use crate::payload::Format;

use removed_keys::RemovedKeys;

mod accept;
mod evaluate;
mod membership;
mod persistence;
mod removed_keys;
mod report;

/// A roster's state. The key of a plain path's only members is the empty string.
#[derive(Debug, Clone)]
pub struct Roster {
    config: Arc<RosterConfig>,
    member_sets: BTreeMap<Arc<str>, MemberSet>,
    unsettled: BTreeSet<Arc<str>>,
    parent: ParentState,
    /// How late the node above the keys was seen.
    parent_version: VersionTracker,
    /// The registry is reached and has been heard of this: what is known may be judged.
    reached: bool,
    freshness: Freshness,
    /// The node above, or the configuration, changed: the roster as a whole is to be judged.
    is_dirty: bool,
    /// Changes may have been dropped unjudged when the registry went away.
    dropped: bool,
    value: Option<RosterValue>,
    /// The first view that is taken is no change.
    is_loaded: bool,
    hold: Option<Hold>,
    quarantined: BTreeSet<(Arc<str>, Arc<str>)>,
    /// Formats that `auto` has chosen for a path of it, and that were said.
    reported_formats: BTreeSet<Format>,
    /// Keys that are left out because of their names, and whether that was said.
    invalid_keys: BTreeMap<Arc<str>, bool>,
    /// The numbers that members had before the agent began, for the first good view of each path.
    saved_slots: RosterSlots,
    /// The keys of which a view was admitted since this was last asked for.
    admitted: BTreeSet<Arc<str>>,
    /// The keys of which a view was held since.
    held: BTreeSet<Arc<str>>,
    removed_keys: RemovedKeys,
}

/// What is known of the node above the members or the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ParentState {
    /// The registry has said nothing of it yet.
    Unseen,
    Absent,
    Unreadable(Arc<str>),
    Present,
}

impl Roster {
    /// A roster, and what is remembered of it. `host` is this host's name.
    ///
    /// The members that were last good are known, and nothing is rendered from them: see [`Roster::use_saved`].
    pub fn new(config: Arc<RosterConfig>, saved: Option<&SavedRoster>, url: &str, host: &str) -> Self {
        let mut roster = Self {
            member_sets: BTreeMap::new(),
            unsettled: BTreeSet::new(),
            parent: ParentState::Unseen,
            parent_version: VersionTracker::default(),
            reached: false,
            freshness: Freshness::NEVER,
            is_dirty: false,
            dropped: false,
            value: None,
            is_loaded: false,
            hold: None,
            quarantined: BTreeSet::new(),
            reported_formats: BTreeSet::new(),
            invalid_keys: BTreeMap::new(),
            saved_slots: saved.map(SavedRoster::slots).unwrap_or_default(),
            admitted: BTreeSet::new(),
            held: BTreeSet::new(),
            removed_keys: RemovedKeys::default(),
            config,
        };
        if let Some(saved) = saved.filter(|saved| saved.origin == roster.origin(url)) {
            roster.restore(saved, host);
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
        self.is_dirty = true;
        let keys: Vec<Arc<str>> = self.member_sets.keys().cloned().collect();
        for key in keys {
            self.mark_changed(now, &key);
        }
    }

    /// The whole of it was read, and is so late.
    pub fn reset(&mut self, now: Moment, view: &View, versions: &Versions) {
        self.reached = true;
        self.is_dirty = true;
        let above = versions.get("").copied();
        match view {
            View::Members(seen) => {
                self.set_parent(now, parent_state(seen));
                self.reset_members(now, &Arc::from(""), seen, versions);
            }
            View::Keyed(seen) => {
                self.set_parent(now, parent_state(seen));
                self.parent_version.observe(above);
                let none = BTreeMap::new();
                let keys = match seen {
                    Seen::Present(keys) => keys,
                    Seen::Absent => &none,
                    // Nothing is known of any key: each keeps what it has.
                    Seen::Unreadable(_) => return,
                };
                self.set_present_keys(keys.keys().cloned());
                for (key, members) in keys {
                    self.reset_members(now, key, members, versions);
                }
                let gone: Vec<Arc<str>> =
                    self.member_sets.keys().filter(|key| !keys.contains_key(*key)).cloned().collect();
                for key in gone {
                    self.path_removed(now, &key);
                }
            }
            View::Node(_) => {}
        }
        self.dropped = false;
    }

    fn set_parent(&mut self, now: Moment, parent: ParentState) {
        match &parent {
            ParentState::Unreadable(_) => self.freshness.lose(now),
            _ => self.freshness.confirm(),
        }
        self.parent = parent;
    }

    /// Something of it changed, and it is so late now.
    pub fn update(&mut self, now: Moment, changes: &[Change], versions: &Versions) {
        for (key, version) in versions {
            if self.is_keyed() && key.is_empty() {
                self.parent_version.observe(Some(*version));
            } else if let Some(members) = self.member_sets.get_mut(key) {
                members.set_version(now, Some(*version));
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
                if let Some(members) = self.member_sets.get_mut(key) {
                    members.put(now, name, reading, &self.config);
                    self.unsettled.insert(Arc::clone(key));
                }
            }
            Change::Removed { key, name } => {
                let key = key.as_ref().unwrap_or(&plain);
                if let Some(members) = self.member_sets.get_mut(key) {
                    members.remove(now, name, &self.config);
                    self.unsettled.insert(Arc::clone(key));
                }
            }
            Change::KeyPut { key, members } => {
                self.key_added(key);
                self.reset_members(now, key, members, versions);
            }
            Change::KeyRemoved { key } => {
                self.key_removed(key);
                self.path_removed(now, key);
            }
        }
    }

    fn reset_members(&mut self, now: Moment, key: &Arc<str>, seen: &Seen<Members>, versions: &Versions) {
        if key.chars().any(is_breaking) {
            // As a member would be: a template that writes the key would write a line of its own.
            self.is_dirty |= self.invalid_keys.insert(Arc::clone(key), false).is_none();
            return;
        }
        if let Some(members) = self.member_sets.get_mut(key) {
            members.reset(now, seen, &self.config);
            if self.dropped {
                members.mark_changed(now);
            }
        } else {
            self.member_sets.insert(Arc::clone(key), MemberSet::new(seen, &self.config));
        }
        if let Some(members) = self.member_sets.get_mut(key) {
            members.set_version(now, versions.get(key).copied());
        }
        self.unsettled.insert(Arc::clone(key));
    }

    fn mark_changed(&mut self, now: Moment, key: &Arc<str>) {
        if let Some(members) = self.member_sets.get_mut(key) {
            members.mark_changed(now);
            self.unsettled.insert(Arc::clone(key));
        }
    }

    fn path_removed(&mut self, now: Moment, key: &Arc<str>) {
        self.invalid_keys.remove(key);
        if let Some(members) = self.member_sets.get_mut(key) {
            members.path_removed(now);
            members.set_version_from_parent(now, self.parent_version);
            // What a hold keeps was judged already, and goes on being held.
            if self.dropped && !self.removed_keys.keeps(key) {
                members.mark_changed(now);
            }
            self.unsettled.insert(Arc::clone(key));
        }
    }

    /// The registry is not reached: nothing is judged until it has been read again.
    pub fn connection_lost(&mut self, now: Moment) {
        self.freshness.lose(now);
        self.reached = false;
        self.dropped = true;
        self.unsettled.clear();
        self.forget_accepted_keys();
        for members in self.member_sets.values_mut() {
            members.discard_changes();
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
        let (member_sets, config) = (self.member_sets.iter_mut(), &self.config);
        let held: Vec<Arc<str>> =
            member_sets.filter_map(|(key, members)| members.accept(now, config).then(|| Arc::clone(key))).collect();
        self.unsettled.extend(held.iter().cloned());
        let keys = self.accept_removed_keys().then(|| self.config.subject.to_string());
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
        self.parent != ParentState::Unseen
    }

    /// Whether what templates see is not what the registry shows. A key that never had enough members is left out, and
    /// is no reason to call the others held.
    pub fn is_held(&self) -> bool {
        let uses_saved =
            |members: &MemberSet| members.hold().is_some() && (members.good().is_some() || !self.is_keyed());
        self.hold.is_some() || self.removed_keys.hold().is_some() || self.member_sets.values().any(uses_saved)
    }

    /// The holds in force, each with the path that it is about.
    pub fn holds(&self) -> Vec<(String, &Hold)> {
        let own = self.hold.iter().chain(self.removed_keys.hold()).map(|hold| (self.config.subject.to_string(), hold));
        let member_sets = self.member_sets.iter().filter_map(|(key, members)| {
            members.hold().map(|hold| (self.config.subject.members_of(key).to_string(), hold))
        });
        own.chain(member_sets).collect()
    }
}

fn parent_state<T>(seen: &Seen<T>) -> ParentState {
    match seen {
        Seen::Absent => ParentState::Absent,
        Seen::Unreadable(why) => ParentState::Unreadable(Arc::clone(why)),
        Seen::Present(_) => ParentState::Present,
    }
}
