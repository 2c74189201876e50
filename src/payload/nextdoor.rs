//! `<path>/<host>:<port>` with JSON data, as nd_service_registry 1.1.0 and zk_watcher 0.4.0 write it.
//!
//! Data is trimmed, and so are the keys of JSON: zk_watcher keeps the space of `a=1, b=2`. Empty data is no data; text from
//! `{` to `}` is JSON; anything else, including invalid JSON, is `{"string_value": text}`, as in nd_service_registry. Bytes
//! that are not UTF-8 are kept: every data is valid.

use std::net::IpAddr;

use serde_json::Value;

use super::field::{
    self, Object, host_and_digits, host_and_port, is_no_port, object, text, unbracketed, undecodable, weight,
    without_bom,
};
use crate::model::member::{Fields, Member};
use crate::model::quarantine::Quarantine;

#[cfg(test)]
mod tests;

/// Keys of data that may hold the host.
const HOSTS: [&str; 4] = ["host", "hostname", "address", "ip"];

/// The key of data that is not JSON.
const STRING_VALUE: &str = "string_value";

/// Decodes a node. It never fails.
pub fn decode(name: &str, bytes: &[u8]) -> Fields {
    let (data, raw) = match std::str::from_utf8(bytes) {
        Ok(text) => (data(text), None),
        Err(_) => (Object::new(), Some(bytes.to_vec())),
    };
    let in_text = || place(data.get(STRING_VALUE)?.as_str()?).filter(|(host, _)| field::host(host).is_some());
    // Port 0 in a name is a mistake. In data it says that there is no port.
    let (host, port) = match place(name).filter(|(_, port)| *port > 0).or_else(in_text) {
        Some((host, port)) => (Some(host.to_owned()), Some(port).filter(|port| *port > 0)),
        None => fields_place(name, &data),
    };
    let (weight, status) = (data.get("weight").and_then(weight), data.get("status").and_then(text));
    Fields { name: name.to_owned(), host, port, id: None, weight, status, data, raw, sequence: None }
}

/// The host and the port in a name, or in the data of a name that has no port: `host:port`, or
/// `serverUri=host:port;version=…`, as `HiveServer2` writes it.
pub fn place(text: &str) -> Option<(&str, u16)> {
    host_and_port(text).or_else(|| host_and_port(server_uri(text)?))
}

fn server_uri(text: &str) -> Option<&str> {
    text.strip_prefix("serverUri=")?.split(';').next()
}

/// The host and the port in the fields of the data. What they lack is in the name: without a port all of it is the host.
fn fields_place(name: &str, data: &Object) -> (Option<String>, Option<u16>) {
    let port = data.get("port").and_then(field::port);
    // Only `host` is clear by itself.
    let keys = if port.is_some() { &HOSTS[..] } else { &HOSTS[..1] };
    let host = keys.iter().find_map(|key| field::host(data.get(*key)?.as_str()?));
    (Some(host.unwrap_or_else(|| unbracketed(name).to_owned())), port)
}

/// Why a member has no port although its name or the field `port` of its data was to give one. Whatever says nothing of a
/// port is a host: a working list must not lose members.
pub fn port_error(member: &Member) -> Option<Quarantine> {
    let fields = member.fields();
    if fields.port.is_some() {
        return None;
    }
    // The last group of an address is no port.
    let is_address = member.name().parse::<IpAddr>().is_ok();
    let name = server_uri(member.name()).unwrap_or(member.name());
    if !is_address && host_and_digits(name).is_some() {
        return Some(undecodable("its name has no valid port"));
    }
    let wrong = fields.data.get("port").filter(|port| !is_no_port(port));
    wrong.map(|_| undecodable("port in its data is not a valid port"))
}

/// Why data that begins as a JSON object does is only a text.
pub fn data_error(member: &Member) -> Option<Quarantine> {
    let text = member.fields().data.get(STRING_VALUE)?.as_str()?;
    text.starts_with('{').then(|| object(text.as_bytes()).err())?
}

fn data(text: &str) -> Object {
    let text = without_bom(text).trim();
    if text.is_empty() {
        return Object::new();
    }
    if text.starts_with('{')
        && text.ends_with('}')
        && let Ok(map) = object(text.as_bytes())
    {
        return with_trimmed_keys(map);
    }
    Object::from_iter([(STRING_VALUE.to_owned(), Value::String(text.to_owned()))])
}

/// Trims keys, except where another one has that name.
fn with_trimmed_keys(map: Object) -> Object {
    let is_trimmed = |key: &str| key.trim().len() == key.len();
    if map.keys().all(|key| is_trimmed(key)) {
        return map;
    }
    let (mut trimmed, others): (Object, Object) = map.into_iter().partition(|(key, _)| is_trimmed(key));
    for (key, value) in others {
        trimmed.entry(key.trim()).or_insert(value);
    }
    trimmed
}
