//! A file of lines with checksums that grows at its end.
//!
//! A truncated file is read up to its last complete line. Of a file that is damaged elsewhere, every intact line is
//! read. A file with far more lines than its state needs is rewritten: the new file is written beside it, synced, and
//! renamed into place. A file that a newer version wrote, or that has another format, is renamed and kept.
//!
//! A file that cannot be read is renamed too, and is read once that is possible: its lines are older than those written
//! meanwhile. The same goes for a file that later appears in its place, for example because a disk was mounted there.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::libc::{dev_t, ino_t};
use serde::Serialize;
use serde::de::DeserializeOwned;

use durable::{Durability, replace, staging_path};

use crate::decide::Event;
use crate::log::emit;

pub mod durable;
pub mod line;
pub mod path_encoding;
#[cfg(test)]
pub mod tests;

/// A file is rewritten when it has this many lines more than its state needs.
const SPARE_LINES: usize = 256;

/// A file is rewritten when it has grown by this many bytes.
const SPARE_BYTES: u64 = 4 * 1024 * 1024;

/// Growth by fewer bytes is no reason to compact a file.
const MIN_COMPACT_BYTES: u64 = 64 * 1024;

/// The most files that are kept to be read later.
const MAX_SET_ASIDE: usize = 9;

/// Whether this process may change the state directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It holds the lock: a file that cannot be used is renamed.
    ReadWrite,
    /// Nothing is written.
    ReadOnly,
}

/// The kind of a log, and the first line of its file.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    /// The kind, one word.
    pub about: &'static str,
    /// The version that is written, and the only one that is read.
    pub version: u32,
    /// Whether [`append`](AppendLog::append) syncs.
    pub synced: bool,
    /// The number of lines that hold the whole state in a rewritten file, if each later line is a change to what the
    /// lines before it say. Then nothing after a damaged line is read. 0 if lines do not depend on each other.
    pub snapshot: usize,
}

/// An append-only file of lines.
#[derive(Debug)]
pub struct AppendLog {
    file: PathBuf,
    header: Header,
    /// The number of lines after the header.
    lines: usize,
    /// The size in bytes when it was last rewritten; for a file that was only opened, the size without the changes.
    begun: u64,
    /// The file as this process left it, if it ends with a complete line, so that lines can be appended.
    known: Option<FileId>,
    /// It exists but could not be read, so it must not be overwritten.
    is_unread: bool,
    /// Files that were set aside earlier and have been read. The next rewrite includes their lines.
    merged: Vec<PathBuf>,
}

/// Identifies a file, and its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId {
    device: dev_t,
    inode: ino_t,
    length: u64,
}

impl FileId {
    fn new(file: &Metadata) -> Self {
        Self { device: file.dev(), inode: file.ino(), length: file.len() }
    }
}

/// The content of a log.
#[derive(Debug, PartialEq, Eq)]
pub struct Contents<T> {
    /// The intact lines; empty if there is no file.
    pub lines: Vec<T>,
    /// Why lines may be missing.
    pub lost: Option<String>,
}

impl<T> Contents<T> {
    fn lost(why: String) -> Self {
        Self { lines: Vec::new(), lost: Some(why) }
    }
}

impl AppendLog {
    /// Opens a log and reads its intact lines. If it is damaged, the next append rewrites it.
    pub fn open<T: DeserializeOwned>(file: PathBuf, header: Header, access: Access) -> (Self, Contents<T>) {
        let mut log = Self { file, header, lines: 0, begun: 0, known: None, is_unread: false, merged: Vec::new() };
        if access == Access::ReadWrite {
            // An earlier process ended while it wrote this.
            let _ = fs::remove_file(log.staging_path());
        }
        let (mut earlier, merged) = log.earlier();
        log.merged = merged;
        let mut held = match contents(&log.file) {
            Ok(None) => Contents { lines: Vec::new(), lost: None },
            Ok(Some((bytes, left))) => log.read(&bytes, left, access),
            Err(why) => {
                log.is_unread = true;
                let kept = if access == Access::ReadWrite { log.set_aside() } else { Err(io::ErrorKind::Other.into()) };
                let kept = kept.unwrap_or_else(|_| log.file.clone());
                Contents::lost(format!("cannot read {}: {why}; it is kept as {}", log.file.display(), kept.display()))
            }
        };
        if !log.merged.is_empty() {
            log.known = None;
            earlier.append(&mut held.lines);
            held.lines = earlier;
        }
        (log, held)
    }

