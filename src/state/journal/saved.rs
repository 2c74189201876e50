//! Files as they were when their reload last succeeded, kept until the next one does.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::key::Key;
use crate::model::digest::digest;
use crate::state::append_log::kept::make;

/// The folder's name in the state directory.
const NAME: &str = "saved";

/// A file that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Saved {
    /// There was none.
    Nothing,
    /// Its bytes, under this name in the folder, and what else it was.
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
pub struct Before {
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
pub struct Trial {
    /// The round in which it was put in place.
    pub from: u64,
    /// The round in which it was replaced.
    pub until: u64,
    /// Its copy.
    pub saved: Saved,
    /// Its own reload succeeded; those of its unit may not have.
    pub is_proven: bool,
}

/// Copies of what a replacement takes the place of.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Copies {
    /// What to go back to, where nothing older is kept.
    pub saved: Option<Saved>,
    /// What a reload under way may prove to be better than that.
    pub trial: Option<Trial>,
}

impl Trial {
    /// Its copy.
    pub fn copy(&self) -> &Saved {
        &self.saved
    }
}

/// The folder with the copies.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    pub fn of(state_dir: &Path) -> Self {
        Self { folder: state_dir.join(NAME) }
    }

    /// Keeps what stands at a destination, for good. `seq` makes the copy's name its own.
    pub fn save(&self, key: &Key, seq: u64, before: Option<&Before>) -> io::Result<Saved> {
        let Some(Before { bytes, mode, uid, gid }) = before else { return Ok(Saved::Nothing) };
        make(&self.folder)?;
        let name = format!("{:016x}-{seq}", digest([&*key.dest.to_string_lossy(), &key.template].into_iter()));
        // Nothing refers to it yet: one that is cut off here is removed at the next start.
        let file = self.folder.join(&name);
        let mut copy = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file)?;
        copy.write_all(bytes)?;
        copy.sync_all()?;
        // The copy's name, and, whoever made it and was cut off after that, the folder's.
        for folder in self.folder.ancestors().take(2) {
            File::open(folder)?.sync_all()?;
        }
        Ok(Saved::File { name, mode: *mode, uid: *uid, gid: *gid })
    }

    /// What was kept; `None`: there was no file.
    pub fn read(&self, saved: &Saved) -> io::Result<Option<Before>> {
        let Saved::File { name, mode, uid, gid } = saved else { return Ok(None) };
        let bytes = fs::read(self.folder.join(name))?;
        Ok(Some(Before { bytes, mode: *mode, uid: *uid, gid: *gid }))
    }

    /// Whether a copy is there, or could be: a power cut may leave the note of one that went with its reload.
    pub fn has(&self, saved: &Saved) -> bool {
        let Saved::File { name, .. } = saved else { return true };
        !fs::symlink_metadata(self.folder.join(name)).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    /// Removes all copies but these.
    pub fn sweep<'a>(&self, kept: impl Iterator<Item = &'a Saved>) {
        let kept: BTreeSet<&str> = kept
            .filter_map(|saved| match saved {
                Saved::File { name, .. } => Some(&**name),
                Saved::Nothing => None,
            })
            .collect();
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            if !entry.file_name().to_str().is_some_and(|name| kept.contains(name)) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}
