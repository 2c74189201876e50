//! The control socket, through which commands on the same host send requests to the running agent.
//!
//! The protocol is private to rosterd and can change with every version. A connection has one request: the client
//! writes one line, a JSON [`protocol::Request`]. The agent answers with one line, a JSON [`protocol::Response`]. Then
//! both close the connection.
//!
//! A request has at most [`MAX_REQUEST`] bytes. It must arrive within [`IO_TIMEOUT`], and its answer must be read
//! within [`IO_TIMEOUT`]. At most [`MAX_CONNECTIONS`] are served at once; others wait. The kernel gives the user of the
//! client (`SO_PEERCRED`, unix(7)). Everybody who can open the socket can query the agent; only root and the agent's
//! own user can change anything.
//!
//! If the agent cannot open the socket, it logs the error, runs without the socket, and retries.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::config::StatusConfig;
use crate::decide::Event;
use crate::log::emit;

pub mod client;
pub mod connections;
pub mod pass;
pub mod protocol;
pub mod socket;

pub use client::send_request;
pub use connections::may_command;
pub use pass::{FileResult, PassReport, PassRequest};
pub use protocol::{Answer, PathView, RequestBody};

use socket::BoundSocket;

/// The maximum size of a request, in bytes.
pub const MAX_REQUEST: usize = 8 * 1024;

/// The time limit for reading a request, and for writing an answer.
pub const IO_TIMEOUT: Duration = Duration::from_secs(5);

/// The maximum number of connections that are served at once.
pub const MAX_CONNECTIONS: usize = 16;

/// The time between attempts to open the socket.
const RETRY: Duration = Duration::from_secs(5);

/// How often to check that the socket file still exists, because cleanup of /run can remove it.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// A request that waits for its answer.
#[derive(Debug)]
pub struct PendingRequest {
    /// The request.
    pub body: RequestBody,
    /// The user of the client.
    pub uid: u32,
    /// Takes the answer. Dropped without an answer when the agent stops.
    pub answer: oneshot::Sender<Answer>,
}

/// The control socket of a running agent.
#[derive(Debug)]
pub struct Server {
    config: StatusConfig,
    requests: mpsc::Sender<PendingRequest>,
    stop: CancellationToken,
    tried: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    /// Opens the socket in the background, and sends its requests to `requests`.
    pub fn open(config: StatusConfig, requests: mpsc::Sender<PendingRequest>) -> Self {
        let (stop, tried) = (CancellationToken::new(), CancellationToken::new());
        let task = tokio::spawn(run(config.clone(), requests.clone(), stop.clone(), tried.clone()));
        Self { config, requests, stop, tried, task }
    }

    /// Waits until the socket is open, or could not be opened. Cancel safe.
    pub async fn tried(&self) {
        self.tried.cancelled().await;
    }

    /// Moves the socket to the path of a new configuration.
    pub async fn reconfigure(&mut self, config: &StatusConfig) {
        if (&self.config.socket, self.config.group) == (&config.socket, config.group) {
            return;
        }
        self.stop().await;
        *self = Self::open(config.clone(), self.requests.clone());
    }

    /// Removes the socket. No more requests are accepted.
    pub async fn stop(&mut self) {
        self.stop.cancel();
        if let Err(why) = (&mut self.task).await {
            emit(Event::SocketError { reason: format!("the task that serves it failed: {why}") });
        }
    }
}

/// Keeps the socket open until `stop`. Cancels `tried` after the first attempt to open it.
async fn run(
    config: StatusConfig,
    requests: mpsc::Sender<PendingRequest>,
    stop: CancellationToken,
    tried: CancellationToken,
) {
    let mut last_error: Option<String> = None;
    loop {
        let opened = BoundSocket::open(&config).await;
        tried.cancel();
        match opened {
            Ok(bound) => {
                if last_error.take().is_some() {
                    emit(Event::SocketListening { socket: config.socket.clone() });
                }
                connections::serve_connections(&bound, &requests, &stop, CHECK_INTERVAL).await;
            }
            Err(setback) => {
                let why = setback.to_string();
                if last_error.as_ref() != Some(&why) {
                    emit(Event::SocketUnavailable { reason: why.clone() });
                    last_error = Some(why);
                }
            }
        }
        if stop.run_until_cancelled(sleep(RETRY)).await.is_none() {
            return;
        }
    }
}
