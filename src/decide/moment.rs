//! Time in the engine: always an argument, never read from a clock.

use std::ops::{Add, Sub};
use std::time::Duration;

/// How far a moment can lie before the start of the agent: longer than any wait.
const BEFORE: Duration = Duration::from_hours(10 * 366 * 24);

/// An instant of a monotonic clock, relative to the start of the agent. Saved moments can lie before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Duration);

impl Moment {
    /// The start of the agent.
    pub const START: Self = Self(BEFORE);

    /// The moment this long after the start of the agent.
    pub fn after_start(since: Duration) -> Self {
        Self(BEFORE.saturating_add(since))
    }

    /// The time from the start of the agent to this; zero if this is earlier.
    pub fn since_start(self) -> Duration {
        self.since(Self::START)
    }

    /// The time from `earlier` to this; zero if this is earlier.
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
