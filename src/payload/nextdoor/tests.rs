use super::*;
use serde_json::json;

#[test]
fn names_give_host_and_port() {
    let cases = [
        ("10.0.0.1:11211", Some("10.0.0.1"), Some(11211)),
        ("mc1.example.com:80", Some("mc1.example.com"), Some(80)),
        ("[2001:db8::1]:80", Some("2001:db8::1"), Some(80)),
        ("2001:db8::1:80", Some("2001:db8::1"), Some(80)),
        ("web1", Some("web1"), None),
        ("web1:http", Some("web1:http"), None),
        ("web1:+80", Some("web1:+80"), None),
        ("web1:70000", Some("web1:70000"), None),
        (":80", Some(":80"), None),
    ];
    for (name, host, port) in cases {
        let fields = decode(name, b"");
        assert_eq!((fields.host.as_deref(), fields.port), (host, port), "{name}");
    }
}

#[test]
fn data_is_decoded_as_by_nd_service_registry() {
    let cases = [
        ("", json!({})),
        ("  \n", json!({})),
        (
            r#"{"pid":26802,"created":"2026-11-20 10:07:29","zone":"us-west-2b"}"#,
            json!({"pid": 26802, "created": "2026-11-20 10:07:29", "zone": "us-west-2b"}),
        ),
        (" {\"u\":\"\\u00e9\"} ", json!({"u": "é"})),
        ("{broken}", json!({"string_value": "{broken}"})),
        ("[1,2]", json!({"string_value": "[1,2]"})),
        ("123", json!({"string_value": "123"})),
        ("null", json!({"string_value": "null"})),
    ];
    for (text, data) in cases {
        assert_eq!(Value::Object(decode("h:1", text.as_bytes()).data), data, "{text:?}");
    }
}

#[test]
fn data_that_is_not_utf8_keeps_the_member() {
    let fields = decode("h:1", b"\xff\xfe");
    assert_eq!(fields.raw.as_deref(), Some(&b"\xff\xfe"[..]));
    assert!(fields.data.is_empty());
}

#[test]
fn weight_and_status_come_from_the_data() {
    let fields = decode("h:1", br#"{"weight": 5, "status": "up"}"#);
    assert_eq!((fields.weight, fields.status.as_deref()), (Some(5.0), Some("up")));
}
