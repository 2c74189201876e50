//! Reads subjects, whole or in part.
//!
//! Nothing here is taken for granted between two requests: a node that is listed and then not there has left.

use std::sync::Arc;

use futures_util::future::join_all;

use crate::model::node_path::{NodePath, Subject};
use crate::model::registry_event::Reading;
use crate::model::version::Zxid;
use crate::watch::MAX_SUBJECT_NODES;
use crate::watch::dirty::MemberId;

use super::node_versions::Parent;
use crate::zk::{Answer, Connection, ConnectionLost, NodeResult, ServerError, Stat};

use chunk::Chunks;

mod chunk;
mod full;
mod partial;

/// How many requests are under way at once.
const PIPELINE: usize = 200;

/// The node at the root of every ensemble in which it keeps its own things: nobody's member.
const OWN: &str = "zookeeper";

/// Why a reading came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    /// The connection is lost.
    Lost(ConnectionLost),
    /// This connection is of no use: why.
    Over(String),
    /// The server knows no persistent watches, or no multi-read: it is older than 3.6.
    TooOld,
    /// The server refused the request, which says nothing of the connection: why.
    Refused(String),
}

impl From<ConnectionLost> for ReadError {
    fn from(lost: ConnectionLost) -> Self {
        Self::Lost(lost)
    }
}

/// How to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Many nodes at once; recursive watches are set.
    Recursive,
    /// One by one, as every server can, with one-shot watches. One that is set already is not set twice by that, and none
    /// is ever taken back: a server before 3.5 hangs up on the request for that.
    Oneshot,
    /// One by one, without watches.
    Plain,
}

/// A node's list of children.
pub enum Listing {
    /// There is no such node, by an answer of this moment.
    Absent(Zxid),
    /// It could not be read: why.
    Unreadable(Arc<str>),
    /// Their names, unsorted, and the node itself.
    Names(Vec<String>, Parent),
}

/// Reads through one connection.
#[derive(Clone)]
pub struct Reader {
    connection: Connection,
    mode: Mode,
}

impl Reader {
    /// Reads through this connection.
    pub fn new(connection: Connection, mode: Mode) -> Self {
        Self { connection, mode }
    }

    fn watches(&self) -> bool {
        self.mode == Mode::Oneshot
    }

    /// What the server says, and when. A request that it does not know says how old it is.
    fn said<T>(&self, answer: Answer<T>) -> Result<(Result<T, ServerError>, Zxid), ReadError> {
        let reply = answer?;
        match reply.value {
            Err(ServerError::Unimplemented) if self.mode == Mode::Recursive => Err(ReadError::TooOld),
            value => Ok((value, reply.zxid)),
        }
    }

    /// Makes sure that the chroot is there: without it every path would look absent, although nothing is known of it.
    ///
    /// # Errors
    /// It is not there, or there is no answer.
    pub async fn check_chroot(&self) -> Result<(), ReadError> {
        let Some(chroot) = self.connection.chroot() else {
            return Ok(());
        };
        match self.said(self.connection.exists("/", false).await)?.0 {
            Ok(None) => Err(ReadError::Over(format!(
                "the chroot {chroot} does not exist; create it, or correct the registry's url"
            ))),
            Ok(Some(_)) => Ok(()),
            // Then it is there. Any other refusal says nothing of it.
            Err(refusal) => fact(refusal).map(|_| ()),
        }
    }

    /// Hears of every change at a node and below it from now on, where that is how changes are heard of.
    ///
    /// # Errors
    /// The server refused, or there is no answer.
    pub async fn watch(&self, path: &NodePath) -> Result<(), ReadError> {
        if self.mode != Mode::Recursive {
            return Ok(());
        }
        let watching = self.said(self.connection.watch(path.as_str()).await)?.0;
        watching.map_err(|refusal| ReadError::Refused(format!("watch {path}: {refusal}")))
    }

    /// Waits until the server has taken in all that was committed before. Nothing that it says before counts.
    ///
    /// # Errors
    /// The server refused, or there is no answer: nothing is known.
    pub async fn sync(&self) -> Result<(), ReadError> {
        let synced = self.said(self.connection.sync("/").await)?.0;
        synced.map_err(|refusal| ReadError::Refused(format!("{}: sync: {refusal}", self.connection.server())))
    }

