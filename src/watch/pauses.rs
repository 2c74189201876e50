//! How long to wait between two tries to reach a registry.

use std::time::Duration;

/// Tries in the first minute or so come within a second of each other, so that a restarted ensemble is found at once;
/// after that pauses grow to 30 s. Each is jittered, so that a fleet of agents does not knock in step.
#[derive(Debug, Default)]
pub struct Pauses {
    tries: u32,
}

/// How many tries come quickly.
const QUICK: u32 = 90;

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(30);

impl Pauses {
    /// The registry was reached: the next pause is a short one again.
    pub fn reset(&mut self) {
        self.tries = 0;
    }

    /// The next pause.
    pub fn next(&mut self) -> Duration {
        let ceiling = ceiling(self.tries);
        self.tries = self.tries.saturating_add(1);
        ceiling.mul_f64(fastrand::f64().mul_add(0.5, 0.5))
    }
}

/// The longest that the pause after this many tries may be.
fn ceiling(tries: u32) -> Duration {
    let grown = 1.5_f64.powi(i32::try_from(tries.saturating_sub(QUICK)).unwrap_or(i32::MAX).min(64));
    Duration::from_secs(1).mul_f64(grown).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_short_first_and_never_over_half_a_minute() {
        let mut pauses = Pauses::default();
        for _ in 0..QUICK {
            let pause = pauses.next();
            assert!(pause >= Duration::from_millis(500) && pause <= Duration::from_secs(1), "{pause:?}");
        }
        for _ in 0..1000 {
            assert!(pauses.next() <= LONGEST);
        }
        assert_eq!(ceiling(u32::MAX), LONGEST);
        pauses.reset();
        assert!(pauses.next() <= Duration::from_secs(1));
    }
}
