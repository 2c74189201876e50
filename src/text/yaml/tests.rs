use super::*;
use proptest::prelude::*;
use serde_json::json;

#[test]
fn every_string_is_quoted() {
    let cases = [
        ("", r#""""#),
        ("web", r#""web""#),
        ("no", r#""no""#),
        ("10:20", r#""10:20""#),
        ("it's #1", r#""it's #1""#),
        ("a\nb", r#""a\nb""#),
        ("\t\"\\\u{1b}", r#""\t\"\\\u001b""#),
        ("\u{85}\u{2028}é", r#""\u0085\u2028é""#),
    ];
    for (text, expected) in cases {
        assert_eq!(to_string(&text).unwrap(), format!("{expected}\n"));
    }
}

#[test]
fn lists_and_maps_are_block_collections() {
    let value = json!({
        "no": [1, 1.0, 1e300, 1e-7, -3, null, true],
        "map": {"a": {"b": "off"}, "list": ["x", ["y", []], {"k": 1, "l": [{}]}]},
        "!tag": "!t",
    });
    let expected = r#""!tag": "!t"
"map":
  "a":
    "b": "off"
  "list":
  - "x"
  - - "y"
    - []
  - "k": 1
    "l":
    - {}
"no":
- 1
- 1.0
- 1.0e+300
- 1.0e-7
- -3
- null
- true
"#;
    assert_eq!(to_string(&value).unwrap(), expected);
    assert_eq!(to_string(&json!([])).unwrap(), "[]\n");
    assert_eq!(to_string(&json!({"!tag": 1})).unwrap(), "\"!tag\": 1\n");
    let long = "k".repeat(2000);
    let read: serde_json::Value = serde_norway::from_str(&to_string(&json!({"a": {&long: ["b"]}})).unwrap()).unwrap();
    assert_eq!(read, json!({"a": {&long: ["b"]}}));
    assert!(to_string(&std::collections::BTreeMap::from([(vec![1], 1)])).is_err());
}

fn values() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|yes| json!(yes)),
        any::<i64>().prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)),
        any::<String>().prop_map(|text| json!(text)),
        "[-+0-9a-fnoxyNY.:_~'\"# ,!&*\n]{0,6}".prop_map(|text| json!(text)),
    ];
    leaf.prop_recursive(4, 30, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::vec((any::<String>(), inner), 0..4)
                .prop_map(|pairs| serde_json::Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(crate::support::random::config(256, 20_000))]

    #[test]
    fn every_value_is_read_back(value in values()) {
        let written = to_string(&value).unwrap();
        prop_assert_eq!(serde_norway::from_str::<serde_json::Value>(&written).unwrap(), value, "{}", written);
    }
}
