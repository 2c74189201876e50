//! How long to wait before the next try.

use std::time::Duration;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pause_grows_up_to_the_longest() {
        let seconds = |backoff: Backoff| -> Vec<u64> { (0..=9).map(|n| backoff.pause(n).as_secs()).collect() };
        assert_eq!(seconds(RETRY), [1, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(seconds(REFUSAL), [1, 1, 2, 4, 8, 16, 32, 60, 60, 60].map(|minutes| minutes * 60));
        assert_eq!(seconds(DISPUTE), [10, 10, 20, 40, 80, 160, 300, 300, 300, 300]);
        assert_eq!([RETRY, REFUSAL, DISPUTE].map(|it| it.pause(u32::MAX).as_secs()), [60, 3600, 300]);
    }

    #[test]
    fn jitter_takes_at_most_half() {
        assert_eq!([0.0, 0.5, 1.0].map(|random| RETRY.jittered(3, random).as_secs()), [2, 3, 4]);
    }
}
