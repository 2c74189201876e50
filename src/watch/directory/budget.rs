//! How much of one subject is read.

use crate::node::{NodePath, Subject};
use crate::sighting::{Reading, Seen};
use crate::watch::{MAX_BYTES, MAX_KEYED_BYTES, MAX_NODES};

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
        let most = if matches!(subject, Subject::Keyed { .. }) { MAX_KEYED_BYTES } else { MAX_BYTES };
        Self { nodes: MAX_NODES, bytes: most, most, is_overdrawn: false }
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
            format!("too large: {path} has more than {MAX_NODES} nodes, or {megabytes} MiB of data in them").into(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sighting::Bytes;

    #[test]
    fn all_of_it_may_be_taken_and_nothing_after_too_much() {
        let mut budget = Budget::of(&Subject::Members(NodePath::parse("/a").unwrap()));
        let (whole, byte): (Bytes, Bytes) = (vec![0; MAX_BYTES].into(), vec![0; 1].into());
        assert!(budget.take(&Ok(whole)).is_some());
        assert!(budget.take(&Ok(Bytes::default())).is_some());
        assert!(!budget.is_overdrawn());
        assert!(budget.take(&Ok(byte)).is_none());
        assert!(budget.is_overdrawn());
        assert!(budget.take(&Ok(Bytes::default())).is_none());
    }
}
