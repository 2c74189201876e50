use super::*;
use serde_json::json;

#[test]
fn a_host_is_a_single_word() {
    let good = ["a", "web-1.example.com", "10.0.0.1", "x_y", "a.b."];
    for text in good {
        assert_eq!(host(text).as_deref(), Some(text));
    }
    assert_eq!(host("[::1]").as_deref(), Some("::1"));
    assert_eq!(host("2001:db8::1").as_deref(), Some("2001:db8::1"));
    for text in ["", "a b", "a:80", "a;b", "a\nb", "é", "[a]", "a/b", "$x", &"a".repeat(254)] {
        assert_eq!(host(text), None, "{text:?}");
    }
}

#[test]
fn ports_and_weights_are_numbers_or_numeric_strings() {
    for (value, expected) in [
        (json!(80), Some(80)),
        (json!("80"), Some(80)),
        (json!(0), None),
        (json!(-1), None),
        (json!(65536), None),
        (json!("+80"), None),
        (json!(80.5), None),
        (json!(8080.0), Some(8080)),
        (json!(70000.0), None),
        (json!(1e300), None),
        (json!(0.0), None),
        (json!(true), None),
    ] {
        assert_eq!(port(&value), expected, "{value}");
    }
    for (value, expected) in
        [(json!(1.5), Some(1.5)), (json!("2"), Some(2.0)), (json!("inf"), None), (json!("x"), None), (json!([]), None)]
    {
        assert_eq!(weight(&value), expected, "{value}");
    }
}

#[test]
fn percent_encoding_is_decoded() {
    for (text, expected) in [
        ("a%3A%2f%2Fb", Some("a://b")),
        ("100%", Some("100%")),
        ("%zz%4", Some("%zz%4")),
        ("%C3%A9", Some("é")),
        ("%ff", None),
        ("", Some("")),
    ] {
        assert_eq!(percent_decoded(text).as_deref(), expected, "{text}");
    }
}

#[test]
fn a_url_is_parsed_without_its_credentials() {
    let url = Url::parse("postgres://u:p%40@[::1]:5432/db?a=1&b&c=x=y#z").unwrap();
    assert_eq!((url.scheme, url.host.as_str(), url.port), ("postgres", "::1", Some(5432)));
    assert_eq!((url.path, url.query), ("db", "a=1&b&c=x=y"));
    assert_eq!(url.parameters().collect::<Vec<_>>(), [("a", "1"), ("b", ""), ("c", "x=y")]);
    let bare = Url::parse("http://h").unwrap();
    assert_eq!((bare.host.as_str(), bare.port, bare.path), ("h", None, ""));
    for text in ["h:80", "://", "http://", "http://a b/", "http://h:x", "http://h:99999"] {
        assert!(Url::parse(text).is_none(), "{text}");
    }
}
