//! The CPU time and memory of a process, and statistics of durations.

use std::thread::sleep;
use std::time::Duration;

use super::usage::{cpu, memory};
use crate::support::wait::holds;

/// Measures the CPU time of a process from a starting point.
pub struct Meter {
    pid: u32,
    before: Duration,
}

impl Meter {
    /// Starts to measure.
    pub fn start(pid: u32) -> Self {
        Self { pid, before: cpu(pid) }
    }

    /// The CPU time used since the start.
    pub fn used(&self) -> Duration {
        cpu(self.pid).saturating_sub(self.before)
    }

    /// The CPU time that a process uses within this time. It waits for that long, because the duration itself is
    /// measured.
    pub fn over(pid: u32, time: Duration) -> Duration {
        let meter = Self::start(pid);
        sleep(time);
        meter.used()
    }

    /// Waits until a process uses no CPU for this long, and panics if that does not happen within `limit`.
    pub fn rests(pid: u32, time: Duration, limit: Duration) {
        assert!(holds(limit, || Self::over(pid, time).is_zero()), "it does not become idle");
    }
}

/// The highest resident memory of a process so far, in MiB.
pub fn peak(pid: u32) -> f64 {
    mib(memory(pid).peak)
}

/// The current resident memory of a process, in MiB.
pub fn resident(pid: u32) -> f64 {
    mib(memory(pid).resident)
}

fn mib(kib: u64) -> f64 {
    f64::from(u32::try_from(kib).unwrap()) / 1024.0
}

/// A percentile of these durations.
pub fn percentile(times: &[Duration], percent: usize) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

/// The median of these durations.
pub fn median(times: &[Duration]) -> Duration {
    percentile(times, 50)
}
