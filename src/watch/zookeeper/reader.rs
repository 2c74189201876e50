//! Reads subjects, completely or in parts.
//!
//! Nothing is assumed to stay the same between two requests: a node that was listed and then does not exist has left.

use std::sync::Arc;

use futures_util::future::join_all;

use crate::model::node_path::{NodePath, Subject};
use crate::model::registry_event::{NodeContent, NodeKind, Reading};
use crate::model::version::Zxid;
use crate::watch::MAX_SUBJECT_NODES;
use crate::watch::dirty::MemberId;
use crate::zk::{Connection, ConnectionLost, NodeResult, RequestResult, ServerError, Stat};

use super::node_versions::Parent;
use chunk::Chunks;

mod chunk;
mod collected;
mod full;
mod partial;

/// How many requests are sent before their replies are awaited.
const PIPELINE: usize = 200;

/// With one-shot watches, the children of a node with more of them are not watched: each change would list them all.
const MAX_WATCHED_CHILDREN: usize = 100;

/// `ephemeralOwner` of a container node (`EphemeralType.CONTAINER_EPHEMERAL_OWNER`), which no session owns.
const CONTAINER: i64 = i64::MIN;

/// The child of the root that belongs to the ensemble itself. It is never a member.
const SYSTEM_NODE: &str = "zookeeper";

/// Why nothing was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    /// The connection is lost.
    Lost(ConnectionLost),
    /// This connection cannot be used, for this reason.
    Unusable(String),
    /// The server is older than 3.6: it does not support persistent watches or multi-reads.
    TooOld,
    /// The server refused the request, for this reason. The connection stays usable.
    Refused(String),
}

impl From<ConnectionLost> for ReadError {
    fn from(lost: ConnectionLost) -> Self {
        Self::Lost(lost)
    }
}

impl From<ReadError> for String {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Lost(ConnectionLost(reason)) => format!("connection lost: {reason}"),
            ReadError::Unusable(reason) | ReadError::Refused(reason) => reason,
            ReadError::TooOld => {
                "the server does not support persistent watches (ZooKeeper 3.6 or later); set watches = \"auto\" or \
                 \"oneshot\""
                    .into()
            }
        }
    }
}

/// How to read and watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Multi-reads and persistent recursive watches.
    Recursive,
    /// Single reads with one-shot watches, for every server. A watch that is already set is not set twice. Watches are
    /// never removed, because a server before 3.5 closes the connection on that request.
    Oneshot,
    /// Single reads without watches.
    Plain,
}

/// The children of a node.
pub enum Listing {
    /// The node does not exist, according to a reply of this version.
    Absent(Zxid),
    /// The children cannot be listed, for this reason.
    Unreadable(Arc<str>),
    /// Their names, unsorted, and the node.
    Names(Vec<String>, Parent),
}

/// Reads through one connection.
#[derive(Clone)]
pub struct Reader {
    connection: Connection,
    mode: Mode,
}

impl Reader {
    /// A reader on this connection.
    pub fn new(connection: Connection, mode: Mode) -> Self {
        Self { connection, mode }
    }

    fn sets_watches(&self) -> bool {
        self.mode == Mode::Oneshot
    }

    /// Whether a read of a list sets its one-shot watch. A recursive watch does not report changes of nodes that the
    /// session may not read; the watch on the list of their parent does.
    fn watches_lists(&self) -> bool {
        self.mode != Mode::Plain
    }

    /// The value of a reply and its version. An unknown request shows that the server is too old.
    fn unpack<T>(&self, reply: RequestResult<T>) -> Result<(Result<T, ServerError>, Zxid), ReadError> {
        let reply = reply?;
        match reply.value {
            Err(ServerError::Unimplemented) if self.mode == Mode::Recursive => Err(ReadError::TooOld),
            value => Ok((value, reply.zxid)),
        }
    }

