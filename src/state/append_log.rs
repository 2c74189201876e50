//! A file of lines, each with a checksum, that grows at its end: what a state directory keeps of what comes and goes.
//!
//! A file that was cut off anywhere is read as far as it is whole, and of one that is damaged elsewhere every line that
//! is. When it has far more lines than there is to say, it is begun anew: written beside, synced, and renamed into place.
//! One that a newer version wrote, or that is none at all, is kept under another name.
//!
//! One that cannot be read is set aside as well, and read when it answers again: what it says is older than what was
//! written meanwhile. So is whatever is found in its place later, when somebody mounts another disk on the directory.

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

/// So many lines more than there is to say, and it is begun anew.
const SPARE_LINES: usize = 256;

/// So many bytes more, and it is as well.
const SPARE_BYTES: u64 = 4 * 1024 * 1024;

/// So many bytes more are no reason to rewrite it when there is time.
const MIN_COMPACT_BYTES: u64 = 64 * 1024;

/// The most files that wait to be read again.
const MAX_SET_ASIDE: usize = 9;

/// Whether the state directory is this process's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It is: what cannot be used is set aside.
    ReadWrite,
    /// It is not, or nothing is to be written: it is only looked at.
    ReadOnly,
}

/// What a file of lines is about, and how it begins.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    /// In a word.
    pub about: &'static str,
    /// The version that is written, and the only one that is read.
    pub version: u32,
    /// Whether a line is on disk, and not only in the kernel's hands, once it is [added](AppendLog::add).
    pub synced: bool,
    /// How many lines hold the whole state in a file that was rewritten, where each later line is a change to what the
    /// lines before it say: then nothing after a damaged line is read. 0 where every line stands for itself.
    pub snapshot: usize,
}

/// A file of lines.
#[derive(Debug)]
pub struct AppendLog {
    file: PathBuf,
    header: Header,
    /// Lines beyond the header.
    lines: usize,
    /// How long it was when it was last begun; of a file that was only opened, the part before the changes.
    begun: u64,
    /// The file, as it was left, where it ends so that a line may be appended.
    known: Option<FileId>,
    /// It is there and could not be read: nothing may take its place.
    is_unread: bool,
    /// Files that were set aside before, and are read: what they say is in the next one that is begun.
    merged: Vec<PathBuf>,
}

/// By what a file is known again.
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

/// What a file of lines held.
#[derive(Debug, PartialEq, Eq)]
pub struct Contents<T> {
    /// The lines that are whole, or none where there is no file.
    pub lines: Vec<T>,
    /// Why there may have been more of them, in words.
    pub lost: Option<String>,
}

impl<T> Contents<T> {
    fn lost(why: String) -> Self {
        Self { lines: Vec::new(), lost: Some(why) }
    }
}

impl AppendLog {
    /// Opens a file, and reads what is whole of it. What is damaged is left out, and the next line makes it be written
    /// anew.
    pub fn open<T: DeserializeOwned>(file: PathBuf, header: Header, access: Access) -> (Self, Contents<T>) {
        let mut log = Self { file, header, lines: 0, begun: 0, known: None, is_unread: false, merged: Vec::new() };
        if access == Access::ReadWrite {
            // FileId by a process that ended while it wrote it.
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
                Contents::lost(format!("read {}: {why}: kept as {}", log.file.display(), kept.display()))
            }
        };
        if !log.merged.is_empty() {
            log.known = None;
            earlier.append(&mut held.lines);
            held.lines = earlier;
        }
        (log, held)
    }

    /// Where it is.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Whether it is as it was left, and most of it is not changes that a rewrite would leave out.
    pub fn is_compact(&self) -> bool {
        let is_short = |left: &FileId| left.length - self.begun <= self.begun.max(MIN_COMPACT_BYTES);
        self.known.as_ref().is_some_and(is_short) && self.is_intact()
    }

    /// Whether it is as it was left.
    pub fn is_intact(&self) -> bool {
        let now = fs::symlink_metadata(&self.file).ok().filter(Metadata::is_file);
        self.known.is_some() && self.known == now.as_ref().map(FileId::new)
    }

    /// Adds a line. `needed` is how many lines it would take to say all that is so now, this line's part included, and
    /// `all` gives them, where the file is to be begun anew.
    ///
    /// # Errors
    /// What the system refused. It is not known then whether the line is there.
    pub fn append<T: Serialize>(&mut self, line: &T, needed: usize, all: impl FnOnce() -> Vec<T>) -> io::Result<()> {
        self.write(line, needed, all, self.header.synced)
    }

    /// The same for a line that may be lost in a power cut.
    ///
    /// # Errors
    /// What the system refused. It is not known then whether the line is there.
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
            // What it says is not done then, and is not to be believed at the next start.
            let _ = file.set_len(left.length);
            return Err(error);
        }
        self.lines += 1;
        self.known = Some(FileId::new(&file.metadata()?));
        Ok(())
    }

    /// Opens it to append, if it is still what was left there.
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

    /// What was set aside before, as far as it can be read now, the oldest first.
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
                    let (reason, effect) = (why.to_string(), "what was set aside is still not used");
                    emit(Event::StateReadFailed { file: Some(aside), reason, effect });
                }
            }
        }
        (lines, read)
    }

    fn aside(&self, number: usize) -> PathBuf {
        self.file.with_added_extension(format!("unread{number}"))
    }

    /// Keeps what cannot be read under a name by which it is looked at again; that name.
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
                        format!("{shown} is of version {version}, and this is {}", self.header.version)
                    }
                    None => format!("{shown} is not what was written"),
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
    /// What the system refused; the file is as it was then.
    pub fn rewrite<T: Serialize>(&mut self, lines: &[T]) -> io::Result<()> {
        // What may not be appended to may still be what was left there.
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
            // A first file replaces nothing that a power cut could take away.
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

/// How a file is opened in whose place somebody may have put a link or a pipe.
const PLAIN: i32 = OFlag::O_NOFOLLOW.union(OFlag::O_NONBLOCK).bits();

/// All that is in a file, and which that is; `None` where there is none.
fn contents(path: &Path) -> io::Result<Option<(Vec<u8>, FileId)>> {
    let mut file = match OpenOptions::new().read(true).custom_flags(PLAIN).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(Some((bytes, FileId::new(&meta))))
}

/// What is wrong with lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    None,
    /// The last one was cut off as it was written: whatever it was about has not happened.
    CutOff,
    /// One is not what was written.
    Within,
}

impl Header {
    /// The lines that can be read.
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
            // Its end alone is another.
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

    /// The version that a file says it has, and what follows its header.
    fn split(self, bytes: &[u8]) -> Option<(u32, &[u8])> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let header = std::str::from_utf8(&bytes[..end]).ok()?;
        let version = header.strip_prefix("rosterd ")?.strip_prefix(self.about)?.strip_prefix(' ')?;
        Some((version.parse().ok()?, &bytes[end + 1..]))
    }
}
