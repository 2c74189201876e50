use super::*;
use crate::model::registry_event::NodeContent;
use crate::payload::tests::samples;
use std::sync::Arc;

fn nodes(list: &[(&str, &str)]) -> Members {
    list.iter().map(|(name, data)| (Arc::from(*name), Ok(NodeContent::ephemeral(data.as_bytes())))).collect()
}

#[test]
fn each_format_is_detected() {
    for (format, nodes) in samples() {
        for (name, data) in &nodes {
            let chosen = detect_node(name, &Ok(NodeContent::ephemeral(data.as_bytes())));
            let told = match format {
                Format::Lock | Format::Party => None,
                Format::HostPort | Format::ShallowParty => Some(Format::Nextdoor),
                _ => Some(format.clone()),
            };
            assert_eq!(chosen, told, "{name} {data}");
        }
    }
}

#[test]
fn the_majority_of_nodes_decides_the_format() {
    let nerve = (r"i-1_0000000001", r#"{"host":"a","port":1}"#);
    let other = (r"i-2_0000000002", r#"{"host":"a","port":2}"#);
    for (list, expected) in [
        (&[][..], None),
        (&[("web1", ""), ("x", "y"), ("lock_", "{}"), ("a b:x", "5")][..], None),
        (&[("h:1", ""), nerve, other][..], Some(Format::Nerve)),
        (&[("h:1", ""), ("h:2", ""), nerve][..], Some(Format::Nextdoor)),
        (&[("h:1", ""), nerve][..], Some(Format::Nerve)),
        (&[("web1", ""), ("web2", ""), ("h:1", "")][..], Some(Format::Nextdoor)),
        (&[("h:1", r#"{"host":"a","port":1}"#)][..], Some(Format::Nextdoor)),
        (&[("i-1_1", r#"{"host":"a b","port":1}"#)][..], None),
    ] {
        assert_eq!(detect(&nodes(list)), expected, "{list:?}");
    }
}

/// A program may keep a lock beside the servers of a path, or the only node of a path may be one.
#[test]
fn a_node_of_a_recipe_of_kazoo_indicates_no_format() {
    let hex = "0123456789abcdef0123456789abcdef";
    for name in [format!("{hex}__lock__0000000001"), format!("{hex}__party__"), format!("{hex}-web9")] {
        let list = [("web1", ""), ("web2", ""), (&*name, "10.0.0.9")];
        for list in [&list[..], &list[2..]] {
            let found = detect(&nodes(list));
            assert!(!matches!(found, Some(Format::Lock | Format::Party | Format::ShallowParty)), "{name}: {found:?}");
        }
        assert_eq!(detect(&nodes(&[("10.0.0.1:80", ""), (&*name, "")])), Some(Format::Nextdoor), "{name}");
    }
}

#[test]
fn an_undecodable_node_indicates_no_format() {
    assert_eq!(detect_node("h:1", &Err("no permission".into())), None);
    assert_eq!(detect_node("h:1", &Ok(NodeContent::ephemeral(vec![b'x'; MAX_DATA + 1]))), None);
    assert_eq!(detect_node("h:1", &Ok(NodeContent::ephemeral(&b"\xff"[..]))), Some(Format::Nextdoor));
    assert_eq!(detect_node("h\u{2028}:1", &Ok(NodeContent::ephemeral(&b""[..]))), None);
}
