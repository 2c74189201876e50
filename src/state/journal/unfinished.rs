//! Replacements that were begun and could not be finished.

use super::Entry;

/// A replacement that was begun and could not be finished; its staged file is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// Its entry.
    pub entry: Entry,
    /// What was at the destination then. Anything else was written by another process.
    pub seen: OnDisk,
}

/// What is at a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDisk {
    /// No file.
    Missing,
    /// A file with this digest.
    File(u64),
    /// It cannot be read.
    Unreadable,
}

impl OnDisk {
    /// Whether this is the file with this digest, or no file for `None`.
    #[must_use]
    pub fn is(self, digest: Option<u64>) -> bool {
        match self {
            Self::Missing => digest.is_none(),
            Self::File(now) => digest == Some(now),
            Self::Unreadable => false,
        }
    }
}
