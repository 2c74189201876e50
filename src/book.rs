//! A file of lines, each with a checksum, that grows at its end: what a state directory keeps of what comes and goes.
//!
//! A file that was cut off anywhere is read as far as it is whole. When it has far more lines than there is to say, it is
//! begun anew: written beside, synced, and renamed into place. One that a newer version wrote is kept under another name.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) mod line;
pub(crate) mod spelling;

/// So many lines more than there is to say, and it is begun anew.
const SPARE: usize = 256;

/// Whether the state directory is this process's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It is: what cannot be used is set aside.
    Own,
    /// It is not, or nothing is to be written: it is only looked at.
    Look,
}

/// What a file of lines is about, and how it begins.
#[derive(Debug, Clone, Copy)]
pub struct Title {
    /// In a word.
    pub about: &'static str,
    /// The version that is written, and the only one that is read.
    pub version: u32,
    /// Whether a line is on disk, and not only in the kernel's hands, once it is [added](Book::add).
    pub synced: bool,
}

/// A file of lines.
#[derive(Debug)]
pub struct Book {
    file: PathBuf,
    title: Title,
    /// Lines beyond the title.
    lines: usize,
    /// It ends where a line may be appended.
    sound: bool,
}

/// What a file of lines held.
#[derive(Debug, PartialEq, Eq)]
pub enum Held<T> {
    /// These lines, or none where there is no file.
    Lines(Vec<T>),
    /// Nothing that can be used; why, in words.
    Lost(String),
    /// Nobody knows: it cannot be read; why, in words.
    Unreadable(String),
}

impl Book {
    /// Opens a file, and reads it as far as it is whole. What is damaged at its end is left out, and the next line makes
    /// it be written anew.
    pub fn open<T: DeserializeOwned>(file: PathBuf, title: Title, access: Access) -> (Self, Held<T>) {
        let mut book = Self { file, title, lines: 0, sound: false };
        if access == Access::Own {
            // Left by a process that ended while it wrote it.
            let _ = fs::remove_file(book.staged());
        }
        let held = match fs::read(&book.file) {
            Ok(bytes) => book.read(&bytes, access),
            Err(why) if why.kind() == io::ErrorKind::NotFound => Held::Lines(Vec::new()),
            Err(why) => Held::Unreadable(format!("read {}: {why}", book.file.display())),
        };
        (book, held)
    }

    /// Where it is.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Adds a line. `needed` is how many lines it would take to say all that is so now, this line's part included, and
    /// `all` gives them, where the file is to be begun anew.
    ///
    /// # Errors
    /// What the system refused. It is not known then whether the line is there.
    pub fn add<T: Serialize>(&mut self, line: &T, needed: usize, all: impl FnOnce() -> Vec<T>) -> io::Result<()> {
        self.write(line, needed, all, self.title.synced)
    }

    /// The same for a line that may be lost in a power cut.
    ///
    /// # Errors
    /// What the system refused. It is not known then whether the line is there.
    pub fn add_unsynced<T: Serialize>(
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
        let appends = self.sound && self.lines < 2 * needed + SPARE;
        self.sound = false;
        if appends {
            let mut file = OpenOptions::new().append(true).open(&self.file)?;
            file.write_all(&line::write(line))?;
            if synced {
                file.sync_all()?;
            }
            self.lines += 1;
        } else {
            self.rewrite(&all())?;
        }
        self.sound = true;
        Ok(())
    }

    fn read<T: DeserializeOwned>(&mut self, bytes: &[u8], access: Access) -> Held<T> {
        let shown = self.file.display();
        let Some((version, mut rest)) = self.title.split(bytes) else {
            return Held::Lost(format!("{shown} is not what was written"));
        };
        if version > self.title.version {
            let aside = self.file.with_extension("newer");
            let kept =
                if access == Access::Own && fs::rename(&self.file, &aside).is_ok() { &aside } else { &self.file };
            return Held::Lost(format!(
                "a newer rosterd wrote {shown} (version {version}): kept as {}",
                kept.display()
            ));
        }
        if version != self.title.version {
            return Held::Lost(format!("{shown} is of version {version}, and this is {}", self.title.version));
        }
        let mut lines = Vec::new();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let Some(line) = line::read(&rest[..end]) else { break };
            lines.push(line);
            rest = &rest[end + 1..];
        }
        self.lines = lines.len();
        self.sound = rest.is_empty();
        Held::Lines(lines)
    }

    fn rewrite<T: Serialize>(&mut self, lines: &[T]) -> io::Result<()> {
        let mut bytes = self.title.line().into_bytes();
        for line in lines {
            bytes.extend(line::write(line));
        }
        replace(&self.file, &bytes, if self.title.synced { Lasting::Whole } else { Lasting::Bytes })?;
        self.lines = lines.len();
        Ok(())
    }

    fn staged(&self) -> PathBuf {
        staged(&self.file)
    }
}

