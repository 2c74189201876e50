use super::*;
use crate::jones::entry::Before;
use crate::jones::tree::tests::{env, object};
use crate::zk::Stat;

#[test]
fn the_base_of_a_merge_is_what_the_version_had() {
    let at = |version: i32, conf: &str| Some(Before { version, conf: Some(object(conf)) });
    let entries = [
        ("create", None, "{}"),
        ("set", at(0, "{}"), r#"{"n": 1}"#),
        // Versions 2 and 3 were written outside, and only the latter was found.
        ("outside", at(3, r#"{"n": 1}"#), r#"{"n": 3}"#),
        ("set", at(3, r#"{"n": 3}"#), r#"{"n": 4}"#),
        ("outside", at(5, r#"{"n": 4}"#), r#"{"n": 5}"#),
    ];
    let one = |(number, (op, before, after)): (usize, (&str, Option<Before>, &str))| {
        let change = EnvChange { env: env("eu"), before, after: Some(object(after)) };
        let entry = Ok(Entry { op: op.to_owned(), changes: vec![change], ..Entry::default() });
        (number as u64, Recorded { entry, stat: Stat::default(), bytes: 0 })
    };
    let history: std::collections::BTreeMap<u64, Recorded> = entries.into_iter().enumerate().map(one).collect();
    for (version, wanted) in [
        (0, Some("{}")),
        (1, Some(r#"{"n": 1}"#)),
        (2, None),
        (3, Some(r#"{"n": 3}"#)),
        (4, Some(r#"{"n": 4}"#)),
        (5, Some(r#"{"n": 5}"#)),
        (6, None),
    ] {
        assert_eq!(conf_at(&history, &env("eu"), version), wanted.map(object), "version {version}");
        assert_eq!(conf_at(&history, &env("us"), version), None);
    }
    // What is adopted is recorded without what it was before.
    let before = Some(Before { version: 7, conf: None });
    let change = EnvChange { env: env("us"), before, after: Some(object(r#"{"n": 7}"#)) };
    let entry = Ok(Entry { op: "adopt".to_owned(), changes: vec![change], ..Entry::default() });
    let history = [(0, Recorded { entry, stat: Stat::default(), bytes: 0 })].into_iter().collect();
    assert_eq!([7, 8].map(|version| conf_at(&history, &env("us"), version)), [Some(object(r#"{"n": 7}"#)), None]);
    // An environment that was created outside may have been written again before it was found.
    let change = EnvChange { env: env("us"), before: None, after: Some(object(r#"{"n": 2}"#)) };
    let entry = Ok(Entry { op: "outside".to_owned(), changes: vec![change], ..Entry::default() });
    let history = [(0, Recorded { entry, stat: Stat::default(), bytes: 0 })].into_iter().collect();
    assert_eq!(conf_at(&history, &env("us"), 0), None);
}
