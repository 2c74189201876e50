use glob::Pattern;

use super::Mask;
use crate::jones::tree::tests::{Nodes, object};

#[test]
fn values_of_masked_keys_are_hidden_at_any_depth_and_in_any_case() {
    for (patterns, before, after) in [
        (&["*password*"][..], r#"{"password": "x"}"#, r#"{"password": "********"}"#),
        (&["*password*"], r#"{"DB_PASSWORD_2": {"a": 1}, "a": 1}"#, r#"{"DB_PASSWORD_2": "********", "a": 1}"#),
        (&["*password*"], r#"{"a": [{"b": {"password": 1}}]}"#, r#"{"a": [{"b": {"password": "********"}}]}"#),
        (
            &["token", "*key"],
            r#"{"token": 1, "tokens": 2, "api/key": 3}"#,
            r#"{"token": "********", "tokens": 2, "api/key": "********"}"#,
        ),
        (&["token"], r#"{"a": "token"}"#, r#"{"a": "token"}"#),
        (&[], r#"{"password": 1}"#, r#"{"password": 1}"#),
    ] {
        let patterns: Vec<Pattern> = patterns.iter().map(|text| Pattern::new(text).unwrap()).collect();
        let mut masked = object(before);
        Mask(&patterns).object(&mut masked);
        assert_eq!(masked, object(after), "{before}");
    }
}

#[test]
fn nothing_of_a_hidden_value_is_left_in_a_service() {
    let mut nodes = Nodes::new(&[("", r#"{"password": "hunter2"}"#), ("a", r#"{"password": "hunter2", "b": 1}"#)]);
    nodes.put("/services/s/conf/broken", r#"{"password": "hunter2""#);
    let mut tree = nodes.tree();
    let patterns = [Pattern::new("*password*").unwrap()];
    assert!(format!("{tree:?}").contains("hunter2"));
    Mask(&patterns).tree(&mut tree);
    let texts = tree.envs.values().flat_map(|nodes| [Some(&nodes.conf), nodes.view.as_ref()]).flatten();
    for node in texts {
        assert!(!String::from_utf8_lossy(&node.data).contains("hunter2"), "{node:?}");
        assert!(!format!("{:?}", node.object).contains("hunter2"), "{node:?}");
    }
}
