//! Runs one command: in a process group of its own, with a clean environment, for a limited time.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::{AccessFlags, access};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::Command;

use super::children::OwnChild;
use super::group::Group;
use super::tail::printable;
pub use super::tail::{KEPT, Tail};

/// How long a process group has between TERM and KILL.
const GRACE: Duration = Duration::from_secs(5);
/// The same once the agent is stopping, which has 5 s for everything.
const STOP_GRACE: Duration = Duration::from_secs(2);
/// How long output is waited for after the command itself has ended: some descendant may hold the pipe for ever.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// How long a killed command may take to be gone: one in an uninterruptible sleep must not hang the agent.
pub(super) const REAP: Duration = Duration::from_secs(1);
/// How often a process group is looked at while it ends; nothing tells of a group's end.
pub(super) const GROUP_POLL: Duration = Duration::from_millis(50);
/// The PATH of an agent that has none.
pub(super) const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The LANG of an agent that has none.
const DEFAULT_LANG: &str = "C.UTF-8";
/// How much is read from a command's output at once.
const CHUNK: usize = 16 * 1024;

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

/// The end of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandEnd {
    /// How it ended.
    pub how: How,
    /// The end of what it wrote.
    pub output: Tail,
}

impl CommandEnd {
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
        format!("{what} \"{}\" {how}{colon}{shown}", printable(&command.to_string()))
    }
}

/// Runs a command, in which `{{ src }}` and `{{ dest }}` are filled in, to its end or to its time.
///
/// It has a process group, `/` as its folder, nothing on its standard input, no descriptor of the agent's, and just
/// this environment. When `limit` is over or `stop` is cancelled, the whole group gets TERM, and KILL 5 s later (2 s
/// when stopping). When it ends by itself, whatever it left running (a daemon) is left alone. Dropping the future
/// kills the group.
pub async fn run(
    command: &Command,
    environment: &Environment,
    limit: Duration,
    stop: &CancellationToken,
) -> CommandEnd {
    if stop.is_cancelled() {
        return CommandEnd { how: How::Abandoned, output: Tail::default() };
    }
    let mut running = match Running::start(command, environment) {
        Ok(running) => running,
        Err(why) => return CommandEnd { how: How::NotStarted(why), output: Tail::default() },
    };
    let how = tokio::select! {
        status = running.end() => status.map_or_else(|error| How::NotStarted(format!("nothing is known of it: {error}")), ended),
        () = sleep(limit) => How::TimedOut(limit),
        () = stop.cancelled() => How::Abandoned,
    };
    if matches!(how, How::TimedOut(_) | How::Abandoned) {
        running.end_group(stop).await;
    }
    running.group.leave();
    CommandEnd { how, output: running.last_words().await }
}

pub(super) fn ended(status: ExitStatus) -> How {
    match (status.code(), status.signal()) {
        (Some(code), _) => How::Exited(code),
        (None, signal) => How::Signalled(signal.unwrap_or_default()),
    }
}

struct Running {
    child: OwnChild,
    group: Group,
    /// Standard output and standard error; `None` once every writer is gone.
    output: Option<pipe::Receiver>,
    chunk: Box<[u8]>,
    tail: Tail,
}

impl Running {
    fn start(command: &Command, environment: &Environment) -> Result<Self, String> {
        let mut process = program(command, environment.get("PATH").map_or(OsStr::new(""), OsString::as_os_str))?;
        let words = |error: io::Error| start_trouble(command, &error);
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
        Ok(Self { child, group, output: Some(output), chunk: vec![0; CHUNK].into(), tail: Tail::default() })
    }

    /// Waits for the command itself, and takes its output meanwhile.
    async fn end(&mut self) -> io::Result<ExitStatus> {
        loop {
            tokio::select! {
                status = self.child.wait() => return status,
                () = take(&mut self.output, &mut self.chunk, &mut self.tail), if self.output.is_some() => {}
            }
        }
    }

    /// Ends the whole process group.
    async fn end_group(&mut self, stop: &CancellationToken) {
        self.group.signal(Signal::SIGTERM);
        let patience = async {
            tokio::select! {
                () = sleep(GRACE) => {}
                () = async { stop.cancelled().await; sleep(STOP_GRACE).await } => {}
            }
        };
        tokio::select! {
            () = self.emptied() => {}
            () = patience => {}
        }
        self.group.signal(Signal::SIGKILL);
        // What is not gone in this time is reaped by the runtime when it is.
        let _ = timeout(REAP, self.end()).await;
    }

    /// Waits until nobody is left in the group.
    async fn emptied(&mut self) {
        let _ = self.end().await;
        while self.group.is_running() {
            tokio::select! {
                () = sleep(GROUP_POLL) => {}
                () = take(&mut self.output, &mut self.chunk, &mut self.tail), if self.output.is_some() => {}
            }
        }
    }

    /// What is still in the pipe. A descendant that goes on holding it is read from for as long as it lives: a daemon
    /// that a reload has started would otherwise die of SIGPIPE at its next line.
    async fn last_words(mut self) -> Tail {
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

/// A command that is not started yet, with nothing but its program and arguments; by the PATH that it will run with.
///
/// # Errors
/// The program is not to be found there.
pub(super) fn program(command: &Command, path: &OsStr) -> Result<tokio::process::Command, String> {
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

pub(super) fn start_trouble(command: &Command, error: &io::Error) -> String {
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
