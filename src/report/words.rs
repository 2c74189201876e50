//! Text for a terminal: holds, and strings from a registry or a command line.

use super::context::Clock;
use crate::config::LOCKS;
use crate::decide::report::{Hold, KeyLossCause, Reason, plural};
use crate::log::{cut, plain};
use crate::payload::mask_credentials;

#[cfg(test)]
mod tests;

/// The maximum length in bytes of a string from a registry or a command line.
pub const MAX_FIELD: usize = 256;

/// A string from a registry or a command line: on one line, cut to [`MAX_FIELD`], passwords in URLs masked.
pub fn field(text: &str) -> String {
    cut(&mask_credentials(&plain(text)), MAX_FIELD).into_owned()
}

/// What a key is called, and its name: a `[[lock]]` is a key for the engine.
pub fn key(name: &str) -> (&'static str, &str) {
    match name.strip_prefix(LOCKS).and_then(|name| name.strip_prefix('.')) {
        Some(lock) => ("lock", lock),
        None => ("key", name),
    }
}

/// The maximum length in bytes of a line.
const MAX_LINE: usize = 1024;

/// A line of text: without line breaks and control characters, cut to [`MAX_LINE`], passwords in URLs masked.
pub fn line(text: &str) -> String {
    plain(&cut(&mask_credentials(text), MAX_LINE)).into_owned()
}

/// Describes a hold: since when, what is used meanwhile, why, and what ends it.
pub fn held(name: &str, path: &str, hold: &Hold, kept: &str, clock: &Clock) -> String {
    let (since, reason) = (clock.past(hold.since), field(&hold.reason.describe(&path)));
    format!("{name} held since {since}, {kept}: {reason}; {}", release(&hold.reason, clock))
}

/// What ends a hold.
pub fn release(reason: &Reason, clock: &Clock) -> String {
    match reason {
        Reason::BelowMin { min, .. } => {
            format!(
                "ends when the path has at least {}; the hold does not time out and cannot be accepted",
                plural(*min, "member")
            )
        }
        Reason::AboveMax { max, .. } => {
            format!("ends when the path has at most {}, or when `max` is raised", plural(*max, "member"))
        }
        Reason::Shrunk { until, .. } | Reason::KeysGone { cause: KeyLossCause::Shrunk { until, .. }, .. } => {
            format!("ends when enough members return, when accepted with `rosterd accept`, or at {}", clock.due(*until))
        }
        Reason::Older { .. } => "ends when the ensemble shows a more recent state, when no member is missing, or with \
                                 `rosterd accept`; the hold does not time out"
            .to_owned(),
        Reason::TooLarge(excess) => {
            format!("ends when the path has at most {excess}; the hold does not time out and cannot be accepted")
        }
        Reason::Unreadable(_) => "ends when the path can be read".to_owned(),
        Reason::NoKeys { min, .. } => format!("ends when a key has at least {}", plural(*min, "member")),
        Reason::KeysGone { .. } => {
            "ends when the keys return, or with `rosterd accept`; the hold does not time out".to_owned()
        }
        Reason::KeyAbsent => "ends when the node exists".to_owned(),
        Reason::KeyMalformed(_) => "ends when the data is corrected, or when `format` is changed".to_owned(),
        Reason::Unmapped | Reason::OfHost(_) => {
            "ends when nodemaps names a node for the host, and that node holds a JSON object".to_owned()
        }
    }
}
