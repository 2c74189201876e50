use super::*;

fn custom(host: &str, port: &str) -> Custom {
    let path = |text: &str| (!text.is_empty()).then(|| FieldPath::parse(text).unwrap());
    Custom { host: path(host), port: path(port), id: path("id"), weight: path("w"), status: path("meta.state") }
}

#[test]
fn fields_are_read_from_the_configured_keys() {
    let data = br#"{"ip":"10.0.0.1","svc":{"ports":["8080"]},"w":"7","id":5,"meta":{"state":"ok"}}"#;
    for (host, port, name, expected) in [
        ("ip", "svc.ports.0", "n1", ("10.0.0.1", Some(8080))),
        ("", "svc.ports.0", "h:1", ("h", Some(8080))),
        ("", "svc.ports.0", "h:0", ("h", Some(8080))),
        ("ip", "", "h:1", ("10.0.0.1", Some(1))),
        ("", "", "h", ("h", None)),
        ("", "", "[::1]:1", ("::1", Some(1))),
    ] {
        let fields = custom(host, port).decode(name, data).unwrap();
        assert_eq!((fields.host.as_deref().unwrap(), fields.port), expected, "{host} {port} {name}");
        assert_eq!((fields.id.as_deref(), fields.weight, fields.status.as_deref()), (Some("5"), Some(7.0), Some("ok")));
    }
}

#[test]
fn a_missing_field_is_named() {
    for (data, why) in [
        (r#"{"ip":null}"#, "its data has no ip"),
        (r#"{"ip":{}}"#, "ip in its data is neither a host name nor an address"),
        (r#"{"ip":"a"}"#, "its data has no svc.ports.0"),
        (r#"{"ip":"a","svc":{"ports":[]}}"#, "its data has no svc.ports.0"),
        (r#"{"ip":"a","svc":{"ports":[0]}}"#, "svc.ports.0 in its data is not a valid port"),
        ("x", "its data is not JSON: expected value at line 1 column 1"),
    ] {
        assert_eq!(custom("ip", "svc.ports.0").decode("n1", data.as_bytes()).unwrap_err().to_string(), why);
    }
    assert!(custom("", "").decode("a b", b"{}").is_err());
    let fields = custom("", "").decode("a", br#"{"w":[],"meta":5}"#).unwrap();
    assert_eq!((fields.weight, fields.status), (None, None));
}

#[test]
fn a_path_has_no_empty_key() {
    for text in ["", ".", "a.", ".a", "a..b"] {
        assert_eq!(FieldPath::parse(text), Err(BadFieldPath), "{text}");
    }
    assert_eq!(custom("ip", "").to_string(), r#"{ host = "ip", id = "id", weight = "w", status = "meta.state" }"#);
}
