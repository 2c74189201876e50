//! Transactions: several writes that are all done, or none of them.

use super::connection::Connection;
use super::jute::{Decoder, Encoder, Malformed};
use super::protocol::{OP_CHECK, OP_CREATE, OP_DELETE, OP_ERROR, OP_MULTI, OP_SET_DATA};
use super::requests::{call, multi_header};
use super::writes::{encode_delete, encode_set_data};
use super::{NewNode, Reply, RequestResult, ServerError, Stat};

/// One part of a transaction.
#[derive(Debug, Clone, Copy)]
pub enum Operation<'a> {
    /// The node has this version; -1: it exists.
    Check {
        /// Its path within the chroot.
        path: &'a str,
        /// The version of its data.
        version: i32,
    },
    /// Creates a node.
    Create(NewNode<'a>),
    /// Sets the data of a node that has this version.
    SetData {
        /// Its path within the chroot.
        path: &'a str,
        /// The new data.
        data: &'a [u8],
        /// The version that it must have.
        version: i32,
    },
    /// Deletes a node that has this version.
    Delete {
        /// Its path within the chroot.
        path: &'a str,
        /// The version that it must have; -1: any.
        version: i32,
    },
}

/// What one part of a transaction did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// The node has the version.
    Checked,
    /// The node was created with this path, as the server knows it.
    Created(String),
    /// The data was set.
    Set(Stat),
    /// The node was deleted.
    Deleted,
}

/// Why a transaction did nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The index of the part that failed.
    pub at: usize,
    /// Its error.
    pub error: ServerError,
}

impl Connection {
    /// Does all operations, or none.
    ///
    /// # Errors
    /// The connection is lost. Then all or none may have been done. A request over the server's `jute.maxbuffer` loses
    /// the connection: see [`multi_length`](Self::multi_length).
    pub async fn multi(&self, operations: &[Operation<'_>]) -> RequestResult<Result<Vec<Done>, Refusal>> {
        call(self, self.encode_multi(operations), results).await
    }

    /// Deletes a node that has this version and creates it again, in one transaction.
    ///
    /// # Errors
    /// The connection is lost. Then both or none may have been done.
    pub async fn replace(&self, node: NewNode<'_>, version: i32) -> RequestResult<()> {
        let reply = self.multi(&[Operation::Delete { path: node.path, version }, Operation::Create(node)]).await?;
        let value = reply.value.and_then(|done| done.map(drop).map_err(|refusal| refusal.error));
        Ok(Reply { zxid: reply.zxid, value })
    }

    /// The length in bytes of the request of a transaction, as a server counts it.
    pub fn multi_length(&self, operations: &[Operation<'_>]) -> usize {
        self.encode_multi(operations).frame().len() - 4
    }

    fn encode_multi(&self, operations: &[Operation<'_>]) -> Encoder {
        let mut request = Encoder::request(0, OP_MULTI);
        for operation in operations {
            match operation {
                Operation::Check { path, version } => {
                    multi_header(&mut request, OP_CHECK, false);
                    // `CheckVersionRequest` has the fields of `DeleteRequest`.
                    encode_delete(self, path, *version, &mut request);
                }
                Operation::Create(node) => {
                    multi_header(&mut request, OP_CREATE, false);
                    node.encode(self, &mut request);
                }
                Operation::SetData { path, data, version } => {
                    multi_header(&mut request, OP_SET_DATA, false);
                    encode_set_data(self, path, data, *version, &mut request);
                }
                Operation::Delete { path, version } => {
                    multi_header(&mut request, OP_DELETE, false);
                    encode_delete(self, path, *version, &mut request);
                }
            }
        }
        multi_header(&mut request, -1, true);
        request
    }
}

/// The results of a transaction. Each part of one that failed has a code: 0 before the part that failed, and -2 after it.
pub fn results(body: &mut Decoder<'_>) -> Result<Result<Vec<Done>, Refusal>, Malformed> {
    let (mut done, mut refusal, mut at) = (Vec::new(), None, 0);
    loop {
        let (op, is_last, _code) = (body.int()?, body.bool()?, body.int()?);
        match op {
            _ if is_last => return Ok(refusal.map_or(Ok(done), Err)),
            OP_ERROR => {
                let error = ServerError::from_code(body.int()?);
                let error = error.filter(|error| *error != ServerError::Other(-2));
                refusal = refusal.or(error.map(|error| Refusal { at, error }));
            }
            OP_CREATE => done.push(Done::Created(body.text()?.to_owned())),
            OP_DELETE => done.push(Done::Deleted),
            OP_CHECK => done.push(Done::Checked),
            OP_SET_DATA => done.push(Done::Set(body.stat()?)),
            _ => return Err(Malformed),
        }
        at += 1;
    }
}
