use super::*;
use crate::jones::entry::Entry;
use crate::jones::proposal::{ConfEdit, HostEdit, Proposal};
use crate::jones::tree::tests::{Nodes, env, object, service};

fn diff(nodes: &Nodes, proposal: &Proposal) -> String {
    let tree = nodes.tree();
    text(&service(), &Plan::new(&tree, &proposal.rebase(&tree).unwrap(), Entry::default()).unwrap())
}

#[test]
fn own_configuration_then_views_with_their_hosts_then_hosts() {
    let mut nodes =
        Nodes::new(&[("", r#"{"a": 1, "n": {"x": 1}}"#), ("eu", "{}"), ("eu/de", "{}"), ("eu/fr", r#"{"a": 3}"#)]);
    nodes.put("/services/s/nodemaps", r#"{"h1": "/services/s/views/eu/de", "h2": "/services/s/views/eu/de"}"#);
    let edit = ConfEdit { base: Some(object("{}")), wanted: Some(object(r#"{"a": 2}"#)), version: None };
    let host = HostEdit { base: None, wanted: Some("/services/s/views/eu".into()), env: None };
    let proposal = Proposal {
        confs: [(env("eu"), edit)].into_iter().collect(),
        hosts: [("h\n3".to_owned(), host)].into_iter().collect(),
        ..Proposal::default()
    };
    let wanted = r#"s/eu: own configuration
@@ -1 +1,3 @@
-{}
+{
+  "a": 2
+}
s/eu: view, read by 0 hosts
@@ -1,5 +1,5 @@
 {
-  "a": 1,
+  "a": 2,
   "n": {
     "x": 1
   }
1 more view changes in the same way, read by 2 hosts: s/eu/de
host h\n3: (no association) -> /services/s/views/eu
"#;
    assert_eq!(diff(&nodes, &proposal), wanted);
}

#[test]
fn a_new_and_a_deleted_environment_are_named_as_such() {
    let nodes = Nodes::new(&[("", "{}"), ("eu", r#"{"a": 1}"#)]);
    let one = |base: Option<&str>, wanted: Option<&str>, name: &str| {
        let edit = ConfEdit { base: base.map(object), wanted: wanted.map(object), version: None };
        diff(&nodes, &Proposal { confs: [(env(name), edit)].into_iter().collect(), ..Proposal::default() })
    };
    assert!(one(None, Some("{}"), "us").starts_with("s/us: new environment\n@@ -0,0 +1 @@\n+{}\n"));
    let deleted = one(Some(r#"{"a": 1}"#), None, "eu");
    assert_eq!(deleted, "s/eu: deleted environment\n@@ -1,3 +0,0 @@\n-{\n-  \"a\": 1\n-}\n");
}
