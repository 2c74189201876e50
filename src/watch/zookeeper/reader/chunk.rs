//! How many nodes to read in one request. Pure.

use crate::model::node_path::NodePath;
use crate::zk::NodeResult;

#[cfg(test)]
mod tests;

/// The most nodes in one multi-read. A server needs 10 to 15 ms for 1000 nodes.
const MAX_CHUNK_NODES: usize = 1000;

/// How many bytes of data a multi-read aims at. The protocol does not limit a reply, and a large one can bring down a
/// small server. So the first chunk is small, and the average size so far decides how many nodes the next one has.
const TARGET_BYTES: usize = 1024 * 1024;

/// The size of the first chunk, and how much larger than the previous one a chunk may be.
const FIRST: usize = 4;
const GROWTH: usize = 8;

/// The most bytes in one request. Servers refuse requests over 1 MiB (`jute.maxbuffer`).
const MAX_REQUEST: usize = 512 * 1024;

/// The chunk sizes of one read of many nodes.
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
    /// How many of the remaining nodes to read now: at least one.
    pub fn next(&self, remaining: &[NodePath]) -> usize {
        let mut request = 0;
        let fits = remaining.iter().take(self.size).take_while(|path| {
            request += path.as_str().len() + 32;
            request < MAX_REQUEST
        });
        fits.count().max(1)
    }

    /// Records what was read.
    pub fn record(&mut self, results: &[NodeResult]) {
        self.nodes += results.len();
        self.bytes += results.iter().flatten().map(|(data, _)| data.len()).sum::<usize>();
        let average = (self.bytes / self.nodes.max(1)).max(1);
        self.size = (TARGET_BYTES / average).clamp(1, MAX_CHUNK_NODES.min(self.size * GROWTH));
    }

    /// Records that the reply for this many nodes was too large.
    pub fn halve(&mut self, nodes: usize) {
        self.size = (nodes / 2).max(1);
    }

    /// How many bytes of data were read so far.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}
