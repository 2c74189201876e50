//! Detects whether a destination changed since the agent wrote it.
//!
//! The expected state is taken before the file is put in place: from the staged file when it is synced, or from a file
//! that was already up to date when it is opened. So the agent's own writes never look like another process's, and no
//! later change by another process is taken for the agent's.

use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, SFlag, lstat, stat};

use crate::config::{Block, TemplateConfig};
use crate::model::digest::digest_bytes;

use super::block;
use super::content::Content;
use super::fingerprint::is_same;
use super::place::Place;

/// What drift detection compares with a destination.
#[derive(Debug, Clone)]
pub struct Expected {
    template: Arc<str>,
    /// The block, if the template writes one. Other lines are not the template's.
    block: Option<Block>,
    /// The digest of the bytes, or of the block's lines.
    digest: Option<u64>,
    /// Whether the template configures a mode, and an owner or group. Other attributes may change.
    has_mode: bool,
    has_owner: bool,
}

impl Expected {
    /// The expectation of a template that writes this content.
    pub fn new(template: &TemplateConfig, content: &Content) -> Self {
        let block = template.placing.block.clone();
        Self {
            template: Arc::clone(&template.name),
            digest: digest(&content.bytes, block.as_ref()),
            block,
            has_mode: template.mode.is_some(),
            has_owner: template.owner.is_some() || template.group.is_some(),
        }
    }

    /// The template's name and the state of its destination after writing.
    pub fn written(&self, place: &Place, stat: &FileStat) -> (Arc<str>, LastWritten) {
        let followed = place.is_followed().then(|| place.dest.clone());
        let was =
            LastWritten { stat: *stat, path: place.real_path(), followed, expected: self.clone(), has_drifted: false };
        (Arc::clone(&self.template), was)
    }
}

fn digest(bytes: &[u8], block: Option<&Block>) -> Option<u64> {
    block.map_or_else(|| Some(digest_bytes(bytes)), |block| block::digest(bytes, block))
}

/// The state of a destination after the agent wrote it.
#[derive(Debug, Clone)]
pub struct LastWritten {
    stat: FileStat,
    path: PathBuf,
    /// The destination, if it is a link that leads to `path`.
    followed: Option<PathBuf>,
    expected: Expected,
    /// A change was found and reported.
    has_drifted: bool,
}

/// The result of a comparison.
enum Status {
    /// As the agent left it.
    Unchanged,
    /// Changed; a description.
    Drifted(String),
    /// It cannot be examined.
    Unknown,
}

impl LastWritten {
    /// Reports a change with its description, or with `None` if the destination was changed back. Returns `None` if
    /// there is nothing to report.
    pub fn check(&mut self, template: Arc<str>) -> Option<(Arc<str>, Option<String>)> {
        match self.status() {
            Status::Drifted(what) => {
                self.has_drifted = true;
                Some((template, Some(what)))
            }
            Status::Unchanged => std::mem::take(&mut self.has_drifted).then_some((template, None)),
            // The next publication reports the problem.
            Status::Unknown => None,
        }
    }

    fn status(&mut self) -> Status {
        let now = match lstat(&self.path) {
            Ok(now) => now,
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Status::Drifted("it was deleted".to_owned()),
            Err(_) => return Status::Unknown,
        };
        if !is_regular(&now) {
            return Status::Drifted("it was replaced by something other than a regular file".to_owned());
        }
        let leads = |dest| stat(dest).is_ok_and(|there| (there.st_dev, there.st_ino) == (now.st_dev, now.st_ino));
        if self.followed.as_ref().is_some_and(|dest| !leads(dest)) {
            return Status::Drifted(format!("it no longer points to {}", self.path.display()));
        }
        let (was, expected) = (&self.stat, &self.expected);
        if is_same(&now, was) {
            return Status::Unchanged;
        }
        let has_attributes = (!expected.has_mode || mode(&now) == mode(was))
            && (!expected.has_owner || (now.st_uid, now.st_gid) == (was.st_uid, was.st_gid));
        if (has_attributes || expected.block.is_some()) && self.has_content() {
            // A touch, or a rewrite with the same content, is not drift.
            self.stat = now;
            return Status::Unchanged;
        }
        let what = self.describe_difference(&now);
        Status::Drifted(match &expected.block {
            Some(block) => format!("its block {} was changed: {what}", block.name),
            None => what,
        })
    }

    /// Whether the file has the expected content. Never blocks, even if the file was replaced by a pipe.
    fn has_content(&self) -> bool {
        let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(&self.path);
        let is_file = file.as_ref().is_ok_and(|file| file.metadata().is_ok_and(|it| it.is_file()));
        let mut bytes = Vec::new();
        let is_read = is_file && file.is_ok_and(|mut file| file.read_to_end(&mut bytes).is_ok());
        is_read && digest(&bytes, self.expected.block.as_ref()) == self.expected.digest
    }

    /// Describes the difference.
    fn describe_difference(&self, now: &FileStat) -> String {
        let was = &self.stat;
        if (now.st_dev, now.st_ino) != (was.st_dev, was.st_ino) {
            let (mode, uid, gid, size) = (mode(now), now.st_uid, now.st_gid, now.st_size);
            return format!("it was replaced by a file of mode {mode:04o}, owner {uid}:{gid} and {size} bytes");
        }
        let mut changes = Vec::new();
        if now.st_size != was.st_size {
            changes.push(format!("its size changed from {} to {} bytes", was.st_size, now.st_size));
        } else if (now.st_mtime, now.st_mtime_nsec) != (was.st_mtime, was.st_mtime_nsec) {
            changes.push("it was modified, but its size did not change".to_owned());
        }
        if mode(now) != mode(was) {
            changes.push(format!("its mode changed from {:04o} to {:04o}", mode(was), mode(now)));
        }
        if (now.st_uid, now.st_gid) != (was.st_uid, was.st_gid) {
            let (uid, gid) = (was.st_uid, was.st_gid);
            changes.push(format!("its owner changed from {uid}:{gid} to {}:{}", now.st_uid, now.st_gid));
        }
        changes.join("; ")
    }
}

fn mode(stat: &FileStat) -> u32 {
    stat.st_mode & 0o7777
}

fn is_regular(stat: &FileStat) -> bool {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG
}
