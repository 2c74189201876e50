//! How it is with the program that the agent runs.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::Clock;
use super::words::{ahead, field};
use crate::decide::program::{Program, State, Then};

/// The program that the agent runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramStatus {
    /// What is run.
    pub command: String,
    /// `waiting`, `running`, `stopping` or `stopped`.
    pub state: String,
    /// The state in words.
    pub text: String,
    /// The templates whose files the first start waits for, or that with another command.
    pub waiting_for: Vec<String>,
    /// Its process, while it has one.
    pub pid: Option<u32>,
    /// Since when it runs.
    pub since: Option<String>,
    /// How often it was started.
    pub starts: u64,
    /// How it ended the last time that it ended by itself.
    pub last_end: Option<String>,
    /// When it is started next.
    pub next: Option<String>,
}

impl ProgramStatus {
    /// The status at one moment; `behind` are the templates whose files are not in step. `None` without a program.
    pub fn of(program: &Program, behind: &[&str], clock: &Clock) -> Option<Self> {
        let command = program.config().map(|config| field(&config.cmd.to_string()));
        let last_end = program.last().map(|(end, at)| format!("{end} at {}", clock.time(*at)));
        let ended = last_end.as_deref().map(|end| format!(": {end}")).unwrap_or_default();
        let mut status = Self {
            command: command.unwrap_or_else(|| "none".to_owned()),
            state: "stopped".to_owned(),
            text: "STOPPED".to_owned(),
            waiting_for: Vec::new(),
            pid: None,
            since: None,
            starts: program.starts(),
            last_end: last_end.clone(),
            next: None,
        };
        if program.waits() {
            status.waiting_for = behind.iter().map(|&name| field(name)).collect();
        }
        let waiting_for = status.waiting_for.join(", ");
        match program.state() {
            State::Off => return None,
            State::Waiting => {
                "waiting".clone_into(&mut status.state);
                status.text = format!("WAITING for the files of {waiting_for} to be in step");
            }
            State::Starting | State::Over(_) => {}
            State::Running { pid, since, .. } => {
                let since = clock.time(*since);
                let takes = program.next_wake().map(|at| at.since(clock.now));
                let takes = takes.map(|time| format!(", takes up changes {} (splay)", ahead(time))).unwrap_or_default();
                "running".clone_into(&mut status.state);
                status.text = format!("running as process {pid} since {since}{takes}");
                if program.waits() {
                    let _ = write!(
                        status.text,
                        "; with its new command WAITING for the files of {waiting_for} to be in step"
                    );
                }
                (status.pid, status.since) = (Some(*pid), Some(since));
            }
            State::Stopping { pid, then, kill, killed } => {
                let what = if *then == Then::Again { "to be started again" } else { "for good" };
                let limit =
                    if *killed { "killed".to_owned() } else { format!("killed {}", ahead(kill.since(clock.now))) };
                "stopping".clone_into(&mut status.state);
                status.text = format!("STOPPING {what} as process {pid}, {limit} (kill_timeout)");
                status.pid = Some(*pid);
            }
            State::Resting(until) => {
                status.text = format!("STOPPED{ended}; next start {}", ahead(until.since(clock.now)));
                status.next = Some(clock.time((*until).max(clock.now)));
            }
        }
        Some(status)
    }
}
