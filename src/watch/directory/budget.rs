//! How much of one subject is read.

use crate::model::node_path::{NodePath, Subject};
use crate::model::registry_event::{Reading, Seen};
use crate::watch::{MAX_KEYED_BYTES, MAX_PATH_BYTES, MAX_SUBJECT_NODES};

#[cfg(test)]
mod tests;

/// How many nodes and bytes one subject may still have.
pub struct Budget {
    nodes: usize,
    bytes: usize,
    /// How many bytes it began with.
    most: usize,
    /// Whether something was asked for that it did not have.
    is_overdrawn: bool,
}

impl Budget {
    /// All that a subject may have.
    pub fn of(subject: &Subject) -> Self {
        let most = if matches!(subject, Subject::Keyed { .. }) { MAX_KEYED_BYTES } else { MAX_PATH_BYTES };
        Self { nodes: MAX_SUBJECT_NODES, bytes: most, most, is_overdrawn: false }
    }

    /// Takes a node's data off. `None` when it is too much; then nothing is left for others either.
    pub fn take(&mut self, reading: &Reading) -> Option<()> {
        let bytes = reading.as_ref().map_or(0, |data| data.len());
        match (self.nodes.checked_sub(1), self.bytes.checked_sub(bytes)) {
            (Some(nodes), Some(bytes)) if !self.is_overdrawn => {
                (self.nodes, self.bytes) = (nodes, bytes);
                Some(())
            }
            _ => {
                self.is_overdrawn = true;
                None
            }
        }
    }

    /// Whether a node was too much.
    pub fn is_overdrawn(&self) -> bool {
        self.is_overdrawn
    }

    /// What is seen of a subject, or of a part of it, that has too much.
    pub fn too_large<T>(&self, path: &NodePath) -> Seen<T> {
        let megabytes = self.most / 1024 / 1024;
        Seen::Unreadable(
            format!("too large: {path} has more than {MAX_SUBJECT_NODES} nodes, or {megabytes} MiB of data in them")
                .into(),
        )
    }
}
