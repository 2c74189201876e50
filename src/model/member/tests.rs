use super::*;
use serde_json::json;

fn fields(name: &str) -> Fields {
    Fields { name: name.into(), ..Fields::default() }
}

#[test]
fn no_member_contains_a_line_break() {
    let hostile = ["a\nb", "a\rb", "a\u{85}b", "a\u{2028}b", "a\u{2029}b", "a\u{1b}[2Jb", "a\0b", "a\u{7f}b"];
    for text in hostile {
        assert!(Member::new(fields(text)).is_err(), "name {text:?}");
        let with = |data: Value| Fields { data: data.as_object().unwrap().clone(), ..fields("ok") };
        assert!(Member::new(with(json!({ "k": text }))).is_err(), "value {text:?}");
        assert!(Member::new(with(json!({ text: 1 }))).is_err(), "key {text:?}");
        assert!(Member::new(with(json!({ "k": [{ "deep": [text] }] }))).is_err(), "deep {text:?}");
        assert!(Member::new(with(json!({ "k": [{ "deep": { text: 1 } }] }))).is_err(), "deep key {text:?}");
        assert!(Member::new(Fields { host: Some(text.into()), ..fields("ok") }).is_err(), "host {text:?}");
    }
    assert!(Member::new(fields("ünï-cødé:80")).is_ok());
}

#[test]
fn an_ipv6_address_is_bracketed() {
    let at = |host: &str, port| {
        Member::new(Fields { host: Some(host.into()), port, ..fields("n") }).unwrap().address().unwrap()
    };
    assert_eq!(at("2001:db8::1", Some(80)), "[2001:db8::1]:80");
    assert_eq!(at("10.0.0.1", Some(80)), "10.0.0.1:80");
    assert_eq!(at("db1", None), "db1");
    assert_eq!(Member::new(fields("n")).unwrap().address(), None);
}
