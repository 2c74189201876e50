//! Pauses between retries.

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

/// For a failed reload, check, write or program: from one second to one minute.
pub const RETRY: Backoff = Backoff::doubling(Duration::from_secs(1), Duration::from_mins(1));

/// For a member that a check rejects: from one minute to one hour. The cause may have been temporary, such as a name that
/// did not resolve.
pub const REFUSAL: Backoff = Backoff::doubling(Duration::from_mins(1), Duration::from_hours(1));

/// For a file that another process changes again after each correction: from ten seconds to five minutes.
pub const DISPUTE: Backoff = Backoff::doubling(Duration::from_secs(10), Duration::from_mins(5));

impl Backoff {
    /// `first` after the first failure, doubled after each further one, at most `longest`.
    pub const fn doubling(first: Duration, longest: Duration) -> Self {
        Self::growing(first, 2.0, longest)
    }

    /// The same with another factor.
    pub const fn growing(first: Duration, factor: f64, longest: Duration) -> Self {
        Self { first, factor, longest }
    }

    /// The pause after this number of failures in a row.
    pub fn pause(self, failures: u32) -> Duration {
        let grow = |pause: Duration, _| pause.mul_f64(self.factor).min(self.longest);
        // After 64 failures every pause is at its maximum.
        (1..failures.min(64)).fold(self.first, grow)
    }

    /// The pause, shortened by up to a half. `random` is between 0 and 1.
    pub fn jittered(self, failures: u32, random: f64) -> Duration {
        self.pause(failures).mul_f64(random.mul_add(0.5, 0.5))
    }
}
