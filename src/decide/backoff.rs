//! How long to wait before the next try.

use std::time::Duration;

/// The longest pause between two tries.
pub const LONGEST: Duration = Duration::from_mins(1);

/// One second after the first failure, doubled with each further one, up to [`LONGEST`].
pub fn pause(failures: u32) -> Duration {
    doubling(Duration::from_secs(1), failures, LONGEST)
}

/// How long a member that a check refuses stays out before it is tried again as it is: a minute, doubled with each
/// refusal, up to an hour. What the check was refused for may have been a passing trouble, such as a name that could
/// not be resolved.
pub fn refusal(times: u32) -> Duration {
    doubling(Duration::from_mins(1), times, Duration::from_hours(1))
}

/// How long a file is left that somebody else changes again as soon as it was put right: ten seconds, doubled with each
/// time, up to five minutes.
pub fn dispute(times: u32) -> Duration {
    doubling(Duration::from_secs(10), times, Duration::from_mins(5))
}

/// `first` after the first time, doubled with each further one, up to `longest`.
fn doubling(first: Duration, times: u32, longest: Duration) -> Duration {
    let doublings = times.saturating_sub(1).min(16);
    first.saturating_mul(1 << doublings).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_a_minute() {
        let seconds: Vec<u64> = (1..=9).map(|failures| pause(failures).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(pause(u32::MAX), LONGEST);
    }

    #[test]
    fn each_ladder_ends_at_its_longest() {
        let minutes: Vec<u64> = (1..=8).map(|times| refusal(times).as_secs() / 60).collect();
        assert_eq!(minutes, [1, 2, 4, 8, 16, 32, 60, 60]);
        let seconds: Vec<u64> = (1..=7).map(|times| dispute(times).as_secs()).collect();
        assert_eq!(seconds, [10, 20, 40, 80, 160, 300, 300]);
        assert_eq!((refusal(u32::MAX).as_secs(), dispute(u32::MAX).as_secs()), (3600, 300));
    }
}
