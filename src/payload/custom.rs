//! JSON data whose fields the configuration names.

use std::fmt;

use serde_json::Value;
use thiserror::Error;

use super::field::{Object, host, host_and_port, object, port, text, unbracketed, undecodable, weight};
use crate::model::member::Fields;
use crate::model::quarantine::Quarantine;

#[cfg(test)]
mod tests;

/// The fields of the data that become the fields of a member. Without `host` the node name gives host and port; without
/// `port` it gives the port, if it has one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Custom {
    /// The path of the host.
    pub host: Option<FieldPath>,
    /// The path of the port.
    pub port: Option<FieldPath>,
    /// The path of the id.
    pub id: Option<FieldPath>,
    /// The path of the weight.
    pub weight: Option<FieldPath>,
    /// The path of the status.
    pub status: Option<FieldPath>,
}

/// Keys of nested objects and indexes of lists, joined with dots: `svc.ports.0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath(String);

/// The text is not a field path.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a field path is one or more keys joined with dots; no key may be empty")]
pub struct BadFieldPath;

impl FieldPath {
    /// Parses `svc.port`.
    ///
    /// # Errors
    /// A key is empty.
    pub fn parse(text: &str) -> Result<Self, BadFieldPath> {
        if text.split('.').any(str::is_empty) { Err(BadFieldPath) } else { Ok(Self(text.to_owned())) }
    }

    /// Returns the value at the path. null counts as missing.
    fn find<'a>(&self, data: &'a Object) -> Option<&'a Value> {
        let mut keys = self.0.split('.');
        let first = data.get(keys.next()?)?;
        let found = keys.try_fold(first, |value, key| match value {
            Value::Object(object) => object.get(key),
            Value::Array(list) => key.parse::<usize>().ok().and_then(|at| list.get(at)),
            _ => None,
        })?;
        (!found.is_null()).then_some(found)
    }

    fn require<'a>(&self, data: &'a Object) -> Result<&'a Value, Quarantine> {
        self.find(data).ok_or_else(|| undecodable(format!("its data has no {self}")))
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Custom {
    /// Formats the table as the configuration writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = [
            ("host", &self.host),
            ("port", &self.port),
            ("id", &self.id),
            ("weight", &self.weight),
            ("status", &self.status),
        ];
        let given = fields.iter().filter_map(|(key, path)| Some(format!("{key} = \"{}\"", path.as_ref()?)));
        write!(f, "{{ {} }}", given.collect::<Vec<_>>().join(", "))
    }
}

impl Custom {
    /// Decodes a node.
    pub fn decode(&self, name: &str, bytes: &[u8]) -> Result<Fields, Quarantine> {
        let data = object(bytes)?;
        // Port 0 in the name is wrong, unless the data has the port.
        let (named_host, named_port) = match host_and_port(name).filter(|(_, port)| *port > 0 || self.port.is_some()) {
            Some((host, port)) => (host, Some(port)),
            None => (unbracketed(name), None),
        };
        let found = match &self.host {
            Some(path) => {
                let found = path.require(&data)?.as_str().and_then(host);
                found.ok_or_else(|| undecodable(format!("{path} in its data is neither a host name nor an address")))?
            }
            None => host(named_host).ok_or_else(|| undecodable("its name is neither a host name nor an address"))?,
        };
        let port = match &self.port {
            Some(path) => {
                let port = port(path.require(&data)?);
                Some(port.ok_or_else(|| undecodable(format!("{path} in its data is not a valid port")))?)
            }
            None => named_port,
        };
        let find = |path: &Option<FieldPath>| path.as_ref().and_then(|path| path.find(&data));
        let (id, status) = (find(&self.id).and_then(text), find(&self.status).and_then(text));
        let weight = find(&self.weight).and_then(weight);
        Ok(Fields {
            name: name.to_owned(),
            host: Some(found),
            port,
            id,
            weight,
            status,
            data,
            raw: None,
            sequence: None,
        })
    }
}
