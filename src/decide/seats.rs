//! Which members are taken, and the number that each keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::member::Member;
use super::publication::{Seated, Seats};
use super::slots::{Numbers, Vacancies};
use crate::config::{Order, Pick};

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

/// Gives each member a number: the one that it has, else the one that is kept for it, else the smallest that is free,
/// in the order of names.
pub fn seat(members: Vec<Arc<Member>>, kept: &Numbers, vacancies: &Vacancies) -> Vec<Seated> {
    number(members, kept.iter().map(|(name, slot)| (&**name, *slot)), vacancies)
}

/// The same after other members, which were seated before, and in whatever order; `inherited` are the numbers that some
/// of the new ones have from some of those.
pub fn reseat(members: Vec<Arc<Member>>, before: &[Seated], inherited: &Numbers, vacancies: &Vacancies) -> Vec<Seated> {
    let kept = || before.iter().map(|seated| (seated.member.name(), seated.slot));
    if inherited.is_empty() && before.is_sorted_by_key(|seated| seated.member.name()) {
        return number(members, kept(), vacancies);
    }
    let kept: BTreeMap<&str, u32> = kept().chain(inherited.iter().map(|(name, slot)| (&**name, *slot))).collect();
    number(members, kept.into_iter(), vacancies)
}

/// Gives those who are new and have the address of one who left its number: it is the same server, by another node.
pub fn inherit(members: &[Arc<Member>], before: &[Seated]) -> Numbers {
    let staying: BTreeSet<&str> = members.iter().map(|member| member.name()).collect();
    let left = before.iter().filter(|seated| !staying.contains(seated.member.name()));
    let mut left: BTreeMap<_, u32> = left.filter_map(|seated| Some((seated.member.endpoint()?, seated.slot))).collect();
    if left.is_empty() {
        return Numbers::new();
    }
    let known: BTreeSet<&str> = before.iter().map(|seated| seated.member.name()).collect();
    let new = members.iter().filter(|member| !known.contains(member.name()));
    new.filter_map(|member| Some((Arc::from(member.name()), left.remove(&member.endpoint()?)?))).collect()
}

/// Both are in the order of names.
fn number<'a>(
    members: Vec<Arc<Member>>,
    kept: impl Iterator<Item = (&'a str, u32)>,
    vacancies: &Vacancies,
) -> Vec<Seated> {
    let mut kept = kept.peekable();
    let mut free = Free::new(members.len() + vacancies.len());
    for vacant in vacancies.values() {
        free.take(vacant.slot);
    }
    let mut keeps = |member: &Arc<Member>| {
        while kept.next_if(|(name, _)| *name < member.name()).is_some() {}
        let slot = kept.next_if(|(name, _)| *name == member.name()).map(|(_, slot)| slot);
        let slot = slot.or_else(|| vacancies.get(member.name()).map(|vacant| vacant.slot));
        slot.inspect(|slot| free.take(*slot))
    };
    let slots: Vec<Option<u32>> = members.iter().map(&mut keeps).collect();
    let seated = members.into_iter().zip(slots);
    seated.map(|(member, slot)| Seated { member, slot: slot.unwrap_or_else(|| free.next()) }).collect()
}

/// The numbers that nobody has. So many members and vacancies never need one from
/// beyond their own count.
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

/// Puts members, which are in the order of their names, into the order that templates are to see.
pub fn arrange(mut seats: Vec<Seated>, order: Order) -> Seats {
    match order {
        Order::Name => {}
        Order::Id => seats.sort_by(|a, b| id(a).cmp(&id(b))),
        Order::Weight => seats.sort_by(|a, b| match (a.member.fields().weight, b.member.fields().weight) {
            (Some(a), Some(b)) => a.total_cmp(&b),
            (a, b) => a.is_none().cmp(&b.is_none()),
        }),
    }
    Arc::from(seats)
}

