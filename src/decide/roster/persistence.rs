//! The saved state of a roster: what it starts with, and what it saves for the next start.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Roster;
use crate::decide::freshness::Freshness;
use crate::decide::guard;
use crate::decide::member_set::MemberSet;
use crate::decide::moment::Moment;
use crate::decide::saved::{Origin, SavedPath, SavedRoster, SavedUpdate};
use crate::model::registry_event::{Seen, View};
use crate::model::version::VersionTracker;

impl Roster {
    pub fn restore(&mut self, saved: &SavedRoster, host: &str) {
        self.freshness = Freshness::from_saved(saved.age);
        // If the clock was set back, the age is unknown, and it is safer to hold a loss.
        let recent = saved.age.is_none_or(|age| age <= guard::WINDOW);
        for (key, known) in &saved.paths {
            if self.is_keyed() && key.is_empty() {
                self.parent_version = VersionTracker::restored(known.version);
                self.restore_removed_keys(&known.guard_history, recent);
            } else if self.includes_key(key) {
                self.member_sets.insert(Arc::clone(key), MemberSet::from_saved(key, known, &self.config, host, recent));
            }
        }
    }

    /// Its origin, in the registry at this URL.
    pub fn origin(&self, url: &str) -> Origin {
        Origin { url: Arc::from(url), path: Arc::from(self.config.subject.to_string()) }
    }

    /// The views that were evaluated since the last call, to be saved. `view` is the current view as read.
    pub fn take_saved_update(&mut self, url: &str, view: Option<&View>) -> Option<SavedUpdate> {
        let held: BTreeMap<_, _> = std::mem::take(&mut self.held)
            .into_iter()
            .filter_map(|key| {
                let members = self.member_sets.get(&key).filter(|members| members.good().is_some())?;
                let held = members.to_saved_hold();
                Some((key, held))
            })
            .collect();
        let changed = self.take_removed_keys_changed();
        if self.admitted.is_empty() && held.is_empty() && !changed {
            return None;
        }
        let nodes = |key: &Arc<str>| match view? {
            View::Members(Seen::Present(nodes)) => Some(nodes),
            View::Keyed(Seen::Present(keys)) => match keys.get(key)? {
                Seen::Present(nodes) => Some(nodes),
                Seen::Absent | Seen::Unreadable(_) => None,
            },
            _ => None,
        };
        let known = |key| Some(self.member_sets.get(key)?.to_saved(nodes(key)));
        let mut paths: BTreeMap<_, _> = self.admitted.iter().map(|key| (Arc::clone(key), known(key))).collect();
        if self.is_keyed() {
            let (version, guard_history) = (self.parent_version.highest(), self.removed_keys_history());
            let above = SavedPath { version, guard_history, ..SavedPath::default() };
            paths.insert(Arc::from(""), Some(above));
        }
        self.admitted.clear();
        Some(SavedUpdate { name: Arc::clone(&self.config.name), origin: self.origin(url), paths, held })
    }

    /// Allows templates to use saved members that are at most `max` old. Returns whether they see members now and saw
    /// none before.
    pub fn use_saved(&mut self, now: Moment, max: Option<Duration>) -> bool {
        let young = max.is_none_or(|max| self.freshness.age(now).is_some_and(|age| age <= max));
        !self.is_seen() && self.value.is_none() && young && self.rebuild_value()
    }
}
