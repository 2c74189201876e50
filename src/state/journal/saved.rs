//! Copies of the versions whose reload last succeeded, kept until the next one does.

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

/// A copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SavedCopy {
    /// There was no file.
    Nothing,
    /// A copy of the bytes, with the file's other attributes.
    File {
        /// The name of the copy in the directory.
        name: String,
        /// The file's permission bits.
        mode: u32,
        /// The file's owner.
        uid: u32,
        /// The file's group.
        gid: u32,
    },
}

/// A version of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviousFile {
    /// All its bytes.
    pub bytes: Vec<u8>,
    /// Its permission bits.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// A version that a running reload includes, and that was replaced since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The batch that put it in place.
    pub from: u64,
    /// The batch that replaced it.
    pub until: u64,
    /// Its copy.
    pub saved: SavedCopy,
    /// Its own reload succeeded; those of its unit may not have.
    pub is_proven: bool,
}

/// The copies made before a replacement.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct NewCopies {
    /// The version to restore, if no older one is kept.
    pub saved: Option<SavedCopy>,
    /// A version that a running reload may confirm, and which is then restored instead.
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
    /// The directory in a state directory; it is created with the first copy.
    pub fn new(state_dir: &Path) -> Self {
        Self { directory: state_dir.join(NAME) }
    }

    /// Saves a durable copy of a file. `seq` makes its name unique.
    pub fn save(&self, key: &Key, seq: u64, before: Option<&PreviousFile>) -> io::Result<SavedCopy> {
        let Some(PreviousFile { bytes, mode, uid, gid }) = before else { return Ok(SavedCopy::Nothing) };
        create_directory(&self.directory)?;
        let name = format!("{:016x}-{seq}", digest([&*key.dest.to_string_lossy(), &key.template].into_iter()));
        // No entry refers to it yet: if this is interrupted, the next start removes it.
        let file = self.directory.join(&name);
        let mut copy = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file)?;
        copy.write_all(bytes)?;
        copy.sync_all()?;
        // Syncs the name of the copy and, if an earlier process made the directory and was killed, that of the
        // directory.
        for directory in self.directory.ancestors().take(2) {
            File::open(directory)?.sync_all()?;
        }
        Ok(SavedCopy::File { name, mode: *mode, uid: *uid, gid: *gid })
    }

    /// The bytes of a copy; `None` if there was no file.
    pub fn read(&self, saved: &SavedCopy) -> io::Result<Option<PreviousFile>> {
        let SavedCopy::File { name, mode, uid, gid } = saved else { return Ok(None) };
        let bytes = fs::read(self.directory.join(name))?;
        Ok(Some(PreviousFile { bytes, mode: *mode, uid: *uid, gid: *gid }))
    }

    /// Whether a copy exists. After a power cut an entry may refer to a copy that was removed with its reload.
    pub fn has(&self, saved: &SavedCopy) -> bool {
        let SavedCopy::File { name, .. } = saved else { return true };
        !fs::symlink_metadata(self.directory.join(name)).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    /// Removes all other copies.
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
