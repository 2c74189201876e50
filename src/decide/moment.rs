//! Time as the engine knows it: handed in, never asked for.

use std::ops::{Add, Sub};
use std::time::Duration;

/// How far back before the agent's start a moment may lie: longer than anything is waited for.
const BEFORE: Duration = Duration::from_hours(10 * 366 * 24);

/// An instant on a clock that never jumps, told from the agent's start. What is remembered may lie before that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Duration);

impl Moment {
    /// The agent's start.
    pub const START: Self = Self(BEFORE);

    /// This long after the agent's start.
    pub fn after_start(since: Duration) -> Self {
        Self(BEFORE.saturating_add(since))
    }

    /// How long after the agent's start this is; nothing when it is before it.
    pub fn since_start(self) -> Duration {
        self.since(Self::START)
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
