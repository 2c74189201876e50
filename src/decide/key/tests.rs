use super::*;
use serde_json::json;

#[test]
fn every_key_format_is_parsed() {
    let cases: [(KeyFormat, &str, Value); 4] = [
        (KeyFormat::Json, r#"{"a": [1]}"#, json!({"a": [1]})),
        (KeyFormat::Toml, "a = [1]\n", json!({"a": [1]})),
        (KeyFormat::Yaml, "a:\n- 1\n", json!({"a": [1]})),
        (KeyFormat::Text, "a: 1\n", json!("a: 1\n")),
    ];
    for (format, text, value) in cases {
        assert_eq!(parse(format, text.as_bytes()), Ok(value));
    }
    for format in [KeyFormat::Json, KeyFormat::Toml, KeyFormat::Yaml] {
        assert!(parse(format, b"{ [").is_err(), "{format:?}");
    }
    assert!(parse(KeyFormat::Text, b"\xff").is_err());
    assert!(parse(KeyFormat::Json, b"").is_err(), "empty is not null");
}
