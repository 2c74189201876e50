//! Why a roster keeps its last known-good members, in words that a person at a terminal can act on.

use std::fmt;
use std::sync::Arc;

use super::moment::Moment;
use super::size::Excess;
use crate::model::version::Zxid;

#[cfg(test)]
mod tests;

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
        /// How many were left out by `where`.
        filtered: usize,
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
    /// Members would be lost, in a view that is an older state than one that was seen. It ends when the state has caught
    /// up, when nothing would be lost any more, or when a person accepts it; never by time.
    Older {
        /// How many of the last good members are missing.
        lost: usize,
        /// How many were last good.
        of: usize,
        /// How late the view is.
        shown: Zxid,
        /// The latest that was seen.
        highest: Zxid,
    },
    /// The path is larger than anything that is taken.
    TooLarge(Excess),
    /// The registry answered and would not give the content.
    Unreadable(Arc<str>),
    /// A path with `*` under which no key ever had enough members.
    NoKeys {
        /// How many members a key must have.
        min: usize,
        /// The path above the `*` does not exist.
        absent: bool,
    },
    /// Keys of a path with `*` are gone, and their files would go with them.
    KeysGone {
        /// How many there were.
        from: usize,
        /// How many there are.
        to: usize,
        /// Why that is not believed.
        doubt: KeyLossCause,
    },
    /// A `[[key]]`'s node does not exist.
    KeyAbsent,
    /// A `[[key]]`'s data is not what its format asks for.
    KeyMalformed(String),
}

/// Why it is not believed that keys are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyLossCause {
    /// They are more than `max_shrink` allows.
    Shrunk {
        /// `max_shrink`.
        percent: u8,
        /// When the hold ends by itself.
        until: Moment,
    },
    /// The path above the `*` does not exist, as in a registry that was set up anew. Time does not end it.
    NoBase,
    /// The view is an older state than one that was seen.
    Older {
        /// How late the view is.
        shown: Zxid,
        /// The latest that was seen.
        highest: Zxid,
    },
}

impl Reason {
    /// The reason in words, with the path that it is about.
    pub fn describe(&self, path: &dyn fmt::Display) -> String {
        let missing = |absent: bool| if absent { ": the path does not exist" } else { "" };
        let suspicious =
            |percent: u8| format!("losing more than {percent}% at once is treated as suspicious (max_shrink)");
        let older = |Zxid(shown): Zxid, Zxid(highest): Zxid| {
            format!(
                "the ensemble shows an older state (zxid {shown:#x} after {highest:#x}): was it restored from a \
                 backup, or is it a different ensemble?"
            )
        };
        match self {
            Self::BelowMin { have, min, quarantined, filtered, absent } => {
                let rest = [(quarantined, "quarantined"), (filtered, "excluded by where")];
                let rest = rest.iter().filter(|(count, _)| **count > 0).map(|(count, why)| format!("{count} {why}"));
                let rest: Vec<String> = rest.collect();
                let rest = if rest.is_empty() { String::new() } else { format!(" ({})", rest.join(", ")) };
                format!("{path} has {}, needs at least {min}{rest}{}", plural(*have, "member"), missing(*absent))
            }
            Self::AboveMax { have, max } => {
                format!("{path} has {}, at most {max} allowed (max)", plural(*have, "member"))
            }
            Self::Shrunk { from, to, percent, .. } => {
                format!("{to} of {from} members of {path} remain; {}", suspicious(*percent))
            }
            Self::Older { lost, of, shown, highest } => {
                format!("{lost} of {of} members of {path} would be lost, and {}", older(*shown, *highest))
            }
            Self::TooLarge(excess) => format!("{path} is too large: it has more than {excess}"),
            Self::Unreadable(why) => format!("{path} cannot be read: {why}"),
            Self::NoKeys { min, absent } => {
                format!("no key of {path} has at least {}{}", plural(*min, "member"), missing(*absent))
            }
            Self::KeysGone { from, to, doubt } => {
                let remain = format!("{to} of {from} keys of {path} remain");
                match doubt {
                    KeyLossCause::Shrunk { percent, .. } => format!("{remain}; {}", suspicious(*percent)),
                    KeyLossCause::NoBase => format!("{remain}: the parent path does not exist"),
                    KeyLossCause::Older { shown, highest } => format!("{remain}, and {}", older(*shown, *highest)),
                }
            }
            Self::KeyAbsent => format!("{path} does not exist"),
            Self::KeyMalformed(why) => format!("the data of {path} is {why}"),
        }
    }

    /// Whether it differs from another in nothing but how far an older ensemble has come, which changes all the time.
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Older { lost, of, highest, .. }, Self::Older { lost: a, of: b, highest: c, .. }) => {
                (lost, of, highest) == (a, b, c)
            }
            (
                Self::KeysGone { from, to, doubt: KeyLossCause::Older { highest, .. } },
                Self::KeysGone { from: a, to: b, doubt: KeyLossCause::Older { highest: c, .. } },
            ) => (from, to, highest) == (a, b, c),
            _ => self == other,
        }
    }

    /// Whether a person may let the view through: it is doubted only because of what came before it.
    pub fn is_acceptable(&self) -> bool {
        matches!(self, Self::Shrunk { .. } | Self::Older { .. } | Self::KeysGone { .. })
    }

    /// When time alone ends it.
    pub fn until(&self) -> Option<Moment> {
        match self {
            Self::Shrunk { until, .. } | Self::KeysGone { doubt: KeyLossCause::Shrunk { until, .. }, .. } => {
                Some(*until)
            }
            _ => None,
        }
    }
}

/// "1 member", "2 members".
pub fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A hold in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Why.
    pub reason: Reason,
    /// Since when a hold of any reason has been in force without a break.
    pub since: Moment,
}
