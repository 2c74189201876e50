//! A ZooKeeper client: one connection to one server, as the Java client's `ClientCnxn` speaks the protocol ("ZooKeeper
//! Programmer's Guide", and `zookeeper.jute` for the records).
//!
//! # Why not a crate
//!
//! Each of these was seen with `zookeeper-client` 0.11.2 against real servers:
//!
//! - After a connection reset its persistent watches are silent for good, while the session and plain reads work.
//! - A request to a server that answers only pings hangs forever, and nothing drops the connection.
//! - A reply of 200 MiB took 404 MiB of memory and came back as success with no children.
//! - Why a server was not reached is only in its debug log, and the zxid of a reply is not exposed.
//!
//! `docs/decisions.md` has the reasons, and what would change the decision. A test shows the first point, so that a fix
//! in the crate is noticed.
//!
//! # What this client promises
//!
//! - Each request is answered in order and within the session timeout, or the connection is [`ConnectionLost`] with a
//!   reason.
//! - Events are handed over at once, before the replies that follow them. A read after an event is never older than the
//!   event.
//! - No reply uses more memory than [`MAX_FRAME`]. A larger one is skipped, and the connection stays.
//! - A [`Connection`] does not reconnect. The caller resumes the session on another connection with its [`SessionId`].

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::node_path::NodePath;
use crate::model::version::Zxid;

mod acl;
mod connect;
mod connection;
mod frame;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod jute;
mod multi;
mod protocol;
mod requests;
pub mod sasl;
mod server_error;
#[cfg(test)]
pub mod tests;
pub mod tls;
mod transport;
mod writes;

pub use connect::connect;
pub use connection::Connection;
#[cfg(test)]
pub use jute::{Decoder, Encoder};
pub use multi::{Done, Operation, Refusal};
pub use server_error::ServerError;
#[cfg(test)]
pub use tests::reply;
pub use writes::{Acl, CreateMode, NewNode, PERMS_ALL, PERMS_READ};

/// The most bytes in one reply.
pub const MAX_FRAME: usize = 8 * 1024 * 1024;

/// The data of a node.
pub type Bytes = Arc<[u8]>;

/// What happened to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeEvent {
    /// It was created.
    Created,
    /// It was deleted.
    Deleted,
    /// Its data changed.
    DataChanged,
    /// Its list of children changed. Only one-shot watches report this; they do not say how.
    ChildrenChanged,
}

impl NodeEvent {
    /// Whether it changes the list of children of the node's parent.
    pub fn changes_children(self) -> bool {
        matches!(self, Self::Created | Self::Deleted)
    }
}

/// A function that is called with each event and the path of its node within the chroot. It runs in the task of the
/// connection, so it must not block.
pub type EventHandler = Arc<dyn Fn(NodeEvent, &str) + Send + Sync>;

/// The connection ended, for this reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionLost(pub Arc<str>);

impl fmt::Display for ConnectionLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The reply of a server to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply<T> {
    /// The last transaction that the server had applied when it replied.
    pub zxid: Zxid,
    /// The result.
    pub value: Result<T, ServerError>,
}

/// A reply, or none because the connection was lost.
pub type RequestResult<T> = Result<Reply<T>, ConnectionLost>;

/// The result for one node of a multi-read.
pub type NodeResult = Result<(Bytes, Stat), ServerError>;

/// The metadata of a node (`zookeeper.jute`, `Stat`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stat {
    /// The transaction that created it.
    pub czxid: Zxid,
    /// The last transaction that changed its data.
    pub mzxid: Zxid,
    /// The last transaction that changed its list of children.
    pub pzxid: Zxid,
    /// When its data changed last, in milliseconds since 1970, by the clock of the leader at that time.
    pub mtime_ms: i64,
    /// How often its data changed.
    pub version: i32,
    /// How often its list of children changed.
    pub cversion: i32,
    /// The session that owns an ephemeral node; 0 for a persistent one.
    pub ephemeral_owner: i64,
    /// The length of its data in bytes.
    pub data_length: usize,
    /// The number of its children.
    pub num_children: usize,
}

