//! `<path>/<host>:<port>` with JSON data, as nd_service_registry 1.1.0 and zk_watcher 0.4.0 write it.
//!
//! Data is trimmed. Empty data is no data; text from `{` to `}` is JSON; anything else, including invalid JSON, is
//! `{"string_value": text}`, as in nd_service_registry. Bytes that are not UTF-8 are kept: every data is valid.

use serde_json::{Map, Value};

use super::field::{host_and_port, unbracketed};
use crate::model::member::Fields;

#[cfg(test)]
mod tests;

/// Decodes a node. It never fails.
pub fn decode(name: &str, bytes: &[u8]) -> Fields {
    let (host, port) = split_name(name);
    let (data, raw) = match std::str::from_utf8(bytes) {
        Ok(text) => (data(text), None),
        Err(_) => (Map::new(), Some(bytes.to_vec())),
    };
    Fields {
        name: name.to_owned(),
        host,
        port,
        id: None,
        weight: data.get("weight").and_then(Value::as_f64),
        status: data.get("status").and_then(Value::as_str).map(str::to_owned),
        data,
        raw,
    }
}

/// The host and the port in a name. Without a port the whole name is the host.
fn split_name(name: &str) -> (Option<String>, Option<u16>) {
    match host_and_port(name) {
        Some((host, port)) => (Some(host.to_owned()), Some(port)),
        None => (Some(unbracketed(name).to_owned()), None),
    }
}

fn data(text: &str) -> Map<String, Value> {
    let text = text.trim();
    if text.is_empty() {
        return Map::new();
    }
    if text.starts_with('{')
        && text.ends_with('}')
        && let Ok(Value::Object(map)) = serde_json::from_str(text)
    {
        return map;
    }
    Map::from_iter([("string_value".to_owned(), Value::String(text.to_owned()))])
}