    /// The path of the file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Whether the file is intact, and most of it is not changes that a rewrite would drop.
    pub fn is_compact(&self) -> bool {
        let is_short = |left: &FileId| left.length - self.begun <= self.begun.max(MIN_COMPACT_BYTES);
        self.known.as_ref().is_some_and(is_short) && self.is_intact()
    }

    /// Whether the file is as this process left it.
    pub fn is_intact(&self) -> bool {
        let now = fs::symlink_metadata(&self.file).ok().filter(Metadata::is_file);
        self.known.is_some() && self.known == now.as_ref().map(FileId::new)
    }

    /// Appends a line. `needed` is the number of lines that the current state takes, and `all` returns them, in case
    /// the file is rewritten.
    ///
    /// # Errors
    /// The system call that failed. The line may be in the file or not.
    pub fn append<T: Serialize>(&mut self, line: &T, needed: usize, all: impl FnOnce() -> Vec<T>) -> io::Result<()> {
        self.write(line, needed, all, self.header.synced)
    }

    /// Like [`Self::append`], for a line that a power cut may lose.
    ///
    /// # Errors
    /// The system call that failed. The line may be in the file or not.
    pub fn append_unsynced<T: Serialize>(
        &mut self,
        line: &T,
        needed: usize,
        all: impl FnOnce() -> Vec<T>,
    ) -> io::Result<()> {
        self.write(line, needed, all, false)
    }

    fn write<T: Serialize>(
        &mut self,
        line: &T,
        needed: usize,
        all: impl FnOnce() -> Vec<T>,
        synced: bool,
    ) -> io::Result<()> {
        let is_short =
            |left: &FileId| self.lines < 2 * needed + SPARE_LINES && left.length < 2 * self.begun + SPARE_BYTES;
        let known = self.known.take();
        let open = known.filter(is_short).map(|left| self.reopen(left)).transpose()?.flatten();
        let Some(mut file) = open else {
            self.known = known;
            return self.rewrite(&all());
        };
        let added = file.write_all(&line::write(line)).and_then(|()| if synced { file.sync_all() } else { Ok(()) });
        if let (Err(error), Some(left)) = (added, known) {
            // The caller does not do what the line says, so the next start must not read it.
            let _ = file.set_len(left.length);
            return Err(error);
        }
        self.lines += 1;
        self.known = Some(FileId::new(&file.metadata()?));
        Ok(())
    }

