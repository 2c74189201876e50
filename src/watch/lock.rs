//! The requests of a contender for a lock, and the line of contenders as others see it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;

use crate::decide::contender::{Reply, Request};
use crate::model::contenders::{Contender, in_order};
use crate::model::digest::digest_bytes;
use crate::model::node_path::NodePath;
use crate::model::registration::{NodeId, NodeName};
use crate::zk::{Acl, Connection, ConnectionLost, CreateMode, NewNode, ServerError};

use super::own_nodes::OwnNodes;

/// The code of a server that does not create a node below an ephemeral one (`NoChildrenForEphemerals`).
const NO_CHILDREN: ServerError = ServerError::Other(-108);

/// The node of a lock, whose children contend for it.
#[derive(Debug, Clone)]
pub struct LockNode {
    /// Its path.
    pub path: NodePath,
    /// The data of this host's contender, by which others know it.
    pub identifier: Arc<str>,
    /// The access control list of this node, if it is missing, and of the contender.
    pub acl: Arc<[Acl]>,
    /// The same for what is missing above it.
    pub acl_above: Arc<[Acl]>,
}

impl LockNode {
    /// 16 hexadecimal digits that stand for the identifier in the names of this host's contenders.
    pub fn digits(&self) -> String {
        format!("{:016x}", digest_bytes(self.identifier.as_bytes()))
    }

    /// Sends a request of a contender. Changes of a watched node are recorded in `watched`.
    ///
    /// # Errors
    /// The connection is lost, and what was done is not known.
    pub async fn send(
        &self,
        connection: &Connection,
        watched: &OwnNodes,
        request: &Request,
    ) -> Result<Reply, ConnectionLost> {
        let path = self.path.as_str();
        let child = |name: &str| self.path.child(name);
        let reply = match request {
            Request::CreateParents => match connection.ensure_path(path, &self.acl, &self.acl_above).await? {
                Ok(()) if connection.exists(path, false).await?.value == Ok(None) => Err(ServerError::NoAuth),
                done => done.map(|()| Reply::Done),
            },
            Request::Create { prefix } => {
                let (path, data) = (child(prefix), self.identifier.as_bytes());
                let mode = CreateMode::EphemeralSequential;
                let node = NewNode { path: path.as_str(), data, acl: &self.acl, mode };
                connection.create_sequential(node).await?.value.map(Reply::Created)
            }
            Request::List { synced } => {
                if *synced && let Err(error) = connection.sync(path).await?.value {
                    return Ok(Reply::Failed(format!("sync: {error}")));
                }
                connection.children(path, false).await?.value.map(|(names, _)| Reply::Listed(names))
            }
            Request::Watch { node, holder } => {
                let id = NodeId { directory: self.path.clone(), name: NodeName::Fixed(node.clone()) };
                watched.watch(child(node).as_str(), &id);
                match connection.data(child(node).as_str(), true).await?.value {
                    Ok((data, _)) if holder.as_ref() == Some(node) => Ok(Reply::Watched(Some(identifier(&data)))),
                    Ok(_) => {
                        let mut known = None;
                        if let Some(holder) = holder {
                            known = connection.data(child(holder).as_str(), false).await?.value.ok();
                        }
                        Ok(Reply::Watched(known.map(|(data, _)| identifier(&data))))
                    }
                    Err(error) => Err(error),
                }
            }
            Request::Delete { node } => connection.delete(child(node).as_str(), -1).await?.value.map(|()| Reply::Done),
        };
        Ok(match (reply, request) {
            (Ok(reply), _) => reply,
            (Err(ServerError::NoNode), Request::CreateParents) => {
                Reply::Failed("the chroot does not exist (create it with rosterd prime-chroot)".to_owned())
            }
            (Err(ServerError::NoNode), _) => Reply::NoNode,
            (Err(ServerError::NoAuth), Request::CreateParents) => self.refused("create it"),
            (Err(ServerError::NoAuth), Request::Create { .. }) => self.refused("create a contender below it"),
            (Err(ServerError::NoAuth), Request::Delete { .. }) => self.refused("delete a contender below it"),
            (Err(ServerError::NoAuth), _) => self.refused("read its contenders"),
            (Err(NO_CHILDREN), _) => {
                Reply::Failed(format!("{path} is an ephemeral node, which cannot have children: use another path"))
            }
            (Err(error), _) => Reply::Failed(error.to_string()),
        })
    }

    fn refused(&self, what: &str) -> Reply {
        Reply::Failed(format!(
            "not authorized: the ACL of {} or above it does not allow these credentials to {what} (use --auth FILE, or \
             `auth` in [registry])",
            self.path
        ))
    }
}

/// The identifier in the data of a contender.
fn identifier(data: &[u8]) -> Arc<str> {
    String::from_utf8_lossy(data).into()
}

/// One contender in the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InLine {
    /// The name of its node.
    pub node: String,
    /// Its identifier; `None` if its node may not be read.
    pub identifier: Option<Arc<str>>,
    /// How long it has been in the line, if its node may be read.
    pub age: Option<Duration>,
    /// Whether it shares the lock with others of its kind (kazoo's `ReadLock`).
    pub is_shared: bool,
    /// Whether it holds the lock.
    pub holds: bool,
}

/// The contenders for a lock, in their order; `None` if the lock's node does not exist.
///
/// # Errors
/// The connection is lost, or, as the inner error, the server refuses.
pub async fn line(
    connection: &Connection,
    path: &NodePath,
) -> Result<Result<Option<Vec<InLine>>, ServerError>, ConnectionLost> {
    let names = match connection.children(path.as_str(), false).await?.value {
        Ok((names, _)) => names,
        Err(ServerError::NoNode) => return Ok(Ok(None)),
        Err(error) => return Ok(Err(error)),
    };
    let contenders = in_order(names.iter().map(String::as_str));
    let paths: Vec<NodePath> = contenders.iter().map(|contender| path.child(contender.name)).collect();
    let reads = join_all(paths.iter().map(|path| connection.data(path.as_str(), false))).await;
    let mut line: Vec<InLine> = Vec::new();
    for (contender, read) in contenders.into_iter().zip(reads) {
        let read = match read?.value {
            // It left meanwhile.
            Err(ServerError::NoNode) => continue,
            read => read.ok(),
        };
        let Contender { name, is_shared, .. } = contender;
        // Those that share the lock hold it together, as long as no other one is before them.
        let holds = line.iter().all(|before| before.is_shared && is_shared);
        let age = read.as_ref().map(|(_, stat)| age(stat.mtime_ms));
        let identifier = read.map(|(data, _)| identifier(&data));
        line.push(InLine { node: name.to_owned(), identifier, age, is_shared, holds });
    }
    Ok(Ok(Some(line)))
}

/// How long ago something was, by this host's clock.
fn age(at_ms: i64) -> Duration {
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(at_ms).unwrap_or(0));
    SystemTime::now().duration_since(at).unwrap_or_default()
}