/// What ids are compared by: whole numbers by size, then other texts bytewise, then none.
fn id(seated: &Seated) -> (bool, bool, u128, &str) {
    let Some(id) = seated.member.fields().id.as_deref() else {
        return (true, true, 0, "");
    };
    let digits = id.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { id.parse::<u128>().ok() } else { None };
    (false, number.is_none(), number.unwrap_or_default(), id)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::decide::slots::{expire, reclaim, vacate};
    use crate::decide::{Fields, Moment};

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
        let none = Vacancies::new();
        let first = seat(all(&["b", "c", "d"]), &Numbers::new(), &none);
        assert_eq!(slots(&first), [("b", 0), ("c", 1), ("d", 2)]);
        let kept = first.iter().map(|seated| (seated.member.name().into(), seated.slot)).collect();
        for second in [
            seat(all(&["a", "b", "d", "e"]), &kept, &none),
            reseat(all(&["a", "b", "d", "e"]), &first, &Numbers::new(), &none),
        ] {
            assert_eq!(slots(&second), [("a", 1), ("b", 0), ("d", 2), ("e", 3)]);
        }
        let high = Numbers::from([("a".into(), 7), ("c".into(), 0)]);
        assert_eq!(slots(&seat(all(&["a", "b", "d"]), &high, &none)), [("a", 7), ("b", 0), ("d", 1)]);
    }

    #[test]
    fn a_number_is_kept_for_who_left_and_for_nobody_else() {
        let all = |names: &[&str]| members(names).into_values().collect::<Vec<_>>();
        let at = |n| Moment::after_start(Duration::from_secs(n));
        let keep = Duration::from_mins(1);
        let mut vacancies = Vacancies::new();
        let first = seat(all(&["a", "b", "c"]), &Numbers::new(), &vacancies);
        let second = reseat(all(&["b", "d"]), &first, &Numbers::new(), &vacancies);
        assert_eq!(slots(&second), [("b", 1), ("d", 0)], "without slot_keep a number is free at once");
        vacate(&mut vacancies, at(0), &first, &all(&["b", "d"]), &Numbers::new());
        let third = reseat(all(&["b", "d"]), &first, &Numbers::new(), &vacancies);
        assert_eq!(slots(&third), [("b", 1), ("d", 3)], "not even who comes when another leaves");
        let fourth = reseat(all(&["a", "b", "d"]), &third, &Numbers::new(), &vacancies);
        assert_eq!(slots(&fourth), [("a", 0), ("b", 1), ("d", 3)], "who comes back has what it had");
        reclaim(&mut vacancies, &fourth);
        assert_eq!(vacancies.keys().map(|name| &**name).collect::<Vec<_>>(), ["c"]);
        expire(&mut vacancies, at(59), keep);
        assert_eq!(vacancies.len(), 1);
        expire(&mut vacancies, at(60), keep);
        let fifth = reseat(all(&["a", "b", "d", "e"]), &fourth, &Numbers::new(), &vacancies);
        assert_eq!(slots(&fifth), [("a", 0), ("b", 1), ("d", 3), ("e", 2)]);
    }

    #[test]
    fn members_are_listed_in_the_order_that_is_asked_for() {
        let with = |name: &str, id: Option<&str>, weight| {
            let fields = Fields { name: name.into(), id: id.map(str::to_owned), weight, ..Fields::default() };
            Arc::new(Member::new(fields).unwrap())
        };
        let all = vec![
            with("a", None, Some(2.0)),
            with("b", Some("10"), None),
            with("c", Some("x"), Some(-1.0)),
            with("d", Some("9"), Some(2.0)),
            with("e", None, None),
            with("f", Some("9"), Some(0.5)),
        ];
        for (order, wanted) in [(Order::Name, "abcdef"), (Order::Id, "dfbcae"), (Order::Weight, "cfadbe")] {
            let seats = arrange(seat(all.clone(), &Numbers::new(), &Vacancies::new()), order);
            let names: String = seats.iter().map(|seated| seated.member.name()).collect();
            assert_eq!(names, wanted, "{order:?}");
            let number = |seated: &Seated| u32::from(seated.member.name().as_bytes()[0] - b'a');
            assert!(seats.iter().all(|seated| seated.slot == number(seated)), "numbers are given by name");
        }
    }
}
