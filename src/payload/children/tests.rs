use super::*;
use crate::model::registry_event::NodeContent;

fn nodes(list: &[(&str, &str)]) -> Members {
    list.iter().map(|(name, data)| (Arc::from(*name), Ok(NodeContent::ephemeral(data.as_bytes())))).collect()
}

fn put(children: &mut DecodedChildren, name: &str, data: &str) -> bool {
    children.put(&Arc::from(name), &Ok(NodeContent::ephemeral(data.as_bytes()))) != Difference::None
}

fn remove(children: &mut DecodedChildren, name: &str) -> bool {
    children.remove(&Arc::from(name)) != Difference::None
}

fn auto(list: &[(&str, &str)]) -> DecodedChildren {
    DecodedChildren::read(&Payload::default(), None, &nodes(list), None)
}

fn weights(children: &DecodedChildren) -> Vec<f64> {
    children.members().values().map(|member| member.fields().weight.unwrap()).collect()
}

const ALIVE: &str = r#"{"serviceEndpoint":{"host":"a","port":1},"status":"ALIVE"}"#;
const DEAD: &str = r#"{"serviceEndpoint":{"host":"a","port":1},"status":"DEAD"}"#;
const HALF: &str = r#"{"vector":[{"select":"member=member_1","weight":0.5}]}"#;

#[test]
fn an_undecodable_node_does_not_affect_others() {
    let list = [("1", r#"{"host":"a","port":1}"#), ("2", "{broken"), ("3", r#"{"host":"c","port":3}"#)];
    let children = DecodedChildren::read(&Format::Kafka.into(), None, &nodes(&list), None);
    assert_eq!(children.members().keys().map(|name| &**name).collect::<Vec<_>>(), ["1", "3"]);
    assert_eq!(children.quarantined().keys().map(|name| &**name).collect::<Vec<_>>(), ["2"]);
}

#[test]
fn a_detected_format_does_not_change() {
    let nerve = r#"{"host":"a","port":1}"#;
    let mut children = auto(&[("h:1", "")]);
    assert_eq!(children.chosen(), Some(&Format::Nextdoor));
    for number in 1..9 {
        assert!(put(&mut children, &format!("i_{number}"), nerve));
    }
    assert_eq!(children.chosen(), Some(&Format::Nextdoor));
    assert_eq!(children.members().len(), 9);
    let again =
        DecodedChildren::read(&Payload::default(), children.chosen(), &nodes(&[("i_1", nerve)]), Some(&children));
    assert_eq!(again.chosen(), Some(&Format::Nextdoor));
}

#[test]
fn the_format_is_open_until_a_node_indicates_one() {
    let mut children = auto(&[("web1", ""), ("web2", "x")]);
    assert_eq!((children.chosen(), children.format(), children.members().len()), (None, &Format::Nextdoor, 2));
    assert!(put(&mut children, "web3", ""));
    assert!(remove(&mut children, "web1"));
    assert!(put(&mut children, "1", r#"{"host":"k","port":1,"jmx_port":-1,"version":5}"#));
    assert_eq!(children.chosen(), Some(&Format::Kafka));
    assert_eq!(children.members().keys().map(|name| &**name).collect::<Vec<_>>(), ["1"]);
    assert_eq!(children.quarantined().keys().map(|name| &**name).collect::<Vec<_>>(), ["web2", "web3"]);
}

#[test]
fn only_real_changes_are_reported() {
    let mut children = auto(&[("h:1", "{}"), ("h:2", "")]);
    let kept = Arc::clone(&children.members()["h:1"]);
    let name: Arc<str> = "h:1".into();
    assert!(!put(&mut children, &name, "{ }"));
    assert!(Arc::ptr_eq(&kept, &children.members()["h:1"]));
    assert!(put(&mut children, &name, r#"{"a":1}"#));
    assert!(put(&mut children, &name, r#"{"a":"\n"}"#));
    assert!(!put(&mut children, &name, r#"{"a":"\n"}"#));
    assert_eq!((children.members().len(), children.quarantined().len()), (1, 1));
    assert!(remove(&mut children, &name));
    assert!(!remove(&mut children, &name));
    let again = DecodedChildren::read(&Payload::default(), None, &nodes(&[("h:2", "")]), Some(&children));
    assert!(Arc::ptr_eq(&again.members()["h:2"], &children.members()["h:2"]));
}

#[test]
fn vectors_set_weights_in_any_order_of_arrival() {
    let vector: Arc<str> = "vector_1".into();
    let mut children = auto(&[("member_1", ALIVE), ("member_2", ALIVE), ("member_3", DEAD), ("lock", "")]);
    assert_eq!((weights(&children), children.quarantined().len()), (vec![1.0, 1.0], 0));
    assert!(put(&mut children, &vector, HALF));
    assert!(!put(&mut children, &vector, HALF));
    assert_eq!(weights(&children), [0.5, 1.0]);
    assert!(!put(&mut children, "member_1", ALIVE));
    assert!(!put(&mut children, "lock", "x"));
    assert!(put(&mut children, "member_1", DEAD));
    assert!(put(&mut children, "member_1", ALIVE));
    assert_eq!(weights(&children), [0.5, 1.0]);
    let list = [("member_1", ALIVE), ("member_2", ALIVE), ("vector_1", HALF), ("vector_2", HALF)];
    assert_eq!(weights(&auto(&list)), [0.25, 1.0]);
    assert!(put(&mut children, &vector, "{"));
    assert_eq!((weights(&children), children.quarantined().len()), (vec![1.0, 1.0], 1));
    assert!(put(&mut children, &vector, HALF));
    assert!(remove(&mut children, &vector));
    assert_eq!(weights(&children), [1.0, 1.0]);
}

#[test]
fn weighing_many_members_with_many_vectors_is_linear() {
    let factors = vec![r#"{"select":"inet=a:1","weight":1.0}"#; 1500].join(",");
    let all = (0..250).flat_map(|number| {
        let vector = format!(r#"{{"vector":[{factors},{{"select":"member=member_{number}","weight":0.5}}]}}"#);
        [(format!("vector_{number}"), vector)]
    });
    let members = (0..9_000).map(|number| (format!("member_{number}"), ALIVE.to_owned()));
    let all = all.chain(members).map(|(name, data)| (Arc::from(name), Ok(NodeContent::ephemeral(data.into_bytes()))));
    let all: Members = all.collect();
    let began = std::time::Instant::now();
    let mut children = DecodedChildren::read(&Format::Serverset.into(), None, &all, None);
    assert_eq!(weights(&children).iter().filter(|weight| **weight < 1.0).count(), 250);
    assert!(put(&mut children, "vector_0", "{}"));
    assert_eq!(weights(&children).iter().filter(|weight| **weight < 1.0).count(), 249);
    // Looking at each vector for each member takes many minutes.
    assert!(began.elapsed() < std::time::Duration::from_mins(1), "{:?}", began.elapsed());
}
