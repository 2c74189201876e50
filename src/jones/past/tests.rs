use super::*;
use crate::jones::entry::{Before, EnvChange};
use crate::jones::tree::tests::{Nodes, env, object};

fn entry(name: &str, before: Option<&str>, after: Option<&str>) -> Entry {
    let before = before.map(|conf| Before { version: 0, conf: Some(object(conf)) });
    Entry { changes: vec![EnvChange { env: env(name), before, after: after.map(object) }], ..Entry::default() }
}

#[test]
fn a_conf_is_what_the_last_entry_made_of_it_or_what_the_first_later_one_found() {
    // r2 found what Jones had written meanwhile.
    let entries = [
        (1, entry("eu", Some(r#"{"a": 0}"#), Some(r#"{"a": 1}"#))),
        (2, entry("eu", Some(r#"{"a": 5}"#), Some(r#"{"a": 6}"#))),
        (3, entry("us", None, Some("{}"))),
        (4, entry("old", Some(r#"{"o": 1}"#), None)),
        (
            7,
            Entry {
                nodemaps: [("h".to_owned(), (None, Some("/x".to_owned())))].into_iter().collect(),
                ..Entry::default()
            },
        ),
    ];
    let entries: BTreeMap<u64, &Entry> = entries.iter().map(|(number, entry)| (*number, entry)).collect();
    let mut nodes = Nodes::new(&[("", r#"{"r": 1}"#), ("eu", r#"{"a": 9}"#), ("us", "{}")]);
    nodes.put("/services/s/nodemaps", r#"{"h": "/x", "g": "/y"}"#);
    let tree = nodes.tree();
    let shown = |revision| {
        let past = at(&entries, revision, &tree).unwrap();
        let confs = past.confs.iter().map(|(env, conf)| {
            format!("{env}={}", String::from_utf8(crate::jones::json::bytes(conf.as_ref().unwrap())).unwrap())
        });
        (confs.collect::<Vec<_>>().join(" "), past.hosts.len())
    };
    assert_eq!(shown(1), (r#"={"r": 1} eu={"a": 1} old={"o": 1}"#.to_owned(), 1));
    assert_eq!(shown(2), (r#"={"r": 1} eu={"a": 6} old={"o": 1}"#.to_owned(), 1));
    assert_eq!(shown(4), (r#"={"r": 1} eu={"a": 6} us={}"#.to_owned(), 1));
    assert_eq!(shown(7).1, 2);
    let view = at(&entries, 1, &tree).unwrap().view(&env("eu")).unwrap();
    assert_eq!(view, object(r#"{"r": 1, "a": 1}"#));
    assert!(at(&entries, 1, &tree).unwrap().view(&env("us")).is_err());
    assert!(at(&entries, 9, &tree).unwrap_err().contains("there is no revision r9: the history of s has r1 to r7"));
}

#[test]
fn what_an_entry_left_out_is_not_invented() {
    let mut big = entry("eu", Some("{}"), Some("{}"));
    big.changes[0].before = Some(Before { version: 1, conf: None });
    let first = Entry::default();
    let entries: BTreeMap<u64, &Entry> = [(1, &first), (2, &big)].into_iter().collect();
    let tree = Nodes::new(&[("", "{}"), ("eu", "{}")]).tree();
    assert!(at(&entries, 1, &tree).unwrap().view(&env("eu")).unwrap_err().contains("too large"));
}
