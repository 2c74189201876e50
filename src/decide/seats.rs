//! Which members are taken, and the number that each keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::member::Member;
use super::publication::{Seated, Seats};
use super::slots::Numbers;
use crate::config::Pick;

/// Takes at most `max` members, sorted by name bytewise. The same members give the same choice, whatever came before.
pub fn pick(members: &BTreeMap<Arc<str>, Arc<Member>>, max: Option<usize>, how: Pick, host: &str) -> Vec<Arc<Member>> {
    let max = max.unwrap_or(usize::MAX);
    if how == Pick::First || members.len() <= max {
        return members.values().take(max).cloned().collect();
    }
    let mut scored: Vec<(u64, &Arc<str>)> = members.keys().map(|name| (score(host, name), name)).collect();
    scored.sort_unstable_by(|a, b| b.cmp(a));
    let taken: BTreeSet<&Arc<str>> = scored.into_iter().take(max).map(|(_, name)| name).collect();
    members.iter().filter(|(name, _)| taken.contains(name)).map(|(_, member)| Arc::clone(member)).collect()
}

/// The score of a member for a host in rendezvous hashing: the highest `max` are taken, so that a member that nobody
/// here took leaves no trace, and one that was taken is replaced in one place (Thaler and Ravishankar, 1998).
///
/// FNV-1a over both names, finished as splitmix64 does: the same on every host and in every version.
fn score(host: &str, member: &str) -> u64 {
    let bytes = host.bytes().chain([0]).chain(member.bytes());
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mixed = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Gives each member a number: the one that it had, else the smallest that is free, in the order of names.
pub fn seat(members: Vec<Arc<Member>>, kept: &Numbers) -> Seats {
    number(members, kept.iter().map(|(name, slot)| (&**name, *slot)))
}

/// The same after other members, which were seated before.
pub fn reseat(members: Vec<Arc<Member>>, before: &[Seated]) -> Seats {
    number(members, before.iter().map(|seated| (seated.member.name(), seated.slot)))
}

/// Both are in the order of names.
fn number<'a>(members: Vec<Arc<Member>>, kept: impl Iterator<Item = (&'a str, u32)>) -> Seats {
    let mut kept = kept.peekable();
    let mut free = Free::new(members.len());
    let mut keeps = |member: &Arc<Member>| {
        while kept.next_if(|(name, _)| *name < member.name()).is_some() {}
        let slot = kept.next_if(|(name, _)| *name == member.name()).map(|(_, slot)| slot);
        slot.inspect(|slot| free.take(*slot))
    };
    let slots: Vec<Option<u32>> = members.iter().map(&mut keeps).collect();
    let seated = members.into_iter().zip(slots);
    seated.map(|(member, slot)| Seated { member, slot: slot.unwrap_or_else(|| free.next()) }).collect()
}

/// The numbers that nobody has. So many members never need one from beyond their own count.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::Fields;

    fn members(names: &[&str]) -> BTreeMap<Arc<str>, Arc<Member>> {
        let member = |name: &str| Member::new(Fields { name: name.into(), ..Fields::default() }).unwrap();
        names.iter().map(|name| (Arc::from(*name), Arc::new(member(name)))).collect()
    }

    fn names(members: &[Arc<Member>]) -> Vec<&str> {
        members.iter().map(|member| member.name()).collect()
    }

    fn slots(seats: &[Seated]) -> Vec<(&str, u32)> {
        seats.iter().map(|seated| (seated.member.name(), seated.slot)).collect()
    }

    #[test]
    fn the_first_are_the_first_bytewise() {
        let all = members(&["b:1", "a:10", "a:9", "B:1"]);
        assert_eq!(names(&pick(&all, Some(3), Pick::First, "h")), ["B:1", "a:10", "a:9"]);
        assert_eq!(names(&pick(&all, None, Pick::Spread, "h")), ["B:1", "a:10", "a:9", "b:1"]);
    }

    #[test]
    fn spread_changes_one_place_at_most() {
        let list: Vec<String> = (0..40).map(|n| format!("10.0.0.{n}:80")).collect();
        let all = members(&list.iter().map(String::as_str).collect::<Vec<_>>());
        for host in ["web1", "web2", "web3"] {
            let before = pick(&all, Some(5), Pick::Spread, host);
            for gone in all.keys() {
                let mut rest = all.clone();
                rest.remove(gone);
                let after = pick(&rest, Some(5), Pick::Spread, host);
                let stayed = before.iter().filter(|member| after.contains(member)).count();
                let was_taken = before.iter().any(|member| member.name() == &**gone);
                assert_eq!(stayed, if was_taken { 4 } else { 5 }, "{host} without {gone}");
            }
        }
        let (one, two) = (pick(&all, Some(5), Pick::Spread, "web1"), pick(&all, Some(5), Pick::Spread, "web2"));
        assert_ne!(names(&one), names(&two), "another host takes others");
    }

    #[test]
    fn a_slot_is_kept_while_its_member_stays() {
        let all = |names: &[&str]| members(names).into_values().collect::<Vec<_>>();
        let first = seat(all(&["b", "c", "d"]), &Numbers::new());
        assert_eq!(slots(&first), [("b", 0), ("c", 1), ("d", 2)]);
        let kept = first.iter().map(|seated| (seated.member.name().into(), seated.slot)).collect();
        for second in [seat(all(&["a", "b", "d", "e"]), &kept), reseat(all(&["a", "b", "d", "e"]), &first)] {
            assert_eq!(slots(&second), [("a", 1), ("b", 0), ("d", 2), ("e", 3)]);
        }
        let high = Numbers::from([("a".into(), 7), ("c".into(), 0)]);
        assert_eq!(slots(&seat(all(&["a", "b", "d"]), &high)), [("a", 7), ("b", 0), ("d", 1)]);
    }
}
