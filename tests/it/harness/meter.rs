//! What a stretch of work cost, and how long things took.

use std::thread::sleep;
use std::time::Duration;

use super::usage::{cpu, memory};
use crate::support::wait::holds;

/// Counts the processor time of a process from a moment on.
pub struct Meter {
    pid: u32,
    before: Duration,
}

impl Meter {
    /// Counts from now on.
    pub fn start(pid: u32) -> Self {
        Self { pid, before: cpu(pid) }
    }

    /// What was used since.
    pub fn used(&self) -> Duration {
        cpu(self.pid).saturating_sub(self.before)
    }

    /// What a process uses in so long a time: it is the time that is measured.
    pub fn over(pid: u32, time: Duration) -> Duration {
        let meter = Self::start(pid);
        sleep(time);
        meter.used()
    }

    /// Waits until a process uses nothing for so long, and panics when it does not come to that within `limit`.
    pub fn rests(pid: u32, time: Duration, limit: Duration) {
        assert!(holds(limit, || Self::over(pid, time).is_zero()), "it does not come to rest");
    }
}

/// The most memory that a process has had resident so far, in MiB.
pub fn peak(pid: u32) -> f64 {
    mib(memory(pid).peak)
}

/// The memory that a process has resident now, in MiB.
pub fn resident(pid: u32) -> f64 {
    mib(memory(pid).resident)
}

fn mib(kib: u64) -> f64 {
    f64::from(u32::try_from(kib).unwrap()) / 1024.0
}

/// The time that so many of a hundred took at most.
pub fn percentile(times: &[Duration], percent: usize) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

/// The time that half of them took at most.
pub fn median(times: &[Duration]) -> Duration {
    percentile(times, 50)
}
