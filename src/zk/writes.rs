//! The requests of a connection that change nodes.

use std::borrow::Cow;

use super::connection::Connection;
use super::jute::Encoder;
use super::protocol::{OP_CREATE, OP_DELETE, OP_SET_DATA};
use super::requests::call;
use super::{ConnectionLost, RequestResult, ServerError};

/// One entry of an access control list (`zookeeper.jute`, `ACL`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acl {
    /// The permissions (`ZooDefs.Perms`).
    pub perms: i32,
    /// The scheme, such as `world`.
    pub scheme: Cow<'static, str>,
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
    /// The same, and the server appends a number of ten digits to its name.
    PersistentSequential,
    /// Until it is deleted, or the session ends.
    Ephemeral,
    /// The same as `Ephemeral`, and the server appends a number of ten digits to its name.
    EphemeralSequential,
}

impl CreateMode {
    fn flags(self) -> i32 {
        match self {
            Self::Persistent => 0,
            Self::Ephemeral => 1,
            Self::PersistentSequential => 2,
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
    pub(super) fn encode(&self, connection: &Connection, request: &mut Encoder) {
        request.bytes(connection.server_path(self.path).as_bytes());
        request.bytes(self.data);
        encode_acl(self.acl, request);
        request.int(self.mode.flags());
    }
}

/// A list of `ACL`.
pub fn encode_acl(acl: &[Acl], request: &mut Encoder) {
    request.int(i32::try_from(acl.len()).unwrap_or(i32::MAX));
    for entry in acl {
        request.int(entry.perms);
        request.bytes(entry.scheme.as_bytes());
        request.bytes(entry.id.as_bytes());
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

    /// Creates a sequential node, and returns the name that the server gave it.
    ///
    /// # Errors
    /// The connection is lost. Then the node may have been created.
    pub async fn create_sequential(&self, node: NewNode<'_>) -> RequestResult<String> {
        let mut request = Encoder::request(0, OP_CREATE);
        node.encode(self, &mut request);
        call(self, request, |body| Ok(body.text()?.rsplit('/').next().unwrap_or_default().to_owned())).await
    }

    /// Creates a persistent node without data, and what is missing above it, as kazoo's `ensure_path` does. Where a node
    /// may not be created, it may be there.
    ///
    /// # Errors
    /// The connection is lost. Then nodes may have been created.
    pub async fn ensure_path(
        &self,
        path: &str,
        acl: &[Acl],
        acl_above: &[Acl],
    ) -> Result<Result<(), ServerError>, ConnectionLost> {
        let ends = path.match_indices('/').map(|(at, _)| at).skip(1).chain([path.len()]);
        for end in ends {
            let acl = if end == path.len() { acl } else { acl_above };
            let node = NewNode { path: &path[..end], data: b"", acl, mode: CreateMode::Persistent };
            match self.create(node).await?.value {
                Ok(()) | Err(ServerError::NodeExists | ServerError::NoAuth) => {}
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(()))
    }

    /// Sets the data of a node that has this version.
    ///
    /// # Errors
    /// The connection is lost. Then the data may have been set.
    pub async fn set_data(&self, path: &str, data: &[u8], version: i32) -> RequestResult<()> {
        let mut request = Encoder::request(0, OP_SET_DATA);
        encode_set_data(self, path, data, version, &mut request);
        call(self, request, |body| body.stat().map(drop)).await
    }

    /// Deletes a node that has this version.
    ///
    /// # Errors
    /// The connection is lost. Then the node may have been deleted.
    pub async fn delete(&self, path: &str, version: i32) -> RequestResult<()> {
        let mut request = Encoder::request(0, OP_DELETE);
        encode_delete(self, path, version, &mut request);
        call(self, request, |_| Ok(())).await
    }
}

/// `DeleteRequest`.
pub fn encode_delete(connection: &Connection, path: &str, version: i32, request: &mut Encoder) {
    request.bytes(connection.server_path(path).as_bytes());
    request.int(version);
}

/// `SetDataRequest`.
pub fn encode_set_data(connection: &Connection, path: &str, data: &[u8], version: i32, request: &mut Encoder) {
    request.bytes(connection.server_path(path).as_bytes());
    request.bytes(data);
    request.int(version);
}
