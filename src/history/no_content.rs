//! Why there is no content of a number in the history.

use crate::error::Exit;

/// Why a number has no content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoContent {
    /// There is no entry with this number. The first and the last number, if there are any.
    Unknown(Option<(u64, u64)>),
    /// The entry is about something else than the content of a file.
    NoGeneration(String),
    /// The content is no longer kept.
    Pruned,
    /// The content cannot be read.
    Unreadable(String),
}

impl NoContent {
    /// The exit code of a command that names the number.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Unknown(_) | Self::NoGeneration(_) => Exit::Usage,
            Self::Pruned | Self::Unreadable(_) => Exit::Failed,
        }
    }

    /// The reason as text.
    pub fn describe(&self, number: u64) -> String {
        match self {
            Self::Unknown(None) => format!("there is no entry {number}: the history is empty"),
            Self::Unknown(Some((first, last))) => {
                format!("there is no entry {number}: the history has {first} to {last}")
            }
            Self::NoGeneration(event) => format!("entry {number} ({event}) is not a generation of a file"),
            Self::Pruned => format!(
                "the content of generation {number} is no longer kept (`generations` and `max_size` in [history])"
            ),
            Self::Unreadable(why) => format!("the content of generation {number} cannot be read: {why}"),
        }
    }
}
