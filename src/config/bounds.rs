//! How many members a roster may have.

use serde::Serialize;

#[cfg(test)]
mod tests;

/// The allowed number of members. `min` is never greater than `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bounds {
    min: usize,
    max: Option<usize>,
    above_max: AboveMax,
}

impl Bounds {
    /// At least one member, without a maximum.
    pub const DEFAULT: Self = Self { min: 1, max: None, above_max: AboveMax::Cut };

    /// Creates bounds; `None` if `min` is greater than `max`, or if `max` is 0.
    #[must_use]
    pub fn new(min: usize, max: Option<usize>, above_max: AboveMax) -> Option<Self> {
        if max.is_some_and(|max| max == 0 || min > max) {
            return None;
        }
        Some(Self { min, max, above_max })
    }

    /// The minimum. A roster with fewer members is held.
    #[must_use]
    pub fn min(self) -> usize {
        self.min
    }

    /// The maximum. For more members, see [`Self::above_max`].
    #[must_use]
    pub fn max(self) -> Option<usize> {
        self.max
    }

    /// What happens above `max`.
    #[must_use]
    pub fn above_max(self) -> AboveMax {
        self.above_max
    }
}

/// What happens above `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AboveMax {
    /// Pick `max` members.
    Cut,
    /// Hold the roster.
    Hold,
}
