//! The control socket: how a running agent is asked, by this program on the same host.
//!
//! The protocol is private to rosterd, and may change with every version. One request a connection: the client writes
//! one line, a JSON object of [`protocol::Request`], and the agent answers with one line, a JSON object of [`protocol::Response`]; then both
//! close. A request has at most [`MAX_REQUEST`] bytes and [`IO_TIMEOUT`] to come in whole; an answer has [`IO_TIMEOUT`] to be
//! taken; at most [`MAX_CONNECTIONS`] are served at once, and others wait. The kernel says who asks (`SO_PEERCRED`,
//! unix(7)): who may open the socket may read, and only root and the agent's own user may command.
//!
//! If the agent cannot open the socket, it logs that, runs without it, and retries.

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
pub use protocol::{Answer, RequestBody};

use socket::BoundSocket;

/// The most bytes of a request.
pub const MAX_REQUEST: usize = 8 * 1024;

/// How long a request may take to come in, and an answer to be taken.
pub const IO_TIMEOUT: Duration = Duration::from_secs(5);

/// How many connections are served at once.
pub const MAX_CONNECTIONS: usize = 16;

/// How long after a failure opening the socket is retried.
const RETRY: Duration = Duration::from_secs(5);

/// How often it is looked whether the socket is still there: who cleans up /run must not make the agent dumb.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// A question, and who waits for its answer.
#[derive(Debug)]
pub struct PendingRequest {
    /// What is requested.
    pub body: RequestBody,
    /// The user who asks.
    pub uid: u32,
    /// Where the answer goes; dropped unanswered when the agent stops.
    pub answer: oneshot::Sender<Answer>,
}

/// The control socket of a running agent.
#[derive(Debug)]
pub struct Server {
    config: StatusConfig,
    requests: mpsc::Sender<PendingRequest>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    /// Opens the socket, in the background; requests come out of the receiver that belongs to `requests`.
    pub fn open(config: StatusConfig, requests: mpsc::Sender<PendingRequest>) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(config.clone(), requests.clone(), stop.clone()));
        Self { config, requests, stop, task }
    }

    /// Moves to where a new configuration wants it.
    pub async fn reconfigure(&mut self, config: &StatusConfig) {
        if self.config == *config {
            return;
        }
        self.stop().await;
        *self = Self::open(config.clone(), self.requests.clone());
    }

    /// Removes the socket, and takes no more requests.
    pub async fn stop(&mut self) {
        self.stop.cancel();
        if let Err(why) = (&mut self.task).await {
            emit(Event::SocketError { reason: format!("serve it: {why}") });
        }
    }
}

/// Keeps the socket open until `stop`.
async fn run(config: StatusConfig, requests: mpsc::Sender<PendingRequest>, stop: CancellationToken) {
    let mut last_error: Option<String> = None;
    loop {
        match BoundSocket::open(&config).await {
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
