//! `/brokers/ids/<number>` with JSON data, as Kafka's brokers write it.

use serde_json::Value;

use super::field::{Object, Url, digits, host_of, integer, object, port_of, undecodable};
use crate::model::member::Fields;
use crate::model::quarantine::Quarantine;

#[cfg(test)]
mod tests;

/// Decodes a node. A broker without a PLAINTEXT listener has no host and port -1: its first endpoint is used then.
pub fn decode(name: &str, bytes: &[u8]) -> Result<Fields, Quarantine> {
    if digits::<i32>(name).is_none() {
        return Err(undecodable("its name is not a broker ID"));
    }
    let data = object(bytes)?;
    let is_plain = data.get("host").is_some_and(Value::is_string) && data.get("port").and_then(integer) != Some(-1);
    let (host, port) = if is_plain { (host_of(&data, "host")?, port_of(&data, "port")?) } else { endpoint(&data)? };
    Ok(Fields { name: name.to_owned(), host: Some(host), port, id: Some(name.to_owned()), data, ..Fields::default() })
}

/// The host and port of the first endpoint.
fn endpoint(data: &Object) -> Result<(String, Option<u16>), Quarantine> {
    let first = data.get("endpoints").and_then(|list| list.get(0)).and_then(Value::as_str);
    let url = first.ok_or_else(|| undecodable("its data has neither a host nor an endpoint"))?;
    let url = Url::parse(url).ok_or_else(|| undecodable("the first of its endpoints is not a URL"))?;
    Ok((url.host, url.port))
}
