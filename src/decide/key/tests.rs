use super::*;
use serde_json::json;

#[test]
fn every_key_format_is_parsed() {
    let cases = [
        (KeyFormat::Json, r#"{"a": [1]}"#, json!({"a": [1]})),
        (KeyFormat::Toml, "a = [1]\n", json!({"a": [1]})),
        (KeyFormat::Yaml, "a:\n- 1\n", json!({"a": [1]})),
        (KeyFormat::Text, "a: 1", json!("a: 1")),
        // One line end is how editors and `echo` write a text.
        (KeyFormat::Text, "a: 1\n", json!("a: 1")),
        (KeyFormat::Text, "a: 1\r\n", json!("a: 1")),
        (KeyFormat::Text, " a\n\n", json!(" a\n")),
        (KeyFormat::Text, "\n", json!("")),
        // The mark of an editor is not part of it.
        (KeyFormat::Text, "\u{feff}a", json!("a")),
        (KeyFormat::Json, "\u{feff}{\"a\": [1]}", json!({"a": [1]})),
        (KeyFormat::Toml, "\u{feff}a = [1]\n", json!({"a": [1]})),
        (KeyFormat::Yaml, "\u{feff}a:\n- 1\n", json!({"a": [1]})),
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

#[test]
fn no_digit_of_a_number_is_lost() {
    const DIGITS: &str = "1180591620717411303424";
    let cases = [
        (KeyFormat::Json, format!("{{\"v\": {DIGITS}}}")),
        (KeyFormat::Yaml, format!("v: {DIGITS}\n")),
        (KeyFormat::Toml, format!("v = {DIGITS}\n")),
    ];
    for (format, text) in cases {
        match parse(format, text.as_bytes()) {
            Ok(value) => assert_eq!(value["v"], json!(DIGITS), "{format:?}"),
            // A reason to hold, which names it.
            Err(why) => assert!(why.contains("not valid"), "{format:?}: {why}"),
        }
    }
    assert_eq!(parse(KeyFormat::Json, DIGITS.as_bytes()), Ok(json!(DIGITS)));
}
