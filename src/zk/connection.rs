//! One connection: the task that has the socket, and the handle that asks it.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::model::node_path::NodePath;
use crate::model::version::Zxid;

use super::connect::{FramedStream, OP_PING, Stream, XID_AUTH, XID_EVENT, XID_PING};
use super::frame::{Frame, Frames};
use super::jute::{Decoder, Encoder, Malformed};
use super::{ConnectionLost, EventHandler, NodeEvent, ServerError, SessionId};

/// How long a session may take to close before it is left to expire.
const CLOSE: Duration = Duration::from_secs(1);

/// The longest that nothing is sent, however long the session lives: what stands between may forget the connection.
const LONGEST_SILENCE: Duration = Duration::from_secs(10);

/// How many bytes of requests may wait to be sent before more are taken up.
const SENDING: usize = 1024 * 1024;

/// The node in which an ensemble keeps its own servers.
const ENSEMBLE: &str = "/zookeeper/config";

/// A connection to one server. Its clones are the same one; when the last is dropped the socket is closed, and the
/// session lives on for as long as it was granted.
#[derive(Clone)]
pub struct Connection {
    requests: mpsc::UnboundedSender<Request>,
    shared: Arc<Shared>,
    lost: watch::Receiver<Option<ConnectionLost>>,
    chroot: Option<NodePath>,
}

/// What the task and its handles both look at.
struct Shared {
    server: String,
    session: Mutex<SessionId>,
    /// The ensemble's own list of servers changed.
    ensemble: Notify,
}

