//! Handles what a server sends: replies in the order of their requests, and events.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::model::node_path::NodePath;
use crate::model::version::Zxid;
use crate::zk::frame::{Frame, Frames};
use crate::zk::jute::{Decoder, Malformed};
use crate::zk::protocol::{
    ENSEMBLE_CONFIG, EVENT_CHILDREN_CHANGED, EVENT_CREATED, EVENT_DATA_CHANGED, EVENT_DELETED, OP_SYNC,
    SESSION_EXPIRED, SESSION_MOVED, XID_AUTH, XID_EVENT, XID_PING,
};
use crate::zk::{EventHandler, NodeEvent, ServerError};

use super::{RawReply, Shared};

/// A request without a reply yet.
pub struct Pending {
    pub xid: i32,
    /// The kind of the request.
    pub op: i32,
    pub sent: Instant,
    pub reply: oneshot::Sender<RawReply>,
}

/// Handles what the server sends.
pub struct Incoming {
    pub chroot: Option<NodePath>,
    pub on_event: EventHandler,
    pub shared: Arc<Shared>,
    /// In the order sent, which is the order of the replies.
    pub pending: VecDeque<Pending>,
}

impl Incoming {
    /// Handles every complete frame.
    ///
    /// # Errors
    /// Why the connection is lost.
    pub fn receive(&mut self, frames: &mut Frames) -> Result<(), String> {
        let malformed = |_: Malformed| "not a ZooKeeper server: malformed reply".to_owned();
        loop {
            match frames.next() {
                Err(length) => return Err(format!("not a ZooKeeper server: it announced a reply of {length} bytes")),
                Ok(None) => return Ok(()),
                Ok(Some(Frame::Complete(bytes))) => self.reply(Decoder(bytes), None).map_err(malformed)?,
                Ok(Some(Frame::Oversized { header, length })) => {
                    self.reply(Decoder(header), Some(length)).map_err(malformed)?
                }
            }?;
        }
    }

    /// Handles one reply or event. `oversized` is the length of a reply of which only the header was kept. The inner
    /// error ends the connection.
    fn reply(&mut self, mut reply: Decoder<'_>, oversized: Option<usize>) -> Result<Result<(), String>, Malformed> {
        let (xid, zxid, code) = (reply.int()?, Zxid(reply.long()?), reply.int()?);
        match (xid, code) {
            (XID_EVENT, _) => self.event(reply)?,
            (XID_PING | XID_AUTH, 0) => {}
            (XID_PING | XID_AUTH, code) => {
                return Ok(Err(ServerError::from_code(code).map_or_else(String::new, |error| error.to_string())));
            }
            (_, SESSION_EXPIRED) => return Ok(Err("the session expired".into())),
            (_, SESSION_MOVED) => return Ok(Err("the session moved to another server".into())),
            (xid, code) => {
                let error = ServerError::from_code(code);
                // In order, except that a server refuses a request it does not know before the pending ones.
                let at = self.pending.iter().position(|pending| pending.xid == xid);
                let at = at.filter(|at| *at == 0 || error == Some(ServerError::Unimplemented));
                let Some(pending) = at.and_then(|at| self.pending.remove(at)) else {
                    return Ok(Err("reply to a request that was not sent".into()));
                };
                self.shared.session(|session| {
                    session.zxid = session.zxid.max(zxid);
                    // A follower that is cut off from the leader answers everything else itself.
                    if pending.op == OP_SYNC && error.is_none() {
                        session.confirmed = session.confirmed.max(pending.sent);
                    }
                });
                let body = match (oversized, error) {
                    (Some(bytes), _) => Err(ServerError::TooLarge { bytes }),
                    (None, Some(error)) => Err(error),
                    (None, None) => Ok(reply.0.to_vec()),
                };
                // The caller may have stopped waiting.
                let _ = pending.reply.send(RawReply { zxid, body });
            }
        }
        Ok(Ok(()))
    }

    fn event(&mut self, mut event: Decoder<'_>) -> Result<(), Malformed> {
        let (kind, _state) = (event.int()?, event.int()?);
        let path = event.text()?;
        let event = match kind {
            EVENT_CREATED => NodeEvent::Created,
            EVENT_DELETED => NodeEvent::Deleted,
            EVENT_DATA_CHANGED => NodeEvent::DataChanged,
            EVENT_CHILDREN_CHANGED => NodeEvent::ChildrenChanged,
            // States of the session, and removed watches.
            _ => return Ok(()),
        };
        if path == ENSEMBLE_CONFIG {
            self.shared.ensemble.notify_one();
        }
        if let Some(path) = path_in_chroot(self.chroot.as_ref(), path) {
            (self.on_event)(event, path);
        }
        Ok(())
    }
}

/// A path without the chroot; `None` if it is outside.
fn path_in_chroot<'a>(chroot: Option<&NodePath>, path: &'a str) -> Option<&'a str> {
    let Some(chroot) = chroot else {
        return Some(path);
    };
    match path.strip_prefix(chroot.as_str())? {
        "" => Some("/"),
        rest => rest.starts_with('/').then_some(rest),
    }
}
