//! Reads a node and its descendants once, for `ls`.

use crate::model::node_path::NodePath;
use crate::model::registry_event::Seen;
use crate::watch::{MAX_PATH_BYTES, MAX_SUBJECT_NODES, Node};

use super::tree::{Tree, is_link};

impl Tree {
    /// Reads a node, and its descendants down to `depth`. The children of a link are not read, so that links cannot
    /// form a cycle.
    ///
    /// # Errors
    /// There are too many nodes.
    pub fn read(&self, path: &NodePath, depth: usize) -> Result<Option<Node>, String> {
        let mut nodes_left = MAX_SUBJECT_NODES;
        self.read_within(path, depth, &mut nodes_left)
    }

    fn read_within(&self, path: &NodePath, depth: usize, nodes_left: &mut usize) -> Result<Option<Node>, String> {
        let Some(reading) = self.node(path) else {
            return Ok(None);
        };
        let names = match if depth == 0 { Seen::Absent } else { self.names(path) } {
            Seen::Absent => Vec::new(),
            Seen::Unreadable(reason) => return Ok(Some(Node { reading, children: Err(reason) })),
            Seen::Present(names) => names,
        };
        *nodes_left = nodes_left
            .checked_sub(names.len())
            .ok_or_else(|| format!("too large: more than {MAX_SUBJECT_NODES} nodes; read a deeper path"))?;
        let (mut children, mut bytes_left) = (Vec::with_capacity(names.len()), MAX_PATH_BYTES);
        for name in names {
            let child = path.child(&name);
            let depth = if is_link(&self.locate(&child).0) { 0 } else { depth - 1 };
            let Some(node) = self.read_within(&child, depth, nodes_left)? else {
                continue;
            };
            match bytes_left.checked_sub(node.reading.as_ref().map_or(0, |node| node.data.len())) {
                Some(rest) => bytes_left = rest,
                None => return Ok(Some(Node { reading, children: Err("too large: the data of the children".into()) })),
            }
            children.push((name, node));
        }
        Ok(Some(Node { reading, children: Ok(children) }))
    }
}
