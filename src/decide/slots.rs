//! The numbers that members had, for the next start: software that knows its backends by number must not see them
//! change because the agent was restarted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::moment::Moment;
use super::publication::SlottedMember;
use crate::model::member::Member;

/// The members of one path by name, each with its number.
pub type Numbers = BTreeMap<Arc<str>, u32>;

/// The numbers in a roster: by what its `*` matched, or by the empty string.
pub type RosterSlots = BTreeMap<Arc<str>, Numbers>;

/// A number whose member left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReservedSlot {
    /// The number.
    pub slot: u32,
    /// When its member left.
    pub since: Moment,
}

/// The numbers that members had who left not long ago, by their names: each is its member's own until `slot_keep` is
/// over, and given to nobody else.
pub type ReservedSlots = BTreeMap<Arc<str>, ReservedSlot>;

/// Forgets the numbers that were kept for long enough.
pub fn expire(reserved_slots: &mut ReservedSlots, now: Moment, keep: Duration) {
    reserved_slots.retain(|_, reserved| now.since(reserved.since) < keep);
}

/// Keeps the numbers of those who are not among the members that are to be entry, but for those that are inherited.
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

/// Those who are entry have their numbers themselves.
pub fn release(reserved_slots: &mut ReservedSlots, slotted: &[SlottedMember]) {
    for entry in slotted {
        reserved_slots.remove(entry.member.name());
    }
}
