//! Reasons why a roster keeps its last known-good members.

use std::fmt;
use std::sync::Arc;

use super::moment::Moment;
use super::size::Excess;
use crate::model::version::Zxid;

#[cfg(test)]
mod tests;

/// Why the current members are not admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Fewer than `min`. Only more members end this hold; it does not time out.
    BelowMin {
        /// The number of valid members.
        have: usize,
        /// The minimum.
        min: usize,
        /// How many nodes are quarantined.
        quarantined: usize,
        /// How many nodes are not members.
        not_members: usize,
        /// How many members `where` excludes.
        filtered: usize,
        /// The path does not exist.
        absent: bool,
    },
    /// More than `max`, with `above_max = "hold"`.
    AboveMax {
        /// The number of members.
        have: usize,
        /// The maximum.
        max: usize,
    },
    /// A loss of more than `max_shrink`.
    Shrunk {
        /// The baseline.
        from: usize,
        /// The number of members.
        to: usize,
        /// `max_shrink`.
        percent: u8,
        /// When the hold times out.
        until: Moment,
    },
    /// Members would be lost, in a view that is older than one that was seen before. The hold ends when the ensemble
    /// has caught up, when nothing would be lost any more, or when an operator accepts it; it does not time out.
    Older {
        /// How many known-good members are missing.
        lost: usize,
        /// How many members are known-good.
        of: usize,
        /// The version of the view.
        shown: Zxid,
        /// The highest version that was seen.
        highest: Zxid,
    },
    /// The path exceeds the size limits.
    TooLarge(Excess),
    /// The registry answered, but did not return the content.
    Unreadable(Arc<str>),
    /// A path with `*` under which no key ever had enough members.
    NoKeys {
        /// The minimum for each key.
        min: usize,
        /// The path above the `*` does not exist.
        absent: bool,
    },
    /// Keys of a path with `*` are gone, and their files would be removed.
    KeysGone {
        /// The number of keys before.
        from: usize,
        /// The number of keys now.
        to: usize,
        /// Why they are kept.
        cause: KeyLossCause,
    },
    /// The node of a `[[key]]` does not exist.
    KeyAbsent,
    /// The data of a `[[key]]` does not match its format.
    KeyMalformed(String),
    /// Jones's `nodemaps` does not name the host, with `unmapped = "hold"`.
    Unmapped,
    /// The same as another reason, with the host and its environment in Jones.
    OfHost(String),
}

/// Why keys that are gone are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyLossCause {
    /// A loss of more than `max_shrink`.
    Shrunk {
        /// `max_shrink`.
        percent: u8,
        /// When the hold times out.
        until: Moment,
    },
    /// The path above the `*` does not exist, as in a registry that was set up again. This hold does not time out.
    NoParent,
    /// The view is older than one that was seen before.
    Older {
        /// The version of the view.
        shown: Zxid,
        /// The highest version that was seen.
        highest: Zxid,
    },
}

impl Reason {
    /// The reason as text. `path` is the path in question.
    pub fn describe(&self, path: &dyn fmt::Display) -> String {
        let missing = |absent: bool| if absent { ": the path does not exist" } else { "" };
        let suspicious =
            |percent: u8| format!("losing more than {percent}% at once is treated as suspicious (max_shrink)");
        let older = |Zxid(shown): Zxid, Zxid(highest): Zxid| {
            format!(
                "the ensemble shows an older state (zxid {shown:#x} after {highest:#x}): it may have been restored from \
                 a backup, or be a different ensemble"
            )
        };
        match self {
            Self::BelowMin { have, min, quarantined, not_members, filtered, absent } => {
                let none = if *not_members == 1 { "non-member" } else { "non-members" };
                let rest = [(quarantined, "quarantined"), (not_members, none), (filtered, "excluded by `where`")];
                let rest = rest.iter().filter(|(count, _)| **count > 0).map(|(count, why)| format!("{count} {why}"));
                let rest: Vec<String> = rest.collect();
                let rest = if rest.is_empty() { String::new() } else { format!(" ({})", rest.join(", ")) };
                format!("{path} has {} but needs at least {min}{rest}{}", plural(*have, "member"), missing(*absent))
            }
            Self::AboveMax { have, max } => {
                format!("{path} has {}, but at most {max} are allowed (max)", plural(*have, "member"))
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
            Self::KeysGone { from, to, cause } => {
                let remain = format!("{to} of {from} keys of {path} remain");
                match cause {
                    KeyLossCause::Shrunk { percent, .. } => format!("{remain}; {}", suspicious(*percent)),
                    KeyLossCause::NoParent => format!("{remain}: the parent path does not exist"),
                    KeyLossCause::Older { shown, highest } => format!("{remain}, and {}", older(*shown, *highest)),
                }
            }
            Self::KeyAbsent => format!("{path} does not exist"),
            Self::KeyMalformed(why) => format!("the data of {path} is {why}"),
            Self::Unmapped => format!("{path} does not name the host (unmapped = \"hold\")"),
            Self::OfHost(text) => text.clone(),
        }
    }

    /// Whether it is the same as another one, apart from the version of an older ensemble, which changes constantly, and
    /// from the nodes beside the members.
    pub fn is_repeat_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Older { lost, of, highest, .. }, Self::Older { lost: a, of: b, highest: c, .. }) => {
                (lost, of, highest) == (a, b, c)
            }
            (
                Self::KeysGone { from, to, cause: KeyLossCause::Older { highest, .. } },
                Self::KeysGone { from: a, to: b, cause: KeyLossCause::Older { highest: c, .. } },
            ) => (from, to, highest) == (a, b, c),
            (Self::BelowMin { not_members, .. }, other @ Self::BelowMin { .. }) => {
                let mut other = other.clone();
                if let Self::BelowMin { not_members: its, .. } = &mut other {
                    *its = *not_members;
                }
                *self == other
            }
            _ => self == other,
        }
    }

    /// Whether an operator can accept the view: only a comparison with earlier views holds it.
    pub fn is_acceptable(&self) -> bool {
        matches!(self, Self::Shrunk { .. } | Self::Older { .. } | Self::KeysGone { .. })
    }

    /// When the hold times out.
    pub fn until(&self) -> Option<Moment> {
        match self {
            Self::Shrunk { until, .. } | Self::KeysGone { cause: KeyLossCause::Shrunk { until, .. }, .. } => {
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
    /// The reason.
    pub reason: Reason,
    /// The start of the uninterrupted hold, for any reason.
    pub since: Moment,
}
