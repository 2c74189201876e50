//! Versions of files whose reload failed, and which are not written again together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::digest::digest_bytes;
use crate::state::append_log::path_encoding::EncodedPath;

/// Files and the digests of their content.
pub type Set = BTreeMap<PathBuf, u64>;

/// A set of files whose reload failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// The files and their digests then.
    pub files: Set,
    /// How the reload failed.
    pub why: String,
}

/// The serialized form.
#[derive(Serialize, Deserialize)]
pub struct BlockedLine {
    files: Vec<(EncodedPath, u64)>,
    why: String,
}

impl From<BlockedLine> for Blocked {
    fn from(BlockedLine { files, why }: BlockedLine) -> Self {
        let files = files.into_iter().map(|(dest, digest)| (dest.into(), digest));
        Self { files: files.collect(), why }
    }
}

/// Serializes the sets for a line of the journal.
pub fn to_lines(sets: &[Blocked]) -> Vec<BlockedLine> {
    let files = |set: &Set| set.iter().map(|(dest, digest)| (EncodedPath::from(&**dest), *digest)).collect();
    sets.iter().map(|set| BlockedLine { files: files(&set.files), why: set.why.clone() }).collect()
}

/// Which of these files, with their new content, would complete a blocked set, and how its reload failed.
pub fn failed_again(wanted: &Set, blocked: &[Blocked]) -> BTreeMap<PathBuf, String> {
    let digest = |dest: &PathBuf| wanted.get(dest).copied().or_else(|| standing(dest));
    let again = |set: &&Blocked| {
        let touched = set.files.keys().any(|dest| wanted.contains_key(dest));
        touched && set.files.iter().all(|(dest, failed)| digest(dest) == Some(*failed))
    };
    let sets = blocked.iter().filter(again);
    sets.flat_map(|set| set.files.keys().map(|dest| (dest.clone(), set.why.clone()))).collect()
}

/// The digest of the current file; `None` if it cannot be read.
pub fn standing(dest: &Path) -> Option<u64> {
    // Only regular files: reading a pipe may block forever.
    std::fs::metadata(dest).ok().filter(std::fs::Metadata::is_file)?;
    std::fs::read(dest).ok().map(|bytes| digest_bytes(&bytes))
}
