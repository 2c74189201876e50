//! A running command: its process, its process group and its output.

use std::ffi::{OsStr, OsString};
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::Command;

use super::environment::Environment;
use super::escaped::{ProcessTree, RemainingProcesses};
use super::launch::{Termination, from_status, prepare, start_error, status_unknown};
use super::output::OutputTail;
use super::process_group::ProcessGroup;
use super::reaper::OwnChild;
use super::stream::{Stream, Streams};

/// How long a process group has between TERM and KILL.
const GRACE: Duration = Duration::from_secs(5);
/// The same once the agent is stopping, which has 5 s for everything.
const STOP_GRACE: Duration = Duration::from_secs(2);
/// How long to wait for a killed group: a process in an uninterruptible sleep must not block the agent.
pub const REAP: Duration = Duration::from_secs(1);
/// How long a scan of `/proc` may take: it must not delay the end of a command. A stopping agent waits 3 s for
/// everything.
const SCAN_TIMEOUT: Duration = Duration::from_millis(250);
/// How often a process group is checked while it ends: the kernel does not report the end of a group.
pub const GROUP_POLL: Duration = Duration::from_millis(50);

/// A command that has been started.
#[derive(Debug)]
pub struct Running {
    child: OwnChild,
    pub group: ProcessGroup,
    tree: ProcessTree,
    output: Stream,
    /// Standard error, if it is apart.
    errors: Stream,
}

impl Running {
    /// Starts a command.
    ///
    /// # Errors
    /// Why it does not start.
    pub fn start(command: &Command, environment: &Environment, streams: Streams) -> Result<Self, String> {
        let mut process = prepare(command, environment.get("PATH").map_or(OsStr::new(""), OsString::as_os_str))?;
        let start_failed = |error: io::Error| start_error(command, &error);
        let (output, stdout) = Stream::new().map_err(start_failed)?;
        let (errors, stderr) = match streams {
            Streams::Together => (Stream::closed(), stdout.try_clone().map_err(start_failed)?),
            Streams::Apart => Stream::new().map_err(start_failed)?,
        };
        process
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .env_clear()
            .envs(environment)
            .current_dir("/")
            .process_group(0);
        let child = OwnChild::start(&mut process).map_err(start_failed)?;
        let group = ProcessGroup::new(child.pid());
        let tree = ProcessTree::new(child.pid());
        Ok(Self { child, group, tree, output, errors })
    }

    /// Waits for the command itself, and reads its output meanwhile.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        loop {
            tokio::select! {
                status = self.child.wait() => return status,
                () = self.output.read() => {}
                () = self.errors.read() => {}
            }
        }
    }

    /// How it ended; `None` while it runs.
    pub fn try_wait(&mut self) -> Option<Termination> {
        self.child.try_wait().transpose().map(|status| status.map_or_else(|why| status_unknown(&why), from_status))
    }

    /// Ends the whole process group. Returns the processes that remain.
    pub async fn end_group(&mut self, stop: &CancellationToken) -> RemainingProcesses {
        // The children of a process that has ended can no longer be found.
        self.record_processes().await;
        self.group.signal(Signal::SIGTERM);
        // A stopped process handles no signal until it continues.
        self.group.signal(Signal::SIGCONT);
        let grace = async {
            tokio::select! {
                () = sleep(GRACE) => {}
                () = async { stop.cancelled().await; sleep(STOP_GRACE).await } => {}
            }
        };
        let is_empty = tokio::select! {
            () = self.wait_group() => true,
            () = grace => false,
        };
        if !is_empty {
            self.record_processes().await;
        }
        self.group.signal(Signal::SIGKILL);
        // The runtime reaps later what ends later.
        let _ = timeout(REAP, self.wait_group()).await;
        let tree = self.tree.clone();
        let remaining = timeout(SCAN_TIMEOUT, tokio::task::spawn_blocking(move || tree.remaining())).await;
        remaining.ok().and_then(Result::ok).unwrap_or_default()
    }

    /// Records its processes, off the event loop: `/proc` may hold thousands.
    async fn record_processes(&mut self) {
        let mut tree = self.tree.clone();
        let looking = tokio::task::spawn_blocking(move || {
            tree.record();
            tree
        });
        if let Ok(Ok(tree)) = timeout(SCAN_TIMEOUT, looking).await {
            self.tree = tree;
        }
    }

    /// Waits until the group is empty.
    async fn wait_group(&mut self) {
        let _ = self.wait().await;
        while self.group.is_running().await {
            tokio::select! {
                () = sleep(GROUP_POLL) => {}
                () = self.output.read() => {}
                () = self.errors.read() => {}
            }
        }
    }

    /// Returns all output, with what is still in the pipes, and what is apart of it.
    pub async fn finish_output(self) -> (OutputTail, OutputTail) {
        tokio::join!(self.output.finish(), self.errors.finish())
    }
}
