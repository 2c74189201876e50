//! Files and folders of a state directory that are put there for good.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// How much of a file in a state directory is to outlive a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lasting {
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
pub(crate) fn replace(file: &Path, bytes: &[u8], lasting: Lasting) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("/"));
    if !folder.is_dir() {
        make(folder)?;
        if lasting == Lasting::Content {
            keep(folder)?;
        }
    }
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
    if lasting == Lasting::Content { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// The name under which a file is written.
pub fn staged(file: &Path) -> PathBuf {
    file.with_extension("tmp")
}

/// Makes a folder where it is missing, and those above it.
///
/// # Errors
/// What the system refused.
pub(crate) fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Has a folder last, whoever made it and whichever of those above it: what is noted in it is not to be lost with its
/// name.
///
/// # Errors
/// What the system refused.
pub(crate) fn keep(folder: &Path) -> io::Result<()> {
    std::path::absolute(folder)?.ancestors().skip(1).try_for_each(|above| {
        match File::open(above).and_then(|above| above.sync_all()) {
            // Some network and FUSE file systems have no sync for folders, and a folder may be writable and not readable.
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::PermissionDenied) => {
                Ok(())
            }
            synced => synced,
        }
    })
}
