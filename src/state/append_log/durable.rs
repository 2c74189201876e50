//! Files and directories of a state directory that are put there for good.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// How much of a file in a state directory is to outlive a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// It may be gone, or empty.
    Nothing,
    /// It may be the old one.
    Bytes,
    /// It is the new one.
    Content,
}

/// Puts a file in place as a whole: the old one or the new one, whatever becomes of the process.
///
/// # Errors
/// What the system refused; nothing is left beside the file then.
pub(crate) fn replace(file: &Path, bytes: &[u8], durability: Durability) -> io::Result<()> {
    let directory = file.parent().unwrap_or(Path::new("/"));
    if !directory.is_dir() {
        create_directory(directory)?;
        if durability == Durability::Content {
            sync_ancestors(directory)?;
        }
    }
    // The lock says that nobody else writes here.
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

/// The name under which a file is written.
pub fn staging_path(file: &Path) -> PathBuf {
    file.with_extension("tmp")
}

/// Makes a directory where it is missing, and those above it.
///
/// # Errors
/// What the system refused.
pub(crate) fn create_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Has a directory last, whoever made it and whichever of those above it: what is noted in it is not to be lost with its
/// name.
///
/// # Errors
/// What the system refused.
pub(crate) fn sync_ancestors(directory: &Path) -> io::Result<()> {
    std::path::absolute(directory)?.ancestors().skip(1).try_for_each(|above| {
        match File::open(above).and_then(|above| above.sync_all()) {
            // Some network and FUSE file systems have no sync for directories, and a directory may be writable and not readable.
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::PermissionDenied) => {
                Ok(())
            }
            synced => synced,
        }
    })
}
