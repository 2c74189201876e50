//! How many nodes to read at once. Pure.

use crate::model::node_path::NodePath;
use crate::zk::NodeResult;

#[cfg(test)]
mod tests;

/// The most nodes in one multi-read; a server takes 10 to 15 ms for it.
const NODES: usize = 1000;

/// How many bytes of data a multi-read aims at. There is no cap on an answer's size in the protocol, and a large one
/// can cost a small server its life. So the first chunk is small, and what was read says how many nodes the next may
/// have.
const BYTES: usize = 1024 * 1024;

/// The first chunk, and how much larger than the last one a chunk may be.
const FIRST: usize = 4;
const GROWTH: usize = 8;

/// Servers refuse requests over 1 MiB (`jute.maxbuffer`).
const REQUEST: usize = 512 * 1024;

/// The chunks of one reading.
#[derive(Debug)]
pub struct Chunks {
    size: usize,
    nodes: usize,
    bytes: usize,
}

impl Default for Chunks {
    fn default() -> Self {
        Self { size: FIRST, nodes: 0, bytes: 0 }
    }
}

impl Chunks {
    /// How many of the nodes that are left to read now; one at least.
    pub fn next(&self, rest: &[NodePath]) -> usize {
        let mut request = 0;
        let fits = rest.iter().take(self.size).take_while(|path| {
            request += path.as_str().len() + 32;
            request < REQUEST
        });
        fits.count().max(1)
    }

    /// Takes up what was read.
    pub fn took(&mut self, read: &[NodeResult]) {
        self.nodes += read.len();
        self.bytes += read.iter().flatten().map(|(data, _)| data.len()).sum::<usize>();
        let average = (self.bytes / self.nodes.max(1)).max(1);
        self.size = (BYTES / average).clamp(1, NODES.min(self.size * GROWTH));
    }

    /// The answer to so many nodes was too large.
    pub fn halve(&mut self, nodes: usize) {
        self.size = (nodes / 2).max(1);
    }

    /// How many bytes of data were read in all.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}
