use super::*;

const HEX: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn the_names_of_a_lock_are_those_that_kazoo_counts() {
    for (name, expected) in [
        ("__lock__0000000007", Some(("lock", "0000000007"))),
        ("__rlock__0000000007", Some(("rlock", "0000000007"))),
        ("__lock__-2147483648", Some(("lock", "-2147483648"))),
        ("a__lock__b__rlock__0000000001", Some(("rlock", "0000000001"))),
        ("__lock__000000007", None),
        ("__lock__00000000007", None),
        ("__lock__--000000007", None),
        ("__lock__+000000007", None),
        ("__lock__0000000007x", None),
        ("__xlock__0000000007", None),
        ("_lock__0000000007", None),
        ("-lock-0000000007", None),
        ("__party__", None),
        ("", None),
    ] {
        for name in [name.to_owned(), format!("{HEX}{name}")] {
            let seen = lock(&name, b"web1").map(|fields| (fields.data["kind"].clone(), fields.sequence.unwrap()));
            let expected = expected.map(|(kind, sequence)| (kind.into(), sequence.to_owned()));
            assert_eq!(seen, expected, "{name}");
        }
    }
}

#[test]
fn an_identifier_may_be_a_host_and_a_port() {
    for (identifier, host, port) in [
        ("web1.example.com", Some("web1.example.com"), None),
        ("10.0.0.1:8080", Some("10.0.0.1"), Some(8080)),
        ("[::1]:80", Some("::1"), Some(80)),
        ("web1:0", Some("web1"), None),
        ("web1-4711", Some("web1-4711"), None),
        ("the first one", None, None),
        ("the first one:80", None, None),
        ("", None, None),
    ] {
        let id = Some(identifier).filter(|id| !id.is_empty());
        let locked = lock(&format!("{HEX}__lock__0000000001"), identifier.as_bytes()).unwrap();
        let shown = party(&format!("{HEX}__party__"), identifier.as_bytes()).unwrap().unwrap();
        for fields in [locked, shown, shallow_party(&format!("{HEX}-{identifier}"))] {
            assert_eq!((fields.id.as_deref(), fields.host.as_deref(), fields.port), (id, host, port), "{identifier}");
        }
    }
}

#[test]
fn a_contender_whose_identifier_cannot_be_read_keeps_its_place() {
    for data in [&b"\xff"[..], b"web1\nweb2"] {
        let fields = lock("__lock__0000000001", data).unwrap();
        assert_eq!((fields.id, fields.sequence.as_deref()), (None, Some("0000000001")));
    }
    party("__party__", b"\xff").unwrap_err();
}

#[test]
fn the_identifier_of_a_shallow_party_begins_after_the_first_dash() {
    for (name, id) in [("a-b-c", Some("b-c")), ("-b", Some("b")), ("a-", None), ("a", Some("a"))] {
        assert_eq!(shallow_party(name).id.as_deref(), id, "{name}");
    }
}
