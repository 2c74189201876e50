//! The process of the program that the agent runs.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

use crate::config::{Command, ExecConfig};
use crate::decide::program::End;
use crate::model::backoff::Backoff;

use super::environment::{DEFAULT_PATH, SERVICE_MANAGER};
use super::launch::{Termination, from_status, prepare, start_error};
use super::process_group::ProcessGroup;
use super::reaper::OwnChild;
use super::reload::parse_signal;
use super::running::{GROUP_POLL, REAP};

/// How often a group that ends slowly is checked. The interval grows, because `/proc` may list thousands of processes.
const POLL: Backoff = Backoff::doubling(GROUP_POLL, Duration::from_millis(500));

/// A running program in its own process group. Dropping this kills the group, because processes that the program left
/// behind would disturb the next run.
///
/// The program inherits the agent's standard streams, directory and environment. A terminal is not passed on as
/// standard input: the kernel would stop a background process group that reads from it, and a stopped group does not
/// handle TERM.
#[derive(Debug)]
pub struct Process {
    child: OwnChild,
    group: ProcessGroup,
    command: Command,
    is_asked_to_end: bool,
    killed: Option<Instant>,
    /// How it ended, while `group_waiter` waits for the rest of its group.
    end: Option<End>,
    group_waiter: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts the program.
    ///
    /// # Errors
    /// Why it does not start.
    pub fn start(config: &ExecConfig) -> Result<Self, String> {
        let path = config.env.get("PATH").map(OsString::from).or_else(|| std::env::var_os("PATH"));
        let mut process = prepare(&config.cmd, &path.unwrap_or_else(|| DEFAULT_PATH.into()))?;
        // It accepts notifications of the agent only.
        for name in SERVICE_MANAGER {
            process.env_remove(name);
        }
        process.envs(&config.env).process_group(0);
        if std::io::stdin().is_terminal() {
            process.stdin(Stdio::null());
        }
        let child = OwnChild::start(&mut process).map_err(|error| start_error(&config.cmd, &error))?;
        let group = ProcessGroup::new(child.pid());
        let command = config.cmd.clone();
        Ok(Self { child, group, command, is_asked_to_end: false, killed: None, end: None, group_waiter: None })
    }

    /// Its process ID.
    pub fn pid(&self) -> u32 {
        self.child.pid().as_raw().unsigned_abs()
    }

    /// Sends a signal, by its name in `kill(1)`.
    pub fn signal(&self, name: &str) {
        // The configuration has validated the name.
        if let Ok(signal) = parse_signal(name) {
            self.send(signal);
        }
    }

    fn send(&self, signal: Signal) {
        if self.is_shell() {
            self.group.signal(signal);
        } else if self.end.is_none() {
            // This fails only if the program has ended.
            let _ = kill(self.child.pid(), signal);
        }
    }

    /// Asks the program to end with a signal, by its name in `kill(1)`. Also continues the program if it is stopped,
    /// because a stopped process handles no signal.
    pub fn ask_to_end(&mut self, name: &str) {
        self.is_asked_to_end = true;
        self.signal(name);
        self.send(Signal::SIGCONT);
    }

    /// Kills the program and its whole group.
    pub fn kill(&mut self) {
        self.killed = Some(Instant::now());
        self.group.signal(Signal::SIGKILL);
    }

    /// Waits for its end. May be dropped and called again.
    ///
    /// If the whole group was asked to end, this waits for the whole group: a shell ends at once, and the program that
    /// it ran may still be closing its files.
    pub async fn wait(&mut self) -> End {
        let end = if let Some(end) = &self.end {
            end.clone()
        } else {
            let end = end_from(self.child.wait().await.map(from_status));
            self.end.insert(end).clone()
        };
        if self.is_asked_to_end && self.is_shell() {
            let leader = self.child.pid();
            let waiting = self.group_waiter.get_or_insert_with(|| tokio::spawn(wait_group(leader)));
            match self.killed {
                Some(at) => _ = timeout_at(at + REAP, waiting).await,
                None => _ = waiting.await,
            }
        }
        end
    }

    /// Describes an unexpected end, with a hint if there is one. A program that soon exits with 0 may have gone into
    /// the background.
    pub fn describe_end(&self, end: &End, is_soon: bool, reload_signal: Option<&str>) -> String {
        let reload_signal = reload_signal.and_then(|name| parse_signal(name).ok()).map(|signal| signal as i32);
        let more = match end {
            End::Exited(0) if is_soon => " soon after it started (if it daemonizes, run it in the foreground)",
            End::Signalled(number) if reload_signal == Some(*number) && self.is_shell() => {
                ", a reload_signal that its shell does not handle: end the string with `exec PROGRAM`, or write a list"
            }
            End::Signalled(number) if reload_signal == Some(*number) => ", a reload_signal that it does not handle",
            _ => "",
        };
        format!("{end}{more}")
    }

    /// Whether signals go to the whole group, because a shell forwards none.
    fn is_shell(&self) -> bool {
        matches!(self.command, Command::Shell(_))
    }
}

/// Waits until no process of a group is left. Its leader has ended.
async fn wait_group(leader: Pid) {
    let mut group = ProcessGroup::new(leader);
    group.release();
    let mut checks = 0;
    while group.is_running().await {
        checks += 1;
        sleep(POLL.pause(checks)).await;
    }
}

fn end_from(termination: std::io::Result<Termination>) -> End {
    match termination {
        Ok(Termination::Signalled(number)) => End::Signalled(number),
        Ok(Termination::Exited(code)) => End::Exited(code),
        Ok(_) => End::NotStarted("its exit status is unknown".to_owned()),
        Err(why) => End::NotStarted(format!("its exit status cannot be read: {why}")),
    }
}
