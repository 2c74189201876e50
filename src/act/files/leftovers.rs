//! Staged files that an agent left behind when it was killed.

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

/// How the names of all staged files begin.
const MARK: &str = ".rosterd-";

/// How they end, so that no software includes one with its `*.cfg`.
pub const END: &str = ".tmp";

/// How the names of one agent's staged files begin: an agent removes its own, and not those of another agent that has
/// its files in the same folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    prefix: String,
    /// The state directory; `None`: they are not told from those of others.
    state_dir: Option<PathBuf>,
}

impl Tag {
    /// That of whoever has this state directory.
    pub fn of(state_dir: &Path) -> Self {
        let real = fs::canonicalize(state_dir).unwrap_or_else(|_| state_dir.to_owned());
        let digest = digest(std::iter::once(&*real.to_string_lossy()));
        Self { prefix: format!("{MARK}{:08x}-", (digest ^ (digest >> 32)) & 0xffff_ffff), state_dir: Some(real) }
    }

    /// That of a process without a state directory.
    pub fn none() -> Self {
        Self { prefix: MARK.to_owned(), state_dir: None }
    }

    /// How names begin.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whose they are: a path without links.
    pub fn state_dir(&self) -> Option<&Path> {
        self.state_dir.as_deref()
    }

    /// Removes one's own from an open folder in which nothing of this process is staged, but for these names. What has the
    /// folder's name by now is left alone.
    pub fn sweep(&self, folder: &OwnedFd, shown: &Path, spared: &BTreeSet<OsString>) {
        if self.state_dir.is_some() {
            remove(&PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())), shown, &self.prefix, spared);
        }
    }
}

/// Removes what was being written in a state directory, which is locked, but for these names.
pub fn sweep_state(state_dir: &Path, spared: &BTreeSet<OsString>) {
    for folder in [state_dir.to_owned(), state_dir.join("servers")] {
        remove(&folder, &folder, MARK, spared);
    }
}

fn remove(folder: &Path, shown: &Path, prefix: &str, spared: &BTreeSet<OsString>) {
    for name in staged(folder, prefix).into_iter().filter(|name| !spared.contains(name)) {
        let file = shown.join(&name);
        match fs::remove_file(folder.join(name)) {
            Ok(()) => emit(Event::StagedFileRemoved { file }),
            Err(error) => emit(Event::StagedFileLeft { file, reason: error.to_string() }),
        }
    }
}

/// Removes a staged file from an open folder, which is called `shown` in the log.
pub fn remove_staged(folder: &OwnedFd, name: &OsStr, shown: &Path) {
    if let Err(errno) = unlinkat(folder, name, UnlinkatFlags::NoRemoveDir) {
        emit(Event::StagedFileLeft { file: shown.join(name), reason: errno.to_string() });
    }
}

fn staged(folder: &Path, prefix: &str) -> Vec<OsString> {
    // A folder that cannot be read is told of by whoever writes there.
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_staged = |name: &OsString| name.to_str().is_some_and(|name| name.starts_with(prefix) && name.ends_with(END));
    let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    files.map(|entry| entry.file_name()).filter(is_staged).collect()
}
