use super::*;

fn parsed(text: &str) -> Json {
    Json::parse(text.as_bytes()).unwrap_or_else(|why| panic!("{text}: {why}"))
}

#[test]
fn text_is_written_as_python_writes_it() {
    // Each is what Python 3.11 stored through Jones 1.0.
    for text in [
        r#"{"locale": "Canada", "times_talk_given": 0, "is_awesome": true, "n": {"x": 1, "y": 2}, "u": "\u00e9", "f": 1.5, "nul": null}"#,
        r#"{"a": 1, "b": [1, 2, 3], "n": {"y": 3}}"#,
        r#"{"big": 1180591620717411303424, "e": 1e+22, "del": "\u007f", "pair": "\ud83d\ude00", "esc": "\"\\\n\r\t\b\f\u0001/"}"#,
        "{}",
        "[]",
    ] {
        assert_eq!(parsed(text).to_string(), text);
    }
    assert_eq!(parsed("{\"a\":1.50,\n\"é\":[ ]}").to_string(), "{\"a\": 1.50, \"\\u00e9\": []}");
    assert_eq!(parsed(r#"{"b": 1, "a": 2, "b": 3}"#).to_string(), r#"{"b": 3, "a": 2}"#, "the last one counts");
}

#[test]
fn values_are_compared_and_not_their_text() {
    for (one, other, are_equal) in [
        (r#"{"a": 1, "b": {"c": [1], "d": null}}"#, r#"{"b":{"d":null,"c":[1]},"a":1}"#, true),
        ("1e22", "1e+22", true),
        ("1.50", "1.5", true),
        ("1", "1.0", false),
        ("[1, 2]", "[2, 1]", false),
        (r#""\u00e9""#, r#""é""#, true),
        ("1180591620717411303424", "1180591620717411303425", false),
        ("null", "false", false),
    ] {
        assert_eq!(parsed(one) == parsed(other), are_equal, "{one} {other}");
    }
}

#[test]
fn what_is_not_finite_json_is_refused_with_its_reason() {
    for (text, words) in [
        (r#"{"a": NaN}"#, "NaN is not a finite number (expected value at line 1 column"),
        (r#"{"a \" NaN": [-Infinity]}"#, "-Infinity is not a finite number"),
        ("Infinity", "Infinity is not"),
        (r#"{"a": 1e999}"#, "1e999 is not a finite number"),
        (r#"{"a": 1,}"#, "at line 1 column 9"),
        ("", "no data"),
        (" \n", "no data"),
        ("NAME -> PATH", "expected value"),
        (r#"{"a": "\ud800"}"#, "hex escape"),
        ("{\"a\": \"\n\"}", "control character"),
    ] {
        let why = Json::parse(text.as_bytes()).unwrap_err();
        assert!(why.contains(words), "{text}: {why}");
    }
    assert!(Json::parse(b"\"\xff\"").unwrap_err().contains("UTF-8"));
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(Json::parse(deep(100).as_bytes()).is_ok());
    for depth in [200, 100_000] {
        assert!(Json::parse(deep(depth).as_bytes()).is_err());
    }
    assert_eq!(Json::parse_object(b"[1]"), Err("an array, not an object".to_owned()));
}

#[test]
fn a_person_reads_an_entry_a_line_sorted_by_key() {
    let text =
        parsed("{\"b\": {\"y\": [1, 2], \"x\": {}}, \"a\": \"\\u00e9\\u202e\\n\", \"c\": [{\"d\": 1}, 2]}").pretty();
    let wanted = r#"{
  "a": "é\u202e\n",
  "b": {
    "x": {},
    "y": [1, 2]
  },
  "c": [
    {
      "d": 1
    },
    2
  ]
}"#;
    assert_eq!(text, wanted);
}

proptest::proptest! {
    #![proptest_config(crate::support::random::config(500, 100_000))]

    #[test]
    fn any_value_is_read_back(value in value()) {
        let text = value.to_string();
        assert!(text.is_ascii());
        assert_eq!(Json::parse(text.as_bytes()).as_ref(), Ok(&value));
        assert_eq!(Json::parse(value.pretty().as_bytes()).as_ref(), Ok(&value));
        let other: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(Json::parse(other.to_string().as_bytes()).as_ref(), Ok(&value), "another parser agrees");
    }

    #[test]
    fn any_bytes_are_parsed_without_a_panic(bytes in "[\\[\\]{}\":,\\\\ueaNIn0-9 é.-]{0,60}") {
        let _ = Json::parse(bytes.as_bytes());
    }
}

fn value() -> impl proptest::strategy::Strategy<Value = Json> {
    use proptest::prelude::*;
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        any::<i64>().prop_map(Json::from),
        any::<String>().prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Json::Array),
            proptest::collection::vec((any::<String>(), inner), 0..5)
                .prop_map(|entries| Json::Object(entries.into_iter().collect())),
        ]
    })
}
