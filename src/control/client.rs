//! Asking a running agent.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, io};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::protocol::{Answer, Request, RequestBody, Response, VERSION};

/// The most bytes of an answer: far more than any diff that a person reads.
const MAX_ANSWER: u64 = 256 * 1024 * 1024;

/// No agent answers.
#[derive(Debug)]
pub struct RequestError {
    /// Where it was asked.
    pub socket: PathBuf,
    /// What came of it.
    pub why: String,
    /// Whether nobody was there at all.
    pub is_unreachable: bool,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no agent answers at {}: {}", self.socket.display(), self.why)
    }
}

/// Asks the agent at a socket, and waits no longer than `limit` for its answer.
///
/// # Errors
/// Nobody is there, or does not answer in time, or what comes is no answer.
pub async fn send_request(socket: &Path, body: RequestBody, limit: Duration) -> Result<Answer, RequestError> {
    let error = |is_unreachable, why: String| RequestError { socket: socket.to_owned(), why, is_unreachable };
    let exchange = async {
        let stream = UnixStream::connect(socket).await.map_err(|why| error(true, why.to_string()))?;
        let line = exchange_lines(stream, body).await.map_err(|why| error(false, why.to_string()))?;
        if line.is_empty() {
            return Err(error(false, "it closed the connection".to_owned()));
        }
        let response: Response = serde_json::from_slice(&line)
            .map_err(|why| error(false, format!("it uses another protocol version: {why}")))?;
        if response.v != VERSION {
            return Err(error(false, "it is another version: restart the agent".to_owned()));
        }
        Ok(response.answer)
    };
    let late = || error(false, format!("no answer within {}", humantime::format_duration(limit)));
    timeout(limit, exchange).await.unwrap_or_else(|_| Err(late()))
}

async fn exchange_lines(mut stream: UnixStream, body: RequestBody) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(&Request { v: VERSION, body })?;
    line.push(b'\n');
    // Who refuses a request may close before it has read all of it: its answer is worth more than the broken pipe.
    let sent = stream.write_all(&line).await;
    let mut answer = Vec::new();
    let read = stream.take(MAX_ANSWER).read_to_end(&mut answer).await;
    if answer.is_empty() {
        sent?;
        read?;
    }
    Ok(answer)
}
