//! Reads a node and its descendants once, for `ls`.

use std::sync::Arc;

use crate::config::RegistryConfig;
use crate::error::Setback;
use crate::model::node_path::NodePath;
use crate::watch::{BoxFuture, MAX_PATH_BYTES, MAX_SUBJECT_NODES, Node, StateAccess};

use super::connect::{Connected, connect};
use super::reader::{Listing, Mode, ReadError, Reader, reading};
use super::servers::Servers;
use super::session::Session;

/// Reads the node at `path` and its children, with all descendants if `recursive`.
///
/// # Errors
/// The ensemble cannot be reached, or the content is too large.
pub async fn read(
    config: &RegistryConfig,
    state: &StateAccess,
    path: NodePath,
    recursive: bool,
) -> Result<Option<Node>, Setback> {
    let setback = |reason: String| Setback::new(format!("read {path} on {}", config.url), reason);
    let connection = match connect(
        config,
        &mut Servers::new(config, state),
        &mut Session::default(),
        &Arc::default(),
        &Arc::default(),
    )
    .await
    {
        Connected::Yes { connection, .. } => connection,
        Connected::SessionExpired(reasons) | Connected::No { reasons, .. } => return Err(setback(reasons.join("; "))),
    };
    let mut lister = Lister { reader: Reader::new(connection.clone(), Mode::Plain), nodes_left: MAX_SUBJECT_NODES };
    let reading = async {
        lister.reader.check_chroot().await?;
        lister.reader.sync().await?;
        lister.node(&path, if recursive { usize::MAX } else { 1 }).await
    };
    let node = reading.await;
    connection.close().await;
    node.map_err(|error| setback(error.into()))
}

/// The children of a node by name, or why they cannot be listed.
type Children = Result<Vec<(String, Node)>, Arc<str>>;

struct Lister {
    reader: Reader,
    nodes_left: usize,
}

impl Lister {
    /// Reads a node, and its descendants down to `depth`.
    async fn node(&mut self, path: &NodePath, depth: usize) -> Result<Option<Node>, ReadError> {
        let data = self.reader.data(std::slice::from_ref(path), MAX_PATH_BYTES).await?.unwrap_or_default().pop();
        let Some((reading, _)) = data.map(reading).transpose()?.flatten() else {
            return Ok(None);
        };
        let children = self.children(path, depth).await?;
        Ok(Some(Node { reading, children }))
    }

    fn children<'a>(&'a mut self, path: &'a NodePath, depth: usize) -> BoxFuture<'a, Result<Children, ReadError>> {
        Box::pin(async move {
            if depth == 0 {
                return Ok(Ok(Vec::new()));
            }
            let mut names = match self.reader.list(path).await? {
                Listing::Absent(_) => return Ok(Ok(Vec::new())),
                Listing::Unreadable(reason) => return Ok(Err(reason)),
                Listing::Names(names, _) => names,
            };
            names.sort_unstable();
            self.nodes_left = self.nodes_left.checked_sub(names.len()).ok_or_else(|| {
                ReadError::Unusable(format!("too large: more than {MAX_SUBJECT_NODES} nodes; read a deeper path"))
            })?;
            let paths: Vec<NodePath> = names.iter().map(|name| path.child(name)).collect();
            let Some(data) = self.reader.data(&paths, MAX_PATH_BYTES).await? else {
                return Ok(Err("too large: the data of the children".into()));
            };
            let mut nodes = Vec::with_capacity(names.len());
            for ((name, path), data) in names.into_iter().zip(&paths).zip(data) {
                if let Some((reading, _)) = reading(data)? {
                    let children = self.children(path, depth - 1).await?;
                    nodes.push((name, Node { reading, children }));
                }
            }
            Ok(Ok(nodes))
        })
    }
}
