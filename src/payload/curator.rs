//! `<base>/<service>/<id>` with JSON data, as Curator's service discovery writes it. Spring Cloud and Dubbo use it.

use super::field::{boolean, host_of, object, port_of, text, weight};
use crate::model::member::Fields;
use crate::model::quarantine::Quarantine;

#[cfg(test)]
mod tests;

/// Decodes a node. `payload.metadata`, as Spring and Dubbo write it, is also available as `metadata`.
pub fn decode(name: &str, bytes: &[u8]) -> Result<Fields, Quarantine> {
    let mut data = object(bytes)?;
    let host = host_of(&data, "address")?;
    let port = match port_of(&data, "port")? {
        None => port_of(&data, "sslPort")?,
        port => port,
    };
    let metadata = data.get("payload").and_then(|payload| payload.get("metadata")).cloned();
    let of_metadata = |key: &str| metadata.as_ref().and_then(|metadata| metadata.get(key));
    let status = match data.get("enabled").and_then(boolean) {
        Some(false) => Some("down".to_owned()),
        _ => of_metadata("instance_status").and_then(text),
    };
    let weight = of_metadata("weight").and_then(weight);
    let id = data.get("id").and_then(text);
    if let Some(metadata) = metadata {
        data.entry("metadata").or_insert(metadata);
    }
    Ok(Fields { name: name.to_owned(), host: Some(host), port, id, weight, status, data, raw: None, sequence: None })
}
