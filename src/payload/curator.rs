//! `<base>/<service>/<id>` with JSON data, as Curator's service discovery writes it, and Spring Cloud and Dubbo by it.

use serde_json::Value;

use super::field::{host_of, object, port_of, text, weight};
use crate::decide::{Fields, Quarantine};

/// Makes a member's fields of a node's data. `metadata` in the payload, as Spring and Dubbo have it, is `metadata` of
/// the data too.
pub fn decode(name: &str, bytes: &[u8]) -> Result<Fields, Quarantine> {
    let mut data = object(bytes)?;
    let host = host_of(&data, "address")?;
    let port = match port_of(&data, "port")? {
        None => port_of(&data, "sslPort")?,
        port => port,
    };
    let metadata = data.get("payload").and_then(|payload| payload.get("metadata")).cloned();
    let of_metadata = |key: &str| metadata.as_ref().and_then(|metadata| metadata.get(key));
    let status = match data.get("enabled") {
        Some(Value::Bool(false)) => Some("down".to_owned()),
        _ => of_metadata("instance_status").and_then(Value::as_str).map(str::to_owned),
    };
    let weight = of_metadata("weight").and_then(weight);
    let id = data.get("id").and_then(text);
    if let Some(metadata) = metadata {
        data.entry("metadata").or_insert(metadata);
    }
    Ok(Fields { name: name.to_owned(), host: Some(host), port, id, weight, status, data, raw: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(data: &Value) -> Result<Fields, Quarantine> {
        decode("4254", data.to_string().as_bytes())
    }

    #[test]
    fn an_instance_is_read() {
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
    fn metadata_is_within_reach() {
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
    fn what_has_no_address_is_refused() {
        for data in [json!({"address": null, "port": 1}), json!({}), json!({"address": "a", "port": "x"})] {
            assert!(read(&data).is_err(), "{data}");
        }
    }
}
