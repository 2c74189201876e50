//! The limit of what is read of one subject.

use crate::model::node_path::{NodePath, Subject};
use crate::model::registry_event::{Reading, Seen};
use crate::watch::{MAX_KEYED_BYTES, MAX_PATH_BYTES, MAX_SUBJECT_NODES};

#[cfg(test)]
mod tests;

/// How many nodes and bytes of a subject may still be read.
pub struct Budget {
    nodes: usize,
    bytes: usize,
    max_bytes: usize,
    is_exceeded: bool,
}

impl Budget {
    /// The whole budget of a subject.
    pub fn new(subject: &Subject) -> Self {
        let max_bytes = if matches!(subject, Subject::Keyed { .. }) { MAX_KEYED_BYTES } else { MAX_PATH_BYTES };
        Self { nodes: MAX_SUBJECT_NODES, bytes: max_bytes, max_bytes, is_exceeded: false }
    }

    /// Spends what a node needs; `None` if that, or an earlier node, exceeds the budget.
    pub fn spend(&mut self, reading: &Reading) -> Option<()> {
        let bytes = reading.as_ref().map_or(0, |node| node.data.len());
        match (self.nodes.checked_sub(1), self.bytes.checked_sub(bytes)) {
            (Some(nodes), Some(bytes)) if !self.is_exceeded => {
                (self.nodes, self.bytes) = (nodes, bytes);
                Some(())
            }
            _ => {
                self.is_exceeded = true;
                None
            }
        }
    }

    /// Whether a node exceeded the budget.
    pub fn is_exceeded(&self) -> bool {
        self.is_exceeded
    }

    /// The state of a path that exceeds the budget.
    pub fn too_large<T>(&self, path: &NodePath) -> Seen<T> {
        let megabytes = self.max_bytes / 1024 / 1024;
        Seen::Unreadable(
            format!("too large: {path} has more than {MAX_SUBJECT_NODES} nodes or {megabytes} MiB of data").into(),
        )
    }
}
