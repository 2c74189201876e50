//! Opens a connection: TCP, TLS, the session, authentication.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::connection::Connection;
use super::jute::{Decoder, Encoder};
use super::protocol::{OP_AUTH, OP_PING, OP_SASL, XID_AUTH, XID_PING};
use super::transport::{Stream, Transport, TransportError};
use super::{ConnectError, ConnectRequest, EventHandler, SaslResponder, Server, ServerError, SessionId, tls};

/// How long an address may take to accept a TCP connection. The kernel accepts, however busy the server is, so this is
/// short: an address that drops packets must not delay the others.
const TCP_TIMEOUT: Duration = Duration::from_secs(1);

/// Connects to a server, and creates or resumes a session on it.
///
/// # Errors
/// Why there is no connection. Only [`ConnectError::SessionExpired`] means that the session is gone.
pub async fn connect(
    server: &Server,
    request: &ConnectRequest<'_>,
    on_event: EventHandler,
) -> Result<Connection, ConnectError> {
    let connecting = Connecting { server, request, deadline: Instant::now() + request.timeout };
    let mut transport = Transport::new(connecting.open_stream().await?);
    let session = connecting.establish(&mut transport).await?;
    let chroot = request.chroot.filter(|path| !path.is_root()).cloned();
    Ok(Connection::start(transport, session, chroot, server.to_string(), on_event))
}

struct Connecting<'a> {
    server: &'a Server,
    request: &'a ConnectRequest<'a>,
    deadline: Instant,
}

