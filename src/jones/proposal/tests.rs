use super::*;
use crate::jones::json;
use crate::jones::tree::tests::{Nodes, env, object};

fn edit(base: Option<&str>, wanted: Option<&str>, version: Option<i32>) -> Proposal {
    let edit = ConfEdit { base: base.map(object), wanted: wanted.map(object), version };
    Proposal { confs: [(env("eu"), edit)].into_iter().collect(), ..Proposal::default() }
}

fn rebased(nodes: &Nodes, proposal: &Proposal) -> String {
    match proposal.rebase(&nodes.tree()) {
        Ok(change) => match change.confs.get(&env("eu")) {
            Some(Wanted::Create(object)) => format!("create {}", String::from_utf8_lossy(&json::bytes(object))),
            Some(Wanted::Set(object)) => format!("set {}", String::from_utf8_lossy(&json::bytes(object))),
            Some(Wanted::Delete) => "delete".to_owned(),
            None => "nothing".to_owned(),
        },
        Err(Refused::Check(why)) => format!("check: {why}"),
        Err(Refused::Changed(why)) => format!("changed: {why}"),
    }
}

#[test]
fn a_proposal_is_merged_with_what_is_there_now() {
    let nodes = Nodes::new(&[("", "{}"), ("eu", r#"{"b": 2, "a": 1}"#)]);
    let bare = Nodes::new(&[("", "{}")]);
    for (nodes, base, wanted, version, result) in [
        (&nodes, Some(r#"{"a": 1}"#), Some(r#"{"a": 9}"#), None, r#"set {"b": 2, "a": 9}"#),
        (&nodes, Some(r#"{"a": 1, "b": 2}"#), Some(r#"{"a": 1, "b": 2}"#), None, "nothing"),
        (&nodes, Some(r#"{"a": 1}"#), Some(r#"{"a": 9}"#), Some(0), r#"set {"b": 2, "a": 9}"#),
        (&nodes, Some(r#"{"a": 1}"#), Some(r#"{"a": 9}"#), Some(3), "changed: s/eu: it has version 0, not version 3"),
        (
            &nodes,
            Some(r#"{"a": 0}"#),
            Some(r#"{"a": 9}"#),
            None,
            "changed: s/eu was changed by somebody else meanwhile:\n  a: it was 0; now 1; this change has 9",
        ),
        (&nodes, None, Some("{}"), None, "check: s/eu: the environment exists already"),
        (&nodes, Some(r#"{"a": 1, "b": 2}"#), None, None, "delete"),
        (&nodes, Some(r#"{"a": 1}"#), None, None, "changed: s/eu: it was changed meanwhile, so it is not deleted"),
        (&bare, None, Some("{}"), None, "create {}"),
        (&bare, Some("{}"), Some(r#"{"a": 1}"#), None, "changed: s/eu: the environment was deleted meanwhile"),
        (&bare, Some("{}"), None, None, "check: s/eu: there is no such environment"),
        (&bare, Some("{}"), Some("{}"), Some(1), "changed: s/eu: it does not exist, not version 1"),
    ] {
        assert_eq!(rebased(nodes, &edit(base, wanted, version)), result);
    }
}

#[test]
fn a_conf_that_is_no_object_is_replaced_as_a_whole() {
    let mut nodes = Nodes::new(&[("", "{}"), ("eu", "{}")]);
    nodes.put("/services/s/conf/eu", r#"{"a": NaN}"#);
    assert_eq!(rebased(&nodes, &edit(Some("{}"), Some("{}"), None)), "set {}");
}

#[test]
fn a_host_that_somebody_else_moved_is_a_conflict() {
    let mut nodes = Nodes::new(&[("", "{}"), ("eu", "{}")]);
    let proposal = |base: Option<&str>, wanted: Option<&str>| {
        let edit = HostEdit { base: base.map(str::to_owned), wanted: wanted.map(str::to_owned), env: Some(env("eu")) };
        Proposal { hosts: [("h1".to_owned(), edit)].into_iter().collect(), ..Proposal::default() }
    };
    let change = proposal(None, Some("/services/s/views/eu")).rebase(&nodes.tree()).unwrap();
    assert_eq!(change.hosts["h1"].as_deref(), Some("/services/s/views/eu"));
    assert_eq!(change.needed, [env("eu")]);
    nodes.put("/services/s/nodemaps", r#"{"h1": "/services/s/views"}"#);
    assert!(proposal(None, Some("/services/s/views")).rebase(&nodes.tree()).unwrap().is_empty(), "it is so already");
    let moved = proposal(None, Some("/services/s/views/eu")).rebase(&nodes.tree()).unwrap_err();
    assert!(
        matches!(&moved, Refused::Changed(why) if why.contains("host h1: it was associated with /services/s/views"))
    );
}

#[test]
fn a_node_that_another_host_reads_now_is_not_deleted() {
    let mut nodes = Nodes::new(&[("", "{}"), ("eu", "{}")]);
    let paths = ["/services/s/pins/r1", "/services/s/pins/r1/eu", "/services/s/pins/r2"];
    for path in paths {
        nodes.put(path, "{}");
    }
    nodes.put("/services/s/nodemaps", &format!(r#"{{"h1": "{}"}}"#, paths[1]));
    let edit = HostEdit { base: Some(paths[1].into()), wanted: None, env: None };
    let unpin = Proposal {
        hosts: [("h1".to_owned(), edit)].into_iter().collect(),
        nodes: paths.iter().map(|path| (NodePath::parse(path).unwrap(), None)).collect(),
        ..Proposal::default()
    };
    let deleted = |nodes: &Nodes| {
        let change = unpin.rebase(&nodes.tree()).unwrap();
        change.nodes.keys().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(deleted(&nodes), paths);
    // h2 is pinned meanwhile.
    nodes.put("/services/s/nodemaps", &format!(r#"{{"h1": "{0}", "h2": "{0}"}}"#, paths[1]));
    assert_eq!(deleted(&nodes), [paths[2]]);
}

#[test]
fn a_node_that_is_not_as_it_was_read_is_a_conflict() {
    let mut nodes = Nodes::new(&[("", "{}"), ("eu", "{}")]);
    let path = NodePath::parse("/services/s/canary/c").unwrap();
    let is_refused = |nodes: &Nodes, data: Option<&str>| {
        let expected = [(path.clone(), data.map(|data| data.as_bytes().to_vec()))].into_iter().collect();
        let refused = Proposal { expected, ..Proposal::default() }.rebase(&nodes.tree()).err();
        let words = "/services/s/canary/c: it was changed by somebody else meanwhile";
        refused.is_some_and(|refused| refused == Refused::Changed(words.to_owned()))
    };
    // A canary is begun once, and ends once.
    assert_eq!([None, Some("{}")].map(|data| is_refused(&nodes, data)), [false, true]);
    nodes.put(path.as_str(), "{}");
    assert_eq!([None, Some("{}"), Some("[]")].map(|data| is_refused(&nodes, data)), [true, false, true]);
}