impl Shared {
    fn session<T>(&self, with: impl FnOnce(&mut SessionId) -> T) -> T {
        with(&mut self.session.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A request to be sent.
struct Request {
    /// A whole frame, but for its number.
    frame: Vec<u8>,
    answer: oneshot::Sender<RawReply>,
}

/// An answer that is still encoded.
pub struct RawReply {
    pub zxid: Zxid,
    pub body: Result<Vec<u8>, ServerError>,
}

impl Connection {
    /// Starts the task that has the socket.
    pub fn start(
        line: FramedStream,
        session: SessionId,
        chroot: Option<NodePath>,
        server: String,
        on_event: EventHandler,
    ) -> Self {
        let (requests, inbox) = mpsc::unbounded_channel();
        let (tell, lost) = watch::channel(None);
        let limit = session.timeout;
        let shared = Arc::new(Shared { server, session: Mutex::new(session), ensemble: Notify::new() });
        let (reader, writer) = tokio::io::split(line.stream);
        let mut task = Task {
            inbox: Inbox { chroot: chroot.clone(), on_event, shared: Arc::clone(&shared), pending: VecDeque::new() },
            frames: line.frames,
            outgoing: Outgoing { writer, bytes: Vec::new(), unflushed: false, sent: Instant::now() },
            limit,
            next_xid: 0,
        };
        tokio::spawn(async move {
            let why = match task.run(reader, inbox).await {
                Ok(()) => "it was closed here".to_owned(),
                Err(why) => why,
            };
            // Before the requests under way fall: whoever sees one fall finds the reason.
            let _ = tell.send(Some(ConnectionLost(format!("{}: {why}", task.inbox.shared.server).into())));
            drop(task);
        });
        Self { requests, shared, lost, chroot }
    }

    /// The session, as it can be carried on from here.
    pub fn session(&self) -> SessionId {
        self.shared.session(|session| session.clone())
    }

    /// The server, in words.
    pub fn server(&self) -> &str {
        &self.shared.server
    }

    /// The node that stands for `/`, where that is not the ensemble's own.
    pub fn chroot(&self) -> Option<&NodePath> {
        self.chroot.as_ref()
    }

    /// Whether its `/` is the ensemble's own, and not a chroot.
    pub fn is_at_root(&self) -> bool {
        self.chroot.is_none()
    }

    /// Returns when the connection is over.
    pub async fn lost(&self) -> ConnectionLost {
        let mut lost = self.lost.clone();
        let why = lost.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
        why.unwrap_or_else(|| ConnectionLost(format!("{}: its task broke off", self.shared.server).into()))
    }

    /// Returns when the ensemble's own list of servers has changed, once it has been asked for.
    pub async fn ensemble_changed(&self) {
        self.shared.ensemble.notified().await;
    }

    /// Closes the session, so that the servers need not keep it until it expires.
    pub async fn close(self) {
        let closing = self.ask(Encoder::request(0, -11));
        if timeout(CLOSE, closing).await.is_err() {
            tracing::debug!(server = self.shared.server, "session left to expire");
        }
    }

    /// Sends a frame, and waits for its answer.
    pub async fn ask(&self, out: Encoder) -> Result<RawReply, ConnectionLost> {
        let (answer, answered) = oneshot::channel();
        if self.requests.send(Request { frame: out.frame(), answer }).is_ok()
            && let Ok(raw) = answered.await
        {
            return Ok(raw);
        }
        Err(self.lost().await)
    }

    /// What an answer that cannot be read makes of the connection.
    pub fn garbled(&self, _: Malformed) -> ConnectionLost {
        ConnectionLost(format!("{}: its answer makes no sense", self.shared.server).into())
    }

    /// The path as the server knows it.
    pub fn whole(&self, path: &str) -> String {
        match &self.chroot {
            None => path.to_owned(),
            Some(chroot) if path == "/" => chroot.as_str().to_owned(),
            Some(chroot) => format!("{chroot}{path}"),
        }
    }

    /// The node in which the ensemble keeps its own servers; no chroot hides it.
    pub fn ensemble_path() -> &'static str {
        ENSEMBLE
    }
}

struct Task {
    inbox: Inbox,
    frames: Frames,
    outgoing: Outgoing,
    /// How long a request may go unanswered: the session's own time.
    limit: Duration,
    next_xid: i32,
}

impl Task {
    /// Serves until nobody holds the connection any more.
    ///
    /// # Errors
    /// Why it is over.
    async fn run(
        &mut self,
        mut reader: ReadHalf<Box<dyn Stream>>,
        mut requests: mpsc::UnboundedReceiver<Request>,
    ) -> Result<(), String> {
        // As the Java client: unheard for two thirds of the session, the last third is for finding another server.
        let silence = self.silence();
        let ping = (self.limit / 3).min(LONGEST_SILENCE);
        let mut heard = Instant::now();
        self.inbox.take(&mut self.frames)?;
        loop {
            let waited = self.inbox.pending.front().map(|pending| pending.asked + self.limit);
            let wake = (heard + silence).min(self.outgoing.sent + ping).min(waited.unwrap_or(heard + silence));
            let room = self.frames.room();
            tokio::select! {
                read = reader.read_buf(room) => {
                    match read {
                        Ok(0) => return Err("it closed the connection".into()),
                        Ok(_) => {}
                        Err(error) => return Err(error.to_string()),
                    }
                    heard = Instant::now();
                    self.inbox.shared.session(|session| session.heard = heard);
                    self.inbox.take(&mut self.frames)?;
                }
                wrote = self.outgoing.push(), if self.outgoing.is_full() => wrote.map_err(|error| error.to_string())?,
                request = requests.recv(), if self.outgoing.bytes.len() < SENDING => match request {
                    None => return Ok(()),
                    Some(request) => self.send(request),
                },
                () = sleep_until(wake) => self.tick(heard + silence, ping)?,
            }
            while self.outgoing.bytes.len() < SENDING
                && let Ok(request) = requests.try_recv()
            {
                self.send(request);
            }
        }
    }

    fn send(&mut self, request: Request) {
        let Request { mut frame, answer } = request;
        self.next_xid = self.next_xid.checked_add(1).unwrap_or(1);
        frame[4..8].copy_from_slice(&self.next_xid.to_be_bytes());
        self.outgoing.bytes.extend_from_slice(&frame);
        self.inbox.pending.push_back(Pending { xid: self.next_xid, asked: Instant::now(), answer });
    }

    /// How long nothing may be heard, in whole milliseconds for those who read it.
    fn silence(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.limit.as_millis()).unwrap_or(u64::MAX) / 3 * 2)
    }

    /// A time has come: for a ping, or for giving up.
    fn tick(&mut self, silent: Instant, ping: Duration) -> Result<(), String> {
        let now = Instant::now();
        let late = self.inbox.pending.front().is_some_and(|pending| now >= pending.asked + self.limit);
        if late || now >= silent {
            let waited = if late { self.limit } else { self.silence() };
            return Err(format!("it does not answer: nothing for {waited:?}"));
        }
        if now >= self.outgoing.sent + ping {
            self.outgoing.bytes.extend_from_slice(&Encoder::request(XID_PING, OP_PING).frame());
            self.outgoing.sent = now;
        }
        Ok(())
    }
}

