//! A limit on how often something is done.

use std::time::Duration;

use super::moment::Moment;

#[cfg(test)]
mod tests;

/// Allows a burst, and after that one at a time with this distance.
#[derive(Debug, Clone, Copy)]
pub struct RateLimit {
    distance: Duration,
    burst: u32,
    /// When all that was allowed would have been done with this distance.
    used: Moment,
}

impl RateLimit {
    /// `burst` at once, and `per_second` after that. Both are at least 1.
    pub fn new(per_second: u32, burst: u32, now: Moment) -> Self {
        Self { distance: Duration::from_secs(1) / per_second.max(1), burst: burst.max(1), used: now }
    }

    /// When the next one is allowed.
    pub fn opens(&self) -> Moment {
        self.used - self.distance * (self.burst - 1)
    }

    /// Whether one is allowed now. If so, it counts.
    pub fn allows(&mut self, now: Moment) -> bool {
        let allowed = self.opens() <= now;
        if allowed {
            self.used = self.used.max(now) + self.distance;
        }
        allowed
    }
}
