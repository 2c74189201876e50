//! The contents of generations, each stored once, in a file that is named by its SHA-256 digest.
//!
//! Nothing is synced. After a crash a file can be incomplete: a content whose digest does not match counts as missing,
//! and is written again when a file has it again.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use crate::model::digest::sha256;

/// Stored contents.
#[derive(Debug)]
pub struct Contents {
    directory: PathBuf,
    /// Their digests.
    stored: BTreeSet<String>,
}

impl Contents {
    /// Opens a directory, which need not exist.
    pub fn open(directory: PathBuf) -> Self {
        let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
        let stored = entries.filter_map(|entry| entry.file_name().into_string().ok().filter(|name| is_digest(name)));
        Self { stored: stored.collect(), directory }
    }

    /// The path of a content.
    fn path(&self, digest: &str) -> PathBuf {
        self.directory.join(digest)
    }

    /// Whether a content is stored.
    pub fn has(&self, digest: &str) -> bool {
        self.stored.contains(digest)
    }

    /// Stores a content. The directory exists.
    ///
    /// # Errors
    /// The system call that failed. No incomplete file is left.
    pub fn store(&mut self, digest: &str, bytes: &[u8]) -> io::Result<()> {
        if self.has(digest) && self.read(digest).is_ok() {
            return Ok(());
        }
        let path = self.path(digest);
        let written = write_file(&path, bytes);
        if written.is_ok() {
            self.stored.insert(digest.to_owned());
        } else {
            self.stored.remove(digest);
            let _ = fs::remove_file(&path);
        }
        written
    }

    /// Reads a content.
    ///
    /// # Errors
    /// It is not stored, cannot be read, or is damaged.
    pub fn read(&self, digest: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(PLAIN).open(self.path(digest))?.read_to_end(&mut bytes)?;
        if sha256(&bytes) == digest { Ok(bytes) } else { Err(io::Error::other("the stored content is damaged")) }
    }

    /// Removes every content that is not wanted.
    pub fn retain(&mut self, wanted: impl Fn(&str) -> bool) {
        let gone: Vec<String> = self.stored.iter().filter(|digest| !wanted(digest)).cloned().collect();
        for digest in gone {
            // A file that cannot be removed is found at the next start.
            let _ = fs::remove_file(self.path(&digest));
            self.stored.remove(&digest);
        }
    }
}

/// Another process may have put a link or a pipe there.
const PLAIN: i32 = OFlag::O_NOFOLLOW.union(OFlag::O_NONBLOCK).bits();

fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).custom_flags(PLAIN).open(path)?.write_all(bytes)
}

fn is_digest(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
