//! Staged files that a killed agent left behind.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::decide::Event;
use crate::log::emit;
use crate::model::digest::digest;

#[cfg(test)]
mod tests;

/// The beginning of all names of staged files.
const PREFIX: &str = ".rosterd-";

/// The end of their names, which no `*.cfg` include matches.
pub const SUFFIX: &str = ".tmp";

/// Whether a name is that of a staged file.
pub fn is_staged_name(name: &str) -> bool {
    name.starts_with(PREFIX) && name.ends_with(SUFFIX)
}

/// The beginning of the names of one agent's staged files. An agent removes only its own, not those of another agent
/// with files in the same directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    prefix: String,
    /// The state directory; `None` if the names do not tell this agent's files from others'.
    state_dir: Option<PathBuf>,
}

impl Tag {
    /// The tag of the agent with this state directory.
    pub fn new(state_dir: &Path) -> Self {
        let real = fs::canonicalize(state_dir).unwrap_or_else(|_| state_dir.to_owned());
        let digest = digest(std::iter::once(&*real.to_string_lossy()));
        Self { prefix: format!("{PREFIX}{:08x}-", (digest ^ (digest >> 32)) & 0xffff_ffff), state_dir: Some(real) }
    }

    /// The tag of a process without a state directory.
    pub fn none() -> Self {
        Self { prefix: PREFIX.to_owned(), state_dir: None }
    }

    /// How the names begin.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The agent's state directory, without links.
    pub fn state_dir(&self) -> Option<&Path> {
        self.state_dir.as_deref()
    }

    /// Removes this agent's staged files from an open directory, except those in use. Files of other agents are left
    /// alone.
    pub fn sweep(&self, directory: &OwnedFd, shown: &Path, in_use: &BTreeSet<OsString>) {
        if self.state_dir.is_some() {
            remove(&PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())), shown, &self.prefix, in_use);
        }
    }
}

/// Removes temporary files from a state directory, which must be locked, except those in use.
pub fn sweep_state(state_dir: &Path, in_use: &BTreeSet<OsString>) {
    for directory in [state_dir.to_owned(), state_dir.join("servers")] {
        remove(&directory, &directory, PREFIX, in_use);
    }
}

fn remove(directory: &Path, shown: &Path, prefix: &str, in_use: &BTreeSet<OsString>) {
    for name in staged(directory, prefix).into_iter().filter(|name| !in_use.contains(name)) {
        let file = shown.join(&name);
        match fs::remove_file(directory.join(name)) {
            Ok(()) => emit(Event::StagedFileRemoved { file }),
            Err(error) => emit(Event::StagedFileLeft { file, reason: error.to_string() }),
        }
    }
}

/// Removes a staged file from an open directory, which the log calls `shown`.
pub fn remove_staged(directory: &OwnedFd, name: &OsStr, shown: &Path) {
    if let Err(errno) = unlinkat(directory, name, UnlinkatFlags::NoRemoveDir) {
        emit(Event::StagedFileLeft { file: shown.join(name), reason: errno.to_string() });
    }
}

fn staged(directory: &Path, prefix: &str) -> Vec<OsString> {
    // The next write to the directory reports why it cannot be read.
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let is_staged =
        |name: &OsString| name.to_str().is_some_and(|name| name.starts_with(prefix) && name.ends_with(SUFFIX));
    let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    files.map(|entry| entry.file_name()).filter(is_staged).collect()
}
