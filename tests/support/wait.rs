//! Waiting for conditions, never for a fixed time.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// The time limit for any action of the agent on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `condition` holds. Returns `false` if it does not within `limit`.
pub fn holds(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if began.elapsed() >= limit {
            return false;
        }
        sleep(Duration::from_millis(2));
    }
}

/// Waits until `condition` holds, and panics with `what` if it does not within `limit`. Returns how long it took.
#[track_caller]
pub fn eventually(limit: Duration, what: &str, condition: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    assert!(holds(limit, condition), "not within {limit:?}: {what}");
    began.elapsed()
}
