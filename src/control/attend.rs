//! Connections: a question in, an answer out.

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

use super::protocol::{Answer, Ask, Request, Response, VERSION};
use super::socket::Bound;
use super::{Asked, CONNECTIONS, LIMIT, MAX_REQUEST};
use crate::decide::Event;
use crate::error::Exit;
use crate::log::emit;
use crate::report::words::field;

/// How long after a failure to take a connection the next one is taken: it is most likely a lack of descriptors.
const PAUSE: Duration = Duration::from_millis(500);

/// How long answers may still take at the end.
const FAREWELL: Duration = Duration::from_millis(100);

/// Takes connections until `stop`, or until the socket's file is gone.
pub async fn attend(bound: &Bound, questions: &mpsc::Sender<Asked>, stop: &CancellationToken, look: Duration) {
    let seats = Arc::new(Semaphore::new(CONNECTIONS));
    let tasks = TaskTracker::new();
    let mut looks = tokio::time::interval(look);
    loop {
        let next = async {
            // Only who can be served is taken: others wait in the kernel's queue.
            let seat = Arc::clone(&seats).acquire_owned().await;
            (seat, bound.listener.accept().await)
        };
        tokio::select! {
            () = stop.cancelled() => break,
            _ = looks.tick() => if !bound.is_there() {
                break;
            },
            (seat, taken) = next => match taken {
                Ok((stream, _)) => {
                    let questions = questions.clone();
                    tasks.spawn(async move {
                        if let Err(why) = serve(stream, &questions).await {
                            debug!(reason = %why, "a question on the control socket broke off");
                        }
                        drop(seat);
                    });
                }
                Err(why) => {
                    emit(Event::SocketError { reason: format!("accept a connection: {why}") });
                    sleep(PAUSE).await;
                }
            },
        }
    }
    // Who has asked already gets the answer that he waits for, if there is one in time.
    tasks.close();
    let _ = timeout(FAREWELL, tasks.wait()).await;
}

async fn serve(mut stream: UnixStream, questions: &mpsc::Sender<Asked>) -> io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    let answer = match timeout(LIMIT, line(&mut stream)).await {
        Err(_) => Answer::not(Exit::Usage, format!("the request did not arrive within {LIMIT:?}")),
        Ok(line) => match line?.ok_or("the request is longer than 8 KiB".to_owned()).and_then(|line| parse(&line)) {
            Err(why) => Answer::not(Exit::Usage, why),
            Ok(ask) if ask.is_command() && !may_command(uid) => refused(uid, &ask),
            Ok(ask) => {
                let (answer, answered) = oneshot::channel();
                // Both fail only when the agent ends.
                let _ = questions.send(Asked { ask, uid, answer }).await;
                answered.await.unwrap_or_else(|_| Answer::not(Exit::Failed, "the agent is stopping"))
            }
        },
    };
    let mut text = serde_json::to_vec(&Response { v: VERSION, answer })?;
    text.push(b'\n');
    timeout(LIMIT, async {
        stream.write_all(&text).await?;
        stream.shutdown().await
    })
    .await?
}

/// Whether this user may change anything: root, or the agent's own.
pub fn may_command(uid: u32) -> bool {
    uid == 0 || uid == Uid::effective().as_raw()
}

fn refused(uid: u32, ask: &Ask) -> Answer {
    emit(Event::RequestRefused { uid, request: field(&format!("{ask:?}")) });
    let own = Uid::effective();
    Answer::not(
        Exit::Failed,
        format!("user {uid} may query the agent but not command it: use root or the agent's own user ({own})"),
    )
}

/// Reads one line; `None` when it is too long. What comes after it is left.
async fn line(stream: &mut UnixStream) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let mut some = [0; 1024];
    loop {
        let count = stream.read(&mut some).await?;
        bytes.extend_from_slice(&some[..count]);
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

fn parse(line: &[u8]) -> Result<Ask, String> {
    let here = env!("CARGO_PKG_VERSION");
    let request: Request = serde_json::from_slice(line)
        .map_err(|why| format!("the running agent is rosterd {here} and does not understand this: {why}"))?;
    if request.v != VERSION {
        return Err(format!("the running agent is rosterd {here} and uses another protocol version: restart it"));
    }
    Ok(request.ask)
}