impl Title {
    fn line(self) -> String {
        format!("rosterd {} {}\n", self.about, self.version)
    }

    /// The version that a file says it has, and what follows its title.
    fn split(self, bytes: &[u8]) -> Option<(u32, &[u8])> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let title = std::str::from_utf8(&bytes[..end]).ok()?;
        let version = title.strip_prefix("rosterd ")?.strip_prefix(self.about)?.strip_prefix(' ')?;
        Some((version.parse().ok()?, &bytes[end + 1..]))
    }
}

/// How much of a file in a state directory is to outlive a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lasting {
    /// It may be gone, or empty.
    Nothing,
    /// It may be the old one.
    Bytes,
    /// It is the new one.
    Whole,
}

/// Puts a file in place as a whole: the old one or the new one, whatever becomes of the process.
///
/// # Errors
/// What the system refused; nothing is left beside the file then.
pub(crate) fn replace(file: &Path, bytes: &[u8], lasting: Lasting) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("/"));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // The lock says that nobody else writes here.
    let staged = staged(file);
    let placed = (|| {
        let mut fresh = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&staged)?;
        fresh.write_all(bytes)?;
        if lasting != Lasting::Nothing {
            fresh.sync_all()?;
        }
        fs::rename(&staged, file)
    })();
    if placed.is_err() {
        let _ = fs::remove_file(&staged);
    }
    placed?;
    if lasting == Lasting::Whole { File::open(folder)?.sync_all() } else { Ok(()) }
}

fn staged(file: &Path) -> PathBuf {
    file.with_extension("tmp")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TITLE: Title = Title { about: "test", version: 2, synced: true };

    fn open(folder: &Path, access: Access) -> (Book, Held<u32>) {
        Book::open(folder.join("lines"), TITLE, access)
    }

    #[test]
    fn it_is_read_as_far_as_it_is_whole_and_goes_on_there() {
        let dir = tempfile::TempDir::new().unwrap();
        let (mut book, held) = open(dir.path(), Access::Own);
        assert_eq!(held, Held::Lines(vec![]));
        for line in 1..=3 {
            book.add(&line, 1, || vec![line]).unwrap();
        }
        let whole = fs::read(dir.path().join("lines")).unwrap();
        let ends: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] == b'\n').map(|at| at + 1).collect();
        for cut in 0..=whole.len() {
            fs::write(dir.path().join("lines"), &whole[..cut]).unwrap();
            let (mut book, held) = open(dir.path(), Access::Own);
            let Some(lines) = ends.iter().filter(|end| **end <= cut).count().checked_sub(1) else {
                assert!(matches!(held, Held::Lost(_)), "cut at {cut}: {held:?}");
                continue;
            };
            let mut expected: Vec<u32> = (1..=3).take(lines).collect();
            assert_eq!(held, Held::Lines(expected.clone()), "cut at {cut}");
            expected.push(9);
            book.add(&9, 1, || expected.clone()).unwrap();
            assert_eq!(open(dir.path(), Access::Own).1, Held::Lines(expected), "cut at {cut}");
        }
    }

    #[test]
    fn it_is_begun_anew_when_it_has_outgrown_what_there_is_to_say() {
        let dir = tempfile::TempDir::new().unwrap();
        let (mut book, _) = open(dir.path(), Access::Own);
        for line in 0..1000_u32 {
            book.add(&line, 1, || vec![line]).unwrap();
        }
        let (_, held) = open(dir.path(), Access::Own);
        let Held::Lines(lines) = held else { panic!("{held:?}") };
        assert!(lines.len() < 2 * SPARE && lines.last() == Some(&999), "{}", lines.len());
    }

    #[test]
    fn one_of_a_newer_version_is_set_aside_by_whoever_may() {
        let dir = tempfile::TempDir::new().unwrap();
        let (file, newer) = (dir.path().join("lines"), dir.path().join("lines.newer"));
        fs::write(&file, "rosterd test 3\nwhatever it is\n").unwrap();
        assert!(matches!(open(dir.path(), Access::Look).1, Held::Lost(why) if why.contains("version 3")));
        assert!(file.exists());
        assert!(matches!(open(dir.path(), Access::Own).1, Held::Lost(why) if why.contains("lines.newer")));
        assert_eq!(fs::read_to_string(newer).unwrap(), "rosterd test 3\nwhatever it is\n");
        fs::write(&file, "another program's\n").unwrap();
        assert!(matches!(open(dir.path(), Access::Own).1, Held::Lost(_)));
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert!(matches!(open(dir.path(), Access::Own).1, Held::Unreadable(_)));
    }
}
