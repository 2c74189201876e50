use super::*;

fn subject(text: &str) -> Subject {
    Subject::parse(text).unwrap()
}

fn nodes() -> Members {
    let node = |data: &[u8], kind| Ok(NodeContent { data: data.into(), kind });
    BTreeMap::from([
        ("a:1".into(), node(b"{\"zone\": \"a\"}", NodeKind::Ephemeral)),
        ("b:1".into(), node(b"", NodeKind::Persistent)),
        ("c:1".into(), node(b"\xff\x00", NodeKind::Ephemeral)),
        ("d".into(), node(b"", NodeKind::Parent)),
        ("e".into(), Err("not authorized".into())),
    ])
}

#[test]
fn a_view_is_the_same_after_it_was_stored() {
    let keys = BTreeMap::from([
        ("web".into(), Seen::Present(nodes())),
        ("db".into(), Seen::Absent),
        ("x".into(), Seen::Unreadable("no".into())),
    ]);
    let path = super::super::node_path::NodePath::parse("/services/web").unwrap();
    let mapped = Subject::Mapped { service: path.clone(), host: "h1".into() };
    let node = Subject::Node(path);
    let all = [
        (subject("/services/web"), View::Members(Seen::Present(nodes()))),
        (subject("/none"), View::Members(Seen::Absent)),
        (subject("/services/*"), View::Keyed(Seen::Present(keys))),
        (subject("/none/*"), View::Keyed(Seen::Absent)),
        (subject("/closed/*/x"), View::Keyed(Seen::Unreadable("no".into()))),
        (node, View::Node(Seen::Present(b"text"[..].into()))),
        (mapped, View::Mapped { mapping: None, data: Seen::Present(b"{}"[..].into()) }),
    ];
    let mut saved = SavedViews::default();
    for (subject, view) in &all {
        saved.insert("main", subject, view);
    }
    let text = saved.to_text();
    let read = SavedViews::parse(text.as_bytes()).unwrap();
    assert_eq!(read.to_text(), text);
    for (subject, view) in &all {
        assert_eq!(read.view("main", subject).as_ref(), Some(view), "{subject}");
        assert_eq!(read.view("other", subject).as_ref(), Some(view), "the only registry stands for every name");
    }
    assert_eq!(read.view("main", &subject("/other")), None);
}

#[test]
fn a_damaged_file_is_refused() {
    for (text, wanted) in [
        ("", "EOF"),
        ("{\"version\": 2, \"registries\": {}}", "its version is 2"),
        ("{\"version\": 1, \"registries\": {\"a\": {\"nodes\": {}}}}", "unknown field"),
        (
            "{\"version\": 1, \"registries\": {\"a\": {\"rosters\": {\"/s\": {\"nodes\": {\"a\": {\"base64\": \"?\"}}}}}}}",
            "/s: base64: ",
        ),
    ] {
        let refused = SavedViews::parse(text.as_bytes()).unwrap_err();
        assert!(refused.contains(wanted), "{text}: {refused}");
    }
}
