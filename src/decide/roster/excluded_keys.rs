//! Keys that `where` excludes: they have no member set, whatever their nodes hold.

use std::sync::Arc;

use super::Roster;
use crate::decide::event::Event;
use crate::decide::member_set::MemberSet;

impl Roster {
    /// Whether `where` includes a key.
    pub fn includes_key(&self, key: &str) -> bool {
        self.config.filter.as_ref().is_none_or(|filter| filter.matches_key(key))
    }

    /// Drops known keys that a changed `where` excludes. Returns whether there were any.
    ///
    /// A key with a file is not dropped here: its file is removed as if its node were gone, under the guard of keys.
    pub fn drop_excluded_keys(&mut self, events: &mut Vec<Event>) -> bool {
        if !self.is_keyed() || self.removes_keys() {
            return false;
        }
        let excluded: Vec<Arc<str>> = self.member_sets.keys().filter(|key| !self.includes_key(key)).cloned().collect();
        for key in &excluded {
            self.drop_key(key, events);
        }
        !excluded.is_empty()
    }

    /// Drops a key with all that is known of its members, also from the saved state.
    pub fn drop_key(&mut self, key: &Arc<str>, events: &mut Vec<Event>) {
        let members = self.member_sets.remove(key).filter(|_| self.is_loaded);
        let before = members.as_ref().and_then(MemberSet::good).map_or(&[][..], |good| good);
        events.extend(self.members_changed_event(key, before, &[], self.parent_version.current()));
        self.unsettled.remove(key);
        self.admitted.insert(Arc::clone(key));
    }

    /// Whether no key has known-good members, although one must have. Templates keep the last ones that they saw.
    pub fn lacks_keys(&self) -> bool {
        let has_good = self.member_sets.values().any(|members| members.good().is_some());
        !has_good && self.is_keyed() && !self.removes_keys() && self.config.bounds.min() > 0
    }
}
