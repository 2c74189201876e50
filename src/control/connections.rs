//! Serves connections: reads a request and writes the answer.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::Uid;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::protocol::{Answer, Request, RequestBody, Response, VERSION};
use super::socket::BoundSocket;
use super::{IO_TIMEOUT, MAX_CONNECTIONS, MAX_REQUEST, PendingRequest};
use crate::decide::Event;
use crate::error::Exit;
use crate::log::emit;
use crate::report::words::field;

/// The pause after a failed `accept`, which is most likely caused by a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// How long a shutdown waits for answers.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(100);

/// Accepts connections until `stop`, or until the socket file is gone.
pub async fn serve_connections(
    bound: &BoundSocket,
    requests: &mpsc::Sender<PendingRequest>,
    stop: &CancellationToken,
    check_interval: Duration,
) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let tasks = TaskTracker::new();
    let mut checks = tokio::time::interval(check_interval);
    loop {
        let next = async {
            // Connections that cannot be served yet wait in the kernel's queue.
            let permit = Arc::clone(&permits).acquire_owned().await;
            (permit, bound.listener.accept().await)
        };
        tokio::select! {
            () = stop.cancelled() => break,
            _ = checks.tick() => if !bound.exists() {
                break;
            },
            (permit, taken) = next => match taken {
                Ok((stream, _)) => {
                    let requests = requests.clone();
                    tasks.spawn(async move {
                        if let Err(why) = handle_connection(stream, &requests).await {
                            debug!(reason = %why, "a connection to the control socket failed");
                        }
                        drop(permit);
                    });
                }
                Err(why) => {
                    emit(Event::SocketError { reason: format!("cannot accept a connection: {why}") });
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    // Requests that are already read are still answered, if their answers are ready in time.
    tasks.close();
    let _ = timeout(SHUTDOWN_GRACE, tasks.wait()).await;
}

async fn handle_connection(mut stream: UnixStream, requests: &mpsc::Sender<PendingRequest>) -> io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    let answer = match timeout(IO_TIMEOUT, read_line(&mut stream)).await {
        Err(_) => Answer::failed(Exit::Usage, format!("the request did not arrive within {IO_TIMEOUT:?}")),
        Ok(line) => match line?.ok_or("the request is longer than 8 KiB".to_owned()).and_then(|line| parse(&line)) {
            Err(why) => Answer::failed(Exit::Usage, why),
            Ok(body) if body.is_command() && !may_command(uid) => refused(uid, &body),
            Ok(body) => {
                let (answer, receiver) = oneshot::channel();
                // Both fail only if the agent is stopping.
                let _ = requests.send(PendingRequest { body, uid, answer }).await;
                let stopping = "the agent is stopping; run the command again when it has stopped";
                receiver.await.unwrap_or_else(|_| Answer::failed(Exit::Failed, stopping))
            }
        },
    };
    // Not on the event loop: the views of `get --agent` can be large.
    let encoded = tokio::task::spawn_blocking(move || serde_json::to_vec(&Response { v: VERSION, answer })).await;
    let mut text = encoded.map_err(io::Error::other)??;
    text.push(b'\n');
    timeout(IO_TIMEOUT, async {
        stream.write_all(&text).await?;
        stream.shutdown().await
    })
    .await?
}

/// Whether this user may change anything: root and the agent's own user may.
pub fn may_command(uid: u32) -> bool {
    uid == 0 || uid == Uid::effective().as_raw()
}

fn refused(uid: u32, body: &RequestBody) -> Answer {
    emit(Event::RequestRefused { uid, request: field(&format!("{body:?}")) });
    let own = Uid::effective();
    Answer::failed(
        Exit::Failed,
        format!("user {uid} may query the agent, but not send it commands: use root or the agent's own user ({own})"),
    )
}

/// Reads one line; `None` if it is too long. Anything after it is not read.
async fn read_line(stream: &mut UnixStream) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        let count = stream.read(&mut chunk).await?;
        bytes.extend_from_slice(&chunk[..count]);
        if let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            bytes.truncate(end);
            return Ok((end <= MAX_REQUEST).then_some(bytes));
        }
        if bytes.len() > MAX_REQUEST {
            return Ok(None);
        }
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn parse(line: &[u8]) -> Result<RequestBody, String> {
    let here = env!("CARGO_PKG_VERSION");
    let request: Request = serde_json::from_slice(line)
        .map_err(|why| format!("the running agent is rosterd {here} and does not understand this request: {why}"))?;
    if request.v != VERSION {
        return Err(format!(
            "the running agent is rosterd {here} and uses a different protocol version: restart the agent"
        ));
    }
    Ok(request.body)
}
