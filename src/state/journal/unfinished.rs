//! Replacements that were begun and could not be finished.

use super::Entry;

/// A replacement that was begun and could not be finished: what it is to be finished with stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// As it was noted.
    pub entry: Entry,
    /// What stood there then: something else is somebody else's.
    pub seen: Now,
}

/// What stands at a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Now {
    /// There is no file.
    Nothing,
    /// A file of this digest.
    Bytes(u64),
    /// It cannot be read.
    Unknown,
}

impl Now {
    /// Whether it is what an entry has this digest for.
    #[must_use]
    pub fn is(self, digest: Option<u64>) -> bool {
        match self {
            Self::Nothing => digest.is_none(),
            Self::Bytes(now) => digest == Some(now),
            Self::Unknown => false,
        }
    }
}
