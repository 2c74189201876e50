use super::*;

#[test]
fn the_address_is_the_host_or_the_first_endpoint() {
    let plain = r#"{"features":{},"listener_security_protocol_map":{"PLAINTEXT":"PLAINTEXT"},"rack":"r1",
            "endpoints":["PLAINTEXT://h:9092"],"jmx_port":-1,"port":9092,"host":"h","version":5,"timestamp":"1"}"#;
    let tls = r#"{"endpoints":["SSL://[2001:db8::1]:9093","SASL://h:9094"],"port":-1,"host":null,"version":4}"#;
    for (text, host, port) in [(plain, "h", 9092), (tls, "2001:db8::1", 9093)] {
        let fields = decode("12", text.as_bytes()).unwrap();
        assert_eq!((fields.host.as_deref(), fields.port, fields.id.as_deref()), (Some(host), Some(port), Some("12")));
    }
    assert_eq!(decode("1", plain.as_bytes()).unwrap().data["rack"], "r1");
}

#[test]
fn other_nodes_are_not_brokers() {
    for (name, data) in [
        ("x", r#"{"host":"h","port":1}"#),
        ("1", r#"{"host":null,"port":-1}"#),
        ("1", r#"{"endpoints":["SSL://:9093"],"port":-1}"#),
        ("1", "{}"),
        ("1", ""),
        ("99999999999", r#"{"host":"h","port":1}"#),
    ] {
        assert!(decode(name, data.as_bytes()).is_err(), "{name} {data}");
    }
}
