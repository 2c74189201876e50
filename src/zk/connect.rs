//! How a connection begins: the socket, TLS, the session, the credentials.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::connection::Connection;
use super::frame::{Frame, Frames};
use super::jute::{Decoder, Encoder, Malformed};
use super::{ConnectError, ConnectRequest, EventHandler, Sasl, Server, ServerError, SessionId, tls};

/// Numbers of requests that are none of the caller's.
pub const XID_EVENT: i32 = -1;
pub const XID_PING: i32 = -2;
pub const XID_AUTH: i32 = -4;

pub const OP_PING: i32 = 11;
const OP_AUTH: i32 = 100;
const OP_SASL: i32 = 102;

/// How long an address may take to accept a connection, which its system does and not the server, however busy that is.
/// One that swallows everything holds up the others for no longer.
const ACCEPT: Duration = Duration::from_secs(1);

/// A socket, or TLS over one.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Connects to a server and begins a session on it, or carries one on.
///
/// # Errors
/// Why there is none. A session that could not be carried on is only over when that is said.
pub async fn connect(
    server: &Server,
    request: &ConnectRequest<'_>,
    on_event: EventHandler,
) -> Result<Connection, ConnectError> {
    let dialling = Connecting { server, request, deadline: Instant::now() + request.limit };
    let stream = dialling.open().await?;
    let mut line = FramedStream { stream, frames: Frames::default() };
    let session = dialling.greet(&mut line).await?;
    let chroot = request.chroot.filter(|path| !path.is_root()).cloned();
    Ok(Connection::start(line, session, chroot, server.to_string(), on_event))
}

/// A stream, and what has come in of it.
pub struct FramedStream {
    pub stream: Box<dyn Stream>,
    pub frames: Frames,
}

impl FramedStream {
    /// Reads the next frame.
    async fn frame(&mut self) -> Result<Vec<u8>, Broken> {
        loop {
            match self.frames.next() {
                Err(_) | Ok(Some(Frame::Head { .. })) => return Err(Broken::Foreign),
                Ok(Some(Frame::Content(bytes))) => return Ok(bytes.to_vec()),
                Ok(None) => {}
            }
            if self.stream.read_buf(self.frames.room()).await? == 0 {
                return Err(Broken::Closed);
            }
        }
    }

    /// Reads the reply to the request of this number; events may come before it, and are not for this connection yet.
    async fn reply(&mut self, xid: i32) -> Result<Result<Vec<u8>, ServerError>, Broken> {
        loop {
            let frame = self.frame().await?;
            let mut read = Decoder(&frame);
            let (of, _zxid, code) = (read.int()?, read.long()?, read.int()?);
            if of == xid {
                return Ok(ServerError::from_code(code).map_or_else(|| Ok(read.0.to_vec()), Err));
            }
        }
    }
}

/// How a beginning fails.
enum Broken {
    Closed,
    Foreign,
    Io(io::Error),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Malformed> for Broken {
    fn from(_: Malformed) -> Self {
        Self::Foreign
    }
}

struct Connecting<'a> {
    server: &'a Server,
    request: &'a ConnectRequest<'a>,
    deadline: Instant,
}

