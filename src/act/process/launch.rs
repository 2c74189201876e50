//! Finds and prepares a command's program, and describes how its process ended.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use nix::unistd::{AccessFlags, access};

use crate::config::Command;

use super::output::printable;

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Termination {
    /// It exited with this code.
    Exited(i32),
    /// It was killed by a signal that the agent did not send.
    Signalled(i32),
    /// It took longer than this, and its process group was terminated.
    TimedOut(Duration),
    /// It did not start, for this reason.
    NotStarted(String),
    /// The agent is stopping: the process group was terminated, or the command was not started.
    Abandoned,
}

/// The end of a command whose exit status cannot be read.
pub fn status_unknown(why: &io::Error) -> Termination {
    Termination::NotStarted(format!("its exit status cannot be read: {why}"))
}

/// Converts an exit status.
pub fn from_status(status: ExitStatus) -> Termination {
    match (status.code(), status.signal()) {
        (Some(code), _) => Termination::Exited(code),
        (None, signal) => Termination::Signalled(signal.unwrap_or_default()),
    }
}

/// Prepares a command: its program, found in this PATH, and its arguments.
///
/// # Errors
/// The program is not in the PATH.
pub fn prepare(command: &Command, path: &OsStr) -> Result<tokio::process::Command, String> {
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

/// Finds a program in the PATH.
fn find(program: &str, path: &OsStr) -> Result<PathBuf, String> {
    if program.contains('/') {
        return Ok(PathBuf::from(program));
    }
    std::env::split_paths(path)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(program))
        .find(|file| file.is_file() && access(file, AccessFlags::X_OK).is_ok())
        .ok_or_else(|| {
            let path = printable(&path.to_string_lossy());
            format!("program {} not found in PATH {path} (install it, or give its full path)", printable(program))
        })
}

/// Why a command failed to start.
pub fn start_error(command: &Command, error: &io::Error) -> String {
    let program = match command {
        Command::Shell(_) => "/bin/sh",
        Command::Exec(list) => list.first().map_or("", String::as_str),
    };
    let program = printable(&Path::new(program).display().to_string());
    match error.kind() {
        io::ErrorKind::NotFound => {
            format!("{program}: not found, or the interpreter in its first line is missing")
        }
        io::ErrorKind::PermissionDenied => format!("{program}: {error} (is it executable by the agent's user?)"),
        _ => format!("{program}: {error}"),
    }
}
