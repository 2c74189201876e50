//! The requests of a connection.

use std::sync::Arc;

use super::connection::Connection;
use super::jute::{Decoder, Encoder, Malformed};
use super::protocol::{
    ENSEMBLE_CONFIG, OP_ADD_WATCH, OP_EXISTS, OP_GET_CHILDREN, OP_GET_DATA, OP_MULTI_READ, OP_SET_WATCHES, OP_SYNC,
    WATCH_RECURSIVE,
};
use super::{Bytes, NodeResult, Reply, RequestResult, ServerError, Stat};
use crate::model::version::Zxid;

impl Connection {
    /// The stat of a node; `None` if it does not exist. With `watch`, one event tells when it is created, deleted, or
    /// its data changes.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn exists(&self, path: &str, watch: bool) -> RequestResult<Option<Stat>> {
        let reply = self.read_request(OP_EXISTS, path, watch, |body| body.stat().map(Some)).await?;
        Ok(match reply.value {
            Err(ServerError::NoNode) => Reply { value: Ok(None), ..reply },
            _ => reply,
        })
    }

    /// The data of a node. With `watch`, one event tells when it changes or the node is deleted.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn data(&self, path: &str, watch: bool) -> RequestResult<(Bytes, Stat)> {
        self.read_request(OP_GET_DATA, path, watch, node_data).await
    }

    /// The names of the children of a node, unsorted. With `watch`, one event tells when the list changes or the node
    /// is deleted.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn children(&self, path: &str, watch: bool) -> RequestResult<(Vec<String>, Stat)> {
        let names = |body: &mut Decoder<'_>| {
            let count = body.count()?;
            let names: Result<Vec<String>, Malformed> = (0..count).map(|_| body.text().map(String::from)).collect();
            Ok((names?, body.stat()?))
        };
        self.read_request(OP_GET_CHILDREN, path, watch, names).await
    }

    /// Sets the watch of [`children`](Self::children) without reading them. If the list changed after `since`, the event
    /// arrives before the reply, and the watch is not set.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn watch_children(&self, path: &str, since: Zxid) -> RequestResult<()> {
        let mut request = Encoder::request(0, OP_SET_WATCHES);
        request.long(since.0);
        // No watches on data and existence, and one on children.
        for count in [0, 0, 1] {
            request.int(count);
        }
        request.bytes(self.server_path(path).as_bytes());
        call(self, request, |_| Ok(())).await
    }

    /// The data of several nodes at one moment, in the order of `paths`. Requires ZooKeeper 3.6.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn multi_read<P: AsRef<str>>(&self, paths: &[P]) -> RequestResult<Vec<NodeResult>> {
        let mut request = Encoder::request(0, OP_MULTI_READ);
        for path in paths {
            multi_header(&mut request, OP_GET_DATA, false);
            request.bytes(self.server_path(path.as_ref()).as_bytes());
            request.bool(false);
        }
        multi_header(&mut request, -1, true);
        let count = paths.len();
        call(self, request, |body| (0..count).map(|_| node_result(body)).collect()).await
    }

    /// Watches a node and everything below it, for as long as this connection lasts. Requires ZooKeeper 3.6.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn watch(&self, path: &str) -> RequestResult<()> {
        let mut request = Encoder::request(0, OP_ADD_WATCH);
        request.bytes(self.server_path(path).as_bytes());
        request.int(WATCH_RECURSIVE);
        call(self, request, |_| Ok(())).await
    }

    /// Waits until the server has everything that the leader had committed at the time of the request. A server that is
    /// cut off from the leader does not reply.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn sync(&self, path: &str) -> RequestResult<()> {
        let mut request = Encoder::request(0, OP_SYNC);
        request.bytes(self.server_path(path).as_bytes());
        call(self, request, |_| Ok(())).await
    }

    /// The list of servers that the ensemble keeps, whatever the chroot. After this request,
    /// [`ensemble_changed`](Self::ensemble_changed) returns when the list changes.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn ensemble(&self) -> RequestResult<(Bytes, Stat)> {
        let mut request = Encoder::request(0, OP_GET_DATA);
        request.bytes(ENSEMBLE_CONFIG.as_bytes());
        request.bool(true);
        call(self, request, node_data).await
    }

    async fn read_request<T>(
        &self,
        op: i32,
        path: &str,
        watch: bool,
        decode: impl FnOnce(&mut Decoder<'_>) -> Result<T, Malformed>,
    ) -> RequestResult<T> {
        let mut request = Encoder::request(0, op);
        request.bytes(self.server_path(path).as_bytes());
        request.bool(watch);
        call(self, request, decode).await
    }
}

/// Sends a request, and decodes the reply.
pub async fn call<T>(
    connection: &Connection,
    request: Encoder,
    decode: impl FnOnce(&mut Decoder<'_>) -> Result<T, Malformed>,
) -> RequestResult<T> {
    let raw = connection.send(request).await?;
    let value = match raw.body {
        Err(error) => Err(error),
        Ok(body) => Ok(decode(&mut Decoder(&body)).map_err(|malformed| connection.malformed(malformed))?),
    };
    Ok(Reply { zxid: raw.zxid, value })
}

/// The header of each part of a multi-read or a transaction, and its end (`MultiHeader`).
pub fn multi_header(request: &mut Encoder, op: i32, is_last: bool) {
    request.int(op);
    request.bool(is_last);
    request.int(-1);
}

/// One part of the reply to a multi-read.
pub fn node_result(body: &mut Decoder<'_>) -> Result<NodeResult, Malformed> {
    let (op, is_last, _code) = (body.int()?, body.bool()?, body.int()?);
    match (op, is_last) {
        (OP_GET_DATA, false) => Ok(Ok(node_data(body)?)),
        (-1, false) => ServerError::from_code(body.int()?).map(Err).ok_or(Malformed),
        _ => Err(Malformed),
    }
}

fn node_data(body: &mut Decoder<'_>) -> Result<(Bytes, Stat), Malformed> {
    let data = Arc::from(body.bytes()?);
    Ok((data, body.stat()?))
}
