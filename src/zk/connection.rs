//! A connection: the handle that sends requests, and the task that owns the socket.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::model::node_path::NodePath;
use crate::model::version::Zxid;

use super::frame::Frames;
use super::jute::{Encoder, Malformed};
use super::protocol::{self, OP_CLOSE, OP_PING, XID_PING};
use super::transport::{Stream, Transport};
use super::{ConnectionLost, EventHandler, ServerError, SessionId};

use incoming::{Incoming, Pending};

mod incoming;

/// How long closing the session may take before it is left to expire.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest interval between pings, however long the session timeout: firewalls forget idle connections.
const MAX_PING_INTERVAL: Duration = Duration::from_secs(10);

/// How many bytes may wait to be sent before no more requests are accepted.
const MAX_UNSENT: usize = 1024 * 1024;

/// A connection to one server. Clones share it. Dropping the last one closes the socket; the session lives on until its
/// timeout.
#[derive(Clone)]
pub struct Connection {
    requests: mpsc::UnboundedSender<Request>,
    shared: Arc<Shared>,
    lost: watch::Receiver<Option<ConnectionLost>>,
    chroot: Option<NodePath>,
    /// Counts the requests that were sent, without pings.
    sent: Arc<AtomicU64>,
}

/// State that the task shares with its handles.
struct Shared {
    server: String,
    session: Mutex<SessionId>,
    /// The ensemble's list of servers changed.
    ensemble: Notify,
}

impl Shared {
    fn session<T>(&self, with: impl FnOnce(&mut SessionId) -> T) -> T {
        with(&mut self.session.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A request to send.
struct Request {
    /// The frame, without a number yet.
    frame: Vec<u8>,
    reply: oneshot::Sender<RawReply>,
}

/// A reply whose body is not decoded.
pub struct RawReply {
    pub zxid: Zxid,
    pub body: Result<Vec<u8>, ServerError>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("server", &self.shared.server).finish_non_exhaustive()
    }
}

impl Connection {
    /// Starts the task that owns the socket.
    pub fn start(
        transport: Transport,
        session: SessionId,
        chroot: Option<NodePath>,
        server: String,
        on_event: EventHandler,
    ) -> Self {
        let (requests, queue) = mpsc::unbounded_channel();
        let (set_lost, lost) = watch::channel(None);
        let timeout = session.timeout;
        let shared = Arc::new(Shared { server, session: Mutex::new(session), ensemble: Notify::new() });
        let (reader, writer) = tokio::io::split(transport.stream);
        let mut task = Task {
            incoming: Incoming {
                chroot: chroot.clone(),
                on_event,
                shared: Arc::clone(&shared),
                pending: VecDeque::new(),
            },
            frames: transport.frames,
            outgoing: Outgoing { writer, bytes: Vec::new(), is_unflushed: false, last_sent: Instant::now() },
            timeout,
            last_xid: 0,
        };
        tokio::spawn(async move {
            let reason = match task.run(reader, queue).await {
                Ok(()) => "closed by this client".to_owned(),
                Err(reason) => reason,
            };
            // Before the pending requests are dropped, so that a caller whose request fails finds the reason.
            let _ = set_lost.send(Some(ConnectionLost(format!("{}: {reason}", task.incoming.shared.server).into())));
            drop(task);
        });
        Self { requests, shared, lost, chroot, sent: Arc::default() }
    }

    /// Counts its requests with this counter, which may outlive the connection. Pings are not counted.
    #[must_use]
    pub fn counting(self, sent: Arc<AtomicU64>) -> Self {
        Self { sent, ..self }
    }

    /// The session, as it can be resumed from here.
    pub fn session(&self) -> SessionId {
        self.shared.session(|session| session.clone())
    }

    /// The name and address of the server.
    pub fn server(&self) -> &str {
        &self.shared.server
    }

    /// The node that stands for `/`, unless that is the root of the ensemble.
    pub fn chroot(&self) -> Option<&NodePath> {
        self.chroot.as_ref()
    }

    /// Whether `/` is the root of the ensemble.
    pub fn is_at_root(&self) -> bool {
        self.chroot.is_none()
    }

    /// Returns when the connection is lost.
    pub async fn lost(&self) -> ConnectionLost {
        let mut lost = self.lost.clone();
        let reason = lost.wait_for(Option::is_some).await.ok().and_then(|lost| lost.clone());
        reason.unwrap_or_else(|| ConnectionLost(format!("{}: the connection task failed", self.shared.server).into()))
    }

    /// Returns when the ensemble's list of servers has changed since [`ensemble`](Self::ensemble) read it.
    pub async fn ensemble_changed(&self) {
        self.shared.ensemble.notified().await;
    }

    /// Closes the session, so that servers need not keep it until it expires.
    pub async fn close(self) {
        let closing = self.send(Encoder::request(0, OP_CLOSE));
        if timeout(CLOSE_TIMEOUT, closing).await.is_err() {
            tracing::debug!(server = self.shared.server, "session left to expire");
        }
    }

    /// Sends a request and waits for the reply.
    pub async fn send(&self, request: Encoder) -> Result<RawReply, ConnectionLost> {
        let (reply, receiver) = oneshot::channel();
        self.sent.fetch_add(1, Ordering::Relaxed);
        if self.requests.send(Request { frame: request.frame(), reply }).is_ok()
            && let Ok(raw) = receiver.await
        {
            return Ok(raw);
        }
        Err(self.lost().await)
    }

    /// The error for a reply that cannot be decoded.
    pub fn malformed(&self, _: Malformed) -> ConnectionLost {
        ConnectionLost(format!("{}: malformed reply", self.shared.server).into())
    }

    /// A path as the server knows it: with the chroot.
    pub fn server_path(&self, path: &str) -> String {
        match &self.chroot {
            None => path.to_owned(),
            Some(chroot) if path == "/" => chroot.as_str().to_owned(),
            Some(chroot) => format!("{chroot}{path}"),
        }
    }
}

struct Task {
    incoming: Incoming,
    frames: Frames,
    outgoing: Outgoing,
    /// The session timeout, which is also the time limit of each request.
    timeout: Duration,
    last_xid: i32,
}

impl Task {
    /// Runs until the last handle is dropped.
    ///
    /// # Errors
    /// Why the connection is lost.
    async fn run(
        &mut self,
        mut reader: ReadHalf<Box<dyn Stream>>,
        mut requests: mpsc::UnboundedReceiver<Request>,
    ) -> Result<(), String> {
        let max_silence = self.max_silence();
        // A follower tells the leader of a ping a little later. One that freezes may keep the last ping to itself, and then
        // the session ends an interval earlier. That must be after `max_silence`.
        let ping_interval = (self.timeout / 4).min(MAX_PING_INTERVAL);
        let mut last_heard = Instant::now();
        self.incoming.receive(&mut self.frames)?;
        loop {
            let silent_at = last_heard + max_silence;
            let late_at = self.incoming.pending.front().map(|pending| pending.sent + self.timeout);
            let wake = silent_at.min(self.outgoing.last_sent + ping_interval).min(late_at.unwrap_or(silent_at));
            let buffer = self.frames.buffer();
            tokio::select! {
                read = reader.read_buf(buffer) => {
                    match read {
                        Ok(0) => return Err("connection closed by the server".into()),
                        Ok(_) => {}
                        Err(error) => return Err(error.to_string()),
                    }
                    last_heard = Instant::now();
                    self.incoming.shared.session(|session| session.last_heard = last_heard);
                    self.incoming.receive(&mut self.frames)?;
                }
                wrote = self.outgoing.write_some(), if self.outgoing.has_unsent() => {
                    wrote.map_err(|error| error.to_string())?;
                }
                request = requests.recv(), if self.outgoing.bytes.len() < MAX_UNSENT => match request {
                    None => return Ok(()),
                    Some(request) => self.enqueue(request),
                },
                () = sleep_until(wake) => self.tick(silent_at, ping_interval)?,
            }
            while self.outgoing.bytes.len() < MAX_UNSENT
                && let Ok(request) = requests.try_recv()
            {
                self.enqueue(request);
            }
        }
    }

    fn enqueue(&mut self, request: Request) {
        let Request { mut frame, reply } = request;
        self.last_xid = self.last_xid.checked_add(1).unwrap_or(1);
        frame[4..8].copy_from_slice(&self.last_xid.to_be_bytes());
        self.outgoing.bytes.extend_from_slice(&frame);
        let op = frame[8..12].try_into().map_or(0, i32::from_be_bytes);
        self.incoming.pending.push_back(Pending { xid: self.last_xid, op, sent: Instant::now(), reply });
    }

    /// How long the server may be silent: two thirds of the session timeout, as in the Java client. The last third is
    /// for finding another server. Whole milliseconds, because it is shown.
    fn max_silence(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX) / 3 * 2)
    }

