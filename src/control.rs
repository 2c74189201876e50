//! The control socket: how a running agent is asked, by this program on the same host.
//!
//! The protocol is private to rosterd, and may change with every version. One request a connection: the client writes
//! one line, a JSON object of [`protocol::Request`], and the agent answers with one line, a JSON object of [`protocol::Response`]; then both
//! close. A request has at most [`MAX_REQUEST`] bytes and [`LIMIT`] to come in whole; an answer has [`LIMIT`] to be
//! taken; at most [`CONNECTIONS`] are served at once, and others wait. The kernel says who asks (`SO_PEERCRED`,
//! unix(7)): who may open the socket may read, and only root and the agent's own user may command.
//!
//! The agent does without its socket when it cannot have one: that is said, and tried again.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::config::StatusConfig;
use crate::decide::Event;
use crate::log::emit;

pub mod attend;
pub mod client;
pub mod pass;
pub mod protocol;
pub mod socket;

pub use attend::may_command;
pub use client::ask;
pub use pass::{FileResult, PassReport, PassRequest};
pub use protocol::{Answer, Ask};

use socket::Bound;

/// The most bytes of a request.
pub const MAX_REQUEST: usize = 8 * 1024;

/// How long a request may take to come in, and an answer to be taken.
pub const LIMIT: Duration = Duration::from_secs(5);

/// How many connections are served at once.
pub const CONNECTIONS: usize = 16;

/// How long after a failure the socket is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// How often it is looked whether the socket is still there: who cleans up /run must not make the agent dumb.
const LOOK: Duration = Duration::from_secs(10);

/// A question, and who waits for its answer.
#[derive(Debug)]
pub struct Asked {
    /// What is asked.
    pub ask: Ask,
    /// The user who asks.
    pub uid: u32,
    /// Where the answer goes; dropped unanswered when the agent stops.
    pub answer: oneshot::Sender<Answer>,
}

/// The control socket of a running agent.
#[derive(Debug)]
pub struct Server {
    config: StatusConfig,
    questions: mpsc::Sender<Asked>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    /// Opens the socket, in the background; questions come out of the receiver that belongs to `questions`.
    pub fn open(config: StatusConfig, questions: mpsc::Sender<Asked>) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(keep(config.clone(), questions.clone(), stop.clone()));
        Self { config, questions, stop, task }
    }

    /// Moves to where a new configuration wants it.
    pub async fn follow(&mut self, config: &StatusConfig) {
        if self.config == *config {
            return;
        }
        self.end().await;
        *self = Self::open(config.clone(), self.questions.clone());
    }

    /// Removes the socket, and takes no more questions.
    pub async fn end(&mut self) {
        self.stop.cancel();
        if let Err(why) = (&mut self.task).await {
            emit(Event::SocketError { reason: format!("serve it: {why}") });
        }
    }
}

/// Keeps the socket open until `stop`.
async fn keep(config: StatusConfig, questions: mpsc::Sender<Asked>, stop: CancellationToken) {
    let mut said: Option<String> = None;
    loop {
        match Bound::open(&config).await {
            Ok(bound) => {
                if said.take().is_some() {
                    emit(Event::SocketListening { socket: config.socket.clone() });
                }
                attend::attend(&bound, &questions, &stop, LOOK).await;
            }
            Err(setback) => {
                let why = setback.to_string();
                if said.as_ref() != Some(&why) {
                    emit(Event::SocketUnavailable { reason: why.clone() });
                    said = Some(why);
                }
            }
        }
        if stop.run_until_cancelled(sleep(RETRY)).await.is_none() {
            return;
        }
    }
}
