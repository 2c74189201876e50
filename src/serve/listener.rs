//! Listens on the configured address, and serves at most [`MAX_CONNECTIONS`] at a time.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::Receiver;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::connection;
use super::limits::{ACCEPT_PACE, MAX_CONNECTIONS};
use super::shared::Shared;
use crate::config::HttpConfig;
use crate::decide::Event;
use crate::log::emit;

/// The time between attempts to listen.
const RETRY: Duration = Duration::from_secs(2);

/// The answer to a connection that is one too many.
const TOO_MANY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 5\r\ncontent-length: 0\r\n\r\n";

/// Serves until there will be no other configuration.
pub async fn run(
    mut config: watch::Receiver<Option<HttpConfig>>,
    shared: Shared,
    events: Receiver<Arc<Event>>,
    recent: Receiver<Arc<Event>>,
) {
    let shared = Arc::new(shared);
    let collector = Arc::clone(&shared);
    tokio::spawn(async move { tokio::join!(collector.events.collect(events), collector.recent.collect(recent)) });
    loop {
        let current = config.borrow_and_update().clone();
        let serve = async {
            match current {
                Some(current) => listen(&current, &shared).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // A change drops every connection.
            changed = config.changed() => if changed.is_err() {
                return;
            },
            () = serve => {}
        }
    }
}

/// Listens for ever, and retries whatever fails.
async fn listen(config: &HttpConfig, shared: &Arc<Shared>) {
    let hosts = Arc::new(config.hosts.clone());
    let mut last_error: Option<String> = None;
    let mut connections = JoinSet::new();
    loop {
        let failed = match TcpListener::bind(config.listen).await {
            Ok(listener) => {
                last_error = None;
                emit(Event::HttpListening { listen: config.listen.to_string() });
                let why = accept(&listener, &hosts, shared, &mut connections).await;
                format!("cannot accept a connection on {}: {why}", config.listen)
            }
            Err(why) => format!("cannot listen on {}: {why}", config.listen),
        };
        if last_error.as_ref() != Some(&failed) {
            emit(Event::HttpUnavailable { reason: failed.clone() });
            last_error = Some(failed);
        }
        sleep(RETRY).await;
    }
}

/// Accepts connections until that fails.
async fn accept(
    listener: &TcpListener,
    hosts: &Arc<Vec<String>>,
    shared: &Arc<Shared>,
    connections: &mut JoinSet<()>,
) -> io::Error {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
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
                let (hosts, shared) = (Arc::clone(hosts), Arc::clone(shared));
                connections.spawn(async move {
                    connection::serve(stream, hosts, shared).await;
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
