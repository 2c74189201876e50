//! How large a path may be. What is larger is no roster but a writer that runs away: nothing of it is taken, whatever
//! each of its nodes says, until it is smaller again.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::model::registry_event::{Members, Reading};

#[cfg(test)]
mod tests;

/// The most nodes that one path may have.
pub const MAX_NODES: usize = 10_000;

/// The most bytes of data that the nodes of one path may have in all.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;

/// What of a path is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// It has more nodes than [`MAX_NODES`].
    Nodes,
    /// They have more data than [`MAX_BYTES`].
    Bytes,
}

impl fmt::Display for Excess {
    /// How much it may be at the most. Never how much it is: that changes all the time.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nodes => write!(f, "{MAX_NODES} nodes"),
            Self::Bytes => write!(f, "{} MiB of data", MAX_BYTES / 1024 / 1024),
        }
    }
}

/// The nodes of a path, members or not, and how much data they have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Size {
    nodes: BTreeMap<Arc<str>, usize>,
    bytes: usize,
}

impl Size {
    /// The size of these.
    pub fn from_nodes(nodes: &Members) -> Self {
        let nodes: BTreeMap<_, _> = nodes.iter().map(|(name, reading)| (Arc::clone(name), bytes(reading))).collect();
        Self { bytes: nodes.values().sum(), nodes }
    }

    /// A node joined or changed.
    pub fn put(&mut self, name: &Arc<str>, reading: &Reading) {
        let new = bytes(reading);
        let old = self.nodes.insert(Arc::clone(name), new).unwrap_or(0);
        self.bytes = self.bytes - old + new;
    }

    /// A node left.
    pub fn remove(&mut self, name: &str) {
        self.bytes -= self.nodes.remove(name).unwrap_or(0);
    }

    /// What is too large, if anything is.
    pub fn excess(&self) -> Option<Excess> {
        if self.nodes.len() > MAX_NODES {
            Some(Excess::Nodes)
        } else {
            (self.bytes > MAX_BYTES).then_some(Excess::Bytes)
        }
    }
}

fn bytes(reading: &Reading) -> usize {
    reading.as_ref().map_or(0, |data| data.len())
}