    /// Opens the file for appending, if it is still the file that this process left.
    fn reopen(&self, left: FileId) -> io::Result<Option<File>> {
        let file = match OpenOptions::new().append(true).custom_flags(PLAIN).open(&self.file) {
            Ok(file) => file,
            Err(_) if !self.is_left(left) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok((FileId::new(&file.metadata()?) == left).then_some(file))
    }

    fn is_left(&self, left: FileId) -> bool {
        fs::symlink_metadata(&self.file).is_ok_and(|now| FileId::new(&now) == left)
    }

    /// The lines of files that were set aside and can be read now, the oldest first.
    fn earlier<T: DeserializeOwned>(&self) -> (Vec<T>, Vec<PathBuf>) {
        let (mut lines, mut read) = (Vec::new(), Vec::new());
        for aside in (1..=MAX_SET_ASIDE).map(|number| self.aside(number)) {
            match contents(&aside) {
                Ok(None) => {}
                Ok(Some((bytes, _))) => {
                    let rest = self.header.split(&bytes).filter(|it| it.0 == self.header.version);
                    let Some((_, rest)) = rest else { continue };
                    emit(Event::StateMerged { file: aside.clone() });
                    lines.extend(self.header.whole_lines(rest).0);
                    read.push(aside);
                }
                Err(why) => {
                    let (reason, effect) =
                        (why.to_string(), "entries from the earlier, unreadable file are still missing");
                    emit(Event::StateReadFailed { file: Some(aside), reason, effect });
                }
            }
        }
        (lines, read)
    }

    fn aside(&self, number: usize) -> PathBuf {
        self.file.with_added_extension(format!("unread{number}"))
    }

    /// Renames a file that cannot be read, so that later starts try to read it. Returns its new path.
    fn set_aside(&mut self) -> io::Result<PathBuf> {
        let is_free = |aside: &PathBuf| fs::symlink_metadata(aside).is_err();
        let aside = (1..=MAX_SET_ASIDE)
            .map(|number| self.aside(number))
            .find(is_free)
            .unwrap_or_else(|| self.aside(MAX_SET_ASIDE));
        match fs::rename(&self.file, &aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => self.is_unread = false,
        }
        Ok(aside)
    }

    fn read<T: DeserializeOwned>(&mut self, bytes: &[u8], left: FileId, access: Access) -> Contents<T> {
        let shown = self.file.display().to_string();
        let rest = match self.header.split(bytes) {
            Some((version, rest)) if version == self.header.version => rest,
            other => {
                let is_newer = other.is_some_and(|(version, _)| version > self.header.version);
                let aside = self.file.with_added_extension(if is_newer { "newer" } else { "damaged" });
                let kept = if access == Access::ReadWrite && fs::rename(&self.file, &aside).is_ok() {
                    &aside
                } else {
                    &self.file
                };
                let why = match other {
                    Some((version, _)) if is_newer => format!("a newer rosterd wrote {shown} (version {version})"),
                    Some((version, _)) => {
                        format!("{shown} has version {version}; this rosterd reads version {}", self.header.version)
                    }
                    None => format!("{shown} has no valid header"),
                };
                return Contents::lost(format!("{why}: kept as {}", kept.display()));
            }
        };
        let (lines, damage) = self.header.whole_lines(rest);
        self.lines = lines.len();
        let begun = bytes.split_inclusive(|byte| *byte == b'\n').take(1 + self.header.snapshot);
        self.begun = begun.map(|line| line.len() as u64).sum();
        self.known = (damage == Damage::None).then_some(left);
        let lost = match damage {
            Damage::Within => Some(format!("{shown} is damaged")),
            Damage::CutOff if self.header.snapshot > 0 => Some(format!("the last line of {shown} is incomplete")),
            _ => None,
        };
        Contents { lines, lost }
    }

    /// Replaces the file by one with these lines.
    ///
    /// # Errors
    /// The system call that failed; the file is unchanged then.
    pub fn rewrite<T: Serialize>(&mut self, lines: &[T]) -> io::Result<()> {
        // A file that cannot be appended to may still be the file that this process left.
        self.is_unread |= self.known.take().is_some_and(|left| !self.is_left(left));
        if self.is_unread {
            let aside = self.set_aside()?;
            emit(Event::StateReplaced { file: self.file.clone(), backup: aside });
        }
        let mut bytes = self.header.line().into_bytes();
        for line in lines {
            bytes.extend(line::write(line));
        }
        let durability = match (self.header.synced, self.file.exists()) {
            (true, _) => Durability::Content,
            (false, true) => Durability::Bytes,
            // The first file replaces nothing that a power cut could lose.
            (false, false) => Durability::Nothing,
        };
        replace(&self.file, &bytes, durability)?;
        let left = FileId::new(&fs::symlink_metadata(&self.file)?);
        (self.lines, self.begun, self.known) = (lines.len(), left.length, Some(left));
        for read in self.merged.drain(..) {
            let _ = fs::remove_file(read);
        }
        Ok(())
    }

    fn staging_path(&self) -> PathBuf {
        staging_path(&self.file)
    }
}

/// Flags for opening a file that may have been replaced by a link or a pipe.
const PLAIN: i32 = OFlag::O_NOFOLLOW.union(OFlag::O_NONBLOCK).bits();

/// The bytes of a file and its identity; `None` if it does not exist.
fn contents(path: &Path) -> io::Result<Option<(Vec<u8>, FileId)>> {
    let mut file = match OpenOptions::new().read(true).custom_flags(PLAIN).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(Some((bytes, FileId::new(&meta))))
}

/// How a log is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    None,
    /// The last line is incomplete: what it says was not done.
    CutOff,
    /// A line is not as it was written.
    Within,
}

impl Header {
    /// The intact lines.
    fn whole_lines<T: DeserializeOwned>(self, mut rest: &[u8]) -> (Vec<T>, Damage) {
        let (mut lines, mut damage) = (Vec::new(), Damage::None);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            match line::read(&rest[..end]) {
                Some(line) => lines.push(line),
                None if self.snapshot > 0 => return (lines, Damage::Within),
                None => damage = Damage::Within,
            }
            rest = &rest[end + 1..];
        }
        if let Some(line) = rest.split_last().and_then(|(_, line)| line::read(line)) {
            // Only the end of the line is wrong.
            lines.push(line);
            damage = Damage::Within;
        } else if !rest.is_empty() && damage == Damage::None {
            damage = Damage::CutOff;
        }
        (lines, damage)
    }

    fn line(self) -> String {
        format!("rosterd {} {}\n", self.about, self.version)
    }

    /// The version in the header, and the bytes after it.
    fn split(self, bytes: &[u8]) -> Option<(u32, &[u8])> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let header = std::str::from_utf8(&bytes[..end]).ok()?;
        let version = header.strip_prefix("rosterd ")?.strip_prefix(self.about)?.strip_prefix(' ')?;
        Some((version.parse().ok()?, &bytes[end + 1..]))
    }
}