/// What is on its way to the server.
struct Outgoing {
    writer: WriteHalf<Box<dyn Stream>>,
    bytes: Vec<u8>,
    unflushed: bool,
    /// When something was last sent.
    sent: Instant,
}

impl Outgoing {
    fn is_full(&self) -> bool {
        self.unflushed || !self.bytes.is_empty()
    }

    /// Sends some of it. May be given up and begun again at any time.
    async fn push(&mut self) -> io::Result<()> {
        if self.bytes.is_empty() {
            self.writer.flush().await?;
            self.unflushed = false;
            return Ok(());
        }
        let count = self.writer.write(&self.bytes).await?;
        self.bytes.drain(..count);
        self.unflushed = true;
        self.sent = Instant::now();
        Ok(())
    }
}

/// A request that waits for its answer.
struct Pending {
    xid: i32,
    asked: Instant,
    answer: oneshot::Sender<RawReply>,
}

/// What is done with what comes in.
struct Inbox {
    chroot: Option<NodePath>,
    on_event: EventHandler,
    shared: Arc<Shared>,
    /// Decoder the order asked, which is the order in which a server answers.
    pending: VecDeque<Pending>,
}

impl Inbox {
    fn take(&mut self, frames: &mut Frames) -> Result<(), String> {
        let foreign = |_: Malformed| "it does not answer as a ZooKeeper does".to_owned();
        loop {
            match frames.next() {
                Err(length) => return Err(format!("it began an answer of {length} bytes: it is no ZooKeeper")),
                Ok(None) => return Ok(()),
                Ok(Some(Frame::Content(bytes))) => self.reply(Decoder(bytes), None).map_err(foreign)?,
                Ok(Some(Frame::Head { head, length })) => self.reply(Decoder(head), Some(length)).map_err(foreign)?,
            }?;
        }
    }

    /// Takes one reply, of which only the head is there where it is too large. The inner result is the connection's end.
    fn reply(&mut self, mut read: Decoder<'_>, too_large: Option<usize>) -> Result<Result<(), String>, Malformed> {
        let (xid, zxid, code) = (read.int()?, Zxid(read.long()?), read.int()?);
        match (xid, code) {
            (XID_EVENT, _) => self.event(read)?,
            (XID_PING | XID_AUTH, 0) => {}
            (XID_PING | XID_AUTH, code) => {
                return Ok(Err(ServerError::from_code(code).map_or_else(String::new, |refusal| refusal.to_string())));
            }
            (_, -112) => return Ok(Err("the session expired".into())),
            (_, -118) => return Ok(Err("the session moved to another server".into())),
            (xid, code) => {
                // Decoder order, but for a request that the server does not know: that is refused before those under way.
                let at = self.pending.iter().position(|pending| pending.xid == xid);
                let at = at.filter(|at| *at == 0 || ServerError::from_code(code) == Some(ServerError::Unimplemented));
                let Some(pending) = at.and_then(|at| self.pending.remove(at)) else {
                    return Ok(Err("it answers what it was not asked".into()));
                };
                self.shared.session(|session| session.zxid = session.zxid.max(zxid));
                let body = match (too_large, ServerError::from_code(code)) {
                    (Some(bytes), _) => Err(ServerError::TooLarge { bytes }),
                    (None, Some(refusal)) => Err(refusal),
                    (None, None) => Ok(read.0.to_vec()),
                };
                // Whoever asked may not wait any more.
                let _ = pending.answer.send(RawReply { zxid, body });
            }
        }
        Ok(Ok(()))
    }

    fn event(&mut self, mut read: Decoder<'_>) -> Result<(), Malformed> {
        let (kind, _state) = (read.int()?, read.int()?);
        let path = read.text()?;
        let event = match kind {
            1 => NodeEvent::Created,
            2 => NodeEvent::Deleted,
            3 => NodeEvent::DataChanged,
            4 => NodeEvent::ChildrenChanged,
            // The session's states, and watches that were taken away.
            _ => return Ok(()),
        };
        if path == ENSEMBLE {
            self.shared.ensemble.notify_one();
        }
        if let Some(within) = within(self.chroot.as_ref(), path) {
            (self.on_event)(event, within);
        }
        Ok(())
    }
}

/// The path as it is within the chroot.
fn within<'a>(chroot: Option<&NodePath>, path: &'a str) -> Option<&'a str> {
    let Some(chroot) = chroot else {
        return Some(path);
    };
    match path.strip_prefix(chroot.as_str())? {
        "" => Some("/"),
        rest => rest.starts_with('/').then_some(rest),
    }
}
