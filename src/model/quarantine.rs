//! Which nodes are left out because of their data: control characters and line breaks, too many bytes, an unknown format.

use thiserror::Error;

/// The maximum size of a member's data, and of its name, in bytes.
pub const MAX_DATA: usize = 64 * 1024;

/// Why a node is left out. It is logged once and shown in status, and does not count towards `min`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Quarantine {
    /// A text in it could end a line.
    #[error("{place} contains a control character or a line break")]
    Control {
        /// The field, or the key of the data.
        place: String,
    },
    /// It is larger than [`MAX_DATA`].
    #[error("its name or data has {bytes} bytes; the maximum is {MAX_DATA}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Its data cannot be read.
    #[error("its data cannot be read: {0}")]
    Unreadable(String),
    /// Its payload does not have the expected format.
    #[error("{0}")]
    Undecodable(String),
}

/// Whether a character could end a line, or change how a terminal or a parser reads the rest of the line.
#[must_use]
pub fn is_breaking(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}
