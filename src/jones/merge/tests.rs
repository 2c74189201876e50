use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::jones::json;

fn object(text: &str) -> Object {
    Json::parse_object(text.as_bytes()).unwrap()
}

#[test]
fn keys_that_one_side_touched_are_kept_and_the_order_of_the_node_stays() {
    for (base, ours, theirs, merged) in [
        (r#"{"a": 1, "b": 2}"#, r#"{"a": 9, "b": 2}"#, r#"{"b": 3, "a": 1}"#, r#"{"b": 3, "a": 9}"#),
        (r#"{"a": 1}"#, r#"{"a": 1, "mine": 1}"#, r#"{"theirs": 2, "a": 1}"#, r#"{"theirs": 2, "a": 1, "mine": 1}"#),
        (r#"{"a": 1, "b": 2}"#, r#"{"a": 1}"#, r#"{"a": 5, "b": 2}"#, r#"{"a": 5}"#),
        (r#"{"a": 1}"#, r#"{"a": 2}"#, r#"{"a": 2}"#, r#"{"a": 2}"#),
        (r#"{"a": 1}"#, "{}", "{}", "{}"),
    ] {
        let merged_bytes = json::bytes(&merge(&object(base), &object(ours), &object(theirs)).unwrap());
        assert_eq!(String::from_utf8(merged_bytes).unwrap(), merged);
    }
}

#[test]
fn a_key_that_both_touched_is_a_conflict_with_all_three_values() {
    let base = object(r#"{"a": 1, "n": {"x": 1, "y": 1}, "gone": 1}"#);
    let ours = object(r#"{"a": 2, "n": {"x": 2, "y": 1}}"#);
    let theirs = object(r#"{"a": 3, "n": {"x": 1, "y": 2}, "gone": 2}"#);
    let conflicts = merge(&base, &ours, &theirs).unwrap_err();
    let shown: Vec<String> = conflicts
        .iter()
        .map(|it| {
            let show = |value: &Option<Json>| value.as_ref().map_or("-".to_owned(), Json::to_string);
            format!("{} {} {} {}", it.key, show(&it.base), show(&it.ours), show(&it.theirs))
        })
        .collect();
    // Values are replaced as a whole, as in the fold, so two changes within one value are a conflict.
    let wanted = ["a 1 2 3", r#"n {"x": 1, "y": 1} {"x": 2, "y": 1} {"x": 1, "y": 2}"#, "gone 1 - 2"];
    assert_eq!(shown, wanted);
}

proptest::proptest! {
    #![proptest_config(crate::support::random::config(500, 100_000))]

    #[test]
    fn a_merge_is_what_each_key_says_by_itself(
        base in objects(), ours in objects(), theirs in objects()
    ) {
        let keys: BTreeSet<&String> = base.keys().chain(ours.keys()).chain(theirs.keys()).collect();
        let (mut wanted, mut conflicts) = (BTreeMap::new(), BTreeSet::new());
        for key in keys {
            let (b, o, t) = (base.get(key), ours.get(key), theirs.get(key));
            let value = match (o == b, t == b) {
                (true, _) => t,
                (_, true) => o,
                _ if o == t => o,
                _ => {
                    conflicts.insert(key.clone());
                    continue;
                }
            };
            if let Some(value) = value {
                wanted.insert(key.clone(), value.clone());
            }
        }
        match merge(&base, &ours, &theirs) {
            Ok(merged) => {
                assert!(conflicts.is_empty());
                assert_eq!(merged.into_iter().collect::<BTreeMap<_, _>>(), wanted);
            }
            Err(found) => assert_eq!(found.into_iter().map(|it| it.key).collect::<BTreeSet<_>>(), conflicts),
        }
    }
}

fn objects() -> impl proptest::strategy::Strategy<Value = Object> {
    use proptest::prelude::*;
    proptest::collection::vec(("[a-e]", 0i64..3), 0..5)
        .prop_map(|entries| entries.into_iter().map(|(key, value)| (key, Json::from(value))).collect())
}
