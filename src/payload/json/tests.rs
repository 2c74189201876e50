use super::*;
use proptest::prelude::*;
use serde_json::json;

#[test]
fn a_number_that_would_lose_digits_is_a_string_of_them() {
    for text in [
        "18446744073709551616",
        "-9223372036854775809",
        "1180591620717411303424",
        "340282366920938463463374607431768211456",
        "1e400",
        "-1.5E+400",
        "1.5e-400",
    ] {
        assert_eq!(parse(text).unwrap(), json!(text), "{text}");
        let nested = format!(r#"{{"a": [1, {text}], "b\"{text}": "{text}", "c":{text}}}"#);
        let expected = json!({"a": [1, text], format!("b\"{text}"): text, "c": text});
        assert_eq!(parse(&nested).unwrap(), expected, "{nested}");
    }
}

#[test]
fn any_other_text_is_parsed_as_it_is() {
    for text in [
        "0",
        "-0",
        "18446744073709551615",
        "-9223372036854775808",
        "0.1000000000000000055511151231257827",
        "1e5",
        "0e-400",
        "0.0",
        r#"{"a": "1180591620717411303424 \\\" 1e400"}"#,
        // What is no JSON stays so.
        "01180591620717411303424",
        "1180591620717411303424.",
        ".1180591620717411303424e400",
        "1e400e400",
        "1e",
        "-",
        "--1180591620717411303424",
        r#""\"#,
        r#"{"a" 1180591620717411303424}"#,
        "",
    ] {
        assert!(matches!(with_quoted_numbers(text), Cow::Borrowed(_)) || parse(text).is_err(), "{text}");
        assert_eq!(parse(text).ok(), serde_json::from_str(text).ok(), "{text}");
    }
}

proptest! {
    #![proptest_config(crate::support::random::config(500, 50_000))]

    /// What is valid is valid with it, and nothing else is.
    #[test]
    fn it_is_json_as_it_was(text in r#"[-+0-9.eE"\\\[\]{},: a]{0,24}"#) {
        let (ours, plain) = (parse(&text), serde_json::from_str::<Value>(&text));
        // serde_json refuses a float that is too large, and a key that is a number has no quotes.
        let differs = ours.is_ok() != plain.is_ok();
        let is_quoted = matches!(with_quoted_numbers(&text), Cow::Owned(_));
        prop_assert!(!differs || is_quoted, "{text}: {ours:?} {plain:?}");
    }
}
