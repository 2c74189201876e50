use super::*;

fn object(text: &str) -> Object {
    Json::parse_object(text.as_bytes()).unwrap()
}

#[test]
fn an_entry_is_read_as_it_was_written() {
    let entry = Entry {
        op: "set".into(),
        author: "ada@h1".into(),
        via: "rosterd jones".into(),
        comment: "why \"not\"\n".into(),
        at: "2026-11-20T11:40:01Z".into(),
        id: "7".into(),
        changes: vec![
            EnvChange {
                env: Env::parse("parent").unwrap(),
                before: Some(Before { version: 3, conf: Some(object(r#"{"a": 1e22}"#)) }),
                after: Some(object(r#"{"a": 2}"#)),
            },
            EnvChange { env: Env::ROOT, before: None, after: Some(Object::new()) },
            EnvChange { env: Env::parse("x/y").unwrap(), before: Some(Before { version: 0, conf: None }), after: None },
        ],
        nodemaps: [("h1".to_owned(), (None, Some("/services/s/views".to_owned())))].into_iter().collect(),
        views: [(String::new(), "ab".to_owned())].into_iter().collect(),
    };
    let bytes = entry.write();
    assert_eq!(Entry::parse(&bytes).as_ref(), Ok(&entry));
    let text = String::from_utf8(bytes).unwrap();
    let start = r#"{"op": "set", "env": "parent", "before": {"version": 3, "conf": {"a": 1e22}}, "after": {"conf": {"a": 2}}, "author": "ada@h1", "#;
    assert!(text.starts_with(start), "{text}");
    assert!(text.contains(r#""nodemaps": {"h1": [null, "/services/s/views"]}, "views": {"": "ab"}}"#), "{text}");
}

#[test]
fn an_entry_of_associations_has_no_environment() {
    let entry = Entry { op: "associate".into(), ..Entry::default() };
    let text = String::from_utf8(entry.write()).unwrap();
    assert!(!text.contains("before"), "{text}");
    assert_eq!(Entry::parse(text.as_bytes()), Ok(entry));
}

#[test]
fn what_others_wrote_there_is_an_error_or_an_empty_entry_and_no_panic() {
    assert!(Entry::parse(b"x").is_err());
    assert!(Entry::parse(b"{\"env\": 1}").is_err());
    assert!(Entry::parse(b"{\"env\": \"a/../b\"}").is_err());
    assert_eq!(Entry::parse(b"{\"also\": {}, \"nodemaps\": {\"h\": 1}, \"views\": 3}"), Ok(Entry::default()));
}

#[test]
fn an_entry_that_could_not_be_read_again_is_not_sent() {
    let deep = |depth: usize| object(&format!("{{\"a\": {}{}}}", "[".repeat(depth), "]".repeat(depth)));
    let change = |conf: Object| EnvChange { env: Env::ROOT, before: None, after: Some(conf) };
    for (changes, is_readable) in [
        (vec![change(deep(125))], true),
        (vec![change(deep(126))], false),
        (vec![change(Object::new()), change(deep(123))], true),
        (vec![change(Object::new()), change(deep(124))], false),
    ] {
        assert_eq!(Entry::verify(&Entry { changes, ..Entry::default() }.write()).is_ok(), is_readable);
    }
}
