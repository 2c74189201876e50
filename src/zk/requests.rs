//! What a connection can be asked.

use std::sync::Arc;

use super::connection::Connection;
use super::jute::{Decoder, Encoder, Malformed};
use super::{Answer, Bytes, NodeResult, Reply, ServerError, Stat};

const OP_EXISTS: i32 = 3;
const OP_DATA: i32 = 4;
const OP_SYNC: i32 = 9;
const OP_CHILDREN: i32 = 12;
const OP_MULTI_READ: i32 = 22;
const OP_ADD_WATCH: i32 = 106;

/// `AddWatchMode.PERSISTENT_RECURSIVE`.
const RECURSIVE: i32 = 1;

impl Connection {
    /// Whether a node exists. With `watch`, one event says when that, or its data, has changed.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn exists(&self, path: &str, watch: bool) -> Answer<Option<Stat>> {
        let reply = self.get(OP_EXISTS, path, watch, |read| read.stat().map(Some)).await?;
        Ok(match reply.value {
            Err(ServerError::NoNode) => Reply { value: Ok(None), ..reply },
            _ => reply,
        })
    }

    /// A node's data. With `watch`, one event says when it has changed or the node is gone.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn data(&self, path: &str, watch: bool) -> Answer<(Bytes, Stat)> {
        self.get(OP_DATA, path, watch, datum).await
    }

    /// The names of a node's children, unsorted. With `watch`, one event says when the list has changed or the node is
    /// gone.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn children(&self, path: &str, watch: bool) -> Answer<(Vec<String>, Stat)> {
        let names = |read: &mut Decoder<'_>| {
            let count = read.count()?;
            let names: Result<Vec<String>, Malformed> = (0..count).map(|_| read.text().map(String::from)).collect();
            Ok((names?, read.stat()?))
        };
        self.get(OP_CHILDREN, path, watch, names).await
    }

    /// The data of several nodes at one moment, in the order asked. Since 3.6.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn read<P: AsRef<str>>(&self, paths: &[P]) -> Answer<Vec<NodeResult>> {
        let mut out = Encoder::request(0, OP_MULTI_READ);
        for path in paths {
            header(&mut out, OP_DATA, false);
            out.bytes(self.whole(path.as_ref()).as_bytes());
            out.bool(false);
        }
        header(&mut out, -1, true);
        let count = paths.len();
        self.answer(out, |read| (0..count).map(|_| result(read)).collect()).await
    }

    /// Hears of every change at a node and below it from now on, through this connection. Since 3.6.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn watch(&self, path: &str) -> Answer<()> {
        let mut out = Encoder::request(0, OP_ADD_WATCH);
        out.bytes(self.whole(path).as_bytes());
        out.int(RECURSIVE);
        self.answer(out, |_| Ok(())).await
    }

    /// Waits until the server has taken in all that the leader had committed when it was asked. A server that is cut off
    /// from the leader does not answer.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn sync(&self, path: &str) -> Answer<()> {
        let mut out = Encoder::request(0, OP_SYNC);
        out.bytes(self.whole(path).as_bytes());
        self.answer(out, |_| Ok(())).await
    }

    /// The ensemble's own list of its servers. [`ensemble_changed`](Self::ensemble_changed) returns when it has changed.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn ensemble(&self) -> Answer<(Bytes, Stat)> {
        let mut out = Encoder::request(0, OP_DATA);
        out.bytes(Self::ensemble_path().as_bytes());
        out.bool(true);
        self.answer(out, datum).await
    }

    async fn get<T>(
        &self,
        op: i32,
        path: &str,
        watch: bool,
        decode: impl FnOnce(&mut Decoder<'_>) -> Result<T, Malformed>,
    ) -> Answer<T> {
        let mut out = Encoder::request(0, op);
        out.bytes(self.whole(path).as_bytes());
        out.bool(watch);
        self.answer(out, decode).await
    }

    async fn answer<T>(
        &self,
        out: Encoder,
        decode: impl FnOnce(&mut Decoder<'_>) -> Result<T, Malformed>,
    ) -> Answer<T> {
        let raw = self.ask(out).await?;
        let value = match raw.body {
            Err(refusal) => Err(refusal),
            Ok(body) => Ok(decode(&mut Decoder(&body)).map_err(|malformed| self.garbled(malformed))?),
        };
        Ok(Reply { zxid: raw.zxid, value })
    }
}

/// What stands before each part of a multi-read, and at its end (`MultiHeader`).
fn header(out: &mut Encoder, op: i32, is_last: bool) {
    out.int(op);
    out.bool(is_last);
    out.int(-1);
}

/// One part of a multi-read's answer.
pub fn result(read: &mut Decoder<'_>) -> Result<NodeResult, Malformed> {
    let (op, is_last, _code) = (read.int()?, read.bool()?, read.int()?);
    match (op, is_last) {
        (OP_DATA, false) => Ok(Ok(datum(read)?)),
        (-1, false) => ServerError::from_code(read.int()?).map(Err).ok_or(Malformed),
        _ => Err(Malformed),
    }
}

fn datum(read: &mut Decoder<'_>) -> Result<(Bytes, Stat), Malformed> {
    let data = Arc::from(read.bytes()?);
    Ok((data, read.stat()?))
}
