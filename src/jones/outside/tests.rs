use super::*;
use crate::jones::tree::tests::{Nodes, env, object};

/// A history of these transactions: the environment that each one changed, and what it made of it.
fn history(entries: &[(i64, &str, Option<&str>)]) -> BTreeMap<u64, Recorded> {
    let one = |(number, (zxid, name, after)): (usize, &(i64, &str, Option<&str>))| {
        let change = EnvChange { env: env(name), before: None, after: after.map(object) };
        let stat = Stat { czxid: Zxid(*zxid), ..Stat::default() };
        let entry = Ok(Entry { changes: vec![change], ..Entry::default() });
        (number as u64, Recorded { entry, stat, bytes: 0 })
    };
    entries.iter().enumerate().map(one).collect()
}

/// A service with these environments: the transactions that created and last wrote each one, and its content.
fn tree(confs: &[(&str, i64, i64, &str)]) -> Tree {
    let contents: Vec<(&str, &str)> = confs.iter().map(|(name, _, _, conf)| (*name, *conf)).collect();
    let mut tree = Nodes::new(&contents).tree();
    for (name, czxid, mzxid, _) in confs {
        let stat = &mut tree.envs.get_mut(&env(name)).unwrap().conf.stat;
        (stat.czxid, stat.mzxid) = (Zxid(*czxid), Zxid(*mzxid));
    }
    tree
}

#[test]
fn what_no_entry_has_written_was_changed_outside_of_the_history() {
    let history = history(&[
        (10, "", Some("{}")),
        (20, "eu", Some(r#"{"a": 1}"#)),
        (30, "us", Some("{}")),
        (40, "gone", Some(r#"{"g": 1}"#)),
        (50, "back", Some("{}")),
        (60, "back", None),
        (65, "raced", None),
    ]);
    let tree = tree(&[
        ("", 1, 10, "{}"),
        ("back", 70, 70, "{}"),
        ("eu", 5, 45, r#"{"a": 2}"#),
        ("new", 46, 47, "{}"),
        ("old", 2, 48, "{}"),
        ("raced", 62, 63, "{}"),
        ("same", 3, 9, "{}"),
        ("us", 6, 49, "{}"),
    ]);
    let found: Vec<(String, Former)> =
        outside(&tree, &history).into_iter().map(|it| (it.env.to_string(), it.before)).collect();
    let known = |text: &str| Former::Known(object(text));
    let wanted = [
        ("back", Former::Absent),
        ("eu", known(r#"{"a": 1}"#)),
        ("new", Former::Absent),
        ("old", Former::Unknown),
        ("raced", Former::Absent),
        ("gone", known(r#"{"g": 1}"#)),
    ];
    assert_eq!(found, wanted.map(|(name, before)| (name.to_owned(), before)));
    assert!(outside(&tree, &BTreeMap::new()).is_empty(), "there is no history yet");
}

#[test]
fn an_entry_has_as_many_changes_as_fit_and_its_writers_exclude_each_other() {
    let large = format!("{{\"a\": \"{}\"}}", "x".repeat(200_000));
    let history = history(&[(10, "", Some("{}")), (11, "gone", Some("{}"))]);
    let tree = tree(&[("", 1, 10, "{}"), ("a", 20, 20, &large), ("b", 20, 20, &large)]);
    let found = outside(&tree, &history);
    assert_eq!(found.len(), 3);
    let limit = 1_000_000;
    let Recording { steps, entry, keys, .. } =
        recording(&tree, &found, Entry { author: "a".to_owned(), ..Entry::default() }, limit);
    assert_eq!(keys, [(env("a"), Some(Zxid(20)))]);
    let recorded = records::recorded(&tree.service);
    let conf = |name: &str| Step::Check(tree.service.conf(&env(name)), 0);
    assert_eq!(steps, [conf("a"), Step::Create(recorded.clone(), Vec::new())]);
    assert_eq!((entry.op.as_str(), entry.author.as_str(), entry.changes.len()), ("outside", "a", 1));
    assert_eq!(entry.comment, "s/a: changed outside of the history at 1970-01-01T00:00:00Z, zxid 0x14");
    let Recording { steps, entry, .. } =
        recording(&tree, &found[1..], Entry { comment: "why".to_owned(), ..Entry::default() }, limit);
    assert_eq!(steps, [conf("b"), Step::Create(recorded, Vec::new())]);
    assert_eq!((entry.comment.as_str(), entry.changes.len()), ("why", 2));
    assert_eq!(entry.changes[1].after, None, "it was deleted");
}

/// The environments of the entry, and those that it leaves out.
fn recorded(tree: &Tree, found: &[Outside], limit: usize) -> (Vec<String>, Vec<String>) {
    let Recording { entry, refused, .. } = recording(tree, found, Entry::default(), limit);
    assert_eq!(Entry::parse(&entry.write()), Ok(entry.clone()), "it can be read again");
    (entry.changes.iter().map(|change| change.env.to_string()).collect(), refused)
}

#[test]
fn a_conf_too_deep_for_an_entry_does_not_keep_the_others_from_the_history() {
    let nested = |depth: usize| format!("{{\"a\": {}{}}}", "[".repeat(depth), "]".repeat(depth));
    let (most, also, over) = (nested(125), nested(124), nested(126));
    let history = history(&[(10, "", Some("{}"))]);
    for (a, b, wanted) in [
        ("{}", also.as_str(), &["a"][..]),
        (also.as_str(), "{}", &["a", "b"]),
        (most.as_str(), also.as_str(), &["a"]),
        (over.as_str(), "{}", &["b"]),
        (over.as_str(), also.as_str(), &["b"]),
    ] {
        let tree = tree(&[("", 1, 10, "{}"), ("a", 20, 20, a), ("b", 20, 20, b)]);
        assert!(tree.envs.values().all(|nodes| nodes.conf.object.is_ok()));
        let (envs, refused) = recorded(&tree, &outside(&tree, &history), 1_000_000);
        assert_eq!(envs, wanted);
        assert_eq!(refused.len(), usize::from(a == over));
        assert!(refused.iter().all(|why| why.starts_with("s/a: ") && why.contains("levels deep")), "{refused:?}");
    }
}

#[test]
fn a_large_conf_is_recorded_without_what_it_was_or_named() {
    let text = |bytes: usize| format!("{{\"a\": \"{}\"}}", "x".repeat(bytes));
    let (former, large) = (text(200_000), text(250_000));
    let history = history(&[(10, "", Some("{}")), (11, "a", Some(former.as_str())), (12, "b", Some("{}"))]);
    let tree = tree(&[("", 1, 10, "{}"), ("a", 5, 20, &large), ("b", 6, 20, r#"{"b": 1}"#)]);
    let found = outside(&tree, &history);
    let Recording { entry, refused, .. } = recording(&tree, &found, Entry::default(), 1_000_000);
    assert_eq!((entry.changes[0].before.as_ref(), refused.len()), (Some(&Before { version: 0, conf: None }), 0));
    assert_eq!(entry.changes[0].after, Some(object(&large)));
    let (envs, refused) = recorded(&tree, &found, 250_000);
    assert_eq!(envs, ["b"], "one over the limit does not hold up the others");
    assert!(refused[0].starts_with("s/a: ") && refused[0].ends_with("over the limit of 250000"), "{refused:?}");
}
