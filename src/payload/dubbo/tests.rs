use super::*;

fn member(name: &str) -> Fields {
    match decode(name).unwrap() {
        Parsed::Member(fields) => fields,
        _ => panic!("{name} is no member"),
    }
}

#[test]
fn a_provider_url_is_decoded() {
    let name = "dubbo%3A%2F%2F192.168.0.102%3A20880%2Fcom.foo.BarService%3Fweight%3D50%26group%3Da%253Db";
    let fields = member(name);
    assert_eq!((fields.name.as_str(), fields.host.as_deref(), fields.port), (name, Some("192.168.0.102"), Some(20880)));
    assert_eq!((fields.weight, fields.status), (Some(50.0), None));
    assert_eq!(fields.data["protocol"], "dubbo");
    assert_eq!(fields.data["path"], "com.foo.BarService");
    assert_eq!(fields.data["group"], "a%3Db", "decoded once");
}

#[test]
fn weight_and_state_have_defaults() {
    for (query, weight, status) in [
        ("", 100.0, None),
        ("%3Fdisabled%3Dtrue", 100.0, Some("down")),
        ("%3Fdisabled%3Dfalse%26enabled%3Dfalse", 100.0, None),
        ("%3Fenabled%3Dfalse", 100.0, Some("down")),
        ("%3Fweight%3D0", 0.0, None),
        ("%3Fweight%3Dheavy", 100.0, None),
    ] {
        let fields = member(&format!("tri%3A%2F%2F%5B%3A%3A1%5D%3A50051%2Fx{query}"));
        assert_eq!((fields.weight, fields.status.as_deref()), (Some(weight), status), "{query}");
        assert_eq!((fields.host.as_deref(), fields.port), (Some("::1"), Some(50051)));
    }
}

#[test]
fn a_provider_with_port_0_is_a_member_without_a_port() {
    let fields = member("dubbo%3A%2F%2F10.0.0.1%3A0%2Fcom.foo.BarService");
    assert_eq!((fields.host.as_deref(), fields.port), (Some("10.0.0.1"), None));
}

#[test]
fn other_nodes_are_not_providers() {
    for name in ["override%3A%2F%2F0.0.0.0%2Fx", "consumer%3A%2F%2F10.0.0.1%2Fx", "empty%3A%2F%2F10.0.0.1%2Fx"] {
        assert!(matches!(decode(name), Ok(Parsed::Other)), "{name}");
    }
    for name in ["h:80", "", "%ff", "dubbo%3A%2F%2Fa%20b%3A1%2F"] {
        assert!(decode(name).is_err(), "{name}");
    }
}
