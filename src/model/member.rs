//! One provider of a service.

use std::fmt;
use std::net::IpAddr;

use serde_json::{Map, Value};

use super::quarantine::{Quarantine, is_breaking};

#[cfg(test)]
mod tests;

/// One provider of a service. Its texts contain no control characters and no line breaks: [`Member::new`] refuses
/// them, so that a node cannot add lines to a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    fields: Fields,
}

/// The fields that a payload format extracts from a node, unchecked.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Fields {
    /// The node's name.
    pub name: String,
    /// The host as written: a name or an address; an IPv6 address without brackets.
    pub host: Option<String>,
    /// The port.
    pub port: Option<u16>,
    /// The id that the registering system gave it.
    pub id: Option<String>,
    /// The weight, in units of the registering system.
    pub weight: Option<f64>,
    /// The state, in words of the registering system.
    pub status: Option<String>,
    /// The payload as a map; empty if there is none.
    pub data: Map<String, Value>,
    /// The payload, if it is not UTF-8.
    pub raw: Option<Vec<u8>>,
    /// The sequence of a lock's contender, as kazoo compares it. Contenders are in the order of their sequences.
    pub sequence: Option<String>,
}

impl Member {
    /// Checks the fields of a node.
    ///
    /// # Errors
    /// The field that contains a control character or a line break.
    pub fn new(fields: Fields) -> Result<Self, Quarantine> {
        let texts = [
            ("its name", Some(&fields.name)),
            ("host", fields.host.as_ref()),
            ("id", fields.id.as_ref()),
            ("status", fields.status.as_ref()),
        ];
        for (place, text) in texts {
            if text.is_some_and(|text| text.chars().any(is_breaking)) {
                return Err(Quarantine::Control { place: place.to_owned() });
            }
        }
        for (key, value) in &fields.data {
            // A key is checked before a message names it.
            if key.chars().any(is_breaking) {
                return Err(Quarantine::Control { place: "a key of its data".to_owned() });
            }
            if !is_plain(value) {
                return Err(Quarantine::Control { place: format!("{key:?} in its data") });
            }
        }
        Ok(Self { fields })
    }

    /// All fields.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The name of the node.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.fields.name
    }

    /// The same member with another weight.
    #[must_use]
    pub fn with_weight(&self, weight: Option<f64>) -> Self {
        Self { fields: Fields { weight, ..self.fields.clone() } }
    }

    /// The host and the port, if both are known. Members with the same endpoint are the same server. Contenders of a
    /// lock have none: each is in the queue for itself.
    #[must_use]
    pub fn endpoint(&self) -> Option<(&str, u16)> {
        self.fields.host.as_deref().zip(self.fields.port).filter(|_| self.fields.sequence.is_none())
    }

    /// What orders members by name.
    #[must_use]
    pub fn order(&self) -> (Option<&str>, &str) {
        (self.fields.sequence.as_deref(), self.name())
    }

    /// `host:port`, an IPv6 address in brackets (RFC 3986, section 3.2.2); the host alone if the port is unknown.
    #[must_use]
    pub fn address(&self) -> Option<String> {
        let host = self.fields.host.as_deref()?;
        let bracketed =
            if host.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()) { format!("[{host}]") } else { host.to_owned() };
        Some(match self.fields.port {
            Some(port) => format!("{bracketed}:{port}"),
            None => bracketed,
        })
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether no text in a value, at any depth, contains a breaking character. Depth is bounded by the JSON reader (128).
fn is_plain(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.chars().any(is_breaking),
        Value::Array(list) => list.iter().all(is_plain),
        Value::Object(map) => map.iter().all(|(key, value)| !key.chars().any(is_breaking) && is_plain(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}
