use super::*;
use crate::model::registry_event::NodeContent;
use std::time::Duration;

fn line(nodes: &[(&str, &str)]) -> Seen<Members> {
    let node = |data: &str| Ok(NodeContent::ephemeral(data.as_bytes()));
    Seen::Present(nodes.iter().map(|(name, data)| (Arc::from(*name), node(data))).collect())
}

fn standing(is_held: bool, node: Option<&str>) -> LockStanding {
    LockStanding { is_held, node: node.map(Arc::from), identifier: "me".into() }
}

fn at(seconds: u64) -> Moment {
    Moment::after_start(Duration::from_secs(seconds))
}

const NODES: [(&str, &str); 4] = [
    ("a__lock__0000000011", "third"),
    ("b__lock__0000000009", "me"),
    ("c__lock__0000000003", "first"),
    ("other", "no contender"),
];

#[test]
fn nothing_is_known_before_the_agent_is_in_the_line_and_the_line_was_read() {
    let mut lock = Lock::default();
    assert_eq!(lock.value(), None);
    lock.set_line(&line(&NODES));
    assert_eq!(lock.value(), None);
    let mut lock = Lock::default();
    lock.set_standing(at(1), standing(false, Some("b__lock__0000000009")));
    assert_eq!(lock.value(), None);
    lock.set_line(&Seen::Unreadable("no permission".into()));
    assert_eq!(lock.value(), None);
}

#[test]
fn the_first_in_the_line_holds_the_lock_and_the_agent_has_a_place() {
    let mut lock = Lock::default();
    let none = Value::Null;
    for (nodes, standing, expected) in [
        (line(&NODES), standing(false, Some(NODES[1].0)), (false, json!("first"), json!(2), 3)),
        (line(&NODES[..2]), standing(true, Some(NODES[1].0)), (true, json!("me"), json!(1), 2)),
        // The view is behind.
        (line(&NODES), standing(true, Some(NODES[1].0)), (true, json!("me"), json!(1), 3)),
        (line(&NODES[..2]), standing(false, Some(NODES[1].0)), (false, json!("me"), json!(1), 2)),
        (line(&NODES[..1]), standing(false, None), (false, json!("third"), none.clone(), 1)),
        (Seen::Absent, standing(false, None), (false, none.clone(), none.clone(), 0)),
        (line(&[("x__lock__0000000001", "")]), standing(false, None), (false, none.clone(), none.clone(), 1)),
    ] {
        lock.set_line(&nodes);
        lock.set_standing(at(1), standing);
        let (held, holder, position, contenders) = expected;
        let expected = json!({ "held": held, "holder": holder, "position": position, "contenders": contenders });
        assert_eq!(lock.value(), Some(expected));
    }
}

#[test]
fn the_time_is_that_of_the_last_change_of_the_holder() {
    let mut lock = Lock::default();
    lock.set_line(&line(&NODES));
    for (now, held, since) in [(1, false, 1), (2, false, 1), (3, true, 3), (4, true, 3), (5, false, 5)] {
        lock.set_standing(at(now), standing(held, Some(NODES[1].0)));
        assert_eq!(lock.report().unwrap().since, at(since), "{now}");
    }
}
