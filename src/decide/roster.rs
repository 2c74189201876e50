//! One `[[roster]]`: the members of its path, or those of each key that its `*` matches.

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
use crate::model::quarantine::is_breaking;
use crate::model::registry_event::{Change, Members, Seen, View};
use crate::model::version::{VersionTracker, Versions};
use crate::payload::Format;

use removed_keys::RemovedKeys;

mod accept;
mod evaluate;
mod excluded_keys;
mod membership;
mod persistence;
mod removed_keys;
mod report;

/// The state of a roster. The key of a plain path is the empty string.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub struct Roster {
    config: Arc<RosterConfig>,
    member_sets: BTreeMap<Arc<str>, MemberSet>,
    unsettled: BTreeSet<Arc<str>>,
    parent: ParentState,
    /// The version of the parent node of the keys.
    parent_version: VersionTracker,
    /// The registry is reached and has answered about this roster since. It can be evaluated.
    reached: bool,
    freshness: Freshness,
    /// The parent node or the configuration changed: the whole roster is to be evaluated.
    is_dirty: bool,
    /// Changes may have been dropped without an evaluation, because the registry was not reached.
    dropped: bool,
    value: Option<RosterValue>,
    /// Known-good members were loaded. Before that, members are not reported as changed.
    is_loaded: bool,
    hold: Option<Hold>,
    /// The nodes that were reported as left out, by key and name.
    left_out: BTreeSet<(Arc<str>, Arc<str>)>,
    /// The formats chosen by `auto` that were reported.
    reported_formats: BTreeSet<Format>,
    /// Keys that are left out because of their names, and whether that was reported.
    invalid_keys: BTreeMap<Arc<str>, bool>,
    /// The slots of the members in earlier runs, for the first known-good view of each path.
    saved_slots: RosterSlots,
    /// The keys with an admitted view that is not saved yet.
    admitted: BTreeSet<Arc<str>>,
    /// The keys with a held view that is not saved yet.
    held: BTreeSet<Arc<str>>,
    removed_keys: RemovedKeys,
}

/// The state of the node above the members or the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ParentState {
    /// The registry has not answered yet.
    Unseen,
    Absent,
    Unreadable(Arc<str>),
    Present,
}

impl Roster {
    /// Creates a roster with its saved state. `host` is this host's name.
    ///
    /// Saved members are not rendered before [`Roster::use_saved`].
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
            left_out: BTreeSet::new(),
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

    /// Its configuration.
    pub fn config(&self) -> &Arc<RosterConfig> {
        &self.config
    }

    /// Applies changed bounds and waits. The members are evaluated at once.
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

    /// Replaces the view of the whole roster.
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
                let keys: BTreeMap<&Arc<str>, &Seen<Members>> = match seen {
                    Seen::Present(keys) => keys.iter().filter(|(key, _)| self.includes_key(key)).collect(),
                    Seen::Absent => BTreeMap::new(),
                    // Nothing is known of the keys. Each keeps what it has.
                    Seen::Unreadable(_) => return,
                };
                self.set_present_keys(keys.keys().map(|key| Arc::clone(key)));
                for (key, members) in &keys {
                    self.reset_members(now, key, members, versions);
                }
                let gone: Vec<Arc<str>> =
                    self.member_sets.keys().filter(|key| !keys.contains_key(key)).cloned().collect();
                for key in gone {
                    self.path_removed(now, &key);
                }
            }
            View::Node(_) | View::Mapped { .. } => {}
        }
        self.dropped = false;
    }

    fn set_parent(&mut self, now: Moment, parent: ParentState) {
        match &parent {
            ParentState::Unreadable(_) => self.freshness.mark_stale(now),
            _ => self.freshness.confirm(),
        }
        self.parent = parent;
    }

    /// Applies changes of a view.
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
            Change::KeyPut { key, members } if self.includes_key(key) => {
                self.key_added(key);
                self.reset_members(now, key, members, versions);
            }
            Change::KeyRemoved { key } => {
                self.key_removed(key);
                self.path_removed(now, key);
            }
            Change::KeyPut { .. } => {}
        }
    }

    fn reset_members(&mut self, now: Moment, key: &Arc<str>, seen: &Seen<Members>, versions: &Versions) {
        if key.chars().any(is_breaking) {
            // Such a key could add lines to a file.
            self.is_dirty |= self.invalid_keys.insert(Arc::clone(key), false).is_none();
            return;
        }
        if let Some(members) = self.member_sets.get_mut(key) {
            members.reset(now, seen, &self.config);
            if self.dropped {
                members.mark_changed(now);
            }
        } else {
            self.member_sets.insert(Arc::clone(key), MemberSet::new(key, seen, &self.config));
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
            // A hold that was evaluated before stays in force.
            if self.dropped && !self.removed_keys.keeps(key) {
                members.mark_changed(now);
            }
            self.unsettled.insert(Arc::clone(key));
        }
    }

    /// The registry cannot be reached. Nothing is evaluated until the path has been read again.
    pub fn connection_lost(&mut self, now: Moment) {
        self.freshness.mark_stale(now);
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

    /// What templates see; `None` before the first known-good view.
    pub fn value(&self) -> Option<&RosterValue> {
        self.value.as_ref()
    }

    /// Accepts the current views that only the loss of members holds, as the new baselines. Returns their paths.
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

    /// Whether the registry is reached and the path has been read since.
    #[cfg(test)]
    pub fn is_fresh(&self) -> bool {
        self.freshness.is_live()
    }

    /// How long ago the view was last confirmed: zero while it is fresh; `None` if unknown.
    pub fn age(&self, now: Moment) -> Option<Duration> {
        self.freshness.age(now)
    }

    /// Whether the registry has answered about it in this run.
    pub fn is_seen(&self) -> bool {
        self.parent != ParentState::Unseen
    }

    /// Whether templates see other members than the registry has. A key that never had enough members does not count.
    pub fn is_held(&self) -> bool {
        let uses_saved =
            |members: &MemberSet| members.hold().is_some() && (members.good().is_some() || !self.is_keyed());
        self.hold.is_some() || self.removed_keys.hold().is_some() || self.member_sets.values().any(uses_saved)
    }

    /// The holds in force, each with its path.
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
