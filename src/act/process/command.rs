//! Runs one command: in a process group of its own, with a clean environment, for a limited time.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;
use std::{fmt, io};

use nix::sys::signal::Signal;
use nix::unistd::{AccessFlags, access};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::config::Command;
use crate::decide::Event;
use crate::log::emit;

pub use super::escaped::Survivors;
pub use super::output::Tail;
use super::output::printable;
use super::running::Running;

/// The PATH of an agent that has none.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The LANG of an agent that has none.
const DEFAULT_LANG: &str = "C.UTF-8";

/// A whole environment for a command: nothing of the agent's own is added.
pub type Environment = BTreeMap<String, OsString>;

/// What a command is run for, as it may read in its environment. Never a member's data.
#[derive(Debug, Clone, Copy)]
pub struct Occasion<'a> {
    /// `ROSTERD_TEMPLATE`: the template's name.
    pub template: &'a str,
    /// `ROSTERD_SRC`: the file with the new bytes, which for a check is the staged one.
    pub src: &'a str,
    /// `ROSTERD_DEST`: the destination.
    pub dest: &'a str,
    /// `ROSTERD_CHANGED`: the destinations that the command is run for, with `:` between them, as in a PATH.
    pub changed: &'a str,
}

/// The clean environment: PATH and LANG, what the template sets (which may change those), and the occasion.
pub fn environment(template: &BTreeMap<String, String>, occasion: &Occasion<'_>) -> Environment {
    let own = |name: &str, default: &str| {
        std::env::var_os(name).filter(|value| !value.is_empty()).unwrap_or_else(|| default.into())
    };
    let mut all = Environment::from([
        ("PATH".to_owned(), own("PATH", DEFAULT_PATH)),
        ("LANG".to_owned(), own("LANG", DEFAULT_LANG)),
    ]);
    all.extend(template.iter().map(|(name, value)| (name.clone(), value.into())));
    let told = [
        ("ROSTERD_TEMPLATE", occasion.template),
        ("ROSTERD_SRC", occasion.src),
        ("ROSTERD_DEST", occasion.dest),
        ("ROSTERD_CHANGED", occasion.changed),
    ];
    all.extend(told.map(|(name, value)| (name.to_owned(), value.into())));
    all
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// By itself, with this code.
    Exited(i32),
    /// By a signal that was not ours.
    Signalled(i32),
    /// It took longer than this, and its process group was ended.
    TimedOut(Duration),
    /// It did not start, and why: the program was not found, and where; it may not be executed.
    NotStarted(String),
    /// The agent is stopping: the process group was ended, or the command not even started.
    Abandoned,
}

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
        status = running.end() => status.map_or_else(|why| unknown(&why), ended),
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

/// What is known of a command that nothing is known of.
pub fn unknown(why: &io::Error) -> How {
    How::NotStarted(format!("nothing is known of it: {why}"))
}

pub fn ended(status: ExitStatus) -> How {
    match (status.code(), status.signal()) {
        (Some(code), _) => How::Exited(code),
        (None, signal) => How::Signalled(signal.unwrap_or_default()),
    }
}

/// A command that is not started yet, with nothing but its program and arguments; by the PATH that it will run with.
///
/// # Errors
/// The program is not to be found there.
pub fn program(command: &Command, path: &OsStr) -> Result<tokio::process::Command, String> {
    match command {
        Command::Shell(text) => {
            let mut process = tokio::process::Command::new("/bin/sh");
            process.arg("-c").arg(text);
            Ok(process)
        }
        Command::Exec(list) => {
            let (program, arguments) = list.split_first().ok_or("the list is empty")?;
            let mut process = tokio::process::Command::new(find(program, path)?);
            process.arg0(program).args(arguments);
            Ok(process)
        }
    }
}

/// Where a program is.
fn find(program: &str, path: &OsStr) -> Result<PathBuf, String> {
    if program.contains('/') {
        return Ok(PathBuf::from(program));
    }
    std::env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(program))
        .find(|file| file.is_file() && access(file, AccessFlags::X_OK).is_ok())
        .ok_or_else(|| {
            let path = printable(&path.to_string_lossy());
            format!("no program {} in PATH {path} (install it, or give its full path)", printable(program))
        })
}

pub fn start_trouble(command: &Command, error: &io::Error) -> String {
    let program = match command {
        Command::Shell(_) => "/bin/sh",
        Command::Exec(list) => list.first().map_or("", String::as_str),
    };
    let program = printable(&Path::new(program).display().to_string());
    match error.kind() {
        io::ErrorKind::NotFound => {
            format!("{program}: there is no such program, or the interpreter that its first line names is missing")
        }
        io::ErrorKind::PermissionDenied => format!("{program}: {error} (is it executable by the agent's user?)"),
        _ => format!("{program}: {error}"),
    }
}
