//! Reads a node and what is under it, once.

use crate::model::node_path::NodePath;
use crate::model::registry_event::Seen;
use crate::watch::{MAX_PATH_BYTES, MAX_SUBJECT_NODES, Node};

use super::tree::{Tree, is_link};

impl Tree {
    /// A node with its children down to `depth`. A link is not subscription further down, so that there are no circles.
    ///
    /// # Errors
    /// There are more than [`MAX_SUBJECT_NODES`] nodes.
    pub fn look(&self, path: &NodePath, depth: usize) -> Result<Option<Node>, String> {
        let mut left = MAX_SUBJECT_NODES;
        self.look_within(path, depth, &mut left)
    }

    fn look_within(&self, path: &NodePath, depth: usize, left: &mut usize) -> Result<Option<Node>, String> {
        let Some(data) = self.datum(path) else {
            return Ok(None);
        };
        let names = match if depth == 0 { Seen::Absent } else { self.names(path) } {
            Seen::Absent => Vec::new(),
            Seen::Unreadable(why) => return Ok(Some(Node { data, children: Err(why) })),
            Seen::Present(names) => names,
        };
        *left = left.checked_sub(names.len()).ok_or_else(|| {
            format!("too large: there are more than {MAX_SUBJECT_NODES} nodes; look at a path further down")
        })?;
        let (mut children, mut bytes) = (Vec::with_capacity(names.len()), MAX_PATH_BYTES);
        for name in names {
            let child = path.child(&name);
            let depth = if is_link(&self.place(&child).0) { 0 } else { depth - 1 };
            let Some(node) = self.look_within(&child, depth, left)? else {
                continue;
            };
            match bytes.checked_sub(node.data.as_ref().map_or(0, |data| data.len())) {
                Some(rest) => bytes = rest,
                None => return Ok(Some(Node { data, children: Err("too large: the children's data".into()) })),
            }
            children.push((name, node));
        }
        Ok(Some(Node { data, children: Ok(children) }))
    }
}
