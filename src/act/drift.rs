//! Whether a destination is still as the agent left it.
//!
//! What is left is known from before it was put in place: of the staged file as it was synced, or of the file that was
//! found in step as it was opened. So nothing that the agent does itself ever looks like somebody else's doing, and what
//! somebody else does at any moment after that is not taken for the agent's.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::stat::{FileStat, SFlag, lstat};

use super::writer::Writer;

/// What the agent left at a destination.
#[derive(Debug, Clone, Copy)]
pub(super) struct Left(FileStat);

impl Left {
    pub(super) fn of(stat: &FileStat) -> Self {
        Self(*stat)
    }

    /// What is there in place of that, in words; `None` where it is as it was left, or cannot be looked at.
    fn drift(&self, dest: &Path) -> Option<String> {
        match lstat(dest) {
            Ok(now) => self.against(&now),
            Err(Errno::ENOENT | Errno::ENOTDIR) => Some("it is gone".to_owned()),
            // A publication says what is the matter, once there is something to publish.
            Err(_) => None,
        }
    }

    fn against(&self, now: &FileStat) -> Option<String> {
        let left = &self.0;
        if SFlag::from_bits_truncate(now.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
            return Some("it was replaced by something that is no regular file".to_owned());
        }
        let mode = |stat: &FileStat| stat.st_mode & 0o7777;
        if (now.st_dev, now.st_ino) != (left.st_dev, left.st_ino) {
            let (mode, uid, gid, size) = (mode(now), now.st_uid, now.st_gid, now.st_size);
            return Some(format!("it was replaced by a file of mode {mode:04o}, owner {uid}:{gid} and {size} bytes"));
        }
        let mut changes = Vec::new();
        if now.st_size != left.st_size {
            changes.push(format!("it was edited: {} bytes, it had {}", now.st_size, left.st_size));
        } else if (now.st_mtime, now.st_mtime_nsec) != (left.st_mtime, left.st_mtime_nsec) {
            changes.push("it was edited or touched, and has as many bytes as before".to_owned());
        }
        if mode(now) != mode(left) {
            changes.push(format!("its mode is {:04o}, it was {:04o}", mode(now), mode(left)));
        }
        if (now.st_uid, now.st_gid) != (left.st_uid, left.st_gid) {
            let (uid, gid) = (left.st_uid, left.st_gid);
            changes.push(format!("its owner is {}:{}, it was {uid}:{gid}", now.st_uid, now.st_gid));
        }
        (!changes.is_empty()).then(|| changes.join("; "))
    }
}

/// Which of these destinations, each with its template's name, are not as the agent left them, and how. One that it has
/// left nothing at is none of them.
pub async fn drifted(writer: &Writer, dests: Vec<(Arc<str>, PathBuf)>) -> Vec<(Arc<str>, String)> {
    let look = writer.call(move |desk| {
        let drifts = dests.into_iter().filter_map(|(name, dest)| Some((name, desk.left.get(&dest)?.drift(&dest)?)));
        drifts.collect()
    });
    // Without an answer the next look tells.
    look.await.unwrap_or_default()
}
