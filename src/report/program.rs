//! The program that the agent runs, as `status` shows it.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::context::Clock;
use super::words::field;
use crate::decide::report::{AfterStop, ProgramReport, ProgramState};
use crate::text::time::from_now;

/// The program that the agent runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramStatus {
    /// The command.
    pub command: String,
    /// `waiting`, `running`, `stopping` or `stopped`.
    pub state: String,
    /// The state as text.
    pub text: String,
    /// The templates whose files the first start, or the start of another command, waits for.
    pub waiting_for: Vec<String>,
    /// The ID of its process, if it has one.
    pub pid: Option<u32>,
    /// When its process was started.
    pub since: Option<String>,
    /// How often it was started.
    pub starts: u64,
    /// How and when it last ended on its own.
    pub last_end: Option<String>,
    /// When it will be started again.
    pub next: Option<String>,
}

impl ProgramStatus {
    /// The status of a report.
    pub fn new(report: &ProgramReport, clock: &Clock) -> Self {
        let command = report.config.as_ref().map(|config| field(&config.cmd.to_string()));
        let waiting_for: Vec<String> = report.waiting_for.iter().flatten().map(|name| field(name)).collect();
        let files = waiting_for.join(", ");
        let mut status = Self {
            command: command.unwrap_or_else(|| "none".to_owned()),
            state: "stopped".to_owned(),
            text: "STOPPED".to_owned(),
            waiting_for,
            pid: None,
            since: None,
            starts: report.starts,
            last_end: report.last_end.as_ref().map(|(end, at)| format!("{end} at {}", clock.past(*at))),
            next: None,
        };
        match &report.state {
            ProgramState::Waiting => {
                "waiting".clone_into(&mut status.state);
                status.text = match &report.waits_for_lock {
                    Some(lock) => format!("WAITING for lock {lock}"),
                    None => format!("WAITING for files to be up to date: {files}"),
                };
            }
            ProgramState::Off | ProgramState::Starting | ProgramState::Exited(_) => {}
            ProgramState::Running { pid, since, .. } => {
                let applies =
                    report.applies.map(|at| format!(", applies changes {} (splay)", from_now(at.since(clock.now))));
                "running".clone_into(&mut status.state);
                status.text =
                    format!("running as process {pid} since {}{}", clock.past(*since), applies.unwrap_or_default());
                if report.waiting_for.is_some() {
                    let _ = write!(status.text, "; new command WAITING for files to be up to date: {files}");
                }
                (status.pid, status.since) = (Some(*pid), Some(clock.time(*since)));
            }
            ProgramState::Stopping { pid, then, kill, killed } => {
                let what = if *then == AfterStop::Restart { "RESTARTING" } else { "STOPPING" };
                let soon = from_now(kill.since(clock.now));
                let limit = if *killed { "killed".to_owned() } else { format!("will be killed {soon}") };
                "stopping".clone_into(&mut status.state);
                status.text = format!("{what} process {pid}, {limit} (kill_timeout)");
                status.pid = Some(*pid);
            }
            ProgramState::Backoff(until) => {
                let ended = status.last_end.as_deref().map(|end| format!(": {end}")).unwrap_or_default();
                status.text = format!("STOPPED{ended}; next start {}", from_now(until.since(clock.now)));
                status.next = Some(clock.time((*until).max(clock.now)));
            }
        }
        status
    }
}
