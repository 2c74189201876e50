//! The process of the program that the agent runs.

use std::ffi::OsString;

use nix::sys::signal::{Signal, kill};

use crate::config::{Command, ExecConfig};
use crate::decide::program::End;

use super::children::OwnChild;
use super::command::{DEFAULT_PATH, How, ended, program, start_trouble};
use super::group::Group;
use super::reload::parse_signal;

/// A program at work, as a process group of its own, which is killed when this is dropped: what a program that has ended
/// leaves behind would be in the next one's way.
///
/// It is what the agent was started for, so it is no command: its standard input and outputs, its folder and its
/// environment are the agent's own.
#[derive(Debug)]
pub struct Process {
    child: OwnChild,
    group: Group,
    /// A shell passes no signal on, so all of its group gets it.
    is_shell: bool,
}

impl Process {
    /// Starts it.
    ///
    /// # Errors
    /// Why it does not start, in words.
    pub fn start(config: &ExecConfig) -> Result<Self, String> {
        let path = config.env.get("PATH").map(OsString::from).or_else(|| std::env::var_os("PATH"));
        let mut process = program(&config.cmd, &path.unwrap_or_else(|| DEFAULT_PATH.into()))?;
        process.envs(&config.env).process_group(0);
        let child = OwnChild::start(&mut process).map_err(|error| start_trouble(&config.cmd, &error))?;
        let group = Group::of(child.pid());
        Ok(Self { child, group, is_shell: matches!(config.cmd, Command::Shell(_)) })
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.pid().as_raw().unsigned_abs()
    }

    /// Sends it a signal, as `kill(1)` names it.
    pub fn signal(&self, name: &str) {
        // The configuration has looked at it.
        let Ok(signal) = parse_signal(name) else { return };
        if self.is_shell {
            self.group.signal(signal);
        } else {
            // The only failure is that it has ended, and nobody has waited for it yet.
            let _ = kill(self.child.pid(), signal);
        }
    }

    /// Kills it, and all of its group.
    pub fn kill(&self) {
        self.group.signal(Signal::SIGKILL);
    }

    /// Waits for its end. May be dropped and called again.
    pub async fn end(&mut self) -> End {
        match self.child.wait().await.map(ended) {
            Ok(How::Signalled(number)) => End::Signalled(number),
            Ok(How::Exited(code)) => End::Exited(code),
            Ok(_) => End::NotStarted("nothing is known of its end".to_owned()),
            Err(why) => End::NotStarted(format!("nothing is known of its end: {why}")),
        }
    }
}
