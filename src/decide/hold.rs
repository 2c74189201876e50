//! Why a roster keeps its last good members, in words that a person at a terminal can act on.

use std::fmt;
use std::sync::Arc;

use super::moment::Moment;

/// Why the members that a registry shows now are not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Fewer than `min`. Only members end it, never time.
    BelowMin {
        /// How many valid ones there are.
        have: usize,
        /// How many there must be.
        min: usize,
        /// How many were left out as unfit.
        quarantined: usize,
        /// The path itself does not exist.
        absent: bool,
    },
    /// More than `max`, with `above_max = "hold"`.
    AboveMax {
        /// How many there are.
        have: usize,
        /// How many there may be.
        max: usize,
    },
    /// More were lost than `max_shrink` allows.
    Shrunk {
        /// The most there were in the window.
        from: usize,
        /// How many there are.
        to: usize,
        /// `max_shrink`.
        percent: u8,
        /// When the hold ends by itself.
        until: Moment,
    },
    /// The registry answered and would not give the content.
    Unreadable(Arc<str>),
    /// A path with `*` under which no key ever had enough members.
    NoKeys {
        /// How many members a key must have.
        min: usize,
        /// The path above the `*` does not exist.
        absent: bool,
    },
    /// A `[[key]]`'s node does not exist.
    KeyAbsent,
    /// A `[[key]]`'s data is not what its format asks for.
    KeyMalformed(String),
}

impl Reason {
    /// The whole of it, with the path: "0 of 1 members of /services/x: the path does not exist".
    pub fn of(&self, path: &dyn fmt::Display) -> String {
        let missing = |absent: bool| if absent { ": the path does not exist" } else { "" };
        match self {
            Self::BelowMin { have, min, quarantined, absent } => {
                let unfit = match quarantined {
                    0 => String::new(),
                    more => format!(", {more} more left out as unfit"),
                };
                format!("{have} of {min} members of {path}{unfit}{}", missing(*absent))
            }
            Self::AboveMax { have, max } => format!("{have} members of {path}, and {max} are the most (max)"),
            Self::Shrunk { from, to, percent, .. } => {
                format!(
                    "{to} of {from} members of {path} are left, and a loss of more than {percent}% is not believed at once (max_shrink)"
                )
            }
            Self::Unreadable(why) => format!("{path} cannot be read: {why}"),
            Self::NoKeys { min, absent } => {
                format!("no key of {path} has {min} members{}", missing(*absent))
            }
            Self::KeyAbsent => format!("no data of {path}: the path does not exist"),
            Self::KeyMalformed(why) => format!("the data of {path} cannot be used: {why}"),
        }
    }

    /// When time alone ends it.
    pub fn until(&self) -> Option<Moment> {
        match self {
            Self::Shrunk { until, .. } => Some(*until),
            _ => None,
        }
    }
}

/// A hold in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Why.
    pub reason: Reason,
    /// Since when a hold of any reason has been in force without a break.
    pub since: Moment,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_is_said_in_plain_words() {
        let below = |absent, quarantined| Reason::BelowMin { have: 0, min: 1, quarantined, absent };
        let path = "/services/x";
        let cases = [
            (below(true, 0), "0 of 1 members of /services/x: the path does not exist"),
            (below(false, 0), "0 of 1 members of /services/x"),
            (below(false, 2), "0 of 1 members of /services/x, 2 more left out as unfit"),
            (Reason::AboveMax { have: 9, max: 5 }, "9 members of /services/x, and 5 are the most (max)"),
            (Reason::Unreadable("not authorized".into()), "/services/x cannot be read: not authorized"),
            (Reason::NoKeys { min: 1, absent: true }, "no key of /services/x has 1 members: the path does not exist"),
            (Reason::KeyAbsent, "no data of /services/x: the path does not exist"),
        ];
        for (reason, words) in cases {
            assert_eq!(reason.of(&path), words);
        }
    }
}
