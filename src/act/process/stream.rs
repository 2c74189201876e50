//! The pipes that a command writes to.

use std::future::pending;
use std::io::{self, PipeWriter};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::time::{sleep, timeout};

use super::output::OutputTail;

/// How many bytes of output are read at once.
const CHUNK: usize = 16 * 1024;
/// How long to wait for output after the command has ended: a descendant may keep the pipe open.
const OUTPUT_GRACE: Duration = Duration::from_millis(100);
/// The pause after each chunk that a process writes after its command has ended. It bounds the CPU time of draining.
const DRAIN_PAUSE: Duration = Duration::from_millis(1);

/// Where the standard error of a command goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Streams {
    /// To the pipe of its standard output, in the order written.
    Together,
    /// To a pipe of its own.
    Apart,
}

/// A pipe, and what was read from it.
#[derive(Debug)]
pub struct Stream {
    /// `None` once every writer is gone.
    pipe: Option<pipe::Receiver>,
    chunk: Box<[u8]>,
    tail: OutputTail,
}

impl Stream {
    /// A pipe, and its end for the command.
    pub fn new() -> io::Result<(Self, PipeWriter)> {
        let (ours, theirs) = io::pipe()?;
        let pipe = Some(pipe::Receiver::from_owned_fd(ours.into())?);
        Ok((Self { pipe, chunk: vec![0; CHUNK].into(), tail: OutputTail::default() }, theirs))
    }

    /// One that nothing is written to.
    pub fn closed() -> Self {
        Self { pipe: None, chunk: Box::default(), tail: OutputTail::default() }
    }

    /// Reads one chunk. Does not return once every writer is gone. Cancel safe.
    pub async fn read(&mut self) {
        let Some(pipe) = &mut self.pipe else { return pending().await };
        match pipe.read(&mut self.chunk).await {
            Ok(0) | Err(_) => self.pipe = None,
            Ok(count) => self.tail.push(self.chunk.get(..count).unwrap_or_default()),
        }
    }

    /// Returns everything, with what is still in the pipe. If a process keeps the pipe open, the agent drains it until
    /// that process ends: a daemon started by a reload would otherwise die of SIGPIPE.
    pub async fn finish(mut self) -> OutputTail {
        let rest = async {
            while self.pipe.is_some() {
                self.read().await;
            }
        };
        if timeout(OUTPUT_GRACE, rest).await.is_ok() {
            return self.tail;
        }
        let tail = std::mem::take(&mut self.tail);
        tokio::spawn(async move {
            while self.pipe.is_some() {
                self.read().await;
                self.tail = OutputTail::default();
                sleep(DRAIN_PAUSE).await;
            }
        });
        tail
    }
}