impl Connecting<'_> {
    fn unreachable(&self, reason: &str) -> ConnectError {
        ConnectError::Unreachable(format!("{}: {reason}", self.server))
    }

    fn rejected(&self, reason: &str) -> ConnectError {
        ConnectError::Rejected(format!("{}: {reason}", self.server))
    }

    fn tls_failed(&self, error: &io::Error) -> ConnectError {
        let reason = format!("TLS: {}", tls::describe(error));
        if tls::is_refusal(error) { self.rejected(&reason) } else { self.unreachable(&reason) }
    }

    fn auth_failed(&self, reason: &str) -> HandshakeError {
        HandshakeError::Connect(ConnectError::AuthFailed(format!("{}: {reason}", self.server)))
    }

    async fn within<T>(
        &self,
        limit: Duration,
        missing: &str,
        step: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        let limit = limit.min(self.request.timeout);
        match timeout_at(self.deadline.min(Instant::now() + limit), step).await {
            Ok(done) => done,
            Err(_) => Err(ConnectError::TimedOut(format!("{}: {missing} within {limit:?}", self.server))),
        }
    }

    async fn open_stream(&self) -> Result<Box<dyn Stream>, ConnectError> {
        let connecting = async {
            let stream = TcpStream::connect(self.server.address).await;
            let stream = stream.map_err(|error| self.unreachable(&error.to_string()))?;
            // The kernel may pick the same port as the local port, and connect a loopback address to itself.
            if stream.local_addr().is_ok_and(|local| local == self.server.address) {
                return Err(self.unreachable("nothing is listening on this port"));
            }
            stream.set_nodelay(true).map_err(|error| self.unreachable(&error.to_string()))?;
            Ok(stream)
        };
        let stream = self.within(TCP_TIMEOUT, "no connection", connecting).await?;
        let Some(config) = self.request.tls else {
            return Ok(Box::new(stream));
        };
        let handshake = async {
            let name = ServerName::try_from(self.server.host.clone())
                .map_err(|_| self.rejected("TLS: the host is not a valid DNS name or IP address"))?;
            let connector = tokio_rustls::TlsConnector::from(Arc::clone(config));
            connector.connect(name, stream).await.map_err(|error| self.tls_failed(&error))
        };
        Ok(Box::new(self.within(self.request.timeout, "no TLS handshake", handshake).await?))
    }

    /// Creates or resumes the session, and authenticates.
    async fn establish(&self, transport: &mut Transport) -> Result<SessionId, ConnectError> {
        let handshake = async { self.handshake(transport).await.map_err(|error| self.describe(error)) };
        self.within(self.request.timeout, "connected, but no session", handshake).await
    }

    async fn handshake(&self, transport: &mut Transport) -> Result<SessionId, HandshakeError> {
        let last_heard = Instant::now();
        let Some(session) = self.session(transport).await? else {
            return Err(HandshakeError::Connect(match self.request.session {
                Some(_) => ConnectError::SessionExpired,
                None => self.unreachable("the server granted no session"),
            }));
        };
        if let Some(sasl) = self.request.sasl {
            self.sasl(transport, sasl).await?;
        }
        self.authenticate(transport).await?;
        Ok(SessionId { last_heard, confirmed: last_heard, ..session })
    }

    fn describe(&self, error: HandshakeError) -> ConnectError {
        let error = match error {
            HandshakeError::Connect(error) => return error,
            HandshakeError::Transport(error) => error,
        };
        let has_tls = self.request.tls.is_some();
        match error {
            // A server may refuse the client's certificate only after the handshake.
            TransportError::Io(error) if has_tls => self.tls_failed(&error),
            TransportError::Io(error) if self.pings_early() && error.kind() == io::ErrorKind::ConnectionReset => {
                self.describe(HandshakeError::Transport(TransportError::Closed))
            }
            TransportError::Io(error) => self.unreachable(&format!("connected, but no session: {error}")),
            TransportError::Malformed if has_tls => self.rejected("not a ZooKeeper server: malformed reply"),
            TransportError::Malformed => {
                self.rejected("not a ZooKeeper server, or one that requires TLS (write zks://): malformed reply")
            }
            TransportError::Closed => self.unreachable(match self.request.session {
                None if has_tls => {
                    "connection closed before a session was granted: the server has no quorum, is starting, is read-only, \
                     or has too many connections from this host"
                }
                None => {
                    "connection closed before a session was granted: the server has no quorum, is starting, is read-only, \
                     has too many connections from this host, or requires TLS (write zks://)"
                }
                Some(_) => {
                    "connection closed before the session was resumed: the server has no quorum, is starting, or lags \
                     behind what this agent has seen"
                }
            }),
        }
    }

    /// Whether the ping is sent together with the request for a session, which saves a round trip. Not when resuming one:
    /// a server that closes the connection before it reads the ping resets it, and then the reply may be lost.
    fn pings_early(&self) -> bool {
        let ConnectRequest { session, sasl, auth, tls, .. } = self.request;
        session.is_none() && sasl.is_none() && auth.is_empty() && tls.is_none()
    }

    /// Creates or resumes a session; `None` if it has expired.
    async fn session(&self, transport: &mut Transport) -> Result<Option<SessionId>, HandshakeError> {
        let known = self.request.session;
        let mut request = Encoder::new();
        request.int(0);
        request.long(known.map_or(0, |session| session.zxid.0));
        request.int(i32::try_from(self.request.session_timeout.as_millis()).unwrap_or(i32::MAX));
        request.long(known.map_or(0, |session| session.id));
        request.bytes(known.map_or(&[0; 16], |session| session.password.as_slice()));
        // No read-only session: a server without a quorum would answer with old data.
        request.bool(false);
        let mut bytes = request.frame();
        if self.pings_early() {
            bytes.extend(ping().frame());
        }
        transport.send_bytes(&bytes).await?;
        let frame = transport.receive().await?;
        let mut response = Decoder(&frame);
        let (_version, timeout, id) = (response.int()?, response.int()?, response.long()?);
        let password = response.bytes()?.to_vec();
        // Servers before 3.4 have no read-only mode, and do not send this.
        if response.bool() == Ok(true) {
            return Err(HandshakeError::Connect(self.unreachable("the server is read-only: it has no quorum")));
        }
        let timeout = u64::try_from(timeout).unwrap_or(0);
        if id == 0 || timeout == 0 {
            return Ok(None);
        }
        let zxid = known.map(|session| session.zxid).unwrap_or_default();
        let timeout = Duration::from_millis(timeout);
        Ok(Some(SessionId { zxid, ..SessionId::saved(id, password, timeout) }))
    }

    /// Answers the challenges of the server until the SASL exchange is complete.
    async fn sasl(&self, transport: &mut Transport, respond: SaslResponder<'_>) -> Result<(), HandshakeError> {
        let mut token = Vec::new();
        for xid in 1.. {
            let mut request = Encoder::request(xid, OP_SASL);
            request.bytes(&token);
            transport.send(request).await?;
            let body = match transport.reply(xid).await {
                Ok(Ok(body)) => body,
                Ok(Err(error)) => return Err(self.auth_failed(&format!("SASL credentials refused: {error}"))),
                Err(error) => return Err(error.into()),
            };
            let response = respond(Decoder(&body).bytes()?);
            match response.map_err(|reason| self.auth_failed(&format!("SASL: {reason}")))? {
                Some(response) => token = response,
                None => break,
            }
        }
        Ok(())
    }

    /// Sends the credentials, and then a ping: a server that requires other credentials refuses the ping.
    async fn authenticate(&self, transport: &mut Transport) -> Result<(), HandshakeError> {
        for (scheme, secret) in self.request.auth {
            let mut request = Encoder::request(XID_AUTH, OP_AUTH);
            request.int(0);
            request.bytes(scheme.as_bytes());
            request.bytes(secret);
            transport.send(request).await?;
        }
        if !self.pings_early() {
            transport.send(ping()).await?;
        }
        for (scheme, _) in self.request.auth {
            if transport.reply(XID_AUTH).await?.is_err() {
                return Err(self.auth_failed(&format!("{scheme} credentials refused")));
            }
        }
        match transport.reply(XID_PING).await? {
            Ok(_) => Ok(()),
            Err(ServerError::AuthRequired) if self.request.sasl.is_none() && self.request.auth.is_empty() => {
                Err(self.auth_failed("requires authentication"))
            }
            Err(ServerError::AuthRequired) => Err(self.auth_failed("requires other credentials")),
            Err(error) => Err(HandshakeError::Connect(self.unreachable(&error.to_string()))),
        }
    }
}

fn ping() -> Encoder {
    Encoder::request(XID_PING, OP_PING)
}

/// Why a handshake failed.
enum HandshakeError {
    Transport(TransportError),
    Connect(ConnectError),
}

impl<T: Into<TransportError>> From<T> for HandshakeError {
    fn from(error: T) -> Self {
        Self::Transport(error.into())
    }
}
