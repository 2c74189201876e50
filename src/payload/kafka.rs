//! `/brokers/ids/<number>` with JSON data, as Kafka's brokers write it.

use serde_json::Value;

use super::field::{Object, Url, digits, host_of, object, port_of, undecodable};
use crate::decide::{Fields, Quarantine};

/// Makes a member's fields of a node's name and data. A broker without a PLAINTEXT listener has no host and the port
/// -1; the first of its endpoints is its address then.
pub fn decode(name: &str, bytes: &[u8]) -> Result<Fields, Quarantine> {
    if digits::<i32>(name).is_none() {
        return Err(undecodable("its name is not the number of a broker"));
    }
    let data = object(bytes)?;
    let is_plain =
        data.get("host").is_some_and(Value::is_string) && data.get("port").and_then(Value::as_i64) != Some(-1);
    let (host, port) = if is_plain { (host_of(&data, "host")?, port_of(&data, "port")?) } else { endpoint(&data)? };
    Ok(Fields { name: name.to_owned(), host: Some(host), port, id: Some(name.to_owned()), data, ..Fields::default() })
}

/// Where the first of the endpoints is.
fn endpoint(data: &Object) -> Result<(String, Option<u16>), Quarantine> {
    let first = data.get("endpoints").and_then(|list| list.get(0)).and_then(Value::as_str);
    let url = first.ok_or_else(|| undecodable("its data has neither a host nor an endpoint"))?;
    let url = Url::parse(url).ok_or_else(|| undecodable("the first of its endpoints is no URL"))?;
    Ok((url.host, url.port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_where_its_host_or_its_first_endpoint_is() {
        let plain = r#"{"features":{},"listener_security_protocol_map":{"PLAINTEXT":"PLAINTEXT"},"rack":"r1",
            "endpoints":["PLAINTEXT://h:9092"],"jmx_port":-1,"port":9092,"host":"h","version":5,"timestamp":"1"}"#;
        let tls = r#"{"endpoints":["SSL://[2001:db8::1]:9093","SASL://h:9094"],"port":-1,"host":null,"version":4}"#;
        for (text, host, port) in [(plain, "h", 9092), (tls, "2001:db8::1", 9093)] {
            let fields = decode("12", text.as_bytes()).unwrap();
            assert_eq!(
                (fields.host.as_deref(), fields.port, fields.id.as_deref()),
                (Some(host), Some(port), Some("12"))
            );
        }
        assert_eq!(decode("1", plain.as_bytes()).unwrap().data["rack"], "r1");
    }

    #[test]
    fn what_is_no_broker_is_refused() {
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
}
