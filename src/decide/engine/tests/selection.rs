//! Which members are selected, in which order, and with which slots.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::config::{AboveMax, Bounds, Each, OnGone, Order, Pick, RosterConfig, TemplateConfig, Wait};
use crate::decide::{Input, Needs, Outcome, Plan, SavedState, TemplatePlan};
use crate::model::filter::Filter;
use crate::model::node_path::Subject;
use crate::model::registry_event::{Change, Members, NodeContent, Reading, Seen, Update, View};
use crate::model::version::Versions;
use proptest::prelude::*;

use super::harness::{Bench, left, names, names_by_key, plan, present, put, roster, seconds, slots, template, web};

fn node(name: &str, data: &str) -> (Arc<str>, Reading) {
    (Arc::from(name), Ok(NodeContent::ephemeral(data.as_bytes())))
}

fn nodes(all: &[(&str, &str)]) -> View {
    View::Members(Seen::Present(all.iter().map(|(name, data)| node(name, data)).collect::<Members>()))
}

/// Selects the members of this zone. For a member without a zone it fails.
fn of_zone(zone: &'static str) -> Filter {
    Filter::new(format!("zone == {zone:?}"), 0, move |_, member| {
        let own = member.fields().data.get("zone").and_then(|own| own.as_str());
        own.map(|own| own == zone).ok_or_else(|| "it has no zone".to_owned())
    })
}

fn bench(config: RosterConfig) -> Bench {
    Bench::new(plan(vec![config], vec![], vec![template("a", &["web"], "")]))
}

fn published(bench: &mut Bench) -> Vec<String> {
    names(&bench.publish(Outcome::Replaced), "web")
}