/// One address of one server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Server {
    /// The name that was resolved, for messages and for TLS.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The address.
    pub address: SocketAddr,
}

impl fmt::Display for Server {
    /// `zk1:2181 (10.0.0.1)`, or only the address if the name is one itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.address.ip().to_string() == self.host {
            return write!(f, "{}", self.address);
        }
        write!(f, "{}:{} ({})", self.host, self.port, self.address.ip())
    }
}

/// A session that can be resumed on another connection.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionId {
    /// Its number.
    pub id: i64,
    password: Vec<u8>,
    /// How long servers keep it without hearing from it.
    pub timeout: Duration,
    /// The last transaction seen. A server that lags behind it refuses the session.
    pub zxid: Zxid,
    /// When a server was last heard.
    pub last_heard: Instant,
    /// When the last `sync` was sent that was answered, or the request that opened the connection. The leader of the
    /// ensemble has read what this server sent it until then. A server reports the sessions it hears of to the leader twice
    /// in each tick (`tickTime`).
    pub confirmed: Instant,
}

impl SessionId {
    /// A session that an earlier process saved. Whether it still lives is found out by resuming it.
    pub fn saved(id: i64, password: Vec<u8>, timeout: Duration) -> Self {
        let now = Instant::now();
        Self { id, password, timeout, zxid: Zxid::default(), last_heard: now, confirmed: now }
    }

    /// The secret that suffices to take over the session.
    pub fn password(&self) -> &[u8] {
        &self.password
    }

    /// Whether the session must have expired, because no server has heard from it for its timeout. Servers expire
    /// sessions in steps of a tick, so the session may live a little longer. A new session then loses nothing.
    pub fn is_expired(&self) -> bool {
        self.last_heard.elapsed() >= self.timeout
    }
}

#[cfg(test)]
impl SessionId {
    /// A session that was heard from just now.
    pub fn for_tests(timeout: Duration) -> Self {
        Self::saved(1, Vec::new(), timeout)
    }
}

impl fmt::Debug for SessionId {
    /// Leaves out the password: it suffices to take over the session.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {:#x} ({:?}, zxid {:#x})", self.id, self.timeout, self.zxid.0)
    }
}

/// Responds to the challenges of a SASL mechanism: `None` when the exchange is complete.
///
/// # Errors
/// The challenge cannot be answered, or the server failed to authenticate itself: why.
pub type SaslResponder<'a> = &'a (dyn Fn(&[u8]) -> Result<Option<Vec<u8>>, String> + Sync);

/// How to open a connection.
#[derive(Clone, Copy)]
pub struct ConnectRequest<'a> {
    /// The session to resume; `None` for a new one.
    pub session: Option<&'a SessionId>,
    /// The timeout to ask for. Servers may grant another one.
    pub session_timeout: Duration,
    /// The time limit for everything: TCP, TLS, the session, and authentication.
    pub timeout: Duration,
    /// Credentials: scheme and secret.
    pub auth: &'a [(&'a str, &'a [u8])],
    /// The SASL mechanism, if one is configured.
    pub sasl: Option<SaslResponder<'a>>,
    /// The node that stands for `/`.
    pub chroot: Option<&'a NodePath>,
    /// The TLS configuration. With it, nothing is sent in plain text.
    pub tls: Option<&'a Arc<rustls::ClientConfig>>,
}

/// Why no connection was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectError {
    /// The server was not reached, or cannot serve now: its name, and why.
    Unreachable(String),
    /// The server did not answer in time: its name, and what was missing.
    TimedOut(String),
    /// It is no ZooKeeper server, or one of the two refuses the other's certificate: its name, and why. A retry would fail
    /// in the same way.
    Rejected(String),
    /// The session to resume has expired.
    SessionExpired,
    /// The server refused the credentials, or requires some: its name, and why.
    AuthFailed(String),
}
