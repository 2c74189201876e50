//! The guard against mass loss: the baseline is the most members there were over a window, not in the step before,
//! because mass expiry arrives in steps.
//!
//! The rule and its figures follow Pinterest's `KingPin` (a ratio that counts from a few members up) and Eureka's
//! self-preservation (a baseline over fifteen minutes).

use std::collections::VecDeque;
use std::time::Duration;

use super::moment::Moment;

/// How far back the baseline looks.
pub const WINDOW: Duration = Duration::from_mins(15);

/// With fewer members than this, a share of them says nothing.
pub const FROM_MEMBERS: usize = 4;

/// The admitted sizes of one path over the window. Only sizes that could still be the largest are kept, so it stays
/// short however often members come and go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Baseline {
    /// Falling sizes, each with the moment from which it was in force.
    sizes: VecDeque<(Moment, usize)>,
}

impl Baseline {
    /// A view of this size was admitted.
    pub fn record(&mut self, now: Moment, size: usize) {
        while self.sizes.back().is_some_and(|(_, earlier)| *earlier <= size) {
            self.sizes.pop_back();
        }
        self.sizes.push_back((now, size));
    }

    /// Forgets all that was before: this size is the new baseline, because somebody or something let it through.
    pub fn restart(&mut self, now: Moment, size: usize) {
        self.sizes.clear();
        self.sizes.push_back((now, size));
    }

    /// The largest size in force at any time in the window.
    pub fn largest(&mut self, now: Moment) -> Option<usize> {
        let opens = now - WINDOW;
        // The first is out of the window once the second was already in force when the window opened.
        while self.sizes.get(1).is_some_and(|(from, _)| *from <= opens) {
            self.sizes.pop_front();
        }
        self.sizes.front().map(|(_, size)| *size)
    }

    /// The baseline, when `size` is a loss of more than `percent` of it.
    pub fn refuses(&mut self, now: Moment, size: usize, percent: u8) -> Option<usize> {
        let largest = self.largest(now)?;
        let keep = 100usize.saturating_sub(usize::from(percent));
        (largest >= FROM_MEMBERS && size * 100 < largest * keep).then_some(largest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(m: u64) -> Moment {
        Moment::after_start(Duration::from_mins(m))
    }

    #[test]
    fn a_loss_in_steps_is_one_loss() {
        let mut baseline = Baseline::default();
        baseline.record(minute(0), 18);
        baseline.record(minute(1), 13);
        assert_eq!(baseline.refuses(minute(2), 9, 50), None, "exactly half is let through");
        baseline.record(minute(2), 9);
        assert_eq!(baseline.refuses(minute(3), 8, 50), Some(18), "but no more, however small the step");
    }

    #[test]
    fn the_window_passes() {
        let mut baseline = Baseline::default();
        baseline.record(minute(0), 18);
        assert_eq!(baseline.largest(minute(60)), Some(18), "a size is in force until the next");
        baseline.record(minute(60), 10);
        assert_eq!(baseline.largest(minute(74)), Some(18));
        assert_eq!(baseline.largest(minute(75)), Some(10));
    }

    #[test]
    fn few_members_and_a_hundred_percent_are_let_through() {
        let mut baseline = Baseline::default();
        baseline.record(minute(0), 3);
        assert_eq!(baseline.refuses(minute(1), 1, 50), None);
        baseline.record(minute(1), 18);
        assert_eq!(baseline.refuses(minute(2), 0, 100), None);
        baseline.restart(minute(2), 6);
        assert_eq!(baseline.refuses(minute(2), 3, 50), None);
        assert_eq!(baseline.refuses(minute(2), 2, 50), Some(6));
    }
}
