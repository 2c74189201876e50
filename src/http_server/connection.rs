//! One connection, with its limits.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::IpAddr;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::debug;

use super::answers::Body;
use super::limits::{HEAD_TIMEOUT, LINGER, MAX_DROPPED, PACE, WRITE_TIMEOUT};
use super::write_limit::WriteLimit;

/// The answer to a request that is not complete in time. hyper only closes the connection.
const TOO_SLOW: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// The addresses of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    /// That of this host.
    pub local: IpAddr,
    /// That of the client.
    pub peer: IpAddr,
}

/// What answers requests.
pub trait Handler: 'static {
    /// The maximum size of the head of a request, in bytes. hyper can be set to no less than 8 KiB.
    const MAX_HEAD: usize;

    /// The answer to a request.
    fn answer(&self, request: Request<Incoming>, ends: Ends) -> impl Future<Output = Response<Body>>;
}

/// Answers the requests of one connection until it ends.
pub async fn serve<H: Handler>(stream: TcpStream, handler: &H) {
    let (Ok(local), Ok(peer)) = (stream.local_addr(), stream.peer_addr()) else { return };
    let ends = Ends { local: local.ip(), peer: peer.ip().to_canonical() };
    let next = Mutex::new(Instant::now());
    let service = service_fn(|request| {
        let next = &next;
        Box::pin(async move {
            let mut next = next.lock().await;
            sleep_until(*next).await;
            *next = Instant::now() + PACE;
            Ok::<_, Infallible>(handler.answer(request, ends).await)
        })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(H::MAX_HEAD)
        .serve_connection(TokioIo::new(WriteLimit::new(stream, WRITE_TIMEOUT)), service);
    let result = poll_fn(|context| connection.poll_without_shutdown(context)).await;
    let parts = connection.into_parts();
    let mut stream = parts.io.into_inner().into_inner();
    if let Err(why) = result {
        debug!(reason = %why, "a connection to the HTTP port failed");
        // Without a byte of a request, this is an idle connection.
        if why.is_timeout() && !parts.read_buf.is_empty() {
            let _ = timeout(WRITE_TIMEOUT, stream.write_all(TOO_SLOW)).await;
        }
    }
    let _ = timeout(LINGER, async {
        stream.shutdown().await?;
        tokio::io::copy(&mut (&mut stream).take(MAX_DROPPED), &mut tokio::io::sink()).await
    })
    .await;
}
