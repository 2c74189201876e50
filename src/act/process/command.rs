//! Runs one command: in a process group of its own, with a clean environment, for a limited time.

use std::fmt;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::config::Command;
use crate::decide::Event;
use crate::log::emit;

use super::environment::Environment;
use super::escaped::Survivors;
use super::launch::{How, from_status, status_unknown};
use super::output::{Tail, printable};
use super::running::Running;

/// What a command is, in words for people: `check "haproxy -c -f {{ src }}"`.
#[derive(Debug, Clone, Copy)]
pub struct Title<'a> {
    /// What it is for: `check`.
    pub what: &'a str,
    /// As it is configured.
    pub command: &'a Command,
}

impl fmt::Display for Title<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} \"{}\"", self.what, printable(&self.command.to_string()))
    }
}

/// The end of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandEnd {
    /// How it ended.
    pub how: How,
    /// The end of what it wrote.
    pub output: Tail,
    /// What is left of it, where its process group was ended.
    pub survivors: Survivors,
}

impl CommandEnd {
    fn without_output(how: How) -> Self {
        Self { how, output: Tail::default(), survivors: Survivors::default() }
    }

    /// The end in words, with the end of the output: `check "haproxy -c" exited with 1:` and the lines.
    pub fn words(&self, what: &str, command: &Command) -> String {
        let how = match &self.how {
            How::Exited(126) => "exited with 126, as a shell does when it may not execute a program".to_owned(),
            How::Exited(127) => {
                "exited with 127, as a shell does when it finds no such program in its PATH (give the full path)"
                    .to_owned()
            }
            How::Exited(code) => format!("exited with {code}"),
            How::Signalled(number) => match Signal::try_from(*number) {
                Ok(signal) => format!("was ended by {signal}"),
                Err(_) => format!("was ended by signal {number}"),
            },
            How::TimedOut(after) => {
                let after = humantime::format_duration(*after);
                format!("had not ended after {after}, and its process group was ended (see {what}_timeout)")
            }
            How::NotStarted(why) => format!("did not start: {why}"),
            How::Abandoned => "was cut off, for the agent is stopping".to_owned(),
        };
        let shown = self.output.shown();
        let colon = if shown.is_empty() { "" } else { ":" };
        format!("{} {how}{}{colon}{shown}", Title { what, command }, self.survivors)
    }
}

/// Runs a command, in which `{{ src }}` and `{{ dest }}` are filled in, to its end or to its time.
///
/// It has a process group, `/` as its folder, nothing on its standard input, no descriptor of the agent's, and just
/// this environment. When `limit` is over or `stop` is cancelled, the whole group gets TERM, and KILL 5 s later (2 s when
/// stopping); processes that have left the group are named. When it ends by itself, whatever it left running (a daemon) is
/// left alone. Dropping the future kills the group.
pub async fn run(
    title: Title<'_>,
    command: &Command,
    environment: &Environment,
    limit: Duration,
    stop: &CancellationToken,
) -> CommandEnd {
    if stop.is_cancelled() {
        return CommandEnd::without_output(How::Abandoned);
    }
    let mut running = match Running::start(command, environment) {
        Ok(running) => running,
        Err(why) => return CommandEnd::without_output(How::NotStarted(why)),
    };
    let how = tokio::select! {
        status = running.end() => status.map_or_else(|why| status_unknown(&why), from_status),
        // An agent that was stopped itself meanwhile finds both at once.
        () = sleep(limit) => running.ended_already().unwrap_or(How::TimedOut(limit)),
        () = stop.cancelled() => running.ended_already().unwrap_or(How::Abandoned),
    };
    if !matches!(how, How::TimedOut(_) | How::Abandoned) {
        running.group.leave();
        return CommandEnd { how, output: running.last_words().await, survivors: Survivors::default() };
    }
    let survivors = running.end_group(stop).await;
    running.group.leave();
    let end = CommandEnd { how, output: running.last_words().await, survivors };
    if end.how == How::Abandoned && !end.survivors.is_empty() {
        // Nobody is told any more how it ended.
        let reason = end.words(title.what, title.command);
        emit(Event::ProcessesLeft { command: title.command.to_string(), reason });
    }
    end
}