    /// Sends a ping if one is due.
    ///
    /// # Errors
    /// The server is silent, or a request has no reply in time.
    fn tick(&mut self, silent_at: Instant, ping_interval: Duration) -> Result<(), String> {
        let now = Instant::now();
        if now >= silent_at {
            return Err(format!("no reply for {:?}, not even to pings", self.max_silence()));
        }
        if let Some(late) = self.incoming.pending.front().filter(|pending| now >= pending.sent + self.timeout) {
            let name = protocol::name(late.op);
            return Err(format!("no reply to {name} for {:?}, although the connection is alive", self.timeout));
        }
        if now >= self.outgoing.last_sent + ping_interval {
            self.outgoing.bytes.extend_from_slice(&Encoder::request(XID_PING, OP_PING).frame());
            self.outgoing.last_sent = now;
        }
        Ok(())
    }
}

/// The bytes on their way to the server.
struct Outgoing {
    writer: WriteHalf<Box<dyn Stream>>,
    bytes: Vec<u8>,
    is_unflushed: bool,
    last_sent: Instant,
}

impl Outgoing {
    fn has_unsent(&self) -> bool {
        self.is_unflushed || !self.bytes.is_empty()
    }

    /// Writes some of the bytes, or flushes. Safe to cancel.
    async fn write_some(&mut self) -> io::Result<()> {
        if self.bytes.is_empty() {
            self.writer.flush().await?;
            self.is_unflushed = false;
            return Ok(());
        }
        let count = self.writer.write(&self.bytes).await?;
        self.bytes.drain(..count);
        self.is_unflushed = true;
        self.last_sent = Instant::now();
        Ok(())
    }
}