impl Connecting<'_> {
    fn not_reached(&self, why: &str) -> ConnectError {
        ConnectError::NotReached(format!("{}: {why}", self.server))
    }

    async fn within<T>(
        &self,
        limit: Duration,
        late: &str,
        step: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        let limit = limit.min(self.request.limit);
        match timeout_at(self.deadline.min(Instant::now() + limit), step).await {
            Ok(done) => done,
            Err(_) => Err(self.not_reached(&format!("{late} within {limit:?}"))),
        }
    }

    async fn open(&self) -> Result<Box<dyn Stream>, ConnectError> {
        let connecting = async {
            let stream = TcpStream::connect(self.server.address).await;
            let stream = stream.map_err(|error| self.not_reached(&error.to_string()))?;
            // A port that nobody listens on can be the one that the system picks for this side: a loopback connection
            // is then one with itself.
            if stream.local_addr().is_ok_and(|local| local == self.server.address) {
                return Err(self.not_reached("nobody listens"));
            }
            stream.set_nodelay(true).map_err(|error| self.not_reached(&error.to_string()))?;
            Ok(stream)
        };
        let stream = self.within(ACCEPT, "no connection", connecting).await?;
        let Some(config) = self.request.tls else {
            return Ok(Box::new(stream));
        };
        let shaking = async {
            let name = ServerName::try_from(self.server.host.clone())
                .map_err(|_| self.not_reached("TLS: this is no name that a certificate can be for"))?;
            let connector = tokio_rustls::TlsConnector::from(Arc::clone(config));
            let shaken = connector.connect(name, stream).await;
            shaken.map_err(|error| self.not_reached(&format!("TLS: {}", tls::words(&error))))
        };
        Ok(Box::new(self.within(self.request.limit, "no TLS handshake", shaking).await?))
    }

    async fn greet(&self, line: &mut FramedStream) -> Result<SessionId, ConnectError> {
        let greeting = async { self.greeting(line).await.map_err(|stop| self.stopped(stop)) };
        self.within(self.request.limit, "it accepts connections, but gave no session", greeting).await
    }

    async fn greeting(&self, line: &mut FramedStream) -> Result<SessionId, Stop> {
        let heard = Instant::now();
        let Some(session) = self.session(line).await? else {
            return Err(Stop::ConnectError(match self.request.session {
                Some(_) => ConnectError::Expired,
                None => self.not_reached("it gave no session"),
            }));
        };
        if let Some(sasl) = self.request.sasl {
            self.prove(line, sasl).await?;
        }
        self.authenticate(line).await?;
        Ok(SessionId { heard, ..session })
    }

    fn stopped(&self, stop: Stop) -> ConnectError {
        let broken = match stop {
            Stop::ConnectError(failure) => return failure,
            Stop::Broken(broken) => broken,
        };
        match broken {
            // A server may refuse a client's certificate only after the handshake.
            Broken::Io(error) if self.request.tls.is_some() => self.not_reached(&format!("TLS: {}", tls::words(&error))),
            Broken::Io(error) => self.not_reached(&format!("it accepts connections, but gave no session: {error}")),
            Broken::Foreign if self.request.tls.is_none() => {
                self.not_reached("it does not answer as a ZooKeeper does; if it wants TLS, write zks://")
            }
            Broken::Foreign => self.not_reached("it does not answer as a ZooKeeper does"),
            Broken::Closed => self.not_reached(match self.request.session {
                None if self.request.tls.is_none() => {
                    "it closed the connection before it gave a session: it has no quorum, is starting, is read-only, has \
                     too many connections from here, or wants TLS (then write zks://)"
                }
                None => {
                    "it closed the connection before it gave a session: it has no quorum, is starting, is read-only, or has \
                     too many connections from here"
                }
                Some(_) => {
                    "it closed the connection before it took the session on: it has no quorum, is starting, or is behind \
                     what this agent has seen"
                }
            }),
        }
    }

    /// Begins a session or carries one on; `None` when it is over.
    async fn session(&self, line: &mut FramedStream) -> Result<Option<SessionId>, Stop> {
        let mut out = Encoder::new();
        let timeout = self.request.session_timeout;
        out.int(0);
        out.long(self.request.session.map_or(0, |session| session.zxid.0));
        out.int(i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX));
        out.long(self.request.session.map_or(0, |session| session.id));
        out.bytes(self.request.session.map_or(&[0; 16], |session| session.password.as_slice()));
        // A server without a quorum may answer those who take read-only sessions, from what it has: not this agent.
        out.bool(false);
        line.stream.write_all(&out.frame()).await?;
        line.stream.flush().await?;
        let frame = line.frame().await?;
        let mut read = Decoder(&frame);
        let (_version, timeout, id) = (read.int()?, read.int()?, read.long()?);
        let password = read.bytes()?.to_vec();
        // Servers before 3.4 do not say whether they are read-only: there was no such thing.
        if read.bool() == Ok(true) {
            return Err(Stop::ConnectError(self.not_reached("it is read-only: it has no quorum")));
        }
        let timeout = u64::try_from(timeout).unwrap_or(0);
        if id == 0 || timeout == 0 {
            return Ok(None);
        }
        let zxid = self.request.session.map(|session| session.zxid).unwrap_or_default();
        let timeout = Duration::from_millis(timeout);
        Ok(Some(SessionId { id, password, timeout, zxid, heard: Instant::now() }))
    }

    /// SASL: the server's challenges, answered until the mechanism is content.
    async fn prove(&self, line: &mut FramedStream, sasl: Sasl<'_>) -> Result<(), Stop> {
        let refused = |why: &str| Stop::ConnectError(ConnectError::Refused(format!("{}: {why}", self.server)));
        let mut token = Vec::new();
        for xid in 1.. {
            let mut out = Encoder::request(xid, OP_SASL);
            out.bytes(&token);
            line.stream.write_all(&out.frame()).await?;
            line.stream.flush().await?;
            let body = match line.reply(xid).await {
                Ok(Ok(body)) => body,
                Ok(Err(refusal)) => return Err(refused(&format!("it refused the SASL credentials: {refusal}"))),
                Err(Broken::Closed) => return Err(refused("it refused the SASL credentials")),
                Err(broken) => return Err(broken.into()),
            };
            match sasl(Decoder(&body).bytes()?).map_err(|why| refused(&format!("SASL: {why}")))? {
                Some(answer) => token = answer,
                None => break,
            }
        }
        Ok(())
    }

    /// Sends the credentials, and then a ping: a server that asks for others refuses that.
    async fn authenticate(&self, line: &mut FramedStream) -> Result<(), Stop> {
        let refused = |why: String| Stop::ConnectError(ConnectError::Refused(format!("{}: {why}", self.server)));
        for (scheme, secret) in self.request.auth {
            let mut out = Encoder::request(XID_AUTH, OP_AUTH);
            out.int(0);
            out.bytes(scheme.as_bytes());
            out.bytes(secret);
            line.stream.write_all(&out.frame()).await?;
        }
        line.stream.write_all(&Encoder::request(XID_PING, OP_PING).frame()).await?;
        line.stream.flush().await?;
        for (scheme, _) in self.request.auth {
            if line.reply(XID_AUTH).await?.is_err() {
                return Err(refused(format!("it refused the {scheme} credentials")));
            }
        }
        match line.reply(XID_PING).await? {
            Ok(_) => Ok(()),
            Err(refusal) => Err(refused(refusal.to_string())),
        }
    }
}

/// Why a greeting goes no further.
enum Stop {
    Broken(Broken),
    ConnectError(ConnectError),
}

impl<T: Into<Broken>> From<T> for Stop {
    fn from(broken: T) -> Self {
        Self::Broken(broken.into())
    }
}
