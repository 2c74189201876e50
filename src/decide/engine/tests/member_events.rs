//! Events of changed members.

use std::sync::Arc;

use crate::decide::{Event, Outcome};
use crate::model::node_path::Subject;
use crate::model::registry_event::{Change, NodeContent, Seen, View};

use super::harness::*;

/// `PATH: +ADDED -REMOVED ~CHANGED (MEMBERS @ZXID)` of each change, and `PATH = MEMBERS` of each first view.
fn told(bench: &mut Bench) -> Vec<String> {
    let told = bench.events.drain(..).filter_map(|event| match event {
        Event::MembersChanged { path, added, removed, changed, members, zxid, .. } => {
            let zxid = zxid.map_or(0, |zxid| zxid.0);
            Some(format!("{path}: +{} -{} ~{changed} ({members} @{zxid})", added.join(","), removed.join(",")))
        }
        Event::RosterLoaded { path, members, key_count, .. } => Some(format!("{path} = {members} {key_count:?}")),
        _ => None,
    });
    told.collect()
}

fn one() -> Bench {
    Bench::new(plan(vec![roster("web", web())], vec![], vec![template("t", &["web"], "")]))
}

#[test]
fn member_changes_are_reported_with_the_zxid() {
    let mut bench = one();
    bench.reset_at(present(&["a:1", "b:1"]), 7);
    assert_eq!(told(&mut bench), ["/services/web = 2 None"], "the first view is not a change");
    bench.publish(Outcome::Replaced);
    let data =
        Change::Put { key: None, name: Arc::from("a:1"), reading: Ok(NodeContent::ephemeral(&b"{\"weight\":2}"[..])) };
    bench.change_at(vec![put("c:1"), left("b:1"), data], 9);
    bench.pass(seconds(5));
    assert_eq!(told(&mut bench), ["/services/web: +c:1 -b:1 ~1 (2 @9)"]);
    bench.reset_at(present(&["a:1", "c:1"]), 9);
    bench.pass(seconds(5));
    assert_eq!(told(&mut bench), ["/services/web: + - ~1 (2 @9)"]);
    bench.reset_at(present(&["a:1", "c:1"]), 9);
    bench.pass(seconds(5));
    assert_eq!(told(&mut bench), <[&str; 0]>::default(), "the same view again is not a change");
}

#[test]
fn a_held_view_reports_changes_when_released() {
    let mut bench = one();
    bench.reset(&web(), present(&["a:1"]));
    bench.publish(Outcome::Replaced);
    told(&mut bench);
    bench.reset(&web(), present(&[]));
    bench.pass(seconds(5));
    assert_eq!((told(&mut bench).len(), bench.engine.rosters()["web"].is_held()), (0, true));
    bench.reset(&web(), present(&["b:1"]));
    bench.pass(seconds(5));
    assert_eq!(told(&mut bench), ["/services/web: +b:1 -a:1 ~0 (1 @0)"]);
}

#[test]
fn a_restart_with_the_same_members_reports_no_change() {
    let mut bench = one();
    bench.reset(&web(), present(&["a:1", "b:1"]));
    let with_one = || plan(vec![roster("web", web())], vec![], vec![template("t", &["web"], "")]);
    let mut next = Bench::with_saved(with_one(), bench.saved);
    next.away();
    assert!(!next.publications.is_empty() && told(&mut next).is_empty(), "nothing was seen yet");
    next.reset(&web(), present(&["a:1", "b:1"]));
    assert_eq!(told(&mut next), ["/services/web = 2 None"]);
}

#[test]
fn added_and_removed_keys_are_reported_as_member_changes() {
    let subject = Subject::parse("/services/*").unwrap();
    let mut config = roster("all", subject.clone());
    config.bounds = crate::config::Bounds::new(0, None, crate::config::AboveMax::Cut).unwrap();
    config.guard.max_shrink_percent = 100;
    let mut bench = Bench::new(plan(vec![config], vec![], vec![template("t", &["all"], "")]));
    let key = |name: &str, list: &[&str]| (Arc::from(name), Seen::Present(members(list)));
    bench.reset(&subject, View::Keyed(Seen::Present([key("a", &["x:1"]), key("b", &["y:1", "z:1"])].into())));
    assert_eq!(told(&mut bench), ["/services/* = 3 Some(2)"]);
    bench.reset(&subject, View::Keyed(Seen::Present([key("b", &["z:1"]), key("c", &["w:1"])].into())));
    bench.pass(seconds(5));
    let mut told = told(&mut bench);
    told.sort();
    assert_eq!(
        told,
        ["/services/a: + -x:1 ~0 (0 @0)", "/services/b: + -y:1 ~0 (1 @0)", "/services/c: +w:1 - ~0 (1 @0)"]
    );
}
