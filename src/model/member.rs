//! One provider of a service.

use std::fmt;
use std::net::IpAddr;

use serde_json::{Map, Value};
use thiserror::Error;

#[cfg(test)]
mod tests;

/// The most bytes that one member's data may have, and its name.
pub const MAX_DATA: usize = 64 * 1024;

/// One provider of a service. No text in it contains a control character or a line break: [`Member::new`] is the only way
/// to make one, so a template cannot be made to write a line that its author did not.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    fields: Fields,
}

/// What a payload format makes of a node, before it is checked.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Fields {
    /// The node's name.
    pub name: String,
    /// The host as written: a name or an address, an IPv6 one without brackets.
    pub host: Option<String>,
    /// The port.
    pub port: Option<u16>,
    /// The system's own id for it.
    pub id: Option<String>,
    /// A weight, as the system counts them.
    pub weight: Option<f64>,
    /// The system's own word for its state.
    pub status: Option<String>,
    /// The payload as a map; empty where there was none.
    pub data: Map<String, Value>,
    /// The bytes, where they are not UTF-8.
    pub raw: Option<Vec<u8>>,
}

/// Why a node is left out: it is counted, said once, and shown, and it does not count towards `min`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Quarantine {
    /// A text in it could break out of a line.
    #[error("{place} contains a control character or a line break")]
    Control {
        /// Which field, or which key of the data.
        place: String,
    },
    /// It is larger than [`MAX_DATA`].
    #[error("its name or its data has {bytes} bytes; the maximum is {MAX_DATA}")]
    TooLarge {
        /// How large.
        bytes: usize,
    },
    /// The registry did not give its data.
    #[error("its data cannot be read: {0}")]
    Unreadable(String),
    /// The payload is not what the format asks for.
    #[error("{0}")]
    Undecodable(String),
}

/// Whether a character could end a line, or change how a terminal or a parser reads the rest of it.
#[must_use]
pub fn is_breaking(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

impl Member {
    /// Checks what a format made of a node.
    ///
    /// # Errors
    /// Says which field has a control character or a line break.
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
            // A key is a place of its own in messages, so it is checked before it is named in one.
            if key.chars().any(is_breaking) {
                return Err(Quarantine::Control { place: "a key of its data".to_owned() });
            }
            if !is_plain(value) {
                return Err(Quarantine::Control { place: format!("{key:?} in its data") });
            }
        }
        Ok(Self { fields })
    }

    /// Everything that is known of it.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The node's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.fields.name
    }

    /// The same member with another weight.
    #[must_use]
    pub fn weighing(&self, weight: Option<f64>) -> Self {
        Self { fields: Fields { weight, ..self.fields.clone() } }
    }

    /// The host and the port, where both are known: members that have the same ones are one server.
    #[must_use]
    pub fn endpoint(&self) -> Option<(&str, u16)> {
        self.fields.host.as_deref().zip(self.fields.port)
    }

    /// `host:port`, an IPv6 address in brackets (RFC 3986, section 3.2.2); the host alone where no port is known.
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

/// Whether no text in a value, however deep, holds a breaking character. Depth is bounded by the JSON reader (128).
fn is_plain(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.chars().any(is_breaking),
        Value::Array(list) => list.iter().all(is_plain),
        Value::Object(map) => map.iter().all(|(key, value)| !key.chars().any(is_breaking) && is_plain(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}
