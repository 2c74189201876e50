use super::*;

fn places(subject: &str, events: &[(Event, &str)]) -> String {
    let subject = if let Some(path) = subject.strip_prefix("node ") {
        Subject::Node(crate::model::node_path::NodePath::parse(path).unwrap())
    } else {
        Subject::roster(subject).unwrap()
    };
    let mut dirty = Dirty::default();
    for (event, path) in events {
        dirty.note(&subject, *event, path);
    }
    let mut words: Vec<String> = Vec::new();
    if dirty.whole {
        words.push("whole".into());
    }
    words.extend(dirty.lists.iter().map(|key| format!("list {key}").trim_end().to_owned()));
    words.extend(dirty.keys.iter().map(|key| format!("key {key}")));
    words.extend(dirty.members.iter().map(|place| match &place.key {
        Some(key) => format!("{key}>{}", place.name),
        None => place.name.to_string(),
    }));
    words.join(", ")
}

#[test]
fn events_say_what_to_read_again() {
    use Event::{Came, Children, Data, Went};
    type Case<'a> = (&'a str, &'a [(Event, &'a str)], &'a str);
    let cases: &[Case] = &[
        ("/s", &[], ""),
        ("/s", &[(Came, "/s/a"), (Data, "/s/a"), (Went, "/s/b")], "a, b"),
        ("/s", &[(Data, "/s")], ""),
        ("/s", &[(Came, "/s")], "whole"),
        ("/s", &[(Went, "/s/a"), (Went, "/s"), (Came, "/s"), (Came, "/s/a")], "whole"),
        ("/s", &[(Children, "/s"), (Data, "/s/a")], "list, a"),
        ("/s", &[(Children, "/s/a")], ""),
        ("/s", &[(Came, "/s/a/deep"), (Data, "/s/a/deep/er")], ""),
        ("/s", &[(Came, "/sx"), (Came, "/sx/a"), (Came, "/other")], ""),
        ("/", &[(Came, "/a"), (Data, "/")], "a"),
        ("/s/*", &[(Came, "/s/k")], "key k"),
        ("/s/*", &[(Data, "/s/k"), (Data, "/s")], ""),
        ("/s/*", &[(Went, "/s/k/a"), (Data, "/s/l/a")], "k>a, l>a"),
        ("/s/*", &[(Children, "/s/k"), (Children, "/s")], "list, list k"),
        ("/s/*", &[(Went, "/s"), (Came, "/s/k/a/deep")], "whole"),
        ("/s/*/live", &[(Came, "/s/k")], "key k"),
        ("/s/*/live", &[(Came, "/s/k/live"), (Went, "/s/k/dead")], "key k"),
        ("/s/*/live", &[(Children, "/s/k"), (Children, "/s/l/live")], "list l, key k"),
        ("/s/*/live", &[(Came, "/s/k/dead/a"), (Data, "/s/k/live")], ""),
        ("/s/*/live", &[(Came, "/s/k/live/a"), (Data, "/s/k/live/a/b")], "k>a"),
        ("/s/*/x/y", &[(Came, "/s/k/x"), (Went, "/s/l/x/y"), (Came, "/s/m/x/y/a")], "key k, key l, m>a"),
        ("/*", &[(Came, "/k"), (Came, "/k/a")], "key k, k>a"),
        ("node /s", &[(Data, "/s")], "whole"),
        ("node /s", &[(Went, "/s")], "whole"),
        ("node /s", &[(Data, "/s/a"), (Came, "/s/b"), (Data, "/")], ""),
    ];
    for (subject, events, wanted) in cases {
        assert_eq!(places(subject, events), *wanted, "{subject} {events:?}");
    }
}

#[test]
fn places_without_end_take_no_memory_without_end() {
    let subject = Subject::roster("/s").unwrap();
    let mut dirty = Dirty::default();
    for number in 0..=MAX_PLACES {
        assert!(!dirty.whole && dirty.members.len() == number);
        dirty.note(&subject, Event::Went, &format!("/s/{number}"));
    }
    dirty.note(&subject, Event::Came, "/s/more");
    assert_eq!(dirty, Dirty::whole());
    let subject = Subject::roster("/s/*").unwrap();
    let mut dirty = Dirty::default();
    for number in 0..=MAX_PLACES {
        let event = if number % 2 == 0 { Event::Came } else { Event::Children };
        assert!(!dirty.whole && dirty.keys.len() + dirty.lists.len() == number);
        dirty.note(&subject, event, &format!("/s/{number}"));
    }
    assert_eq!(dirty, Dirty::whole());
}
