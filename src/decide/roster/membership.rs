//! Events of an evaluation: members that were added, removed or changed, and holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Roster;
use crate::decide::event::Event;
use crate::decide::hold::Reason;
use crate::decide::member_set::MemberSet;
use crate::decide::publication::{RosterValue, SlottedMember, ViewVersion};
use crate::model::member::Member;
use crate::model::version::Zxid;

impl Roster {
    /// The event of its first known-good members.
    pub fn loaded_event(&self) -> Event {
        let keys = match &self.value {
            Some(RosterValue::Map(keys)) => Some(keys.len()),
            Some(RosterValue::List(_)) | None => None,
        };
        let own = self.member_sets.get("").map_or(self.parent_version, MemberSet::version);
        Event::RosterLoaded {
            roster: Arc::clone(&self.config.name),
            path: self.config.subject.to_string(),
            key_count: keys,
            members: self.value.as_ref().map_or(0, RosterValue::count),
            zxid: own.current(),
        }
    }

    /// The version of the view that a file shows: of the whole roster, or of the key that the file is for.
    pub fn view_version(&self, key: Option<&Arc<str>>) -> ViewVersion {
        let own = self.member_sets.get(key.map_or("", |key| &**key));
        let path =
            key.map_or_else(|| self.config.subject.to_string(), |key| self.config.subject.members_of(key).to_string());
        let members = match (&self.value, key) {
            (Some(RosterValue::Map(keys)), Some(key)) => keys.get(key).map(|slotted| slotted.len()),
            (value, _) => value.as_ref().map(RosterValue::count),
        };
        let zxid = own.map_or(self.parent_version, MemberSet::version).current();
        let held = key.map_or_else(|| self.is_held(), |_| own.is_some_and(|own| own.hold().is_some()));
        let zxid = zxid.map(|zxid| format!("{:#x}", zxid.0));
        ViewVersion { name: Arc::clone(&self.config.name), path, zxid, members, held }
    }

    /// The event of the difference between two member lists of a key; `None` if they are equal.
    pub fn members_changed_event(
        &self,
        key: &Arc<str>,
        before: &[SlottedMember],
        after: &[SlottedMember],
        zxid: Option<Zxid>,
    ) -> Option<Event> {
        let members = after.len();
        // Most members are unchanged and at the same position.
        let same = |(one, other): &(&SlottedMember, &SlottedMember)| Arc::ptr_eq(&one.member, &other.member);
        let head = before.iter().zip(after).take_while(same).count();
        let (before, after) = (&before[head..], &after[head..]);
        let tail = before.iter().rev().zip(after.iter().rev()).take_while(same).count();
        let (before, after) = (&before[..before.len() - tail], &after[..after.len() - tail]);
        let known: BTreeMap<&str, &Arc<Member>> = before.iter().map(|it| (it.member.name(), &it.member)).collect();
        let (mut there, mut added, mut changed) = (BTreeSet::new(), Vec::new(), 0);
        for SlottedMember { member, .. } in after {
            there.insert(member.name());
            match known.get(member.name()) {
                None => added.push(label(member)),
                Some(known) => changed += usize::from(!Arc::ptr_eq(known, member) && *known != member),
            }
        }
        let gone = before.iter().filter(|it| !there.contains(it.member.name()));
        let removed: Vec<String> = gone.map(|it| label(&it.member)).collect();
        let (roster, path) = (Arc::clone(&self.config.name), self.config.subject.members_of(key));
        let differs = !added.is_empty() || !removed.is_empty() || changed > 0;
        differs.then_some(Event::MembersChanged { roster, path, added, removed, changed, members, zxid })
    }

    /// The event of a hold on the whole roster.
    pub fn held_event(&self, reason: &Reason) -> Event {
        Event::RosterHeld {
            roster: Arc::clone(&self.config.name),
            path: self.config.subject.to_string(),
            reason: reason.describe(&self.config.subject),
            kept: self.value.as_ref().map(RosterValue::count),
        }
    }
}

/// The member's address, or else its name.
fn label(member: &Member) -> String {
    member.address().unwrap_or_else(|| member.name().to_owned())
}
