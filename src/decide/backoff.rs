//! How long to wait before the next try.

use std::time::Duration;

/// The longest pause between two tries.
pub const LONGEST: Duration = Duration::from_mins(1);

/// One second after the first failure, doubled with each further one, up to [`LONGEST`].
pub fn pause(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(6);
    Duration::from_secs(1 << doublings).min(LONGEST)
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
}
