//! Words for a terminal: what would end a hold, how long something takes, and texts that others have written.

use std::time::Duration;

use super::Clock;
use crate::decide::hold::{KeyDoubt, Reason};
use crate::log::{cut, plain};
use crate::payload::masked;

/// The most bytes of one text that comes from a registry or a command line.
pub const MAX_FIELD: usize = 256;

/// A text that others have written, on one line and not for ever, without the passwords of URLs in it.
pub fn field(text: &str) -> String {
    cut(&masked(&plain(text)), MAX_FIELD).into_owned()
}

/// A time from now in words: "in 3s".
pub(super) fn ahead(time: Duration) -> String {
    // What is due in less than a second is due in one.
    format!("in {}", humantime::format_duration(Duration::from_secs(time.as_secs().max(1))))
}

/// What would end a hold.
pub(super) fn release(reason: &Reason, clock: &Clock) -> String {
    match reason {
        Reason::BelowMin { min, .. } => format!("ends when there are {min} members, never by time or by accept"),
        Reason::AboveMax { max, .. } => format!("ends when there are {max} members or fewer, or with another max"),
        Reason::Shrunk { until, .. } | Reason::KeysGone { doubt: KeyDoubt::Shrunk { until, .. }, .. } => {
            format!("ends when enough of them are back, by `rosterd accept`, or at {}", clock.time(*until))
        }
        Reason::Older { .. } => {
            "ends when the ensemble shows a later state, when none of them is missing any more, or by \
                                 `rosterd accept`; never by time"
                .to_owned()
        }
        Reason::TooLarge(excess) => format!("ends when it has at most {excess}, never by time or by accept"),
        Reason::Unreadable(_) => "ends when the registry lets it be read".to_owned(),
        Reason::NoKeys { min, .. } => format!("ends when a key has {min} members"),
        Reason::KeysGone { .. } => "ends when they are back, or by `rosterd accept`; never by time".to_owned(),
        Reason::KeyAbsent => "ends when the node is there".to_owned(),
        Reason::KeyMalformed(_) => "ends when its data is mended, or with another format".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_one_line_of_a_few_words_and_tells_no_password() {
        assert_eq!(field("a\nb"), "a\\nb");
        assert_eq!(field("it gives \"postgres://u:secret@h/db\""), "it gives \"postgres://u:***@h/db\"");
        assert_eq!(field(&"x".repeat(1000)).len(), MAX_FIELD + '…'.len_utf8());
    }
}
