use super::*;

fn dirty(subject: &str, events: &[(NodeEvent, &str)]) -> String {
    let subject = if let Some(path) = subject.strip_prefix("node ") {
        Subject::Node(crate::model::node_path::NodePath::parse(path).unwrap())
    } else {
        Subject::parse(subject).unwrap()
    };
    let mut dirty = DirtySet::default();
    for (event, path) in events {
        dirty.record(&subject, *event, path);
    }
    let mut words: Vec<String> = Vec::new();
    if dirty.all {
        words.push("all".into());
    }
    words.extend(dirty.lists.iter().map(|key| format!("list {key}").trim_end().to_owned()));
    words.extend(dirty.keys.iter().map(|key| format!("key {key}")));
    words.extend(dirty.members.iter().map(|id| match &id.key {
        Some(key) => format!("{key}>{}", id.name),
        None => id.name.to_string(),
    }));
    words.join(", ")
}

#[test]
fn an_event_marks_what_it_may_have_changed() {
    use NodeEvent::{ChildrenChanged as Children, Created, DataChanged as Data, Deleted};
    type Case<'a> = (&'a str, &'a [(NodeEvent, &'a str)], &'a str);
    let cases: &[Case] = &[
        ("/s", &[], ""),
        ("/s", &[(Created, "/s/a"), (Data, "/s/a"), (Deleted, "/s/b")], "a, b"),
        ("/s", &[(Data, "/s")], ""),
        ("/s", &[(Created, "/s")], "all"),
        ("/s", &[(Deleted, "/s/a"), (Deleted, "/s"), (Created, "/s"), (Created, "/s/a")], "all"),
        ("/s", &[(Children, "/s"), (Data, "/s/a")], "list, a"),
        ("/s", &[(Children, "/s/a")], "a"),
        ("/s", &[(Created, "/s/a/deep"), (Data, "/s/b/deep"), (Created, "/s/c/deep/er")], "a"),
        ("/s", &[(Deleted, "/s/a/deep"), (Data, "/s/a/deep/er")], "a"),
        ("/s", &[(Created, "/sx"), (Created, "/sx/a"), (Created, "/other")], ""),
        ("/", &[(Created, "/a"), (Data, "/")], "a"),
        ("/s/*", &[(Created, "/s/k")], "key k"),
        ("/s/*", &[(Data, "/s/k"), (Data, "/s")], ""),
        ("/s/*", &[(Deleted, "/s/k/a"), (Data, "/s/l/a")], "k>a, l>a"),
        ("/s/*", &[(Children, "/s/k"), (Children, "/s")], "list, list k"),
        ("/s/*", &[(Deleted, "/s"), (Created, "/s/k/a/deep")], "all"),
        ("/s/*/live", &[(Created, "/s/k")], "key k"),
        ("/s/*/live", &[(Created, "/s/k/live"), (Deleted, "/s/k/dead")], "key k"),
        ("/s/*/live", &[(Children, "/s/k"), (Children, "/s/l/live")], "list l, key k"),
        ("/s/*/live", &[(Created, "/s/k/dead/a"), (Data, "/s/k/live")], ""),
        ("/s/*/live", &[(Created, "/s/k/live/a"), (Data, "/s/k/live/a/b")], "k>a"),
        ("/s/*/live", &[(Deleted, "/s/k/live/a/b"), (Data, "/s/k/live/b/b"), (Created, "/s/k/live/c/d/e")], "k>a"),
        ("/s/*/x/y", &[(Created, "/s/k/x"), (Deleted, "/s/l/x/y"), (Created, "/s/m/x/y/a")], "key k, key l, m>a"),
        ("/*", &[(Created, "/k"), (Created, "/k/a")], "key k, k>a"),
        ("/s/m*", &[(Created, "/s/web"), (Created, "/s/web/a"), (Children, "/s/web")], ""),
        ("/s/m*", &[(Created, "/s/m"), (Deleted, "/s/mem/a"), (Children, "/s")], "list, key m, mem>a"),
        ("/s/*-p/live", &[(Created, "/s/web/live/a"), (Created, "/s/web-p/live/a")], "web-p>a"),
        ("node /s", &[(Data, "/s")], "all"),
        ("node /s", &[(Deleted, "/s")], "all"),
        ("node /s", &[(Data, "/s/a"), (Created, "/s/b"), (Data, "/")], ""),
    ];
    for (subject, events, wanted) in cases {
        assert_eq!(dirty(subject, events), *wanted, "{subject} {events:?}");
    }
}

#[test]
fn a_set_that_grows_too_large_becomes_the_complete_subject() {
    let subject = Subject::parse("/s").unwrap();
    let mut dirty = DirtySet::default();
    for number in 0..=MAX_ENTRIES {
        assert!(!dirty.all && dirty.members.len() == number);
        dirty.record(&subject, NodeEvent::Deleted, &format!("/s/{number}"));
    }
    dirty.record(&subject, NodeEvent::Created, "/s/more");
    assert_eq!(dirty, DirtySet::all());
    let subject = Subject::parse("/s/*").unwrap();
    let mut dirty = DirtySet::default();
    for number in 0..=MAX_ENTRIES {
        let event = if number % 2 == 0 { NodeEvent::Created } else { NodeEvent::ChildrenChanged };
        assert!(!dirty.all && dirty.keys.len() + dirty.lists.len() == number);
        dirty.record(&subject, event, &format!("/s/{number}"));
    }
    assert_eq!(dirty, DirtySet::all());
}
