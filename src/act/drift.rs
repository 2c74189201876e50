//! Whether a destination is still as the agent left it.
//!
//! What is left is known from before it was put in place: of the staged file as it was synced, or of the file that was
//! found in step as it was opened. So nothing that the agent does itself ever looks like somebody else's doing, and what
//! somebody else does at any moment after that is not taken for the agent's.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::stat::{FileStat, SFlag, lstat};

use crate::config::{Block, TemplateConfig};

use super::block;
use super::place::Place;
use super::whole::Whole;
use super::writer::Writer;

/// What a template is about to leave at its destination, beside the file's state.
#[derive(Debug, Clone)]
pub(super) struct Leaves {
    template: Arc<str>,
    /// Of one that writes a block: which, and the digest of its lines. Other lines are for others to write.
    block: Option<(Block, Option<u64>)>,
}

impl Leaves {
    pub(super) fn of(template: &TemplateConfig, whole: &Whole) -> Self {
        let block = template.placing.block.as_ref();
        let block = block.map(|block| (block.clone(), block::digest(&whole.bytes, block)));
        Self { template: Arc::clone(&template.name), block }
    }

    /// Whose destination it is, and what is there from now on.
    pub(super) fn at(&self, place: &Place, stat: &FileStat) -> (Arc<str>, Left) {
        let left = Left { stat: *stat, path: place.real_path(), block: self.block.clone() };
        (Arc::clone(&self.template), left)
    }
}

/// What the agent left at a destination.
#[derive(Debug, Clone)]
pub(super) struct Left {
    stat: FileStat,
    path: PathBuf,
    block: Option<(Block, Option<u64>)>,
}

impl Left {
    /// What is there in place of that, in words; `None` where it is as it was left, or cannot be looked at.
    fn drift(&self) -> Option<String> {
        let drift = match lstat(&self.path) {
            Ok(now) if !is_regular(&now) => {
                return Some("it was replaced by something that is no regular file".to_owned());
            }
            Ok(now) => self.against(&now)?,
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Some("it is gone".to_owned()),
            // A publication says what is the matter, once there is something to publish.
            Err(_) => return None,
        };
        let Some((block, digest)) = &self.block else { return Some(drift) };
        match fs::read(&self.path) {
            Ok(file) if block::digest(&file, block) == *digest => None,
            _ => Some(format!("block {} of it is not what was written: {drift}", block.name)),
        }
    }

    fn against(&self, now: &FileStat) -> Option<String> {
        let left = &self.stat;
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

fn is_regular(stat: &FileStat) -> bool {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG
}

/// Which of these templates' destinations are not as the agent left them, and how. One that it has left nothing at is
/// none of them.
pub async fn drifted(writer: &Writer, templates: Vec<Arc<str>>) -> Vec<(Arc<str>, String)> {
    let look = writer.call(move |desk| {
        let drift = |template: Arc<str>| desk.left.get(&template)?.drift().map(|drift| (template, drift));
        templates.into_iter().filter_map(drift).collect()
    });
    // Without an answer the next look tells.
    look.await.unwrap_or_default()
}