    /// Makes sure that the chroot exists. Without it every path would look absent.
    ///
    /// # Errors
    /// The chroot does not exist, or there is no reply.
    pub async fn check_chroot(&self) -> Result<(), ReadError> {
        let Some(chroot) = self.connection.chroot() else {
            return Ok(());
        };
        match self.unpack(self.connection.exists("/", false).await)?.0 {
            Ok(None) => Err(ReadError::Unusable(format!(
                "the chroot {chroot} does not exist; create it with rosterd prime-chroot, or correct the registry's url"
            ))),
            Ok(Some(_)) => Ok(()),
            // A refusal that concerns the node shows that it exists.
            Err(error) => node_error(error).map(|_| ()),
        }
    }

    /// Sets a persistent recursive watch, in the mode that uses them.
    ///
    /// # Errors
    /// The server refused, or there is no reply.
    pub async fn watch(&self, path: &NodePath) -> Result<(), ReadError> {
        if self.mode != Mode::Recursive {
            return Ok(());
        }
        let watched = self.unpack(self.connection.watch(path.as_str()).await)?.0;
        watched.map_err(|error| ReadError::Refused(format!("cannot watch {path}: {error}")))
    }

    /// Waits until the server has everything that was committed before. What it sent before may be out of date.
    ///
    /// # Errors
    /// The server refused, or there is no reply.
    pub async fn sync(&self) -> Result<(), ReadError> {
        let synced = self.unpack(self.connection.sync("/").await)?.0;
        synced.map_err(|error| ReadError::Refused(format!("{}: sync: {error}", self.connection.server())))
    }

    /// Lists the children of a node, unless there are too many.
    ///
    /// # Errors
    /// There is no reply.
    pub async fn list(&self, path: &NodePath) -> Result<Listing, ReadError> {
        // The stat first: it tells how many children there are, and its watch reports when an absent node is created.
        let (stat, zxid) = self.unpack(self.connection.exists(path.as_str(), self.sets_watches()).await)?;
        match stat {
            Err(error) => return Ok(Listing::Unreadable(node_error(error)?)),
            Ok(None) => return Ok(Listing::Absent(zxid)),
            Ok(Some(stat)) if stat.num_children > MAX_SUBJECT_NODES => {
                return Ok(Listing::Unreadable(too_many_nodes()));
            }
            Ok(Some(_)) => {}
        }
        self.list_at_once(path).await
    }

    /// The same, without asking first how many children there are: if there are too many, they are sent for nothing.
    /// Sets no watch that reports when an absent node is created.
    ///
    /// # Errors
    /// There is no reply.
    async fn list_at_once(&self, path: &NodePath) -> Result<Listing, ReadError> {
        let (names, zxid) = self.unpack(self.connection.children(path.as_str(), self.watches_lists()).await)?;
        Ok(match names {
            Ok((_, stat)) if stat.num_children > MAX_SUBJECT_NODES => Listing::Unreadable(too_many_nodes()),
            Ok((names, stat)) => {
                let (names, parent) = self.without_system_node(path, names, &stat);
                Listing::Names(names, parent)
            }
            Err(ServerError::NoNode) => Listing::Absent(zxid),
            Err(error) => Listing::Unreadable(node_error(error)?),
        })
    }

    /// The parent that a stat describes.
    pub fn parent(&self, path: &NodePath, stat: &Stat) -> Parent {
        Parent::present(stat, stat.num_children.saturating_sub(usize::from(self.has_system_node(path))))
    }

    fn has_system_node(&self, path: &NodePath) -> bool {
        self.connection.is_at_root() && path.is_root()
    }

    fn without_system_node(&self, path: &NodePath, mut names: Vec<String>, stat: &Stat) -> (Vec<String>, Parent) {
        if self.has_system_node(path) {
            names.retain(|name| name != SYSTEM_NODE);
        }
        let parent = Parent::listed(stat, names.len());
        (names, parent)
    }

