//! What a service registers: a node, its place and its data.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::node_path::NodePath;

/// The name of a node in the directory of its service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeName {
    /// Always the same one.
    Fixed(String),
    /// This prefix and a number of the server. The node of this service is known by its host and port.
    Sequential {
        /// What stands before the number.
        prefix: String,
        /// The host in its data.
        host: String,
        /// The port in its data.
        port: u16,
    },
}

impl NodeName {
    /// Whether a child of the directory can be this node.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Fixed(own) => own == name,
            Self::Sequential { prefix, .. } => name
                .strip_prefix(prefix.as_str())
                .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')),
        }
    }

    /// Whether a node with a matching name and this data is this node.
    pub fn matches_data(&self, data: &[u8]) -> bool {
        let Self::Sequential { host, port, .. } = self else { return true };
        let Ok(value) = serde_json::from_slice::<Value>(data) else { return false };
        let place = value.get("serviceEndpoint").unwrap_or(&value);
        place.get("host").and_then(Value::as_str) == Some(host)
            && place.get("port").and_then(Value::as_u64) == Some(u64::from(*port))
    }
}

/// The place of a node that a service registers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId {
    /// The directory of the service.
    pub directory: NodePath,
    /// The name in it.
    pub name: NodeName,
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            NodeName::Fixed(name) => write!(f, "{}", self.directory.child(name)),
            NodeName::Sequential { prefix, host, port } => {
                write!(f, "{} ({host}:{port})", self.directory.child(&format!("{prefix}*")))
            }
        }
    }
}

/// A node to register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSpec {
    /// Its place.
    pub id: NodeId,
    /// Its data.
    pub data: Arc<[u8]>,
    /// The keys of its data that tell when and by which process it was registered. A node that differs in nothing else is
    /// not written again.
    pub volatile: &'static [&'static str],
}

impl NodeSpec {
    /// Whether a node with this data need not be written.
    pub fn is_same(&self, data: &[u8]) -> bool {
        *self.data == *data || (!self.volatile.is_empty() && self.stable(&self.data) == self.stable(data))
    }

    /// The data without its volatile keys; `None` if it is no JSON object.
    fn stable(&self, data: &[u8]) -> Option<serde_json::Map<String, Value>> {
        let mut object = serde_json::from_slice::<serde_json::Map<String, Value>>(data).ok()?;
        self.volatile.iter().for_each(|key| _ = object.remove(*key));
        Some(object)
    }
}
