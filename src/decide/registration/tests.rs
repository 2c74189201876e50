use super::*;
use crate::model::node_path::NodePath;
use crate::model::registration::NodeName;

fn at(seconds: u64) -> Moment {
    Moment::after_start(Duration::from_secs(seconds))
}

fn id(port: u16) -> NodeId {
    NodeId { directory: NodePath::parse("/s").unwrap(), name: NodeName::Fixed(format!("h:{port}")) }
}

fn spec(port: u16, data: &str) -> Arc<NodeSpec> {
    Arc::new(NodeSpec { id: id(port), data: data.as_bytes().into(), volatile: &[] })
}

/// What is wanted: the service and its port.
fn wants(all: &[(&str, u16)]) -> BTreeMap<NodeId, (Arc<str>, Want)> {
    all.iter().map(|(service, port)| (id(*port), (Arc::from(*service), Want::Registered(spec(*port, ""))))).collect()
}

/// Effects as text: `+1` writes the node of port 1, `-1` deletes it, events by their name.
fn shown(effects: &[NodeEffect]) -> String {
    let port = |id: &NodeId| id.to_string().replace("/s/h:", "");
    let one = |effect: &NodeEffect| match effect {
        NodeEffect::Write(spec) => format!("+{}", port(&spec.id)),
        NodeEffect::Delete(id) => format!("-{}", port(id)),
        NodeEffect::Emit(event) => event.kind().name.to_owned(),
    };
    effects.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// Registrations with a session, in which nothing was written yet.
fn connected() -> Registrations {
    let mut all = Registrations::new([], at(0));
    all.connected(at(0), 7, false, at(0));
    all
}

#[test]
fn a_wanted_node_is_written_and_one_that_is_no_longer_wanted_is_deleted() {
    let mut all = Registrations::new([], at(0));
    assert_eq!(shown(&all.want(at(0), wants(&[("a", 1)]))), "", "there is no session");
    assert_eq!(shown(&all.connected(at(1), 7, false, at(1))), "+1");
    assert_eq!(shown(&all.want(at(1), wants(&[("a", 1)]))), "", "it is being written");
    assert_eq!(shown(&all.done(at(1), &id(1), Outcome::Created)), "registered");
    assert_eq!(shown(&all.want(at(2), BTreeMap::new())), "-1");
    assert_eq!(shown(&all.done(at(2), &id(1), Outcome::Deleted)), "deregistered");
    assert!(all.is_empty());
}

#[test]
fn what_changes_during_a_write_follows_it() {
    let mut all = connected();
    all.want(at(0), wants(&[("a", 1)]));
    assert_eq!(shown(&all.want(at(0), BTreeMap::new())), "");
    assert_eq!(shown(&all.done(at(0), &id(1), Outcome::Created)), "registered -1");
    assert_eq!(shown(&all.want(at(0), wants(&[("a", 1)]))), "");
    assert_eq!(shown(&all.done(at(0), &id(1), Outcome::Deleted)), "deregistered +1");
}

#[test]
fn the_old_node_stays_until_the_new_one_is_there() {
    let mut all = connected();
    all.want(at(0), wants(&[("a", 1)]));
    all.done(at(0), &id(1), Outcome::Created);
    assert_eq!(shown(&all.want(at(1), wants(&[("a", 2)]))), "+2");
    assert_eq!(shown(&all.want(at(1), wants(&[("a", 3)]))), "+3", "2 is being written");
    assert_eq!(shown(&all.done(at(1), &id(2), Outcome::Created)), "registered");
    assert_eq!(shown(&all.done(at(1), &id(3), Outcome::Created)), "registered -1 -2");
    // A node that another service takes over is not deleted.
    assert_eq!(shown(&all.want(at(2), wants(&[("b", 3)]))), "");
}

#[test]
fn the_nodes_of_an_earlier_process_stay_until_the_health_is_known() {
    let mut all = Registrations::new([(id(1), Arc::from("a")), (id(2), Arc::from("gone"))], at(0));
    assert_eq!(shown(&all.connected(at(0), 7, false, at(0))), "");
    let kept = BTreeMap::from([(id(1), (Arc::from("a"), Want::Kept))]);
    assert_eq!(shown(&all.want(at(0), kept)), "-2", "its service is no longer configured");
    assert_eq!(shown(&all.want(at(1), wants(&[("a", 1)]))), "+1");
    assert_eq!(shown(&all.done(at(1), &id(1), Outcome::Unchanged)), "registered");
}

#[test]
fn every_node_is_looked_at_again_with_a_new_connection() {
    let mut all = connected();
    all.want(at(0), wants(&[("a", 1), ("b", 2)]));
    all.done(at(0), &id(1), Outcome::Created);
    all.disconnected();
    assert_eq!(shown(&all.done(at(1), &id(2), Outcome::Lost)), "");
    assert_eq!(shown(&all.connected(at(2), 7, true, at(9))), "+1 +2");
    assert_eq!(shown(&all.done(at(2), &id(1), Outcome::Unchanged)), "", "it was registered all the time");
    assert_eq!(shown(&all.done(at(2), &id(2), Outcome::Unchanged)), "registered");
    // A new session begins a little later, so that a fleet does not write at once.
    all.disconnected();
    assert_eq!(shown(&all.connected(at(3), 8, false, at(4))), "");
    assert_eq!((all.next_wake(at(3)), shown(&all.tick(at(4)))), (Some(at(4)), "+1 +2".into()));
    assert_eq!(shown(&all.done(at(4), &id(1), Outcome::TakenOver(7))), "taken_over");
}

#[test]
fn the_node_of_another_client_is_told_once_and_registered_when_it_goes() {
    let mut all = connected();
    all.want(at(0), wants(&[("a", 1)]));
    assert_eq!(shown(&all.done(at(0), &id(1), Outcome::Foreign(99))), "foreign_node");
    assert_eq!(all.next_wake(at(0)), Some(at(300)), "its end is an event");
    assert_eq!(shown(&all.changed(at(5), &id(1))), "+1");
    assert_eq!(shown(&all.done(at(5), &id(1), Outcome::Foreign(99))), "");
    assert_eq!(shown(&all.changed(at(6), &id(1))), "+1");
    assert_eq!(shown(&all.done(at(6), &id(1), Outcome::Created)), "registered");
}

#[test]
fn the_event_of_an_own_write_is_no_dispute() {
    let mut all = connected();
    all.want(at(0), wants(&[("a", 1)]));
    all.done(at(0), &id(1), Outcome::Created);
    let other = BTreeMap::from([(id(1), (Arc::from("a"), Want::Registered(spec(1, "new"))))]);
    assert_eq!(shown(&all.want(at(1), other)), "+1");
    assert_eq!(shown(&all.changed(at(1), &id(1))), "");
    assert_eq!(shown(&all.done(at(1), &id(1), Outcome::Updated)), "registration_updated +1");
    assert_eq!(shown(&all.done(at(1), &id(1), Outcome::Unchanged)), "");
    // It may also be heard after the write is done.
    assert_eq!(shown(&all.changed(at(1), &id(1))), "+1");
    assert_eq!(shown(&all.done(at(1), &id(1), Outcome::Unchanged)), "");
}

#[test]
fn failures_are_told_once_and_retried_with_a_growing_pause() {
    let mut all = connected();
    all.want(at(0), wants(&[("a", 1)]));
    assert_eq!(shown(&all.done(at(0), &id(1), Outcome::Failed("no".into()))), "registration_failed");
    assert_eq!((all.next_wake(at(0)), shown(&all.tick(at(0)))), (Some(at(1)), String::new()));
    assert_eq!(shown(&all.tick(at(1))), "+1");
    assert_eq!(shown(&all.done(at(1), &id(1), Outcome::Failed("no".into()))), "");
    assert_eq!(all.next_wake(at(1)), Some(at(3)));
    assert_eq!(shown(&all.tick(at(3))), "+1");
    assert_eq!(shown(&all.done(at(3), &id(1), Outcome::Created)), "registered");
}

#[test]
fn a_node_that_another_client_changes_again_and_again_is_restored_less_and_less_often() {
    let mut all = connected();
    all.want(at(0), wants(&[("a", 1)]));
    all.done(at(0), &id(1), Outcome::Created);
    assert_eq!(shown(&all.changed(at(10), &id(1))), "+1");
    assert_eq!(shown(&all.done(at(10), &id(1), Outcome::Created)), "registration_disputed");
    assert_eq!(shown(&all.changed(at(20), &id(1))), "", "it waits");
    assert_eq!(all.next_wake(at(20)), Some(at(30)));
    assert_eq!(shown(&all.tick(at(30))), "+1");
    assert_eq!(shown(&all.done(at(30), &id(1), Outcome::Updated)), "", "it is told once");
    all.changed(at(40), &id(1));
    assert_eq!(all.next_wake(at(40)), Some(at(60)));
    all.tick(at(60));
    all.done(at(60), &id(1), Outcome::Created);
    // Left alone for long enough, the next change counts as the first.
    assert_eq!(shown(&all.changed(at(1000), &id(1))), "+1");
    assert_eq!(shown(&all.done(at(1000), &id(1), Outcome::Created)), "registration_disputed");
}

#[test]
fn a_bounded_number_of_writes_waits_for_the_registry() {
    let mut all = connected();
    let many: Vec<(String, u16)> = (0..200).map(|port| (format!("s{port}"), port)).collect();
    let many: Vec<(&str, u16)> = many.iter().map(|(name, port)| (&**name, *port)).collect();
    assert_eq!(all.want(at(0), wants(&many)).len(), MAX_WRITES);
    let ids: Vec<NodeId> =
        all.nodes().iter().filter(|(_, it)| it.state != NodeState::Unknown).map(|(id, _)| id.clone()).collect();
    let next: usize = ids.iter().map(|id| all.done(at(0), id, Outcome::Created).len() - 1).sum();
    assert_eq!(next, MAX_WRITES, "each one that is done makes room");
}
