//! How many members a roster may have.

use serde::Serialize;

#[cfg(test)]
mod tests;

/// How many members there may be; `min` is never over `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bounds {
    min: usize,
    max: Option<usize>,
    above_max: AboveMax,
}

impl Bounds {
    /// At least one member, and no most.
    pub const DEFAULT: Self = Self { min: 1, max: None, above_max: AboveMax::Cut };

    /// Checks the bounds against each other: `None` when `min` is over `max`, or `max` is 0.
    #[must_use]
    pub fn new(min: usize, max: Option<usize>, above_max: AboveMax) -> Option<Self> {
        if max.is_some_and(|max| max == 0 || min > max) {
            return None;
        }
        Some(Self { min, max, above_max })
    }

    /// With fewer members a roster holds.
    #[must_use]
    pub fn min(self) -> usize {
        self.min
    }

    /// With more members, what `above_max` says happens.
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
    /// `max` members are picked.
    Cut,
    /// The roster holds.
    Hold,
}