    /// Lists a node's children, unless there are too many to take.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn list(&self, path: &NodePath) -> Result<Listing, ReadError> {
        // Looked at before it is listed. And watched for coming into being, which no listing can do.
        let (stat, zxid) = self.said(self.connection.exists(path.as_str(), self.watches()).await)?;
        match stat {
            Err(refusal) => return Ok(Listing::Unreadable(fact(refusal)?)),
            Ok(None) => return Ok(Listing::Absent(zxid)),
            Ok(Some(stat)) if stat.num_children > MAX_SUBJECT_NODES => {
                return Ok(Listing::Unreadable(too_many()));
            }
            Ok(Some(_)) => {}
        }
        let (names, zxid) = self.said(self.connection.children(path.as_str(), self.watches()).await)?;
        Ok(match names {
            Ok((names, stat)) => {
                let (names, parent) = self.without_own(path, names, &stat);
                Listing::Names(names, parent)
            }
            Err(ServerError::NoNode) => Listing::Absent(zxid),
            Err(refusal) => Listing::Unreadable(fact(refusal)?),
        })
    }

    /// What the node above others is, by what the server says of it.
    pub fn parent(&self, path: &NodePath, stat: &Stat) -> Parent {
        Parent::present(stat, stat.num_children.saturating_sub(self.own_at(path)))
    }

    /// How many children of a node are the ensemble's own.
    fn own_at(&self, path: &NodePath) -> usize {
        usize::from(self.connection.is_at_root() && path.is_root())
    }

    fn without_own(&self, path: &NodePath, mut names: Vec<String>, stat: &Stat) -> (Vec<String>, Parent) {
        if self.own_at(path) > 0 {
            names.retain(|name| name != OWN);
        }
        let parent = Parent::present(stat, names.len());
        (names, parent)
    }

    /// Reads the data of nodes; `None` when it is more than `budget` bytes in all.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn data(&self, paths: &[NodePath], budget: usize) -> Result<Option<Vec<NodeResult>>, ReadError> {
        let mut all: Vec<NodeResult> = Vec::with_capacity(paths.len());
        let mut chunks = Chunks::default();
        while all.len() < paths.len() {
            let rest = &paths[all.len()..];
            let now = &rest[..chunks.next(rest)];
            let read = match self.mode {
                Mode::Recursive => self.said(self.connection.read(now).await)?.0,
                Mode::Oneshot | Mode::Plain => Ok(self.data_singly(now).await?),
            };
            match read {
                Ok(read) => {
                    chunks.took(&read);
                    if chunks.bytes() > budget {
                        return Ok(None);
                    }
                    all.extend(read);
                }
                Err(ServerError::TooLarge { bytes }) if now.len() > 1 => {
                    if chunks.bytes() + bytes > budget {
                        return Ok(None);
                    }
                    chunks.halve(now.len());
                }
                Err(refusal) if now.len() == 1 => all.push(Err(refusal)),
                Err(refusal) => return Err(refused(refusal)),
            }
        }
        Ok(Some(all))
    }

    async fn data_singly(&self, paths: &[NodePath]) -> Result<Vec<NodeResult>, ReadError> {
        let mut all = Vec::with_capacity(paths.len());
        for paths in paths.chunks(PIPELINE) {
            for answer in join_all(paths.iter().map(|path| self.connection.data(path.as_str(), self.watches()))).await {
                all.push(self.said(answer)?.0);
            }
        }
        Ok(all)
    }

    /// Reads the data of nodes in one request, however much it is.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn data_at_once(&self, paths: &[NodePath]) -> Result<Vec<NodeResult>, ReadError> {
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        self.said(self.connection.read(paths).await)?.0.map_err(refused)
    }

    /// A node without its data.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn stat(&self, path: NodePath) -> Result<Result<Stat, ServerError>, ReadError> {
        let stat = self.said(self.connection.exists(path.as_str(), false).await)?.0;
        Ok(stat.and_then(|stat| stat.ok_or(ServerError::NoNode)))
    }
}

/// What the answer for one node says of it; `None` when it is not there.
///
/// # Errors
/// It says nothing of the node: see [`fact`].
pub fn reading(datum: NodeResult) -> Result<Option<(Reading, Zxid)>, ReadError> {
    match datum {
        Ok((data, stat)) => Ok(Some((Ok(data), stat.mzxid))),
        Err(ServerError::NoNode) => Ok(None),
        Err(refusal) => Ok(Some((Err(fact(refusal)?), Zxid::default()))),
    }
}

/// Why a node cannot be read, in words: this session may not, or there is too much of it.
///
/// # Errors
/// Any other refusal says something of the server at this moment (it is throttled, it could not write its answer) and
/// nothing of the node. It is tried again soon, and nobody takes the node for a broken one.
fn fact(refusal: ServerError) -> Result<Arc<str>, ReadError> {
    match refusal {
        ServerError::NoAuth => Ok(refusal.to_string().into()),
        ServerError::TooLarge { .. } => Ok(format!("too large: {refusal}").into()),
        refusal => Err(refused(refusal)),
    }
}

/// A refusal of a whole request.
fn refused(refusal: ServerError) -> ReadError {
    ReadError::Refused(format!("the server refused the reading: {refusal}"))
}

/// The node above the members of a key, or at the top.
pub fn list_path(subject: &Subject, key: &str) -> NodePath {
    if key.is_empty() { subject.top().clone() } else { subject.members_of(key) }
}

/// A member's node.
pub fn member_path(subject: &Subject, place: &MemberId) -> NodePath {
    subject.members_of(place.key.as_deref().unwrap_or_default()).child(&place.name)
}

/// Without the number: a path that grows must not be said anew with each change.
fn too_many() -> Arc<str> {
    format!("too large: more than {MAX_SUBJECT_NODES} nodes").into()
}

fn too_much(path: &NodePath, most: usize) -> Arc<str> {
    format!("too large: the data of the nodes under {path} is over {} MiB", most / 1024 / 1024).into()
}
