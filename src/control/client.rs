//! Sends requests to the running agent.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, io};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::protocol::{Answer, Request, RequestBody, Response, VERSION};

/// The maximum size of an answer, in bytes. It is large enough for every diff.
const MAX_ANSWER: u64 = 256 * 1024 * 1024;

/// The agent did not answer.
#[derive(Debug)]
pub struct RequestError {
    /// The path of the socket.
    pub socket: PathBuf,
    /// The reason.
    pub why: String,
    /// Whether the connection failed: no agent is running.
    pub is_unreachable: bool,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no agent answers at {}: {}", self.socket.display(), self.why)
    }
}

/// Sends a request to the agent at a socket, and waits at most `limit` for the answer.
///
/// # Errors
/// No agent listens, there is no answer in time, or the answer is invalid.
pub async fn send_request(socket: &Path, body: RequestBody, limit: Duration) -> Result<Answer, RequestError> {
    let error = |is_unreachable, why: String| RequestError { socket: socket.to_owned(), why, is_unreachable };
    let exchange = async {
        let stream = UnixStream::connect(socket).await.map_err(|why| error(true, why.to_string()))?;
        let line = exchange_lines(stream, body).await.map_err(|why| error(false, why.to_string()))?;
        if line.is_empty() {
            return Err(error(false, "the agent closed the connection".to_owned()));
        }
        let response: Response = serde_json::from_slice(&line)
            .map_err(|why| error(false, format!("the agent uses a different protocol version: {why}")))?;
        if response.v != VERSION {
            return Err(error(false, "the agent has a different version: restart the agent".to_owned()));
        }
        Ok(response.answer)
    };
    let late = || error(false, format!("no answer within {}", humantime::format_duration(limit)));
    timeout(limit, exchange).await.unwrap_or_else(|_| Err(late()))
}

async fn exchange_lines(mut stream: UnixStream, body: RequestBody) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(&Request { v: VERSION, body })?;
    line.push(b'\n');
    // An agent that refuses a request can close before it has read all of it. Its answer has the reason.
    let sent = stream.write_all(&line).await;
    let mut answer = Vec::new();
    let read = stream.take(MAX_ANSWER).read_to_end(&mut answer).await;
    if answer.is_empty() {
        sent?;
        read?;
    }
    Ok(answer)
}
