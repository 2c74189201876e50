//! JSON data of a shape that nobody foresaw: the configuration names the fields.

use std::fmt;

use serde_json::Value;
use thiserror::Error;

use super::field::{Object, host, host_and_port, object, port, text, unbracketed, undecodable, weight};
use crate::decide::{Fields, Quarantine};

/// Which fields of the data are a member's. Without `host` the node's name says host and port; without `port` it says
/// the port, where it has one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Custom {
    /// Where the host stands.
    pub host: Option<FieldPath>,
    /// Where the port stands.
    pub port: Option<FieldPath>,
    /// Where the id stands.
    pub id: Option<FieldPath>,
    /// Where the weight stands.
    pub weight: Option<FieldPath>,
    /// Where the status stands.
    pub status: Option<FieldPath>,
}

/// Keys of objects within objects, and places in lists: `svc.ports.0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath(String);

/// Why a text is no path of a field.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a field is named by keys with a dot between them, and none of them is empty")]
pub struct BadFieldPath;

impl FieldPath {
    /// Reads `svc.port`.
    ///
    /// # Errors
    /// When a key is empty.
    pub fn parse(text: &str) -> Result<Self, BadFieldPath> {
        if text.split('.').any(str::is_empty) { Err(BadFieldPath) } else { Ok(Self(text.to_owned())) }
    }

    /// What stands there; null counts as nothing.
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
    /// As the configuration has it.
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
    /// Makes a member's fields of a node's name and data.
    pub(super) fn decode(&self, name: &str, bytes: &[u8]) -> Result<Fields, Quarantine> {
        let data = object(bytes)?;
        let (named_host, named_port) = match host_and_port(name) {
            Some((host, port)) => (host, Some(port)),
            None => (unbracketed(name), None),
        };
        let found = match &self.host {
            Some(path) => {
                let found = path.require(&data)?.as_str().and_then(host);
                found.ok_or_else(|| {
                    undecodable(format!("{path} in its data is neither the name of a host nor an address"))
                })?
            }
            None => {
                host(named_host).ok_or_else(|| undecodable("its name is neither the name of a host nor an address"))?
            }
        };
        let port = match &self.port {
            Some(path) => {
                let port = port(path.require(&data)?);
                Some(port.ok_or_else(|| undecodable(format!("{path} in its data is no port")))?)
            }
            None => named_port,
        };
        let find = |path: &Option<FieldPath>| path.as_ref().and_then(|path| path.find(&data));
        let (id, status) = (find(&self.id).and_then(text), find(&self.status).and_then(text));
        let weight = find(&self.weight).and_then(weight);
        Ok(Fields { name: name.to_owned(), host: Some(found), port, id, weight, status, data, raw: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn custom(host: &str, port: &str) -> Custom {
        let path = |text: &str| (!text.is_empty()).then(|| FieldPath::parse(text).unwrap());
        Custom { host: path(host), port: path(port), id: path("id"), weight: path("w"), status: path("meta.state") }
    }

    #[test]
    fn fields_are_where_the_configuration_says() {
        let data = br#"{"ip":"10.0.0.1","svc":{"ports":["8080"]},"w":"7","id":5,"meta":{"state":"ok"}}"#;
        for (host, port, name, expected) in [
            ("ip", "svc.ports.0", "n1", ("10.0.0.1", Some(8080))),
            ("", "svc.ports.0", "h:1", ("h", Some(8080))),
            ("ip", "", "h:1", ("10.0.0.1", Some(1))),
            ("", "", "h", ("h", None)),
            ("", "", "[::1]:1", ("::1", Some(1))),
        ] {
            let fields = custom(host, port).decode(name, data).unwrap();
            assert_eq!((fields.host.as_deref().unwrap(), fields.port), expected, "{host} {port} {name}");
            assert_eq!(
                (fields.id.as_deref(), fields.weight, fields.status.as_deref()),
                (Some("5"), Some(7.0), Some("ok"))
            );
        }
    }

    #[test]
    fn what_lacks_a_field_is_refused_by_its_name() {
        for (data, why) in [
            (r#"{"ip":null}"#, "its data has no ip"),
            (r#"{"ip":{}}"#, "ip in its data is neither the name of a host nor an address"),
            (r#"{"ip":"a"}"#, "its data has no svc.ports.0"),
            (r#"{"ip":"a","svc":{"ports":[]}}"#, "its data has no svc.ports.0"),
            (r#"{"ip":"a","svc":{"ports":[0]}}"#, "svc.ports.0 in its data is no port"),
            ("x", "its data is not JSON: expected value at line 1 column 1"),
        ] {
            assert_eq!(custom("ip", "svc.ports.0").decode("n1", data.as_bytes()).unwrap_err().to_string(), why);
        }
        assert!(custom("", "").decode("a b", b"{}").is_err());
        let fields = custom("", "").decode("a", br#"{"w":[],"meta":5}"#).unwrap();
        assert_eq!((fields.weight, fields.status), (None, None));
    }

    #[test]
    fn a_path_has_no_empty_key() {
        for text in ["", ".", "a.", ".a", "a..b"] {
            assert_eq!(FieldPath::parse(text), Err(BadFieldPath), "{text}");
        }
        assert_eq!(custom("ip", "").to_string(), r#"{ host = "ip", id = "id", weight = "w", status = "meta.state" }"#);
    }
}
