//! Children of a path that are not members: they are left out, and change nothing.

use std::sync::Arc;

use crate::config::Bounds;
use crate::config::{AboveMax, RosterConfig};
use crate::decide::{Event, Input, Outcome};
use crate::model::node_path::Subject;
use crate::model::registry_event::{Change, Members, NodeContent, NodeKind, Seen, View};
use crate::payload::Payload;

use super::harness::{Bench, left, names, names_by_key, plan, put, roster, seconds, template, web};

fn node(kind: NodeKind, data: &str) -> NodeContent {
    NodeContent { data: data.as_bytes().into(), kind }
}

/// A member for each name, and Jones's empty node.
fn with_nodemaps(names: &[&str]) -> Members {
    let members = names.iter().map(|name| (Arc::from(*name), Ok(node(NodeKind::Ephemeral, ""))));
    members.chain([(Arc::from("nodemaps"), Ok(node(NodeKind::Persistent, "")))]).collect()
}

fn put_as(name: &str, kind: NodeKind, data: &str) -> Change {
    Change::Put { key: None, name: name.into(), reading: Ok(node(kind, data)) }
}

fn bench(configure: impl FnOnce(&mut RosterConfig)) -> Bench {
    let mut config = roster("web", web());
    configure(&mut config);
    Bench::new(plan(vec![config], vec![], vec![template("t", &["web"], "")]))
}

fn told(bench: &Bench) -> Vec<String> {
    let told = bench.events.iter().filter_map(|event| match event {
        Event::NotAMember { path, reason, .. } => Some(format!("{path}: {reason}")),
        Event::MemberQuarantined { path, reason, .. } => Some(format!("{path} is quarantined: {reason}")),
        _ => None,
    });
    told.collect()
}

const EMPTY: &str = "/services/web/nodemaps: it is persistent and empty, and its name has no valid port";

#[test]
fn a_node_that_is_no_member_changes_nothing_and_is_told_once() {
    let mut bench = bench(|_| {});
    bench.reset(&web(), View::Members(Seen::Present(super::harness::members(&["a:1", "b:1"]))));
    assert_eq!(names(&bench.publish(Outcome::Replaced), "web"), ["a:1", "b:1"]);
    for _ in 0..3 {
        bench.change(vec![put_as("nodemaps", NodeKind::Persistent, "")]);
        bench.pass(seconds(60));
        bench.reset(&web(), View::Members(Seen::Present(with_nodemaps(&["a:1", "b:1"]))));
        bench.pass(seconds(60));
    }
    assert!(bench.is_idle() && bench.holds().is_empty(), "{:?}", bench.holds());
    assert_eq!(told(&bench), [EMPTY]);
    let report = bench.roster("web");
    assert_eq!((report.in_registry, report.not_members.len(), report.quarantined.len()), (Some(2), 1, 0));
    // It comes back, and is told again.
    bench.change(vec![left("nodemaps")]);
    bench.pass(seconds(60));
    bench.change(vec![put_as("nodemaps", NodeKind::Persistent, "{}")]);
    bench.pass(seconds(60));
    assert_eq!(told(&bench), [EMPTY, EMPTY]);
    assert!(bench.is_idle());
}

#[test]
fn the_last_member_leaves_and_the_roster_holds() {
    let mut bench = bench(|_| {});
    bench.reset(&web(), View::Members(Seen::Present(with_nodemaps(&["a:1"]))));
    assert_eq!(names(&bench.publish(Outcome::Replaced), "web"), ["a:1"]);
    bench.change(vec![left("a:1")]);
    bench.pass(seconds(3600));
    assert!(bench.is_idle());
    assert_eq!(bench.holds(), ["/services/web has 0 members but needs at least 1 (1 non-member)"]);
    // More of them do not make another hold.
    bench.change(vec![put_as("conf", NodeKind::Parent, "{}")]);
    bench.pass(seconds(60));
    assert_eq!(bench.holds().len(), 1);
    bench.change(vec![put("c:1")]);
    bench.pass(seconds(60));
    assert_eq!(names(&bench.publish(Outcome::Replaced), "web"), ["c:1"]);
}

