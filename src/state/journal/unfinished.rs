//! Replacements that were begun and could not be finished.

use super::Entry;

/// A replacement that was begun and could not be finished: what it is to be finished with stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// As it was noted.
    pub entry: Entry,
    /// What stood there then: something else is somebody else's.
    pub seen: OnDisk,
}

/// What stands at a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDisk {
    /// There is no file.
    Missing,
    /// A file of this digest.
    File(u64),
    /// It cannot be read.
    Unreadable,
}

impl OnDisk {
    /// Whether it is what an entry has this digest for.
    #[must_use]
    pub fn is(self, digest: Option<u64>) -> bool {
        match self {
            Self::Missing => digest.is_none(),
            Self::File(now) => digest == Some(now),
            Self::Unreadable => false,
        }
    }
}
