use super::*;

#[test]
fn the_address_comes_from_the_connection_url() {
    let now = r#"{"conn_url":"postgres://10.10.10.10:6432/postgres","api_url":"http://10.10.10.10:8008/patroni",
            "state":"running","role":"primary","version":"4.0.1","timeline":1}"#;
    let fields = decode("pg1", now.as_bytes()).unwrap();
    assert_eq!((fields.host.as_deref(), fields.port), (Some("10.10.10.10"), Some(6432)));
    assert_eq!((fields.status.as_deref(), fields.data["role"].as_str()), (Some("running"), Some("primary")));

    let then = "postgres://u:secret@pg1/postgres?application_name=http://pg1:8008/patroni";
    let fields = decode("pg1", then.as_bytes()).unwrap();
    assert_eq!((fields.host.as_deref(), fields.port), (Some("pg1"), Some(5432)));
    assert_eq!(fields.data["api_url"], "http://pg1:8008/patroni");
}

#[test]
fn a_node_without_a_connection_url_is_refused_without_quoting_it() {
    for data in [
        "",
        "{}",
        "{broken",
        r#"{"conn_url":"mysql://u:secret@h/"}"#,
        r#"{"conn_url":5}"#,
        "postgres://u:secret@h h/",
        r#"{"conn_url":"secret"}"#,
    ] {
        let error = decode("pg1", data.as_bytes()).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}