    /// Reads the data of nodes; `None` if it exceeds `max_bytes` in total.
    ///
    /// # Errors
    /// The server refused, or there is no reply.
    pub async fn data(&self, paths: &[NodePath], max_bytes: usize) -> Result<Option<Vec<NodeResult>>, ReadError> {
        let mut all: Vec<NodeResult> = Vec::with_capacity(paths.len());
        let mut chunks = Chunks::default();
        while all.len() < paths.len() {
            let remaining = &paths[all.len()..];
            let chunk = &remaining[..chunks.next(remaining)];
            let results = match self.mode {
                Mode::Recursive => self.unpack(self.connection.multi_read(chunk).await)?.0,
                Mode::Oneshot | Mode::Plain => Ok(self.data_singly(chunk).await?),
            };
            match results {
                Ok(results) => {
                    chunks.record(&results);
                    if chunks.bytes() > max_bytes {
                        return Ok(None);
                    }
                    all.extend(results);
                }
                Err(ServerError::TooLarge { bytes }) if chunk.len() > 1 => {
                    if chunks.bytes() + bytes > max_bytes {
                        return Ok(None);
                    }
                    chunks.halve(chunk.len());
                }
                Err(error) if chunk.len() == 1 => all.push(Err(error)),
                Err(error) => return Err(refused(error)),
            }
        }
        Ok(Some(all))
    }

    async fn data_singly(&self, paths: &[NodePath]) -> Result<Vec<NodeResult>, ReadError> {
        let mut all = Vec::with_capacity(paths.len());
        for paths in paths.chunks(PIPELINE) {
            let requests = paths.iter().map(|path| self.connection.data(path.as_str(), self.sets_watches()));
            for reply in join_all(requests).await {
                all.push(self.unpack(reply)?.0);
            }
        }
        if self.sets_watches() {
            self.watch_unreadable(paths, &mut all).await?;
        }
        Ok(all)
    }

    /// Sets one-shot watches on nodes that may not be read, which reads do not set, and reads these nodes again.
    async fn watch_unreadable(&self, paths: &[NodePath], results: &mut [NodeResult]) -> Result<(), ReadError> {
        let nodes = paths.iter().zip(results);
        let mut nodes: Vec<_> = nodes.filter(|(_, result)| matches!(result, Err(ServerError::NoAuth))).collect();
        for nodes in nodes.chunks_mut(PIPELINE) {
            let requests = nodes.iter().map(|(path, _)| async {
                // Sent at once, in this order: what happens before the watch is set shows in the second reply.
                tokio::join!(self.connection.exists(path.as_str(), true), self.connection.data(path.as_str(), true))
            });
            let replies = join_all(requests).await;
            for ((_, result), (watched, reply)) in nodes.iter_mut().zip(replies) {
                match self.unpack(watched)?.0 {
                    // From 3.9.3 on, `exists` needs the right to read, too (ZOOKEEPER-2590).
                    Ok(_) | Err(ServerError::NoAuth) => {}
                    Err(error) => return Err(refused(error)),
                }
                **result = self.unpack(reply)?.0;
            }
        }
        Ok(())
    }

