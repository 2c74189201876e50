//! Files as they were when their reload last succeeded, kept until the next one does.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::key::Key;
use crate::model::digest::digest;
use crate::state::append_log::durable::create_directory;

/// The directory's name in the state directory.
const NAME: &str = "saved";

/// A file that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SavedCopy {
    /// There was none.
    Nothing,
    /// Its bytes, under this name in the directory, and what else it was.
    File {
        /// Of the copy.
        name: String,
        /// Permission bits of the file.
        mode: u32,
        /// The file's owner.
        uid: u32,
        /// The file's group.
        gid: u32,
    },
}

/// A file as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviousFile {
    /// All of it.
    pub bytes: Vec<u8>,
    /// Its permission bits.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// A file that a reload under way takes up, and that was replaced since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The round in which it was put in place.
    pub from: u64,
    /// The round in which it was replaced.
    pub until: u64,
    /// Its copy.
    pub saved: SavedCopy,
    /// Its own reload succeeded; those of its unit may not have.
    pub is_proven: bool,
}

/// NewCopies of what a replacement takes the place of.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct NewCopies {
    /// What to go back to, where nothing older is kept.
    pub saved: Option<SavedCopy>,
    /// What a reload under way may prove to be better than that.
    pub candidate: Option<Candidate>,
}

impl Candidate {
    /// Its copy.
    pub fn copy(&self) -> &SavedCopy {
        &self.saved
    }
}

/// The directory with the copies.
#[derive(Debug)]
pub struct CopyStore {
    directory: PathBuf,
}

impl CopyStore {
    pub fn new(state_dir: &Path) -> Self {
        Self { directory: state_dir.join(NAME) }
    }

    /// Keeps what stands at a destination, for good. `seq` makes the copy's name its own.
    pub fn save(&self, key: &Key, seq: u64, before: Option<&PreviousFile>) -> io::Result<SavedCopy> {
        let Some(PreviousFile { bytes, mode, uid, gid }) = before else { return Ok(SavedCopy::Nothing) };
        create_directory(&self.directory)?;
        let name = format!("{:016x}-{seq}", digest([&*key.dest.to_string_lossy(), &key.template].into_iter()));
        // Nothing refers to it yet: one that is cut off here is removed at the next start.
        let file = self.directory.join(&name);
        let mut copy = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file)?;
        copy.write_all(bytes)?;
        copy.sync_all()?;
        // The copy's name, and, whoever made it and was cut off after that, the directory's.
        for directory in self.directory.ancestors().take(2) {
            File::open(directory)?.sync_all()?;
        }
        Ok(SavedCopy::File { name, mode: *mode, uid: *uid, gid: *gid })
    }

    /// What was kept; `None`: there was no file.
    pub fn read(&self, saved: &SavedCopy) -> io::Result<Option<PreviousFile>> {
        let SavedCopy::File { name, mode, uid, gid } = saved else { return Ok(None) };
        let bytes = fs::read(self.directory.join(name))?;
        Ok(Some(PreviousFile { bytes, mode: *mode, uid: *uid, gid: *gid }))
    }

    /// Whether a copy is there, or could be: a power cut may leave the note of one that went with its reload.
    pub fn has(&self, saved: &SavedCopy) -> bool {
        let SavedCopy::File { name, .. } = saved else { return true };
        !fs::symlink_metadata(self.directory.join(name)).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    /// Removes all copies but these.
    pub fn sweep<'a>(&self, kept: impl Iterator<Item = &'a SavedCopy>) {
        let kept: BTreeSet<&str> = kept
            .filter_map(|saved| match saved {
                SavedCopy::File { name, .. } => Some(&**name),
                SavedCopy::Nothing => None,
            })
            .collect();
        for entry in fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            if !entry.file_name().to_str().is_some_and(|name| kept.contains(name)) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}
