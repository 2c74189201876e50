//! How many nodes to read at once. Pure.

use crate::node::NodePath;
use crate::watch::zookeeper::wire::Datum;

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
    pub fn took(&mut self, read: &[Datum]) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::zookeeper::wire::Stat;

    fn chunks(sizes: &[usize]) -> Vec<usize> {
        let paths: Vec<NodePath> = (0..sizes.len()).map(|n| NodePath::root().child(&n.to_string())).collect();
        let (mut chunks, mut done, mut counts) = (Chunks::default(), 0, Vec::new());
        while done < paths.len() {
            let count = chunks.next(&paths[done..]);
            let read = sizes[done..done + count].iter().map(|size| Ok((vec![0; *size].into(), Stat::default())));
            chunks.took(&read.collect::<Vec<_>>());
            done += count;
            counts.push(count);
        }
        assert_eq!(chunks.bytes(), sizes.iter().sum::<usize>());
        counts
    }

    #[test]
    fn small_nodes_are_read_many_at_once_and_large_ones_singly() {
        assert_eq!(chunks(&[100; 2]), [2]);
        assert_eq!(chunks(&vec![100; 2500]), [4, 32, 256, 1000, 1000, 208]);
        assert_eq!(chunks(&[1_000_000; 7]), [4, 1, 1, 1]);
        assert_eq!(chunks(&[0; 5]), [4, 1]);
    }

    #[test]
    fn a_request_stays_below_what_servers_take() {
        let long = NodePath::root().child(&"x".repeat(200_000));
        let mut chunks = Chunks::default();
        assert_eq!(chunks.next(&vec![long.clone(); 10]), 2);
        assert_eq!(chunks.next(&[NodePath::root().child(&"x".repeat(600_000)), long]), 1);
        chunks.halve(4);
        assert_eq!(chunks.next(&vec![NodePath::root(); 10]), 2);
        chunks.halve(1);
        assert_eq!(chunks.next(&vec![NodePath::root(); 10]), 1);
    }
}
