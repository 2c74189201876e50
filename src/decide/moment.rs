//! Time as the engine knows it: handed in, never asked for.

use std::ops::{Add, Sub};
use std::time::Duration;

/// An instant, as the time since the agent started on a clock that never jumps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(Duration);

impl Moment {
    /// The agent's start.
    pub const START: Self = Self(Duration::ZERO);

    /// This long after the agent's start.
    pub fn after_start(since: Duration) -> Self {
        Self(since)
    }

    /// How long after the agent's start this is.
    pub fn since_start(self) -> Duration {
        self.0
    }

    /// How long after `earlier` this is; nothing when it is before it.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by))
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    fn sub(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(by))
    }
}
