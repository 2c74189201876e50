//! The command that runs while the lock is held.

use std::io::{self, ErrorKind, IsTerminal as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Command;

use super::OnLoss;
use super::passed_on::{PassedOn, exit_code};
use super::turn::Turn;
use crate::cli::get::say;
use crate::decide::contender::{Loss, Standing};
use crate::error::Exit;
use crate::model::node_path::NodePath;
use crate::watch::zookeeper::lock_session::LockEvent;

/// What a shell answers if it cannot execute a command, and if it does not find one.
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// A running command.
pub struct Child {
    process: tokio::process::Child,
    pid: Option<Pid>,
}

impl Child {
    /// Starts a command, with the standard streams and the process group of this process.
    ///
    /// # Errors
    /// The exit code, and why it does not start.
    pub fn start(command: &[String], path: &NodePath, node: &NodePath) -> Result<Self, (u8, String)> {
        let (program, arguments) = command.split_first().ok_or((NOT_FOUND, "no command".to_owned()))?;
        let mut process = Command::new(program);
        process.args(arguments).env("ROSTERD_LOCK_PATH", path.as_str()).env("ROSTERD_LOCK_NODE", node.as_str());
        let process = process.spawn().map_err(|error| {
            let code = if error.kind() == ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
            (code, format!("{program}: {error}"))
        })?;
        let pid = process.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
        Ok(Self { process, pid })
    }

    fn signal(&self, number: Signal) {
        if let Some(pid) = self.pid {
            // It may have ended.
            let _ = kill(pid, number);
        }
    }

    /// Waits for its end. Returns its exit code.
    pub async fn run(mut self, turn: &mut Turn<'_>, signals: &mut PassedOn, on_loss: OnLoss) -> u8 {
        // The terminal sends these signals to the command itself.
        let is_interactive = io::stdin().is_terminal();
        let mut is_over = false;
        loop {
            tokio::select! {
                status = self.process.wait() => return code(status),
                number = signals.next() => {
                    let is_sent = is_interactive && [Signal::SIGINT as i32, Signal::SIGQUIT as i32].contains(&number);
                    if let Some(number) = Signal::try_from(number).ok().filter(|_| !is_sent) {
                        self.signal(number);
                    }
                }
                event = turn.events.recv(), if !is_over => match event {
                    None => is_over = true,
                    Some(event) => self.learn(turn, &event, on_loss),
                },
            }
        }
    }

    fn learn(&self, turn: &Turn<'_>, event: &LockEvent, on_loss: OnLoss) {
        let path = turn.path;
        match event {
            LockEvent::Changed { standing: Standing::Lost(loss), .. } => {
                let why = match loss {
                    Loss::SessionExpired => "the session expired",
                    Loss::NodeDeleted => "its node was deleted",
                };
                let then = match on_loss {
                    OnLoss::Term => "sending TERM to the command",
                    OnLoss::Continue => "the command goes on (--on-loss continue)",
                };
                say(&format!("{path}: lock lost, {why}: another may hold it now; {then}"));
                if on_loss == OnLoss::Term {
                    self.signal(Signal::SIGTERM);
                    // A stopped process handles no signal until it continues.
                    self.signal(Signal::SIGCONT);
                }
            }
            LockEvent::Changed { standing: Standing::Suspended, .. } => {
                turn.note(&format!("{path}: connection lost; the lock is kept until the session expires"));
            }
            LockEvent::Changed { standing: Standing::Held, .. } => turn.note(&format!("{path}: lock still held")),
            LockEvent::Failed(why) => turn.note(&format!("{path}: {why}")),
            LockEvent::Changed { .. } | LockEvent::Connected | LockEvent::Away { .. } => {}
        }
    }
}

fn code(status: io::Result<ExitStatus>) -> u8 {
    match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => u8::try_from(code).unwrap_or(u8::MAX),
            (None, signal) => exit_code(signal.unwrap_or_default()),
        },
        Err(why) => {
            say(&format!("the exit status of the command cannot be read: {why}"));
            Exit::Failed.code()
        }
    }
}
