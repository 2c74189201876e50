//! `<path>/<instance>_0000000007` with JSON data, or `base64_<length>_<JSON in base64>_0000000007` without, as Airbnb's
//! nerve writes it and synapse reads it.

use serde_json::Value;

use super::field::{Object, base64_object, digits, host_of, object, port_of, sequence, text, undecodable, weight};
use crate::model::member::Fields;
use crate::model::quarantine::Quarantine;

#[cfg(test)]
mod tests;

/// The prefix of a name that contains the JSON.
pub const ENCODED: &str = "base64_";

/// Decodes a node.
pub fn decode(name: &str, bytes: &[u8]) -> Result<Fields, Quarantine> {
    let mut data = match encoded(name) {
        Some(data) => data,
        None => object(bytes)?,
    };
    let host = host_of(&data, "host")?;
    let Some(port) = port_of(&data, "port")? else {
        return Err(undecodable("its data has no port"));
    };
    let (id, weight) = (data.get("name").and_then(text), data.get("weight").and_then(weight));
    if let Some(sequence) = sequence(name) {
        // The lowest sequence number is the leader, if services of nerve elect one.
        data.entry("sequence").or_insert_with(|| Value::from(sequence));
    }
    Ok(Fields { name: name.to_owned(), host: Some(host), port: Some(port), id, weight, data, ..Fields::default() })
}

/// Parses the JSON in a name. The length prefix tells where it ends, because base64 may contain `_`.
pub fn encoded(name: &str) -> Option<Object> {
    let (length, rest) = name.strip_prefix(ENCODED)?.split_once('_')?;
    base64_object(rest.get(..digits(length)?)?)
}
