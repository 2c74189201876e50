//! Access control lists of nodes: the requests that read and set them.

use super::connection::Connection;
use super::jute::{Decoder, Encoder, Malformed};
use super::protocol::{OP_GET_ACL, OP_SET_ACL};
use super::requests::call;
use super::writes::encode_acl;
use super::{Acl, RequestResult, Stat};

impl Connection {
    /// The access control list of a node. A server masks the hash of a `digest` entry as `x`, unless the session may
    /// administrate the node.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn acl(&self, path: &str) -> RequestResult<(Vec<Acl>, Stat)> {
        let mut request = Encoder::request(0, OP_GET_ACL);
        request.bytes(self.server_path(path).as_bytes());
        call(self, request, |body| Ok((entries(body)?, body.stat()?))).await
    }

    /// Sets the access control list of a node that has this version of it (`aversion`); -1: any.
    ///
    /// # Errors
    /// The connection is lost. Then the list may have been set.
    pub async fn set_acl(&self, path: &str, acl: &[Acl], version: i32) -> RequestResult<()> {
        let mut request = Encoder::request(0, OP_SET_ACL);
        request.bytes(self.server_path(path).as_bytes());
        encode_acl(acl, &mut request);
        request.int(version);
        call(self, request, |body| body.stat().map(drop)).await
    }
}

/// A list of `ACL`.
pub fn entries(body: &mut Decoder<'_>) -> Result<Vec<Acl>, Malformed> {
    let entry = |body: &mut Decoder<'_>| {
        let perms = body.int()?;
        let scheme = body.text()?.to_owned().into();
        Ok(Acl { perms, scheme, id: body.text()?.to_owned() })
    };
    (0..body.count()?).map(|_| entry(body)).collect()
}
