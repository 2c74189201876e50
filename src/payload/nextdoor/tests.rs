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
        ("web1:0", Some("web1:0"), None),
        ("fe80::1%eth0", Some("fe80::1%eth0"), None),
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

#[test]
fn a_name_without_a_port_takes_host_and_port_from_the_data() {
    let cases: [(&str, &str, &str, Option<u16>); 22] = [
        ("api1", r#"{"host":"10.0.0.1","port":80}"#, "10.0.0.1", Some(80)),
        ("api1", r#"{"host":"10.0.0.1","port":"80"}"#, "10.0.0.1", Some(80)),
        ("api1", r#"{"host":"[2001:db8::1]","port":80}"#, "2001:db8::1", Some(80)),
        ("api1", r#"{"hostname":"h.example.com","port":80}"#, "h.example.com", Some(80)),
        ("api1", r#"{"address":"10.0.0.1","port":80}"#, "10.0.0.1", Some(80)),
        ("api1", r#"{"ip":"10.0.0.1","port":80}"#, "10.0.0.1", Some(80)),
        ("api1", r#"{"host":"10.0.0.1"}"#, "10.0.0.1", None),
        ("api1", r#"{"port":80}"#, "api1", Some(80)),
        ("api1", r#"{"host":"10.0.0.1","port":8080.0}"#, "10.0.0.1", Some(8080)),
        ("api1", "10.0.0.1:80\n", "10.0.0.1", Some(80)),
        ("api1", "10.0.0.1:0", "10.0.0.1", None),
        ("api1", "[2001:db8::1]:80", "2001:db8::1", Some(80)),
        // HiveServer2, whose name is the same.
        ("serverUri=h1:10000;version=3.1.3;sequence=0000000007", "", "h1", Some(10000)),
        ("s1", "serverUri=h1:10000;version=3.1.3", "h1", Some(10000)),
        // The name comes first, and what is no place is none.
        ("h1:81", r#"{"host":"10.0.0.1","port":80}"#, "h1", Some(81)),
        ("h1:81", "10.0.0.1:80", "h1", Some(81)),
        ("api1", r#"{"ip":"10.0.0.1"}"#, "api1", None),
        ("api1", r#"{"host":"a b","port":0}"#, "api1", None),
        ("api1", r#"{"host":{"a":1},"port":70000}"#, "api1", None),
        ("api1", "server evil 10.0.0.9:1", "api1", None),
        ("api1", "serverUri=a b:1", "api1", None),
        ("api1", "", "api1", None),
    ];
    for (name, data, host, port) in cases {
        let fields = decode(name, data.as_bytes());
        assert_eq!((fields.host.as_deref(), fields.port), (Some(host), port), "{name} {data}");
    }
}

#[test]
fn keys_are_trimmed_unless_another_one_has_that_name() {
    // What zk_watcher makes of `foo=bar, bah=humbug`.
    let data = decode("h:1", br#"{"foo":"bar"," bah":"humbug"}"#).data;
    assert_eq!(Value::Object(data), json!({"foo": "bar", "bah": "humbug"}));
    let data = decode("h:1", br#"{" a":"1","a":"2"," weight ":"3"}"#);
    assert_eq!((Value::Object(data.data), data.weight), (json!({"a": "2", "weight": "3"}), Some(3.0)));
    assert_eq!(Value::Object(decode("h:1", "\u{feff}{\"a\":1}".as_bytes()).data), json!({"a": 1}));
}
