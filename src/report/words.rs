//! Words for a terminal: holds, failures, times, and texts that others have written.

use std::time::Duration;

use super::status::Clock;
use crate::decide::report::{Hold, KeyDoubt, Reason, plural};
use crate::log::{cut, plain};
use crate::payload::masked;

#[cfg(test)]
mod tests;

/// The most bytes of one text that comes from a registry or a command line.
pub const MAX_FIELD: usize = 256;

/// A text that others have written, on one line and not for ever, without the passwords of URLs in it.
pub fn field(text: &str) -> String {
    cut(&masked(&plain(text)), MAX_FIELD).into_owned()
}

/// A time from now in words: "in 3s".
pub fn ahead(time: Duration) -> String {
    // What is due in less than a second is due in one.
    format!("in {}", humantime::format_duration(Duration::from_secs(time.as_secs().max(1))))
}

/// A time in words, to the second: "1m 15s".
pub fn seconds(age: Duration) -> String {
    humantime::format_duration(Duration::from_secs(age.as_secs())).to_string()
}

/// A hold: since when, what is used meanwhile, why, and what would end it.
pub fn held(name: &str, path: &str, hold: &Hold, kept: &str, clock: &Clock) -> String {
    let (since, reason) = (clock.time(hold.since), field(&hold.reason.describe(&path)));
    format!("{name} held since {since}, {kept}: {reason}; {}", release(&hold.reason, clock))
}

/// What would end a hold.
pub fn release(reason: &Reason, clock: &Clock) -> String {
    match reason {
        Reason::BelowMin { min, .. } => {
            format!("ends when it has at least {}, never by time or accept", plural(*min, "member"))
        }
        Reason::AboveMax { max, .. } => {
            format!("ends when it has at most {}, or with a higher max", plural(*max, "member"))
        }
        Reason::Shrunk { until, .. } | Reason::KeysGone { doubt: KeyDoubt::Shrunk { until, .. }, .. } => {
            format!("ends when enough of them return, with `rosterd accept`, or at {}", clock.time(*until))
        }
        Reason::Older { .. } => "ends when the ensemble shows a later state, when none of them is missing, or with \
                                 `rosterd accept`; never by time"
            .to_owned(),
        Reason::TooLarge(excess) => format!("ends when it has at most {excess}, never by time or accept"),
        Reason::Unreadable(_) => "ends when it can be read".to_owned(),
        Reason::NoKeys { min, .. } => format!("ends when a key has at least {}", plural(*min, "member")),
        Reason::KeysGone { .. } => "ends when they return, or with `rosterd accept`; never by time".to_owned(),
        Reason::KeyAbsent => "ends when it exists".to_owned(),
        Reason::KeyMalformed(_) => "ends when the data is corrected, or with another format".to_owned(),
    }
}
