//! The requests of a connection that change nodes.

use super::connection::Connection;
use super::jute::{Decoder, Encoder, Malformed};
use super::protocol::{OP_CREATE, OP_DELETE, OP_ERROR, OP_MULTI, OP_SET_DATA};
use super::requests::{call, multi_header};
use super::{RequestResult, ServerError};

/// One entry of an access control list (`zookeeper.jute`, `ACL`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acl {
    /// The permissions (`ZooDefs.Perms`).
    pub perms: i32,
    /// The scheme, such as `world`.
    pub scheme: &'static str,
    /// Whom it is for, such as `anyone`.
    pub id: String,
}

/// All permissions: read, write, create, delete and admin (`ZooDefs.Perms.ALL`).
pub const PERMS_ALL: i32 = 31;

/// The permission to read (`ZooDefs.Perms.READ`).
pub const PERMS_READ: i32 = 1;

/// How long a node stays (`CreateMode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateMode {
    /// Until it is deleted.
    Persistent,
    /// Until it is deleted, or the session ends.
    Ephemeral,
    /// The same, and the server appends a number of ten digits to its name.
    EphemeralSequential,
}

impl CreateMode {
    fn flags(self) -> i32 {
        match self {
            Self::Persistent => 0,
            Self::Ephemeral => 1,
            Self::EphemeralSequential => 3,
        }
    }
}

/// A node to create.
#[derive(Debug, Clone, Copy)]
pub struct NewNode<'a> {
    /// Its path within the chroot.
    pub path: &'a str,
    /// Its data.
    pub data: &'a [u8],
    /// Its access control list.
    pub acl: &'a [Acl],
    /// How long it stays.
    pub mode: CreateMode,
}

impl NewNode<'_> {
    /// `CreateRequest`.
    fn encode(&self, connection: &Connection, request: &mut Encoder) {
        request.bytes(connection.server_path(self.path).as_bytes());
        request.bytes(self.data);
        request.int(i32::try_from(self.acl.len()).unwrap_or(i32::MAX));
        for entry in self.acl {
            request.int(entry.perms);
            request.bytes(entry.scheme.as_bytes());
            request.bytes(entry.id.as_bytes());
        }
        request.int(self.mode.flags());
    }
}

impl Connection {
    /// Creates a node.
    ///
    /// # Errors
    /// The connection is lost. Then the node may have been created.
    pub async fn create(&self, node: NewNode<'_>) -> RequestResult<()> {
        let mut request = Encoder::request(0, OP_CREATE);
        node.encode(self, &mut request);
        call(self, request, |_| Ok(())).await
    }

    /// Sets the data of a node that has this version.
    ///
    /// # Errors
    /// The connection is lost. Then the data may have been set.
    pub async fn set_data(&self, path: &str, data: &[u8], version: i32) -> RequestResult<()> {
        let mut request = Encoder::request(0, OP_SET_DATA);
        request.bytes(self.server_path(path).as_bytes());
        request.bytes(data);
        request.int(version);
        call(self, request, |body| body.stat().map(drop)).await
    }

    /// Deletes a node that has this version.
    ///
    /// # Errors
    /// The connection is lost. Then the node may have been deleted.
    pub async fn delete(&self, path: &str, version: i32) -> RequestResult<()> {
        let mut request = Encoder::request(0, OP_DELETE);
        self.encode_delete(path, version, &mut request);
        call(self, request, |_| Ok(())).await
    }

    /// Deletes a node that has this version and creates it again, in one transaction.
    ///
    /// # Errors
    /// The connection is lost. Then both or none may have been done.
    pub async fn replace(&self, node: NewNode<'_>, version: i32) -> RequestResult<()> {
        let mut request = Encoder::request(0, OP_MULTI);
        multi_header(&mut request, OP_DELETE, false);
        self.encode_delete(node.path, version, &mut request);
        multi_header(&mut request, OP_CREATE, false);
        node.encode(self, &mut request);
        multi_header(&mut request, -1, true);
        let reply = call(self, request, transaction_error).await?;
        Ok(super::Reply { zxid: reply.zxid, value: reply.value.and_then(|error| error.map_or(Ok(()), Err)) })
    }

    /// `DeleteRequest`.
    fn encode_delete(&self, path: &str, version: i32, request: &mut Encoder) {
        request.bytes(self.server_path(path).as_bytes());
        request.int(version);
    }
}

/// The error that made a transaction fail, if one did. Each part of a failed transaction has a code: 0 before the part
/// that failed, and -2 after it.
fn transaction_error(body: &mut Decoder<'_>) -> Result<Option<ServerError>, Malformed> {
    let mut found = None;
    loop {
        let (op, is_last, _code) = (body.int()?, body.bool()?, body.int()?);
        match op {
            _ if is_last => return Ok(found),
            OP_ERROR => {
                let error = ServerError::from_code(body.int()?);
                found = found.or(error.filter(|error| *error != ServerError::Other(-2)));
            }
            OP_CREATE => _ = body.text()?,
            OP_DELETE => {}
            _ => return Err(Malformed),
        }
    }
}
