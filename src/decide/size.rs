//! The size limits of a path. A path over a limit is probably the result of a faulty client. It is held until it is
//! smaller again.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::model::registry_event::{Members, Reading};

#[cfg(test)]
mod tests;

/// The maximum number of nodes in one path.
pub const MAX_NODES: usize = 10_000;

/// The maximum number of bytes in the nodes of one path.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Which limit a path exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// More nodes than [`MAX_NODES`].
    Nodes,
    /// More data than [`MAX_BYTES`].
    Bytes,
}

impl fmt::Display for Excess {
    /// Shows the limit, because the actual size changes constantly.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nodes => write!(f, "{MAX_NODES} nodes"),
            Self::Bytes => write!(f, "{} MiB of data", MAX_BYTES / 1024 / 1024),
        }
    }
}

/// The nodes of a path, members or not, and the size of their data.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Size {
    nodes: BTreeMap<Arc<str>, usize>,
    bytes: usize,
}

impl Size {
    /// Counts these nodes.
    pub fn from_nodes(nodes: &Members) -> Self {
        let nodes: BTreeMap<_, _> = nodes.iter().map(|(name, reading)| (Arc::clone(name), bytes(reading))).collect();
        Self { bytes: nodes.values().sum(), nodes }
    }

    /// A node was added or changed.
    pub fn put(&mut self, name: &Arc<str>, reading: &Reading) {
        let new = bytes(reading);
        let old = self.nodes.insert(Arc::clone(name), new).unwrap_or(0);
        self.bytes = self.bytes - old + new;
    }

    /// A node was removed.
    pub fn remove(&mut self, name: &str) {
        self.bytes -= self.nodes.remove(name).unwrap_or(0);
    }

    /// The limit that is exceeded, if any.
    pub fn excess(&self) -> Option<Excess> {
        if self.nodes.len() > MAX_NODES {
            Some(Excess::Nodes)
        } else {
            (self.bytes > MAX_BYTES).then_some(Excess::Bytes)
        }
    }
}

fn bytes(reading: &Reading) -> usize {
    reading.as_ref().map_or(0, |node| node.data.len())
}
