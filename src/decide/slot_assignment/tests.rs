use std::time::Duration;

use super::*;
use crate::decide::Moment;
use crate::decide::slots::{expire, release, reserve};
use crate::model::member::Fields;

fn members(names: &[&str]) -> BTreeMap<Arc<str>, Arc<Member>> {
    let member = |name: &str| Member::new(Fields { name: name.into(), ..Fields::default() }).unwrap();
    names.iter().map(|name| (Arc::from(*name), Arc::new(member(name)))).collect()
}

fn names(members: &[Arc<Member>]) -> Vec<&str> {
    members.iter().map(|member| member.name()).collect()
}

fn slots(slotted: &[SlottedMember]) -> Vec<(&str, u32)> {
    slotted.iter().map(|entry| (entry.member.name(), entry.slot)).collect()
}

#[test]
fn first_picks_by_name_bytewise() {
    let all = members(&["b:1", "a:10", "a:9", "B:1"]);
    assert_eq!(names(&pick(&all, Some(3), Pick::First, "h")), ["B:1", "a:10", "a:9"]);
    assert_eq!(names(&pick(&all, None, Pick::Spread, "h")), ["B:1", "a:10", "a:9", "b:1"]);
}

#[test]
fn a_sequence_precedes_the_name() {
    let sequences = [("a", Some("0000000009")), ("b", Some("0000000010")), ("c", Some("-2147483648")), ("d", None)];
    let member = |name: &str, sequence: Option<&str>| {
        Member::new(Fields { name: name.into(), sequence: sequence.map(str::to_owned), ..Fields::default() }).unwrap()
    };
    let all = sequences.map(|(name, sequence)| (Arc::from(name), Arc::new(member(name, sequence)))).into();
    for (max, expected) in [(1, &["d"][..]), (2, &["d", "c"]), (3, &["d", "c", "a"]), (4, &["d", "c", "a", "b"])] {
        let slotted = assign(pick(&all, Some(max), Pick::First, "h"), &Numbers::new(), &ReservedSlots::new());
        let sorted = sort(slotted, Order::Name);
        assert_eq!(sorted.iter().map(|entry| entry.member.name()).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn spread_changes_at_most_one_member() {
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
    assert_ne!(names(&one), names(&two), "another host picks other members");
}

#[test]
fn a_slot_is_kept_while_its_member_stays() {
    let all = |names: &[&str]| members(names).into_values().collect::<Vec<_>>();
    let none = ReservedSlots::new();
    let first = assign(all(&["b", "c", "d"]), &Numbers::new(), &none);
    assert_eq!(slots(&first), [("b", 0), ("c", 1), ("d", 2)]);
    let kept = first.iter().map(|entry| (entry.member.name().into(), entry.slot)).collect();
    for second in [
        assign(all(&["a", "b", "d", "e"]), &kept, &none),
        reassign(all(&["a", "b", "d", "e"]), &first, &Numbers::new(), &none),
    ] {
        assert_eq!(slots(&second), [("a", 1), ("b", 0), ("d", 2), ("e", 3)]);
    }
    let high = Numbers::from([("a".into(), 7), ("c".into(), 0)]);
    assert_eq!(slots(&assign(all(&["a", "b", "d"]), &high, &none)), [("a", 7), ("b", 0), ("d", 1)]);
}

#[test]
fn a_reserved_slot_is_given_only_to_its_member() {
    let all = |names: &[&str]| members(names).into_values().collect::<Vec<_>>();
    let at = |n| Moment::after_start(Duration::from_secs(n));
    let keep = Duration::from_mins(1);
    let mut reserved_slots = ReservedSlots::new();
    let first = assign(all(&["a", "b", "c"]), &Numbers::new(), &reserved_slots);
    let second = reassign(all(&["b", "d"]), &first, &Numbers::new(), &reserved_slots);
    assert_eq!(slots(&second), [("b", 1), ("d", 0)], "without slot_keep a slot is free at once");
    reserve(&mut reserved_slots, at(0), &first, &all(&["b", "d"]), &Numbers::new());
    let third = reassign(all(&["b", "d"]), &first, &Numbers::new(), &reserved_slots);
    assert_eq!(slots(&third), [("b", 1), ("d", 3)], "not even for a member that joins when another leaves");
    let fourth = reassign(all(&["a", "b", "d"]), &third, &Numbers::new(), &reserved_slots);
    assert_eq!(slots(&fourth), [("a", 0), ("b", 1), ("d", 3)], "a returning member gets its old slot");
    release(&mut reserved_slots, &fourth);
    assert_eq!(reserved_slots.keys().map(|name| &**name).collect::<Vec<_>>(), ["c"]);
    expire(&mut reserved_slots, at(59), keep);
    assert_eq!(reserved_slots.len(), 1);
    expire(&mut reserved_slots, at(60), keep);
    let fifth = reassign(all(&["a", "b", "d", "e"]), &fourth, &Numbers::new(), &reserved_slots);
    assert_eq!(slots(&fifth), [("a", 0), ("b", 1), ("d", 3), ("e", 2)]);
}

#[test]
fn members_are_sorted_as_configured() {
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
        let slotted = sort(assign(all.clone(), &Numbers::new(), &ReservedSlots::new()), order);
        let names: String = slotted.iter().map(|entry| entry.member.name()).collect();
        assert_eq!(names, wanted, "{order:?}");
        let number = |entry: &SlottedMember| u32::from(entry.member.name().as_bytes()[0] - b'a');
        assert!(slotted.iter().all(|entry| entry.slot == number(entry)), "slots are assigned by name");
    }
}
