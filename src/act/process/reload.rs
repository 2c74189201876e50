//! Makes software load its replaced files.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio_util::sync::CancellationToken;

use crate::config::{Command, Reload};
use crate::decide::{ReloadJob, ReloadOutcome};
use crate::error::Setback;

use super::command::Title;
use super::environment::{self, Environment, Variables};
use super::launch::Termination;
use super::output::printable;
use super::{command, processes};
use crate::error::os::os_error;

#[cfg(test)]
mod tests;

/// The most bytes of a pid file that are read. `PostgreSQL` writes more lines after the process ID.
const MAX_PID_FILE: u64 = 4096;

/// The most characters of its first line that a message shows.
const SHOWN: usize = 40;
/// The most bytes in `ROSTERD_CHANGED`: Linux starts no program with a variable of 128 KiB.
const MAX_CHANGED: usize = 120 * 1024;

/// Runs one reload for all templates of a job.
///
/// `ROSTERD_TEMPLATE`, `ROSTERD_DEST` and `ROSTERD_SRC` (the same file, which is now in place) name the first template.
/// `ROSTERD_CHANGED` names all files; it is empty if the list is too long. If the templates' own variables conflict,
/// the first template's value counts. Then the job's verify commands run in the same environment. The reload fails with
/// the first command that fails.
pub async fn reload(job: &ReloadJob, stop: &CancellationToken) -> ReloadOutcome {
    if stop.is_cancelled() {
        return ReloadOutcome::Abandoned;
    }
    let mut ran = match &job.reload {
        Reload::Signal { signal, pid_file } => send_signal(signal, pid_file, job, stop).await,
        // The supervisor restarts or signals the program.
        Reload::Program => ReloadOutcome::Succeeded,
        Reload::Command(command) => run("reload", command, job, job.timeout, stop).await,
    };
    // A sent signal, or a command that exits with 0, does not show that the software loaded the files.
    for verify in &job.verifies {
        if ran == ReloadOutcome::Succeeded {
            ran = run("verify", &verify.command, job, verify.timeout, stop).await;
        }
    }
    ran
}

/// Runs one command of a reload; `what` names its kind in messages.
async fn run(
    what: &str,
    command: &Command,
    job: &ReloadJob,
    limit: Duration,
    stop: &CancellationToken,
) -> ReloadOutcome {
    let end = command::run(Title { what, command }, command, &environment(job), limit, stop).await;
    match end.termination {
        Termination::Exited(0) => ReloadOutcome::Succeeded,
        Termination::Abandoned => ReloadOutcome::Abandoned,
        _ => ReloadOutcome::Failed(end.describe(what, command)),
    }
}

fn environment(job: &ReloadJob) -> Environment {
    let mut own = BTreeMap::new();
    for template in job.templates.iter().rev() {
        own.extend(template.env.clone());
    }
    let dests: Vec<String> = job.templates.iter().map(|template| template.dest.display().to_string()).collect();
    let first = dests.first().map_or("", String::as_str);
    let name = job.templates.first().map_or("", |template| &template.name);
    let mut changed = dests.join(":");
    if changed.len() > MAX_CHANGED {
        changed.clear();
    }
    environment::environment(&own, &Variables { template: name, src: first, dest: first, changed: &changed })
}

async fn send_signal(signal: &str, pid_file: &Path, job: &ReloadJob, stop: &CancellationToken) -> ReloadOutcome {
    let file = pid_file.to_owned();
    // A pid file may be on a file system that hangs. So it is read off the event loop, with the timeout of a command,
    // and by only one thread however often it is retried.
    let read = async {
        let guard = pid_file_lock(&file).lock_owned().await;
        let read = tokio::task::spawn_blocking(move || {
            let _guard = guard;
            read_pid(&file)
        });
        read.await.unwrap_or_else(|fault| Err(Setback::new(format!("read the pid file {}", pid_file.display()), fault)))
    };
    let read = tokio::select! {
        read = read => read,
        () = stop.cancelled() => return ReloadOutcome::Abandoned,
        () = tokio::time::sleep(job.timeout) => {
            let limit = humantime::format_duration(job.timeout);
            return ReloadOutcome::Failed(format!("read the pid file {}: timed out after {limit}", pid_file.display()));
        }
    };
    // Not on the thread: a pid that is read too late must not be signalled.
    match read.and_then(|pid| signal_process(signal, pid, pid_file)) {
        Ok(()) => ReloadOutcome::Succeeded,
        Err(setback) => ReloadOutcome::Failed(setback.to_string()),
    }
}

