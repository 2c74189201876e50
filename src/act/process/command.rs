//! Runs one command: in a process group of its own, with a clean environment, for a limited time.

use std::fmt;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::config::Command;
use crate::decide::Event;
use crate::log::emit;
use crate::text::one_line;

use super::environment::Environment;
use super::escaped::RemainingProcesses;
use super::launch::{Termination, from_status, status_unknown};
use super::output::{OutputTail, printable};
use super::running::Running;
use super::stream::Streams;

/// How messages name a command: `check "haproxy -c -f {{ src }}"`.
#[derive(Debug, Clone, Copy)]
pub struct Title<'a> {
    /// Its purpose: `check`.
    pub what: &'a str,
    /// The command as configured.
    pub command: &'a Command,
}

impl fmt::Display for Title<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} \"{}\"", self.what, printable(&one_line(&self.command.to_string())))
    }
}

/// The end of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandResult {
    /// How it ended.
    pub termination: Termination,
    /// The last part of its output.
    pub output: OutputTail,
    /// The last part of its standard error, if that is apart.
    pub errors: OutputTail,
    /// Its processes that still ran after its process group was terminated.
    pub remaining: RemainingProcesses,
}

impl CommandResult {
    fn without_output(termination: Termination) -> Self {
        let (output, errors) = (OutputTail::default(), OutputTail::default());
        Self { termination, output, errors, remaining: RemainingProcesses::default() }
    }

    /// A message about the end, with the last lines of the output: `check "haproxy -c" exited with 1:` and the lines.
    pub fn describe(&self, what: &str, command: &Command) -> String {
        let shown = Some(self.errors.last_lines()).filter(|lines| !lines.is_empty());
        let shown = shown.unwrap_or_else(|| self.output.last_lines());
        let what_happened = match &self.termination {
            Termination::Exited(126) => "exited with 126 (usually a program that is not executable)".to_owned(),
            Termination::Exited(127) => {
                "exited with 127 (usually a program that is not in PATH: give its full path)".to_owned()
            }
            // Often it has an option such as `-q`, which hides the reason.
            Termination::Exited(code) if *code != 0 && shown.is_empty() => {
                format!("exited with {code} and printed nothing")
            }
            Termination::Exited(code) => format!("exited with {code}"),
            Termination::Signalled(number) => match Signal::try_from(*number) {
                Ok(signal) => format!("was killed by {signal}"),
                Err(_) => format!("was killed by signal {number}"),
            },
            Termination::TimedOut(after) => {
                let after = humantime::format_duration(*after);
                format!("did not exit within {after} and was terminated (see {what}_timeout)")
            }
            Termination::NotStarted(why) => format!("did not start: {why}"),
            Termination::Abandoned => "was terminated because the agent is stopping".to_owned(),
        };
        let colon = if shown.is_empty() { "" } else { ":" };
        format!("{} {what_happened}{}{colon}{shown}", Title { what, command }, self.remaining)
    }
}

/// Runs a command, in which `{{ src }}` and `{{ dest }}` are filled in, until it exits or its time is over.
///
/// The command has its own process group, `/` as its working directory, an empty standard input, no descriptor of the
/// agent, and only this environment. When `limit` is over or `stop` is cancelled, the whole group gets TERM, and KILL
/// 5 s later (2 s when stopping). The result then names the processes that have left the group. When the command exits
/// on its own, processes that it left running (daemons) are left alone. Dropping the future kills the group.
pub async fn run(
    title: Title<'_>,
    command: &Command,
    environment: &Environment,
    limit: Duration,
    stop: &CancellationToken,
) -> CommandResult {
    run_with(Streams::Together, title, command, environment, limit, stop).await
}

/// Runs a command in the same way, with its standard error apart or not.
pub async fn run_with(
    streams: Streams,
    title: Title<'_>,
    command: &Command,
    environment: &Environment,
    limit: Duration,
    stop: &CancellationToken,
) -> CommandResult {
    if stop.is_cancelled() {
        return CommandResult::without_output(Termination::Abandoned);
    }
    let mut running = match Running::start(command, environment, streams) {
        Ok(running) => running,
        Err(why) => return CommandResult::without_output(Termination::NotStarted(why)),
    };
    let termination = tokio::select! {
        status = running.wait() => status.map_or_else(|why| status_unknown(&why), from_status),
        // If the agent itself was suspended, the command may have exited in time.
        () = sleep(limit) => running.try_wait().unwrap_or(Termination::TimedOut(limit)),
        () = stop.cancelled() => running.try_wait().unwrap_or(Termination::Abandoned),
    };
    if !matches!(termination, Termination::TimedOut(_) | Termination::Abandoned) {
        running.group.release();
        let (output, errors) = running.finish_output().await;
        return CommandResult { termination, output, errors, remaining: RemainingProcesses::default() };
    }
    let remaining = running.end_group(stop).await;
    running.group.release();
    let (output, errors) = running.finish_output().await;
    let end = CommandResult { termination, output, errors, remaining };
    if end.termination == Termination::Abandoned && !end.remaining.is_empty() {
        // The caller does not report an abandoned command.
        let reason = end.describe(title.what, title.command);
        emit(Event::ProcessesLeft { command: title.command.to_string(), reason });
    }
    end
}
