//! Reads a node and what is under it, once.

use std::sync::Arc;

use crate::config::RegistryConfig;
use crate::error::Setback;
use crate::model::node_path::NodePath;
use crate::watch::{BoxFuture, MAX_PATH_BYTES, MAX_SUBJECT_NODES, Node, StateAccess};

use super::connect;
use super::connect::Reached;
use super::reader::{Listing, Mode, ReadError, Reader, reading};
use super::servers::Servers;
use super::session::Session;

/// Reads the node at `path` and its children, with the children's own when `recursive`.
///
/// # Errors
/// The ensemble is not reached, or what is there is too large.
pub async fn look(
    config: &RegistryConfig,
    keep: &StateAccess,
    path: NodePath,
    recursive: bool,
) -> Result<Option<Node>, Setback> {
    let setback = |why: String| Setback::new(format!("read {path} on {}", config.url), why);
    let connection = match connect::round(config, &mut Servers::new(config, keep), &mut Session::default()).await {
        Reached::Connected(connection, ..) => connection,
        Reached::Expired => return Err(setback("the session expired".into())),
        Reached::Nowhere(found) => return Err(setback(found.join("; "))),
    };
    let mut look = Look { reader: Reader::new(connection.clone(), Mode::Plain), left: MAX_SUBJECT_NODES };
    let looked = async {
        look.reader.check_chroot().await?;
        look.reader.sync().await?;
        look.node(&path, if recursive { usize::MAX } else { 1 }).await
    };
    let looked = looked.await;
    connection.close().await;
    looked.map_err(|error| setback(error.into()))
}

/// A node's children by name, or why they could not be listed.
type Children = Result<Vec<(String, Node)>, Arc<str>>;

struct Look {
    reader: Reader,
    left: usize,
}

impl Look {
    /// Reads a node, and children down to `depth`.
    async fn node(&mut self, path: &NodePath, depth: usize) -> Result<Option<Node>, ReadError> {
        let data = self.reader.data(std::slice::from_ref(path), MAX_PATH_BYTES).await?.unwrap_or_default().pop();
        let Some((data, _)) = data.map(reading).transpose()?.flatten() else {
            return Ok(None);
        };
        let children = self.children(path, depth).await?;
        Ok(Some(Node { data, children }))
    }

    fn children<'a>(&'a mut self, path: &'a NodePath, depth: usize) -> BoxFuture<'a, Result<Children, ReadError>> {
        Box::pin(async move {
            if depth == 0 {
                return Ok(Ok(Vec::new()));
            }
            let mut names = match self.reader.list(path).await? {
                Listing::Absent(_) => return Ok(Ok(Vec::new())),
                Listing::Unreadable(why) => return Ok(Err(why)),
                Listing::Names(names, _) => names,
            };
            names.sort_unstable();
            self.left = self
                .left
                .checked_sub(names.len())
                .ok_or_else(|| ReadError::Over(format!("too large: there are more than {MAX_SUBJECT_NODES} nodes")))?;
            let paths: Vec<NodePath> = names.iter().map(|name| path.child(name)).collect();
            let Some(data) = self.reader.data(&paths, MAX_PATH_BYTES).await? else {
                return Ok(Err("too large: the children's data".into()));
            };
            let mut nodes = Vec::with_capacity(names.len());
            for ((name, path), data) in names.into_iter().zip(&paths).zip(data) {
                if let Some((data, _)) = reading(data)? {
                    let children = self.children(path, depth - 1).await?;
                    nodes.push((name, Node { data, children }));
                }
            }
            Ok(Ok(nodes))
        })
    }
}
