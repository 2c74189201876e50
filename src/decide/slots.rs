//! Slots of members, and slots that are reserved. Software that refers to its backends by number must not see them
//! change because of a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::moment::Moment;
use super::publication::SlottedMember;
use crate::model::member::Member;

/// The slots of one path by member name.
pub type Numbers = BTreeMap<Arc<str>, u32>;

/// The slots of a roster by key. The key of a plain path is the empty string.
pub type RosterSlots = BTreeMap<Arc<str>, Numbers>;

/// The slot of a removed member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReservedSlot {
    /// The slot.
    pub slot: u32,
    /// When the member was removed.
    pub since: Moment,
}

/// The slots of members that were removed recently, by name. Each is reserved for its member until `slot_keep` is over.
pub type ReservedSlots = BTreeMap<Arc<str>, ReservedSlot>;

/// Drops reservations older than `keep`.
pub fn expire(reserved_slots: &mut ReservedSlots, now: Moment, keep: Duration) {
    reserved_slots.retain(|_, reserved| now.since(reserved.since) < keep);
}

/// Reserves the slots of the members that are not in `members`, except inherited ones.
pub fn reserve(
    reserved_slots: &mut ReservedSlots,
    now: Moment,
    before: &[SlottedMember],
    members: &[Arc<Member>],
    inherited: &Numbers,
) {
    let staying: BTreeSet<&str> = members.iter().map(|member| member.name()).collect();
    let passed_on: BTreeSet<u32> = inherited.values().copied().collect();
    let left = before.iter().filter(|left| !staying.contains(left.member.name()));
    for left in left.filter(|left| !passed_on.contains(&left.slot)) {
        reserved_slots.insert(Arc::from(left.member.name()), ReservedSlot { slot: left.slot, since: now });
    }
}

/// Drops the reservations of members that have their slots.
pub fn release(reserved_slots: &mut ReservedSlots, slotted: &[SlottedMember]) {
    for entry in slotted {
        reserved_slots.remove(entry.member.name());
    }
}
