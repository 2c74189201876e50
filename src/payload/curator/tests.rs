use super::*;
use serde_json::{Value, json};

fn read(data: &Value) -> Result<Fields, Quarantine> {
    decode("4254", data.to_string().as_bytes())
}

#[test]
fn an_instance_is_decoded() {
    let mut data = json!({
        "name": "web", "id": "4254", "address": "localhost", "port": 123, "sslPort": null, "payload": null,
        "registrationTimeUTC": 1_769_292_890_155_u64, "serviceType": "DYNAMIC",
        "uriSpec": {"parts": [{"value": "scheme", "variable": true}]},
    });
    let fields = read(&data).unwrap();
    assert_eq!(
        (fields.host.as_deref(), fields.port, fields.id.as_deref()),
        (Some("localhost"), Some(123), Some("4254"))
    );
    assert_eq!((fields.status, fields.weight, fields.data.get("metadata")), (None, None, None));
    data["port"] = Value::Null;
    assert_eq!(read(&data).unwrap().port, None);
    data["sslPort"] = json!(443);
    assert_eq!(read(&data).unwrap().port, Some(443));
    data["enabled"] = json!(true);
    assert_eq!(read(&data).unwrap().status, None);
    data["enabled"] = json!(false);
    assert_eq!(read(&data).unwrap().status.as_deref(), Some("down"));
}

#[test]
fn metadata_is_available() {
    let mut data = json!({"address": "10.0.0.1", "port": 8080, "payload":
        {"@class": "org.springframework.cloud.zookeeper.discovery.ZookeeperInstance", "id": "web-1", "name": "web",
         "metadata": {"instance_status": "OUT_OF_SERVICE", "zone": "a", "weight": "3"}}});
    let fields = read(&data).unwrap();
    assert_eq!((fields.status.as_deref(), fields.weight), (Some("OUT_OF_SERVICE"), Some(3.0)));
    assert_eq!(fields.data["metadata"]["zone"], json!("a"));
    data["metadata"] = json!("its own");
    assert_eq!(read(&data).unwrap().data["metadata"], json!("its own"));
}

#[test]
fn a_node_without_an_address_is_quarantined() {
    for data in [json!({"address": null, "port": 1}), json!({}), json!({"address": "a", "port": "x"})] {
        assert!(read(&data).is_err(), "{data}");
    }
}