/// Pid files, each with the lock of its reader.
static PID_FILE_LOCKS: Mutex<BTreeMap<PathBuf, Arc<PidFileLock>>> = Mutex::new(BTreeMap::new());

type PidFileLock = tokio::sync::Mutex<()>;

fn pid_file_lock(file: &Path) -> Arc<PidFileLock> {
    let mut locks = PID_FILE_LOCKS.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(locks.entry(file.to_owned()).or_default())
}

/// The process that a pid file names.
fn read_pid(file: &Path) -> Result<Pid, Setback> {
    let text = read(file).map_err(|error| {
        let missing = error.kind() == io::ErrorKind::NotFound;
        let setback = os_error(format!("read the pid file {}", file.display()), error);
        if missing { setback.hint("is the software running, and does it write its pid there?") } else { setback }
    })?;
    parse_pid(&text).map_err(|why| {
        Setback::new(format!("read a process ID from the pid file {}", file.display()), why)
            .hint("the first line of a pid file must be the process ID")
    })
}

fn signal_process(name: &str, pid: Pid, file: &Path) -> Result<(), Setback> {
    let signal = parse_signal(name)?;
    let tried = || format!("send {signal} to process {pid}, which {} names", file.display());
    let gone =
        |why: &str| Setback::new(tried(), why).hint("the software is not running, or left an old pid file behind");
    // A zombie accepts signals.
    if processes::find(pid.as_raw()).is_some_and(|process| process.ended) {
        return Err(gone("it has ended, and its parent has not waited for it"));
    }
    kill(pid, signal).map_err(|errno| match errno {
        Errno::ESRCH => gone("there is no such process"),
        _ => os_error(tried(), errno),
    })
}

/// A signal by the name that `kill(1)` gives it, with or without SIG.
pub fn parse_signal(name: &str) -> Result<Signal, Setback> {
    let upper = name.trim().to_ascii_uppercase();
    let full = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    full.parse().map_err(|_| {
        Setback::new(format!("send the signal {}", printable(name)), "unknown signal")
            .hint("use a signal name such as HUP, USR1, USR2 or TERM (`kill -l` lists them)")
    })
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // Without `O_NONBLOCK` a named pipe at this path would block the thread forever.
    let flags = nix::fcntl::OFlag::O_NONBLOCK.bits();
    let open = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(file)?;
    open.take(MAX_PID_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Parses the process ID on the first line. 0, 1 and negative numbers are rejected: they mean this agent's own process
/// group, init, and whole groups.
fn parse_pid(bytes: &[u8]) -> Result<Pid, String> {
    let text = String::from_utf8_lossy(bytes);
    let first = text.lines().next().unwrap_or_default().trim();
    let shown = || {
        let cut: String = first.chars().take(SHOWN).collect();
        printable(&cut) + if cut.len() < first.len() { "…" } else { "" }
    };
    match first.parse::<i32>() {
        _ if first.is_empty() => Err("the file is empty".to_owned()),
        Err(_) => Err(format!("\"{}\" is not a process ID", shown())),
        Ok(pid) if pid <= 1 => Err(format!("{pid} is not a process that may be signalled")),
        // Its threads too: a signal to a thread is a signal to the agent. In a container all IDs are small.
        Ok(pid) if Path::new("/proc/self/task").join(pid.to_string()).exists() => Err(format!(
            "{pid} is the agent's own process or thread ID (does the software run in another PID namespace?)"
        )),
        Ok(pid) => Ok(Pid::from_raw(pid)),
    }
}
