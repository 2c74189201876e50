use super::*;
use crate::jones::tree::tests::{Nodes, env};

fn texts(nodes: &Nodes) -> Vec<String> {
    findings(&nodes.tree())
        .into_iter()
        .map(|it| format!("{}{}", if it.is_repairable { "repair " } else { "" }, it.text))
        .collect()
}

#[test]
fn a_service_as_jones_leaves_it_after_races_and_kills() {
    let mut nodes = Nodes::new(&[("", "{}"), ("eu", r#"{"y": 2}"#), ("eu/de", "{}"), ("us", "{}"), ("bad", "{}")]);
    assert_eq!(texts(&nodes), Vec::<String>::new());
    nodes.put("/services/s/views/eu", r#"{"x": 2}"#);
    nodes.put("/services/s/views/eu/de", "");
    nodes.nodes.remove("/services/s/views/us");
    nodes.put("/services/s/conf/bad", r#"{"a": NaN}"#);
    nodes.put("/services/s/views/old", "{}");
    nodes.put("/services/s/views/old/deep", "{}");
    nodes.put("/services/s/views/older", "{}");
    nodes.put(
        "/services/s/nodemaps",
        "a -> /services/s/views/gone\nb -> /services/s/views/gone\nc -> /services/t/views\nd -> /services/s/views/us\n\
         e -> /services/s/pins/r9\nf -> /services/s/views/older",
    );
    let wanted = [
        "s/bad: its own configuration is not an object: NaN is not a finite number (expected value at line 1 column 7); replace it with `rosterd jones apply s/bad FILE`",
        "repair s/eu: the view is stale; read by 0 hosts",
        "repair s/eu/de: the view is empty; read by 0 hosts",
        "repair s/us: the view is missing; read by 1 host",
        "repair s/old: a view without an environment: /services/s/views/old",
        "repair s/old/deep: a view without an environment: /services/s/views/old/deep",
        "s/older: a view without an environment: /services/s/views/older",
        "s: host c is associated with /services/t/views, which is outside of its service",
        "s: 2 hosts are associated with /services/s/views/gone, which does not exist: a, b; associate them with another environment, or dissociate them",
        "s: 1 host is associated with /services/s/pins/r9, which does not exist: e; associate them with another environment, or dissociate them",
        "s: 1 host is associated with /services/s/views/older, which does not exist: f; associate them with another environment, or dissociate them",
    ];
    assert_eq!(texts(&nodes), wanted);
    assert_eq!(unused_views(&nodes.tree()), [env("old/deep"), env("old")], "those below others first");
    nodes.put("/services/s/nodemaps", "garbage");
    assert!(texts(&nodes).iter().any(|text| text.starts_with("/services/s/nodemaps: neither a JSON object")));
    nodes.nodes.remove("/services/s/conf");
    assert!(texts(&nodes)[0].contains("complete it with `rosterd jones init s`"));
}