#[test]
fn members_excluded_by_where_do_not_count() {
    let mut config = roster("web", web());
    config.filter = Some(of_zone("a"));
    config.bounds = Bounds::new(2, Some(3), AboveMax::Hold).unwrap();
    let mut bench = bench(config.clone());
    let (here, there) = (r#"{"zone": "a"}"#, r#"{"zone": "b"}"#);
    bench.reset(&web(), nodes(&[("a:1", here), ("b:1", there), ("c:1", there), ("d:1", "")]));
    assert_eq!(bench.holds(), ["/services/web has 1 member but needs at least 2 (3 excluded by `where`)"]);
    bench.change(vec![Change::Put { key: None, name: "c:1".into(), reading: node("c:1", here).1 }]);
    bench.pass(seconds(3));
    assert_eq!(published(&mut bench), ["a:1", "c:1"], "and the three excluded members do not count against max");
    let excluded: BTreeMap<String, Option<String>> =
        bench.roster("web").filtered.into_iter().map(|(path, why)| (path.name().to_owned(), why)).collect();
    assert_eq!(excluded, BTreeMap::from([("b:1".into(), None), ("d:1".into(), Some("it has no zone".into()))]));
    // Excluded members that join, leave or change are not a loss and need no rendering.
    bench.change(vec![left("b:1"), put("d:1"), put("e:1"), put("f:1")]);
    bench.pass(seconds(3));
    assert!(bench.publications.is_empty());
    // A changed `where` is applied to the current view.
    config.filter = Some(of_zone("b"));
    config.bounds = Bounds::new(0, None, AboveMax::Cut).unwrap();
    bench.input(Input::Configured(plan(vec![config], vec![], vec![template("a", &["web"], "")])));
    assert_eq!(published(&mut bench), ["a:1", "c:1"], "until it has settled");
    bench.pass(seconds(3));
    assert_eq!(published(&mut bench), Vec::<String>::new());
}

/// Includes every key but these, and of their members those with a port of 1.
fn without_keys(excluded: &'static [&str]) -> Filter {
    let filter = Filter::new(format!("key not in {excluded:?} and port == 1"), 0, |_, member| {
        Ok(member.fields().port == Some(1))
    });
    filter.with_keys(|key| !excluded.contains(&key))
}

fn services() -> Subject {
    Subject::parse("/services/*").unwrap()
}

fn keyed_plan(excluded: &'static [&str], more: Option<TemplatePlan>) -> Plan {
    let config = RosterConfig { filter: Some(without_keys(excluded)), ..roster("all", services()) };
    plan(vec![config], vec![], vec![more.unwrap_or_else(|| template("t", &["all"], ""))])
}

fn keyed(keys: &[(&str, &[&str])]) -> View {
    let keys = keys.iter().map(|(key, names)| (Arc::from(*key), Seen::Present(super::harness::members(names))));
    View::Keyed(Seen::Present(keys.collect()))
}

fn keys_of(bench: &mut Bench) -> Vec<String> {
    names_by_key(&bench.publish(Outcome::Replaced), "all").into_keys().collect()
}

#[test]
fn keys_excluded_by_where_do_not_count() {
    let mut bench = Bench::new(keyed_plan(&["old", "older"], None));
    bench
        .reset(&services(), keyed(&[("old", &["a:1"]), ("older", &[]), ("other", &["a:2"]), ("web", &["a:1", "a:2"])]));
    assert_eq!(keys_of(&mut bench), ["web"]);
    // A key whose members only the other part excludes is one, and is held. An excluded one is not, with or without members.
    let held = ["/services/other has 0 members but needs at least 1 (1 excluded by `where`)"];
    assert_eq!(bench.holds(), held);
    let put = |key: &str, name: &str| Change::KeyPut {
        key: Arc::from(key),
        members: Seen::Present(super::harness::members(&[name])),
    };
    let changed = |changes| Update::Changed { subject: services(), changes, versions: Versions::new() };
    let joined = Change::Put { key: Some("old".into()), name: "b:1".into(), reading: node("b:1", "").1 };
    bench.registry_update(changed(vec![put("old", "c:1"), joined, Change::KeyRemoved { key: "older".into() }]));
    bench.pass(seconds(3));
    assert!(bench.publications.is_empty() && bench.holds() == held, "{:?}", bench.holds());
    bench.registry_update(changed(vec![put("new", "a:1")]));
    bench.pass(seconds(3));
    assert_eq!(keys_of(&mut bench), ["new", "web"]);
}

#[test]
fn a_changed_where_drops_keys_unless_none_would_be_left() {
    let view = || keyed(&[("a", &["a:1"]), ("b", &["b:1"]), ("c", &["c:1"])]);
    let mut bench = Bench::new(keyed_plan(&[], None));
    bench.reset(&services(), view());
    assert_eq!(keys_of(&mut bench), ["a", "b", "c"]);
    bench.input(Input::Configured(keyed_plan(&["b"], None)));
    bench.pass(seconds(3));
    assert_eq!(keys_of(&mut bench), ["a", "c"]);
    assert!(bench.holds().is_empty());
    // They are not restored after a restart either.
    let mut restarted = Bench::with_saved(keyed_plan(&["b", "c"], None), bench.saved.clone());
    restarted.away();
    assert_eq!(keys_of(&mut restarted), ["a"]);
    bench.input(Input::Configured(keyed_plan(&["a", "b", "c"], None)));
    bench.pass(seconds(3));
    assert_eq!(keys_of(&mut bench), ["a", "c"], "rendered for the new configuration, from the last known-good keys");
    assert!(bench.publications.is_empty());
    assert_eq!(bench.holds(), ["no key of /services/* has at least 1 member"]);
    bench.input(Input::Configured(keyed_plan(&["a"], None)));
    bench.pass(seconds(3));
    assert_eq!(keys_of(&mut bench), ["b", "c"]);
    assert!(!bench.roster("all").held);
}

#[test]
fn the_file_of_an_excluded_key_is_removed_under_the_guard_of_keys() {
    let each = || {
        let each = Some(Each::new("t", "all", OnGone::Remove));
        let config = TemplateConfig { each, ..TemplateConfig::new("t", "t.tera", "/etc/x/{{ key }}.cfg") };
        Some(TemplatePlan { config: Arc::new(config), needs: Needs::default() })
    };
    let mut bench = Bench::new(keyed_plan(&[], each()));
    bench.reset(&services(), keyed(&["a", "b", "c", "d", "e"].map(|key| (key, &["m:1"][..]))));
    let removed = |bench: &mut Bench| {
        let mut removed = Vec::new();
        while let Some(next) = bench.publications.first() {
            let outcome = if next.remove { Outcome::Removed } else { Outcome::Replaced };
            let publication = bench.publish(outcome);
            removed.extend(publication.remove.then(|| publication.template.name.to_string()));
        }
        removed
    };
    assert_eq!(removed(&mut bench), [""; 0]);
    bench.input(Input::Configured(keyed_plan(&["b"], each())));
    bench.pass(seconds(3));
    assert_eq!(removed(&mut bench), ["t[b]"]);
    bench.input(Input::Configured(keyed_plan(&["a", "b", "c", "d"], each())));
    bench.pass(seconds(3));
    assert_eq!(removed(&mut bench), [""; 0]);
    assert_eq!(bench.holds().len(), 1, "{:?}", bench.holds());
}

#[test]
fn members_excluded_by_where_are_saved() {
    let mut config = roster("web", web());
    config.filter = Some(of_zone("a"));
    let mut first = bench(config.clone());
    first.reset(&web(), nodes(&[("a:1", r#"{"zone": "a"}"#), ("b:1", r#"{"zone": "b"}"#)]));
    assert_eq!(published(&mut first), ["a:1"]);
    config.filter = Some(of_zone("b"));
    let plan = plan(vec![config], vec![], vec![template("a", &["web"], "")]);
    let mut second = Bench::with_saved(plan, first.saved);
    second.away();
    assert_eq!(published(&mut second), ["b:1"]);
}

#[test]
fn nodes_with_one_address_are_one_member() {
    let mut config = roster("web", web());
    config.bounds = Bounds::new(2, Some(2), AboveMax::Hold).unwrap();
    let mut bench = bench(config);
    // A port with leading zeros is the same number.
    bench.reset(&web(), nodes(&[("a:0080", ""), ("a:80", "")]));
    assert_eq!(bench.holds(), ["/services/web has 1 member but needs at least 2"]);
    bench.change(vec![put("b:80")]);
    bench.pass(seconds(3));
    assert_eq!(published(&mut bench), ["a:0080", "b:80"], "three would be above max");
    let duplicates: Vec<_> =
        bench.roster("web").duplicates.into_iter().map(|(path, first)| (path.to_string(), first)).collect();
    assert_eq!(duplicates, [("/services/web/a:80".to_owned(), "a:0080".into())]);
    bench.change(vec![left("a:0080")]);
    bench.pass(seconds(3));
    assert_eq!(published(&mut bench), ["a:80", "b:80"], "the other node is there");
}

#[test]
fn order_is_kept_across_restarts_and_does_not_affect_slots() {
    let mut config = roster("web", web());
    config.order = Order::Weight;
    let view = || nodes(&[("a:1", r#"{"weight": 9}"#), ("b:1", ""), ("c:1", r#"{"weight": 1}"#)]);
    let mut first = bench(config.clone());
    first.reset(&web(), view());
    let wanted = [("c:1", 2), ("a:1", 0), ("b:1", 1)];
    assert_eq!(slots(&first.publish(Outcome::Replaced), "web"), wanted);
    let plan = plan(vec![config], vec![], vec![template("a", &["web"], "")]);
    let mut second = Bench::with_saved(plan, first.saved);
    second.away();
    assert_eq!(slots(&second.publish(Outcome::Unchanged), "web"), wanted);
    second.reset(&web(), view());
    assert!(second.publications.is_empty(), "that is what was rendered from the saved state");
}

/// Members join and leave; sometimes the agent is killed or restarts with another host's state.
fn coming_and_going() -> impl Strategy<Value = Vec<(u64, u32, bool)>> {
    proptest::collection::vec((1u64..60, any::<u32>(), prop::bool::weighted(0.1)), 60..120)
}

proptest! {
    #![proptest_config(crate::support::random::config(50, 2_000))]

    /// Members join and leave for more than an hour. A member that stays keeps its slot, no two members share a slot,
    /// and a slot is not given to another member before `slot_keep` has passed.
    #[test]
    fn members_that_stay_keep_their_slots(steps in coming_and_going(), keep in prop_oneof![Just(0u64), 1..900u64]) {
        let mut config = roster("web", web());
        (config.slot_keep, config.wait) = (seconds(keep), Wait::NONE);
        config.bounds = Bounds::new(0, None, AboveMax::Cut).unwrap();
        config.guard.max_shrink_percent = 100;
        let plan = || plan(vec![config.clone()], vec![], vec![template("a", &["web"], "")]);
        let mut bench = Bench::with_saved(plan(), SavedState::new());
        let all: Vec<String> = (0..16).map(|n| format!("m{n}:1")).collect();
        let (mut there, mut before): (u32, BTreeMap<String, u32>) = (0, BTreeMap::new());
        // The last member of each slot, and until when it had it.
        let mut last: BTreeMap<u32, (String, u64)> = BTreeMap::new();
        let mut clock = 0;
        for (wait, flips, killed) in steps {
            bench.pass(seconds(wait));
            clock += wait;
            if killed {
                let began = bench.now;
                bench = Bench::with_saved(plan(), std::mem::take(&mut bench.saved));
                bench.now = began;
            }
            // A few changes at a time.
            there ^= flips & (flips >> 8) & (flips >> 16) & 0xffff;
            let names: Vec<&str> =
                all.iter().enumerate().filter(|(n, _)| there >> n & 1 == 1).map(|(_, name)| name.as_str()).collect();
            bench.reset(&web(), present(&names));
            bench.pass(seconds(0));
            let Some(publication) = bench.publications.first().cloned() else { continue };
            bench.publish(Outcome::Replaced);
            let now: BTreeMap<String, u32> =
                slots(&publication, "web").into_iter().map(|(name, slot)| (name.to_owned(), slot)).collect();
            prop_assert_eq!(now.len(), names.len());
            prop_assert_eq!(now.values().collect::<BTreeSet<_>>().len(), now.len(), "{:?}", now);
            for (name, slot) in &before {
                match now.get(name) {
                    Some(own) => prop_assert_eq!(own, slot, "{} stayed", name),
                    None => _ = last.insert(*slot, (name.clone(), clock)),
                }
            }
            for (name, slot) in now.iter().filter(|(name, _)| !before.contains_key(*name)) {
                if let Some((owner, since)) = last.get(slot) {
                    prop_assert!(owner == name || clock - since >= keep, "{} has {}'s {}", name, owner, slot);
                }
                if let Some((own, (_, since))) = last.iter().rev().find(|(_, (owner, _))| owner == name) {
                    prop_assert!(own == slot || clock - since >= keep, "{} came back as {} in place of {}", name, slot, own);
                }
                last.retain(|_, (owner, _)| owner != name);
            }
            before = now;
        }
    }

    /// With `pick = "spread"`, removing a member that is not picked changes nothing, removing a picked one changes one
    /// slot, and adding one changes at most one slot.
    #[test]
    fn spread_moves_the_minimum(size in 2usize..40, max in 1usize..12, gone in any::<prop::sample::Index>()) {
        let mut config = roster("web", web());
        (config.pick, config.wait) = (Pick::Spread, Wait::NONE);
        config.bounds = Bounds::new(0, Some(max), AboveMax::Cut).unwrap();
        config.guard.max_shrink_percent = 100;
        let mut bench = bench(config);
        let all: Vec<String> = (0..size).map(|n| format!("10.0.0.{n}:80")).collect();
        bench.reset(&web(), present(&all.iter().map(String::as_str).collect::<Vec<_>>()));
        let before: BTreeSet<String> = published(&mut bench).into_iter().collect();
        let gone = &all[gone.index(size)];
        bench.change(vec![left(gone)]);
        bench.pass(seconds(0));
        if before.contains(gone) {
            let after: BTreeSet<String> = published(&mut bench).into_iter().collect();
            prop_assert_eq!(before.difference(&after).collect::<Vec<_>>(), [gone]);
            prop_assert_eq!(after.len(), max.min(size - 1));
        } else {
            prop_assert!(bench.publications.is_empty(), "{} was not picked", gone);
        }
        bench.change(vec![put(gone)]);
        bench.pass(seconds(0));
        if before.contains(gone) {
            prop_assert_eq!(published(&mut bench).into_iter().collect::<BTreeSet<_>>(), before);
        } else {
            prop_assert!(bench.publications.is_empty());
        }
    }
}

#[test]
fn accept_reports_the_change_as_templates_would_see_it() {
    let mut config = roster("web", web());
    config.bounds = Bounds::new(1, Some(3), AboveMax::Cut).unwrap();
    let mut bench = bench(config.clone());
    bench.reset(&web(), present(&["a:1", "b:1", "c:1", "d:1", "e:1", "f:1", "g:1", "h:1", "i:1", "j:1"]));
    assert_eq!(published(&mut bench), ["a:1", "b:1", "c:1"]);
    bench.change(["a:1", "b:1", "e:1", "f:1", "g:1", "h:1"].into_iter().map(left).collect());
    bench.pass(seconds(3));
    let change = bench.roster("web").holds.remove(0).change.unwrap();
    assert_eq!(
        (change.members, change.join, change.leave),
        (3, vec!["d:1".into(), "i:1".into()], vec!["a:1".into(), "b:1".into()])
    );
}

#[test]
fn a_server_keeps_its_slot_under_another_node() {
    for keep in [0, 600] {
        let mut config = roster("web", web());
        config.slot_keep = std::time::Duration::from_secs(keep);
        let mut bench = bench(config);
        bench.reset(&web(), nodes(&[("a:1", ""), ("b:1", ""), ("c:80", "")]));
        assert_eq!(slots(&bench.publish(Outcome::Replaced), "web"), [("a:1", 0), ("b:1", 1), ("c:80", 2)]);
        bench.change(vec![left("a:1")]);
        bench.pass(seconds(3));
        bench.publish(Outcome::Replaced);
        bench.change(vec![put("c:0080")]);
        bench.pass(seconds(3));
        assert_eq!(slots(&bench.publish(Outcome::Replaced), "web"), [("b:1", 1), ("c:0080", 2)], "{keep}");
    }
}