#[test]
fn a_member_that_gains_children_leaves_and_is_back_without_them() {
    let mut bench = bench(|_| {});
    let member = |kind| put_as("web1", kind, r#"{"zone":"a"}"#);
    bench.reset(&web(), View::Members(Seen::Present(super::harness::members(&["a:1"]))));
    bench.publish(Outcome::Replaced);
    bench.change(vec![member(NodeKind::Persistent)]);
    bench.pass(seconds(5));
    assert_eq!(names(&bench.publish(Outcome::Replaced), "web"), ["a:1", "web1"]);
    bench.change(vec![member(NodeKind::Parent)]);
    bench.pass(seconds(5));
    assert_eq!(names(&bench.publish(Outcome::Replaced), "web"), ["a:1"]);
    assert_eq!(told(&bench), ["/services/web/web1: it has children of its own"]);
    bench.change(vec![member(NodeKind::Persistent)]);
    bench.pass(seconds(5));
    assert_eq!(names(&bench.publish(Outcome::Replaced), "web"), ["a:1", "web1"]);
}

#[test]
fn a_name_whose_children_are_no_members_is_no_key() {
    let subject = Subject::parse("/services/*").unwrap();
    let jones = || {
        let nodes = ["conf", "views"].map(|name| (Arc::from(name), Ok(node(NodeKind::Parent, "{}"))));
        Seen::Present(nodes.into_iter().chain(with_nodemaps(&[])).collect::<Members>())
    };
    for min in [0, 1] {
        let mut config = roster("all", subject.clone());
        config.bounds = Bounds::new(min, None, AboveMax::Cut).unwrap();
        let mut bench = Bench::new(plan(vec![config], vec![], vec![template("t", &["all"], "")]));
        let keys = [("pycon", jones()), ("web", Seen::Present(with_nodemaps(&["a:1"])))];
        let keys = keys.map(|(key, seen)| (Arc::from(key), seen)).into();
        bench.reset(&subject, View::Keyed(Seen::Present(keys)));
        let web = [("web".to_owned(), vec!["a:1".to_owned()])];
        assert_eq!(names_by_key(&bench.publish(Outcome::Replaced), "all"), web.into());
        assert_eq!(told(&bench).len(), 4, "{:?}", told(&bench));
        let report = bench.roster("all");
        assert!(report.holds.is_empty() && !report.held, "{:?}", report.holds);
        // With a member it is one, and then it is held like any other.
        let change = |change| crate::model::registry_event::Update::Changed {
            subject: subject.clone(),
            changes: vec![change],
            versions: crate::model::version::Versions::new(),
        };
        let key: Option<Arc<str>> = Some("pycon".into());
        let reading = Ok(node(NodeKind::Ephemeral, ""));
        bench.registry_update(change(Change::Put { key: key.clone(), name: "p:1".into(), reading }));
        bench.pass(seconds(5));
        assert!(names_by_key(&bench.publish(Outcome::Replaced), "all").contains_key("pycon"));
        bench.registry_update(change(Change::Removed { key, name: "p:1".into() }));
        bench.pass(seconds(5));
        if min == 0 {
            assert_eq!(names_by_key(&bench.publish(Outcome::Replaced), "all")["pycon"], Vec::<String>::new());
        } else {
            assert!(bench.is_idle());
            assert_eq!(bench.holds(), ["/services/pycon has 0 members but needs at least 1 (3 non-members)"]);
        }
    }
}

#[test]
fn every_child_takes_all_of_them_as_before() {
    let mut bench = bench(|config| config.payload = Payload { every_child: true, ..Payload::default() });
    bench.reset(&web(), View::Members(Seen::Present(with_nodemaps(&["a:1"]))));
    assert_eq!(names(&bench.publish(Outcome::Replaced), "web"), ["a:1", "nodemaps"]);
    assert_eq!(told(&bench), Vec::<String>::new());
    // The rule of the next configuration applies to what is known.
    let next = plan(vec![roster("web", web())], vec![], vec![template("t", &["web"], "")]);
    bench.input(Input::Configured(next));
    bench.publish(Outcome::Unchanged);
    bench.pass(seconds(5));
    assert_eq!(names(&bench.publish(Outcome::Replaced), "web"), ["a:1"]);
}

#[test]
fn saved_members_without_a_port_are_used_until_the_registry_answers() {
    let mut before = bench(|config| config.payload.every_child = true);
    before.reset(&web(), View::Members(Seen::Present(with_nodemaps(&["web1"]))));
    before.publish(Outcome::Replaced);
    let with_one = plan(vec![roster("web", web())], vec![], vec![template("t", &["web"], "")]);
    let mut bench = Bench::with_saved(with_one, before.saved);
    bench.away();
    bench.pass(seconds(60));
    assert_eq!(names(&bench.publish(Outcome::Unchanged), "web"), ["nodemaps", "web1"]);
    bench.reset(&web(), View::Members(Seen::Present(with_nodemaps(&["web1"]))));
    bench.pass(seconds(60));
    assert_eq!(names(&bench.publish(Outcome::Replaced), "web"), ["web1"]);
}
