//! Reads a node and what is under it, once.

use std::sync::Arc;

use crate::config::RegistryConfig;
use crate::error::Setback;
use crate::node::NodePath;
use crate::watch::{Boxed, MAX_BYTES, MAX_NODES, Node};

use super::oneshot::Oneshots;
use super::probe;
use super::reader::{Listing, Reader};
use super::session::{Session, Trouble};

/// Reads the node at `path` and its children, with the children's own when `recursive`.
///
/// # Errors
/// The ensemble is not reached, or what is there is too large.
pub async fn look(config: &RegistryConfig, path: NodePath, recursive: bool) -> Result<Option<Node>, Setback> {
    let setback = |why: String| Setback::new(format!("read {path} on {}", config.url), why);
    let session = match Session::open(config).await {
        Ok(session) => session,
        Err(seen) => return Err(setback(probe::why(config, &seen).await)),
    };
    // One by one: every server can do that. The watches that this sets end with the session.
    let (oneshots, _events) = Oneshots::new();
    let mut look = Look { reader: Reader::new(&session, Some(&oneshots)), left: MAX_NODES };
    let looked = async {
        session.check_chroot().await?;
        look.node(&path, if recursive { usize::MAX } else { 1 }).await
    };
    let looked = looked.await;
    session.close().await;
    looked.map_err(|trouble| {
        setback(match trouble {
            Trouble::Lost => "the connection was lost".into(),
            Trouble::Over(why) | Trouble::Refused(why) => why,
            Trouble::TooOld => "the server does not know the request".into(),
        })
    })
}

/// A node's children by name, or why they could not be listed.
type Children = Result<Vec<(String, Node)>, Arc<str>>;

struct Look<'a> {
    reader: Reader<'a>,
    left: usize,
}

impl Look<'_> {
    /// Reads a node, and children down to `depth`.
    async fn node(&mut self, path: &NodePath, depth: usize) -> Result<Option<Node>, Trouble> {
        let data = self.reader.data(vec![path.clone()], MAX_BYTES).await?;
        let Some(data) = data.unwrap_or_default().pop().flatten() else {
            return Ok(None);
        };
        let children = self.children(path, depth).await?;
        Ok(Some(Node { data, children }))
    }

    fn children<'a>(&'a mut self, path: &'a NodePath, depth: usize) -> Boxed<'a, Result<Children, Trouble>> {
        Box::pin(async move {
            if depth == 0 {
                return Ok(Ok(Vec::new()));
            }
            let mut names = match self.reader.list(path).await? {
                Listing::Absent => return Ok(Ok(Vec::new())),
                Listing::Unreadable(why) => return Ok(Err(why)),
                Listing::Names(names) => names,
            };
            names.sort_unstable();
            self.left = self
                .left
                .checked_sub(names.len())
                .ok_or_else(|| Trouble::Over(format!("too large: there are more than {MAX_NODES} nodes")))?;
            let paths: Vec<NodePath> = names.iter().map(|name| path.child(name)).collect();
            let Some(data) = self.reader.data(paths.clone(), MAX_BYTES).await? else {
                return Ok(Err("too large: the children's data".into()));
            };
            let mut nodes = Vec::with_capacity(names.len());
            for ((name, path), data) in names.into_iter().zip(&paths).zip(data) {
                if let Some(data) = data {
                    let children = self.children(path, depth - 1).await?;
                    nodes.push((name, Node { data, children }));
                }
            }
            Ok(Ok(nodes))
        })
    }
}
