//! A command at work: its process, its group, and what it writes.

use std::ffi::{OsStr, OsString};
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::Command;

use super::environment::Environment;
use super::escaped::{Run, Survivors};
use super::launch::{How, from_status, prepare, start_error, status_unknown};
use super::output::Tail;
use super::process_group::Group;
use super::reaper::OwnChild;

/// How long a process group has between TERM and KILL.
const GRACE: Duration = Duration::from_secs(5);
/// The same once the agent is stopping, which has 5 s for everything.
const STOP_GRACE: Duration = Duration::from_secs(2);
/// How long output is waited for after the command itself has ended: some descendant may hold the pipe for ever.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// How long a killed group may take to be gone: one in an uninterruptible sleep must not hang the agent.
pub const REAP: Duration = Duration::from_secs(1);
/// How long it may take to look at all processes: a command that is to end must not live longer for that, and a stopping
/// agent waits 3 s for all of it.
const LOOK: Duration = Duration::from_millis(250);
/// How often a process group is looked at while it ends; nothing tells of a group's end.
pub const GROUP_POLL: Duration = Duration::from_millis(50);
/// How much is read from a command's output at once.
const CHUNK: usize = 16 * 1024;
/// How long a daemon that writes to the agent waits after each chunk, so that one without end costs no processor.
const UNHURRIED: Duration = Duration::from_millis(1);

/// A command that was started.
#[derive(Debug)]
pub struct Running {
    child: OwnChild,
    pub group: Group,
    run: Run,
    /// Standard output and standard error; `None` once every writer is gone.
    output: Option<pipe::Receiver>,
    chunk: Box<[u8]>,
    tail: Tail,
}

impl Running {
    /// Starts it.
    ///
    /// # Errors
    /// Why it does not start, in words.
    pub fn start(command: &Command, environment: &Environment) -> Result<Self, String> {
        let mut process = prepare(command, environment.get("PATH").map_or(OsStr::new(""), OsString::as_os_str))?;
        let words = |error: io::Error| start_error(command, &error);
        let (output, ours) = std::io::pipe().map_err(words)?;
        let output = pipe::Receiver::from_owned_fd(output.into()).map_err(words)?;
        process
            .stdin(Stdio::null())
            .stdout(ours.try_clone().map_err(words)?)
            .stderr(ours)
            .env_clear()
            .envs(environment)
            .current_dir("/")
            .process_group(0);
        let child = OwnChild::start(&mut process).map_err(words)?;
        let group = Group::of(child.pid());
        let run = Run::new(child.pid());
        Ok(Self { child, group, run, output: Some(output), chunk: vec![0; CHUNK].into(), tail: Tail::default() })
    }

    /// Waits for the command itself, and takes its output meanwhile.
    pub async fn end(&mut self) -> io::Result<ExitStatus> {
        loop {
            tokio::select! {
                status = self.child.wait() => return status,
                () = take(&mut self.output, &mut self.chunk, &mut self.tail), if self.output.is_some() => {}
            }
        }
    }

    /// How it has ended, if it has.
    pub fn ended_already(&mut self) -> Option<How> {
        self.child.try_wait().transpose().map(|status| status.map_or_else(|why| status_unknown(&why), from_status))
    }

    /// Ends the whole process group, and gives what is left.
    pub async fn end_group(&mut self, stop: &CancellationToken) -> Survivors {
        // Once a parent has ended, its children are no longer known as such.
        self.look().await;
        self.group.signal(Signal::SIGTERM);
        // A stopped process handles no signal until it goes on.
        self.group.signal(Signal::SIGCONT);
        let patience = async {
            tokio::select! {
                () = sleep(GRACE) => {}
                () = async { stop.cancelled().await; sleep(STOP_GRACE).await } => {}
            }
        };
        let is_empty = tokio::select! {
            () = self.emptied() => true,
            () = patience => false,
        };
        if !is_empty {
            self.look().await;
        }
        self.group.signal(Signal::SIGKILL);
        // What is not gone in this time is reaped by the runtime when it is.
        let _ = timeout(REAP, self.emptied()).await;
        let run = self.run.clone();
        let survivors = timeout(LOOK, tokio::task::spawn_blocking(move || run.survivors())).await;
        survivors.ok().and_then(Result::ok).unwrap_or_default()
    }

    /// Notes its processes. `/proc` may hold thousands of processes: off the event loop.
    async fn look(&mut self) {
        let mut run = self.run.clone();
        let looking = tokio::task::spawn_blocking(move || {
            run.look();
            run
        });
        if let Ok(Ok(run)) = timeout(LOOK, looking).await {
            self.run = run;
        }
    }

    /// Waits until nobody is left in the group.
    async fn emptied(&mut self) {
        let _ = self.end().await;
        while self.group.is_running().await {
            tokio::select! {
                () = sleep(GROUP_POLL) => {}
                () = take(&mut self.output, &mut self.chunk, &mut self.tail), if self.output.is_some() => {}
            }
        }
    }

    /// All output, with what is still in the pipe. A process that goes on holding the pipe is read from for as long as it
    /// lives: a daemon that a reload has started would otherwise die of SIGPIPE at its next line.
    pub async fn last_words(mut self) -> Tail {
        let rest = async {
            while self.output.is_some() {
                take(&mut self.output, &mut self.chunk, &mut self.tail).await;
            }
        };
        if timeout(LAST_WORDS, rest).await.is_err() {
            let (mut output, mut chunk) = (self.output.take(), self.chunk);
            tokio::spawn(async move {
                while output.is_some() {
                    take(&mut output, &mut chunk, &mut Tail::default()).await;
                    sleep(UNHURRIED).await;
                }
            });
        }
        self.tail
    }
}

/// Takes one chunk of output, or notes that there is no more.
async fn take(output: &mut Option<pipe::Receiver>, chunk: &mut [u8], tail: &mut Tail) {
    let Some(pipe) = output else { return };
    match pipe.read(chunk).await {
        Ok(0) | Err(_) => *output = None,
        Ok(count) => tail.push(chunk.get(..count).unwrap_or_default()),
    }
}
