//! Picks members and assigns slots.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::publication::{SlottedMember, SlottedMembers};
use super::slots::{Numbers, ReservedSlots};
use crate::config::{Order, Pick};
use crate::model::member::Member;

#[cfg(test)]
mod tests;

/// Picks at most `max` members, sorted by name bytewise. The first are those of the lowest names, or of the lowest
/// sequences where members have one. The same members give the same result, whatever came before.
pub fn pick(members: &BTreeMap<Arc<str>, Arc<Member>>, max: Option<usize>, how: Pick, host: &str) -> Vec<Arc<Member>> {
    let max = max.unwrap_or(usize::MAX);
    let is_by_name = how == Pick::First && members.values().all(|member| member.order().0.is_none());
    if is_by_name || members.len() <= max {
        return members.values().take(max).cloned().collect();
    }
    let mut ranked: Vec<(&Arc<str>, &Arc<Member>)> = members.iter().collect();
    match how {
        Pick::First => ranked.sort_unstable_by_key(|(_, member)| member.order()),
        Pick::Spread => ranked.sort_by_cached_key(|(name, _)| Reverse((score(host, name), Arc::clone(name)))),
    }
    let taken: BTreeSet<&Arc<str>> = ranked.into_iter().take(max).map(|(name, _)| name).collect();
    members.iter().filter(|(name, _)| taken.contains(name)).map(|(_, member)| Arc::clone(member)).collect()
}

/// The score of a member for a host in rendezvous hashing (Thaler and Ravishankar, 1998). The `max` members with the
/// highest scores are picked. A member that was not picked here can leave without effect, and one that was picked is
/// replaced without moving others.
///
/// FNV-1a over both names, finished as in splitmix64: the same on every host and in every version.
fn score(host: &str, member: &str) -> u64 {
    let bytes = host.bytes().chain([0]).chain(member.bytes());
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mixed = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Assigns a slot to each member: the one that it has, else the one that is reserved for it, else the smallest free
/// one, in the order of names.
pub fn assign(members: Vec<Arc<Member>>, kept: &Numbers, reserved_slots: &ReservedSlots) -> Vec<SlottedMember> {
    number(members, kept.iter().map(|(name, slot)| (&**name, *slot)), reserved_slots)
}

/// Assigns slots after a change. `before` are the members before it, in any order. `inherited` are the slots that new
/// members take over.
pub fn reassign(
    members: Vec<Arc<Member>>,
    before: &[SlottedMember],
    inherited: &Numbers,
    reserved_slots: &ReservedSlots,
) -> Vec<SlottedMember> {
    let kept = || before.iter().map(|entry| (entry.member.name(), entry.slot));
    if inherited.is_empty() && before.is_sorted_by_key(|entry| entry.member.name()) {
        return number(members, kept(), reserved_slots);
    }
    let kept: BTreeMap<&str, u32> = kept().chain(inherited.iter().map(|(name, slot)| (&**name, *slot))).collect();
    number(members, kept.into_iter(), reserved_slots)
}

/// A new member with the address of a removed one gets its slot: it is the same server under another node.
pub fn slots_by_address(members: &[Arc<Member>], before: &[SlottedMember]) -> Numbers {
    let staying: BTreeSet<&str> = members.iter().map(|member| member.name()).collect();
    let left = before.iter().filter(|entry| !staying.contains(entry.member.name()));
    let mut left: BTreeMap<_, u32> = left.filter_map(|entry| Some((entry.member.endpoint()?, entry.slot))).collect();
    if left.is_empty() {
        return Numbers::new();
    }
    let known: BTreeSet<&str> = before.iter().map(|entry| entry.member.name()).collect();
    let new = members.iter().filter(|member| !known.contains(member.name()));
    new.filter_map(|member| Some((Arc::from(member.name()), left.remove(&member.endpoint()?)?))).collect()
}

/// Both are sorted by name.
fn number<'a>(
    members: Vec<Arc<Member>>,
    kept: impl Iterator<Item = (&'a str, u32)>,
    reserved_slots: &ReservedSlots,
) -> Vec<SlottedMember> {
    let mut kept = kept.peekable();
    let mut free = Free::new(members.len() + reserved_slots.len());
    for reserved in reserved_slots.values() {
        free.take(reserved.slot);
    }
    let mut keeps = |member: &Arc<Member>| {
        while kept.next_if(|(name, _)| *name < member.name()).is_some() {}
        let slot = kept.next_if(|(name, _)| *name == member.name()).map(|(_, slot)| slot);
        let slot = slot.or_else(|| reserved_slots.get(member.name()).map(|reserved| reserved.slot));
        slot.inspect(|slot| free.take(*slot))
    };
    let slots: Vec<Option<u32>> = members.iter().map(&mut keeps).collect();
    let entry = members.into_iter().zip(slots);
    entry.map(|(member, slot)| SlottedMember { member, slot: slot.unwrap_or_else(|| free.next()) }).collect()
}

/// The free slots. Members and reserved slots together never need a slot beyond their number.
struct Free {
    taken: Vec<bool>,
    next: u32,
}

impl Free {
    fn new(members: usize) -> Self {
        Self { taken: vec![false; members], next: 0 }
    }

    fn take(&mut self, slot: u32) {
        if let Some(taken) = usize::try_from(slot).ok().and_then(|slot| self.taken.get_mut(slot)) {
            *taken = true;
        }
    }

    fn next(&mut self) -> u32 {
        let taken = |slot: u32| usize::try_from(slot).is_ok_and(|slot| self.taken.get(slot) == Some(&true));
        while taken(self.next) {
            self.next += 1;
        }
        self.next += 1;
        self.next - 1
    }
}

/// Sorts members, which are in the order of names, as configured. A sequence precedes the name.
pub fn sort(mut slotted: Vec<SlottedMember>, order: Order) -> SlottedMembers {
    match order {
        Order::Name => slotted.sort_by(|a, b| a.member.order().cmp(&b.member.order())),
        Order::Id => slotted.sort_by(|a, b| id(a).cmp(&id(b))),
        Order::Weight => slotted.sort_by(|a, b| match (a.member.fields().weight, b.member.fields().weight) {
            (Some(a), Some(b)) => a.total_cmp(&b),
            (a, b) => a.is_none().cmp(&b.is_none()),
        }),
    }
    Arc::from(slotted)
}

/// The sort key of an id: whole numbers by value, then other ids bytewise, then none.
fn id(entry: &SlottedMember) -> (bool, bool, u128, &str) {
    let Some(id) = entry.member.fields().id.as_deref() else {
        return (true, true, 0, "");
    };
    let digits = id.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { id.parse::<u128>().ok() } else { None };
    (false, number.is_none(), number.unwrap_or_default(), id)
}
