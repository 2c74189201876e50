//! Why a roster keeps its last good members, in words that a person at a terminal can act on.

use std::fmt;
use std::sync::Arc;

use super::moment::Moment;
use super::size::Excess;
use crate::sighting::Zxid;

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
        doubt: KeyDoubt,
    },
    /// A `[[key]]`'s node does not exist.
    KeyAbsent,
    /// A `[[key]]`'s data is not what its format asks for.
    KeyMalformed(String),
}

/// Why it is not believed that keys are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyDoubt {
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
    /// The whole of it, with the path: "0 of 1 members of /services/x: the path does not exist".
    pub fn of(&self, path: &dyn fmt::Display) -> String {
        let missing = |absent: bool| if absent { ": the path does not exist" } else { "" };
        match self {
            Self::BelowMin { have, min, quarantined, filtered, absent } => {
                let unfit = match quarantined {
                    0 => String::new(),
                    more => format!(", {more} more left out as unfit"),
                };
                let apart = match filtered {
                    0 => String::new(),
                    more => format!(", {more} more left out by where"),
                };
                format!("{have} of {min} members of {path}{unfit}{apart}{}", missing(*absent))
            }
            Self::AboveMax { have, max } => format!("{have} members of {path}, and {max} are the most (max)"),
            Self::Shrunk { from, to, percent, .. } => {
                format!(
                    "{to} of {from} members of {path} are left, and a loss of more than {percent}% is not believed at once (max_shrink)"
                )
            }
            Self::Older { lost, of, shown: Zxid(shown), highest: Zxid(highest) } => format!(
                "{lost} of {of} members of {path} would be lost, and the ensemble shows an older state (zxid {shown:#x} after {highest:#x}): a restored or another ensemble?"
            ),
            Self::TooLarge(excess) => format!("{path} is too large: {excess} are the most"),
            Self::Unreadable(why) => format!("{path} cannot be read: {why}"),
            Self::NoKeys { min, absent } => {
                format!("no key of {path} has {min} members{}", missing(*absent))
            }
            Self::KeysGone { from, to, doubt } => {
                let left = format!("{to} of {from} keys of {path} are left");
                match doubt {
                    KeyDoubt::Shrunk { percent, .. } => {
                        format!("{left}, and a loss of more than {percent}% is not believed at once (max_shrink)")
                    }
                    KeyDoubt::NoBase => format!("{left}: the path above them does not exist"),
                    KeyDoubt::Older { shown: Zxid(shown), highest: Zxid(highest) } => format!(
                        "{left}, and the ensemble shows an older state (zxid {shown:#x} after {highest:#x}): a restored or another ensemble?"
                    ),
                }
            }
            Self::KeyAbsent => format!("no data of {path}: the path does not exist"),
            Self::KeyMalformed(why) => format!("the data of {path} cannot be used: {why}"),
        }
    }

    /// Whether it differs from another in nothing but how far an older ensemble has come, which changes all the time.
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Older { lost, of, highest, .. }, Self::Older { lost: a, of: b, highest: c, .. }) => {
                (lost, of, highest) == (a, b, c)
            }
            (
                Self::KeysGone { from, to, doubt: KeyDoubt::Older { highest, .. } },
                Self::KeysGone { from: a, to: b, doubt: KeyDoubt::Older { highest: c, .. } },
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
            Self::Shrunk { until, .. } | Self::KeysGone { doubt: KeyDoubt::Shrunk { until, .. }, .. } => Some(*until),
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
        let below = |absent, quarantined| Reason::BelowMin { have: 0, min: 1, quarantined, filtered: 0, absent };
        let filtered = Reason::BelowMin { have: 0, min: 1, quarantined: 1, filtered: 3, absent: false };
        let path = "/services/x";
        let cases = [
            (below(true, 0), "0 of 1 members of /services/x: the path does not exist"),
            (below(false, 0), "0 of 1 members of /services/x"),
            (below(false, 2), "0 of 1 members of /services/x, 2 more left out as unfit"),
            (filtered, "0 of 1 members of /services/x, 1 more left out as unfit, 3 more left out by where"),
            (Reason::AboveMax { have: 9, max: 5 }, "9 members of /services/x, and 5 are the most (max)"),
            (
                Reason::Older { lost: 2, of: 5, shown: Zxid(0x1_0000_0050), highest: Zxid(0x2_0000_0007) },
                "2 of 5 members of /services/x would be lost, and the ensemble shows an older state (zxid 0x100000050 \
                 after 0x200000007): a restored or another ensemble?",
            ),
            (Reason::Unreadable("not authorized".into()), "/services/x cannot be read: not authorized"),
            (Reason::NoKeys { min: 1, absent: true }, "no key of /services/x has 1 members: the path does not exist"),
            (Reason::TooLarge(Excess::Nodes), "/services/x is too large: 10000 nodes are the most"),
            (Reason::TooLarge(Excess::Bytes), "/services/x is too large: 16 MiB of data are the most"),
            (Reason::KeyAbsent, "no data of /services/x: the path does not exist"),
        ];
        for (reason, words) in cases {
            assert_eq!(reason.of(&path), words);
        }
    }
}
