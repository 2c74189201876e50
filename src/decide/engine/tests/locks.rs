//! A template that shows who holds a `[[lock]]`.

use std::sync::Arc;

use crate::config::{KeyConfig, KeyFormat, key_name};
use crate::decide::lock::LockStanding;
use crate::decide::{Input, Outcome, Plan};
use crate::model::node_path::Subject;
use crate::model::registry_event::{Change, NodeContent, Seen, View};

use super::harness::{Bench, path, plan, seconds, template};

const FIRST: &str = "a__lock__0000000001";
const SECOND: &str = "b__lock__0000000002";

fn subject() -> Subject {
    Subject::Members(path("/leader"))
}

fn with_lock() -> Plan {
    let (name, registry) = (key_name("leader"), Arc::from("default"));
    let key = KeyConfig { name, registry, subject: subject(), format: KeyFormat::Lock };
    plan(vec![], vec![key], vec![template("a", &["locks.leader"], "")])
}

fn view(nodes: &[&str]) -> View {
    let node = |name: &&str| (Arc::from(*name), Ok(NodeContent::ephemeral(name.as_bytes())));
    View::Members(Seen::Present(nodes.iter().map(node).collect()))
}

fn standing(is_held: bool, node: &str) -> Input {
    Input::Lock("leader".into(), LockStanding { is_held, node: Some(node.into()), identifier: "me".into() })
}

#[test]
fn a_template_waits_until_the_place_in_the_line_is_known() {
    let mut bench = Bench::new(with_lock());
    bench.reset(&subject(), view(&[FIRST, SECOND]));
    bench.pass(seconds(60));
    assert!(bench.is_idle(), "the agent is not in the line");
    bench.input(standing(false, SECOND));
    let lock = &bench.publish(Outcome::Replaced).snapshot.keys["locks.leader"];
    assert_eq!((&lock["held"], &lock["holder"], &lock["position"]), (&false.into(), &FIRST.into(), &2.into()));
    assert!(!bench.engine.is_lock_held("leader"));
}

#[test]
fn a_lock_that_is_lost_while_the_registry_is_away_is_rendered_at_once() {
    let mut bench = Bench::new(with_lock());
    bench.reset(&subject(), view(&[FIRST]));
    bench.input(standing(true, FIRST));
    assert_eq!(bench.publish(Outcome::Replaced).snapshot.keys["locks.leader"]["held"], true);
    assert!(bench.engine.is_lock_held("leader"));
    bench.away();
    assert!(bench.is_idle(), "it is held until the agent says otherwise");
    bench.input(standing(false, FIRST));
    assert_eq!(bench.publish(Outcome::Replaced).snapshot.keys["locks.leader"]["held"], false);
}

#[test]
fn a_change_of_the_holder_is_seen_from_any_place_in_the_line() {
    let mut bench = Bench::new(with_lock());
    let third = "c__lock__0000000003";
    bench.reset(&subject(), view(&[FIRST, SECOND, third]));
    bench.input(standing(false, third));
    bench.publish(Outcome::Replaced);
    bench.registry_update(crate::model::registry_event::Update::Changed {
        subject: subject(),
        changes: vec![Change::Removed { key: None, name: FIRST.into() }],
        versions: super::harness::versions(&[]),
    });
    let lock = &bench.publish(Outcome::Replaced).snapshot.keys["locks.leader"];
    assert_eq!((&lock["holder"], &lock["position"]), (&SECOND.into(), &2.into()));
}

#[test]
fn nothing_of_a_lock_is_saved() {
    let mut bench = Bench::new(with_lock());
    bench.reset(&subject(), view(&[FIRST]));
    bench.input(standing(true, FIRST));
    bench.publish(Outcome::Replaced);
    assert!(bench.saved.is_empty());
}
