//! Accepts connections, a limited number at a time.

use std::io::{self, Write as _};
use std::rc::Rc;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::connection::{self, Handler};
use super::limits::ACCEPT_PACE;

/// The answer to a connection that is one too many.
const TOO_MANY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 5\r\ncontent-length: 0\r\n\r\n";

/// Accepts connections until that fails, and serves at most `max` at a time. One more is closed at once.
pub async fn accept<H: Handler>(
    listener: &TcpListener,
    handler: &Rc<H>,
    max: usize,
    connections: &mut JoinSet<()>,
) -> io::Error {
    let permits = Arc::new(Semaphore::new(max));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // The client is gone already.
            Err(why) if why.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(why) => return why,
        };
        while connections.try_join_next().is_some() {}
        match Arc::clone(&permits).try_acquire_owned() {
            Ok(permit) => {
                let handler = Rc::clone(handler);
                connections.spawn_local(async move {
                    connection::serve(stream, &*handler).await;
                    drop(permit);
                });
            }
            Err(_) => refuse(stream),
        }
        sleep(ACCEPT_PACE).await;
    }
}

/// Tells the client, if its connection takes that at once, and closes it.
fn refuse(stream: TcpStream) {
    let _ = stream.into_std().and_then(|mut stream| stream.write(TOO_MANY));
}
