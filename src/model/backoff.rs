//! How long to wait before the next try.

use std::time::Duration;

#[cfg(test)]
mod tests;

/// A pause that grows with each failure.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    first: Duration,
    factor: f64,
    longest: Duration,
}

/// A reload, check, write or program that failed: from a second to a minute.
pub const RETRY: Backoff = Backoff::doubling(Duration::from_secs(1), Duration::from_mins(1));

/// A member that a check refuses, until it is tried again as it is: from a minute to an hour. What the check was refused
/// for may have been a passing trouble, such as a name that could not be resolved.
pub const REFUSAL: Backoff = Backoff::doubling(Duration::from_mins(1), Duration::from_hours(1));

/// A file that something else changes again as soon as it was corrected: from ten seconds to five minutes.
pub const DISPUTE: Backoff = Backoff::doubling(Duration::from_secs(10), Duration::from_mins(5));

impl Backoff {
    /// `first` after the first failure, twice as long after each further one, at most `longest`.
    pub const fn doubling(first: Duration, longest: Duration) -> Self {
        Self::growing(first, 2.0, longest)
    }

    /// The same by another factor.
    pub const fn growing(first: Duration, factor: f64, longest: Duration) -> Self {
        Self { first, factor, longest }
    }

    /// The pause after so many failures in a row.
    pub fn pause(self, failures: u32) -> Duration {
        let grow = |pause: Duration, _| pause.mul_f64(self.factor).min(self.longest);
        // Every pause is the longest by then.
        (1..failures.min(64)).fold(self.first, grow)
    }

    /// A part of that pause, between half of it and all: `random` is between 0 and 1.
    pub fn jittered(self, failures: u32, random: f64) -> Duration {
        self.pause(failures).mul_f64(random.mul_add(0.5, 0.5))
    }
}
