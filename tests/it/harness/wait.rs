//! Waiting for conditions, never for time.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Waits until `condition` holds, and panics with `what` when it does not within `limit`. Says how long it took.
#[track_caller]
pub fn eventually(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        sleep(Duration::from_millis(2));
    }
    began.elapsed()
}
