//! One connection to a ZooKeeper server, as the Java client's `ClientCnxn` speaks it ("ZooKeeper Programmer's Guide",
//! and `zookeeper.jute` for the records).
//!
//! It knows nothing of the next connection: whoever holds it carries the session on with its [`SessionId`]. Requests are
//! answered in order, and each within a limit, or the connection is [`ConnectionLost`]. Events are handed over at once and
//! before the answers that follow them, so a reading that comes after an event never shows less than the event told.
//! What an answer says is bounded: no frame takes more memory than [`MAX_FRAME`], and one that would is left out
//! without the loss of the connection.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::node_path::NodePath;
use crate::model::version::Zxid;

pub mod connect;
pub mod connection;
pub mod frame;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod jute;
pub mod requests;
pub mod sasl;
pub mod server_error;
#[cfg(test)]
pub mod tests;
pub mod tls;

pub use connect::connect;
pub use connection::Connection;
#[cfg(test)]
pub use jute::{Decoder, Encoder};
pub use server_error::ServerError;
#[cfg(test)]
pub use tests::reply;

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
    /// Its list of children changed. Only one-shot watches report this, without the names.
    ChildrenChanged,
}

/// The most bytes that one answer may take.
pub const MAX_FRAME: usize = 8 * 1024 * 1024;

/// The connection is over: why, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionLost(pub Arc<str>);

impl fmt::Display for ConnectionLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply<T> {
    /// The last transaction that the server had taken in when it answered.
    pub zxid: Zxid,
    /// The answer, or what the server says in place of one.
    pub value: Result<T, ServerError>,
}

/// An answer, or none.
pub type Answer<T> = Result<Reply<T>, ConnectionLost>;

/// What one node of a multi-read holds.
pub type NodeResult = Result<(Bytes, Stat), ServerError>;

/// What a server knows of a node beside its data (`zookeeper.jute`, `Stat`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stat {
    /// The transaction that created it.
    pub czxid: Zxid,
    /// The last one that changed its data.
    pub mzxid: Zxid,
    /// The last one that changed its list of children.
    pub pzxid: Zxid,
    /// How often its data changed.
    pub version: i32,
    /// How often its list of children changed.
    pub cversion: i32,
    /// The session that it ends with; 0 for a node that stays.
    pub ephemeral_owner: i64,
    /// The bytes of its data.
    pub data_length: usize,
    /// Its children.
    pub num_children: usize,
}

/// One address of one server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Server {
    /// The name that it was found by, for messages and for TLS.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Where it is.
    pub address: SocketAddr,
}

impl fmt::Display for Server {
    /// `zk1:2181`, and the address where the name is not one itself: `zk1:2181 (10.0.0.1)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.address.ip().to_string() == self.host {
            return write!(f, "{}", self.address);
        }
        write!(f, "{}:{} ({})", self.host, self.port, self.address.ip())
    }
}

/// A session, as it can be carried on to another connection.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionId {
    /// Its number.
    pub id: i64,
    password: Vec<u8>,
    /// How long it lives unheard, as the servers granted it.
    pub timeout: Duration,
    /// The last transaction that was heard of. A server that is behind it refuses the session.
    pub zxid: Zxid,
    /// When a server was last heard.
    pub heard: Instant,
}

impl SessionId {
    /// Whether the session can no longer be alive, because no server has heard of it for as long as it was granted.
    /// Servers expire sessions in steps of a tick and may keep one for a little longer; nothing is lost by a new one then.
    pub fn is_over(&self) -> bool {
        self.heard.elapsed() >= self.timeout
    }
}

#[cfg(test)]
impl SessionId {
    /// A session that was just heard of.
    pub fn for_tests(timeout: Duration) -> Self {
        Self { id: 1, password: Vec::new(), timeout, zxid: Zxid::default(), heard: Instant::now() }
    }
}

impl fmt::Debug for SessionId {
    /// Without the password: who has it has the session.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {:#x} ({:?}, zxid {:#x})", self.id, self.timeout, self.zxid.0)
    }
}

/// Answers the challenges of a SASL mechanism: `None` when the exchange is complete.
///
/// # Errors
/// The challenge is not one that it can answer, or the server failed to prove itself: why.
pub type Sasl<'a> = &'a (dyn Fn(&[u8]) -> Result<Option<Vec<u8>>, String> + Sync);

/// With what a connection is begun.
#[derive(Clone, Copy)]
pub struct ConnectRequest<'a> {
    /// The session to carry on; a new one without.
    pub session: Option<&'a SessionId>,
    /// How long the session is to live unheard; servers may grant another time.
    pub session_timeout: Duration,
    /// How long all of it may take: the connection, TLS, the session, the credentials.
    pub limit: Duration,
    /// Credentials: scheme and secret.
    pub auth: &'a [(&'a str, &'a [u8])],
    /// The SASL mechanism, where there is one.
    pub sasl: Option<Sasl<'a>>,
    /// The node that stands for `/`.
    pub chroot: Option<&'a NodePath>,
    /// TLS, where it is asked for: then nothing is sent without it.
    pub tls: Option<&'a Arc<rustls::ClientConfig>>,
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectError {
    /// The server was not reached, or is of no use now: why, with its name.
    NotReached(String),
    /// The session that was to be carried on is over.
    Expired,
    /// The server refused the credentials, or asks for some: why, with its name.
    Refused(String),
}

/// Hears of events, with the path within the chroot. Called from the connection's task: it must not block.
pub type EventHandler = Arc<dyn Fn(NodeEvent, &str) + Send + Sync>;
