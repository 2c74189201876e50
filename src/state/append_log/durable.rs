//! Writes files and directories of a state directory durably.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// What a power cut may do to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// The file may be gone or empty.
    Nothing,
    /// The old file may be back.
    Bytes,
    /// The new file stays.
    Content,
}

/// Replaces a file atomically: if the process is killed, either the old or the new file exists.
///
/// # Errors
/// The system call that failed; no temporary file is left.
pub(crate) fn replace(file: &Path, bytes: &[u8], durability: Durability) -> io::Result<()> {
    let directory = file.parent().unwrap_or(Path::new("/"));
    if !directory.is_dir() {
        create_directory(directory)?;
        if durability == Durability::Content {
            sync_ancestors(directory)?;
        }
    }
    // The lock keeps other processes from writing here.
    let staged = staging_path(file);
    let placed = (|| {
        let mut fresh = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&staged)?;
        fresh.write_all(bytes)?;
        if durability != Durability::Nothing {
            fresh.sync_all()?;
        }
        fs::rename(&staged, file)
    })();
    if placed.is_err() {
        let _ = fs::remove_file(&staged);
    }
    placed?;
    if durability == Durability::Content { File::open(directory)?.sync_all() } else { Ok(()) }
}

/// The path of the temporary file.
pub fn staging_path(file: &Path) -> PathBuf {
    file.with_extension("tmp")
}

/// Creates a directory and its missing parents.
///
/// # Errors
/// The system call that failed.
pub(crate) fn create_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Syncs all parents of a directory, so that a power cut does not remove its name.
///
/// # Errors
/// The system call that failed.
pub(crate) fn sync_ancestors(directory: &Path) -> io::Result<()> {
    std::path::absolute(directory)?.ancestors().skip(1).try_for_each(|above| {
        match File::open(above).and_then(|above| above.sync_all()) {
            // Some network and FUSE file systems cannot sync directories, and a directory may be writable but not
            // readable.
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::PermissionDenied) => {
                Ok(())
            }
            synced => synced,
        }
    })
}
