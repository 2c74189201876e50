//! `<path>/<instance>_0000000007` with JSON data, or `base64_<length>_<JSON in base64>_0000000007` without, as Airbnb's
//! nerve writes it and synapse reads it.

use serde_json::Value;

use super::field::{Object, base64_object, digits, host_of, object, port_of, sequence, text, undecodable, weight};
use crate::model::member::Fields;
use crate::model::quarantine::Quarantine;

#[cfg(test)]
mod tests;

/// What a name begins with that holds the JSON itself.
pub const ENCODED: &str = "base64_";

/// Makes a member's fields of a node's name and data.
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
        // The lowest leads, where nerve's services elect.
        data.entry("sequence").or_insert_with(|| Value::from(sequence));
    }
    Ok(Fields { name: name.to_owned(), host: Some(host), port: Some(port), id, weight, data, ..Fields::default() })
}

/// The JSON in a name. The length says where it ends: `_` is a character of the encoding too.
pub fn encoded(name: &str) -> Option<Object> {
    let (length, rest) = name.strip_prefix(ENCODED)?.split_once('_')?;
    base64_object(rest.get(..digits(length)?)?)
}