    /// With one-shot watches, also watches the children of persistent nodes, of which the watch on the data does not tell:
    /// a first child ends a membership. Updates the stats of the nodes.
    ///
    /// # Errors
    /// There is no reply.
    async fn watch_children(&self, paths: &[NodePath], results: &mut [NodeResult]) -> Result<(), ReadError> {
        if !self.sets_watches() {
            return Ok(());
        }
        let is_watched =
            |stat: &Stat| node_kind(stat) != NodeKind::Ephemeral && stat.num_children <= MAX_WATCHED_CHILDREN;
        let nodes = paths.iter().zip(results);
        let mut nodes: Vec<_> =
            nodes.filter(|(_, result)| result.as_ref().is_ok_and(|(_, stat)| is_watched(stat))).collect();
        for nodes in nodes.chunks_mut(PIPELINE) {
            let requests = nodes.iter().map(|(path, _)| self.connection.children(path.as_str(), true));
            let replies = join_all(requests).await;
            for ((_, result), reply) in nodes.iter_mut().zip(replies) {
                match (self.unpack(reply)?.0, &mut **result) {
                    (Ok((_, newer)), Ok((_, stat))) => {
                        (stat.num_children, stat.pzxid) = (newer.num_children, newer.pzxid);
                    }
                    (Err(ServerError::NoNode), result) => *result = Err(ServerError::NoNode),
                    // Its children may not be listed.
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Reads the data of nodes in one request, whatever its size.
    ///
    /// # Errors
    /// The server refused, or there is no reply.
    pub async fn data_at_once(&self, paths: &[NodePath]) -> Result<Vec<NodeResult>, ReadError> {
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        self.unpack(self.connection.multi_read(paths).await)?.0.map_err(refused)
    }

    /// Reads the stat of a node.
    ///
    /// # Errors
    /// There is no reply.
    pub async fn stat(&self, path: NodePath) -> Result<Result<Stat, ServerError>, ReadError> {
        let stat = self.unpack(self.connection.exists(path.as_str(), false).await)?.0;
        Ok(stat.and_then(|stat| stat.ok_or(ServerError::NoNode)))
    }
}

/// A node, and the transaction that last changed it; `None` if the node does not exist.
///
/// # Errors
/// The result says nothing about the node: see [`node_error`].
pub fn reading(result: NodeResult) -> Result<Option<(Reading, Zxid)>, ReadError> {
    match result {
        Ok((data, stat)) => Ok(Some((Ok(NodeContent { data, kind: node_kind(&stat) }), last_change(&stat)))),
        Err(ServerError::NoNode) => Ok(None),
        Err(error) => Ok(Some((Err(node_error(error)?), Zxid::default()))),
    }
}

fn node_kind(stat: &Stat) -> NodeKind {
    match stat {
        Stat { num_children: 1.., .. } => NodeKind::Parent,
        Stat { ephemeral_owner: 0 | CONTAINER, .. } => NodeKind::Persistent,
        _ => NodeKind::Ephemeral,
    }
}

/// The transaction that last changed the data of a node, or the list of its children.
pub fn last_change(stat: &Stat) -> Zxid {
    stat.mzxid.max(stat.pzxid)
}

/// Why a node cannot be read, if the error concerns the node: this session may not read it, or it is too large.
///
/// # Errors
/// Any other error concerns the server at this moment: it throttles requests, or could not write its reply. The read is
/// retried soon, and the node does not count as broken.
fn node_error(error: ServerError) -> Result<Arc<str>, ReadError> {
    match error {
        ServerError::NoAuth => Ok(error.to_string().into()),
        ServerError::TooLarge { .. } => Ok(format!("too large: {error}").into()),
        error => Err(refused(error)),
    }
}

/// The refusal of a whole request.
fn refused(error: ServerError) -> ReadError {
    ReadError::Refused(format!("read refused: {error}"))
}

/// The parent of a key's members; for the empty string the one at the top.
pub fn list_path(subject: &Subject, key: &str) -> NodePath {
    if key.is_empty() { subject.top().clone() } else { subject.members_of(key) }
}

/// The node of a member.
pub fn member_path(subject: &Subject, member: &MemberId) -> NodePath {
    subject.members_of(member.key.as_deref().unwrap_or_default()).child(&member.name)
}

/// Without the number of nodes: the message of a growing path must not change each time.
fn too_many_nodes() -> Arc<str> {
    format!("too large: more than {MAX_SUBJECT_NODES} nodes").into()
}

fn too_many_bytes(path: &NodePath, max: usize) -> Arc<str> {
    format!("too large: the nodes under {path} have more than {} MiB of data", max / 1024 / 1024).into()
}
