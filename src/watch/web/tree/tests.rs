use super::*;
use crate::model::registry_event::Reading;

/// The members of a path as `name=data`, or why the object cannot be parsed.
fn members(body: &str, path: &str) -> String {
    match Tree::parse(body.as_bytes()) {
        Err(unreachable) => unreachable.reason,
        Ok(tree) => match tree.view(&Subject::parse(path).unwrap()) {
            View::Members(seen) => shown(seen),
            View::Keyed(Seen::Present(keys)) => {
                keys.into_iter().map(|(key, seen)| format!("{key}({})", shown(seen))).collect::<Vec<_>>().join(" ")
            }
            view => format!("{view:?}"),
        },
    }
}

fn shown(seen: Seen<Members>) -> String {
    match seen {
        Seen::Present(members) => {
            let one = |(name, reading): (Arc<str>, Reading)| {
                let node = reading.unwrap();
                let parent = if node.kind == NodeKind::Parent { "/" } else { "" };
                format!("{name}{parent}={}", String::from_utf8_lossy(&node.data))
            };
            members.into_iter().map(one).collect::<Vec<_>>().join(" ")
        }
        Seen::Absent => "absent".to_owned(),
        Seen::Unreadable(why) => why.to_string(),
    }
}

#[test]
fn members_are_read_from_every_form() {
    for (body, path, expected) in [
        (r#"{"/s/web": ["b:1", "a:1"]}"#, "/s/web", "a:1= b:1="),
        (
            r#"{"/s/web": {"a:1": {"w": 1.50}, "b:1": null, "c:1": "text", "d:1": 7}}"#,
            "/s/web",
            "a:1={\"w\": 1.50} b:1= c:1=text d:1=7",
        ),
        (r#"{"/s/web": [{"name": "a", "host": "h", "data": {"w": 1}, "slot": 0}]}"#, "/s/web", "a={\"w\": 1}"),
        (r#"[{"host": "h", "port": 1, "zone": "b"}]"#, "/", "h:1={\"host\": \"h\", \"port\": 1, \"zone\": \"b\"}"),
        (r#"["a:1"]"#, "/", "a:1="),
        (r#"{"/": ["a:1"]}"#, "/", "a:1="),
        (r#"{"/s/web": []}"#, "/s/web", ""),
        (r#"{"/s/web": []}"#, "/s/db", "absent"),
        (r#"{"/s/web": ["a:1"]}"#, "/s", "web/="),
        (r#"{"/s/web": ["a:1"], "/s/db": [], "/s/note": "text"}"#, "/s/*", "db() note() web(a:1=)"),
        (r#"{"/s/web/live": ["a:1"], "/s/db": []}"#, "/s/*/live", "db(absent) web(a:1=)"),
        ("{}", "/", ""),
        ("# none\n", "/", ""),
        ("# two\na.example:1\r\n\n  [::1]:2  ", "/", "[::1]:2= a.example:1="),
        ("\u{feff}a:1", "/", "a:1="),
    ] {
        assert_eq!(members(body, path), expected, "{body}");
    }
    let tree = Tree::parse(br#"{"/config/web": "timeout 1", "/config/n": 5}"#).unwrap();
    let node = |path: &str| match tree.view(&Subject::Node(NodePath::parse(path).unwrap())) {
        View::Node(Seen::Present(data)) => String::from_utf8_lossy(&data).into_owned(),
        view => format!("{view:?}"),
    };
    assert_eq!([node("/config/web"), node("/config/n"), node("/config")], ["timeout 1", "5", ""]);
    assert_eq!(node("/x"), "Node(Absent)");
}

#[test]
fn what_is_not_a_list_of_members_is_refused_with_its_place() {
    let empty = "the object is empty, which is not a list: write {} or a line with # for a list without members";
    for (body, expected) in [
        ("", empty),
        (" \n", empty),
        ("<html>\n<title>502</title>", "line 1 is neither JSON nor HOST:PORT: \"<html>\""),
        ("a:1\nb", "line 2 is neither JSON nor HOST:PORT: \"b\""),
        ("a:0", "line 1 is neither JSON nor HOST:PORT: \"a:0\""),
        ("a:+1", "line 1 is neither JSON nor HOST:PORT: \"a:+1\""),
        (r#"{"/s/web": ["a:1""#, "the object cannot be parsed: EOF while parsing a list at line 1 column 17"),
        (r#"{"error": "denied"}"#, "\"error\" is not a path: a registry path starts with /"),
        (r#"{"/s/web": ["a/b"]}"#, "\"a/b\" in /s/web is not a valid name of a node"),
        (r#"{"/s/web": [".."]}"#, "\"..\" in /s/web is not a valid name of a node"),
        (
            r#"{"/s/web": [{"ip": "::1"}]}"#,
            "a member in /s/web has neither a name nor a host and a port: \"{\\\"ip\\\": \\\"::1\\\"}\"",
        ),
        (
            r#"{"/s": ["a:1", "b:1"], "/s": ["a:1"]}"#,
            "the object cannot be parsed: the key \"/s\" appears twice at line 1 column 37",
        ),
        (r#"{"/s": {"a:1": 1, "a:1": 2}}"#, "/s cannot be parsed: the key \"a:1\" appears twice at line 1 column 20"),
        (r#"{"/s/web": [1]}"#, "a member in /s/web is neither a string nor an object: \"1\""),
    ] {
        assert_eq!(members(body, "/"), expected, "{body}");
    }
    assert!(members(&format!("[\"{}\"]", "x".repeat(99)), "/").starts_with("xxx"));
    assert!(members(&"y".repeat(99), "/").ends_with("yy\"…"));
    assert_eq!(Tree::parse(b"\x1f\x8b\x08").unwrap_err().reason, "the object is not UTF-8 text");
    let deep = members(&format!("{{\"{}\": []}}", "/a".repeat(20_000)), "/");
    assert!(deep.ends_with("… is longer than 1024 bytes or 64 segments"), "{deep}");
    let many =
        format!("{{\"/s\": [{}]}}", (0..MAX_SUBJECT_NODES).map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(","));
    assert_eq!(members(&many, "/s"), "too large: the object has more than 100000 nodes");
}
