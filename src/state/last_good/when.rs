//! Moments that outlive the process.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::decide::Moment;

#[cfg(test)]
mod tests;

/// A moment by two clocks: since the machine was started, which nobody can set, and by the calendar, which goes on
/// through a restart of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timestamp {
    /// Which start of the machine: `random(4)`, `boot_id`. Empty where the system does not say.
    pub boot: String,
    /// Seconds since then, time asleep included.
    pub up: u64,
    /// Seconds since 1970.
    pub wall: u64,
}

impl Timestamp {
    /// This moment.
    pub fn now() -> Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
        Self {
            boot: boot.trim().to_owned(),
            up: uptime.split('.').next().and_then(|whole| whole.parse().ok()).unwrap_or_default(),
            wall: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        }
    }

    /// How long after `earlier` this is; `None` when that is in the future, because the calendar was set back.
    pub fn since(&self, earlier: &Self) -> Option<Duration> {
        let same = !self.boot.is_empty() && self.boot == earlier.boot;
        let (now, then) = if same { (self.up, earlier.up) } else { (self.wall, earlier.wall) };
        now.checked_sub(then).map(Duration::from_secs)
    }
}

/// Moments of the engine as seconds since the machine was started, and back: what is written by one process is read by
/// the next.
#[derive(Debug, Clone)]
pub struct BootClock {
    /// The agent's start.
    began: Timestamp,
}

impl BootClock {
    /// For an engine that begins now.
    pub fn new(began: Timestamp) -> Self {
        Self { began }
    }

    /// Which start of the machine the seconds count from.
    pub fn boot(&self) -> &str {
        &self.began.boot
    }

    /// A moment in seconds since the machine was started; below 0 where that was remembered of an earlier one.
    pub fn up(&self, moment: Moment) -> i64 {
        let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        let before = Moment::START.since(moment);
        // A part of a second counts as one before the start as it does after it: downwards.
        let before = seconds(before).saturating_add(i64::from(before.subsec_nanos() > 0));
        seconds(Duration::from_secs(self.began.up)).saturating_sub(before).saturating_add(seconds(moment.since_start()))
    }

    /// The moment that was written as so many seconds since that start of the machine; `None` where it was another one,
    /// or nobody knows which: those seconds say nothing.
    pub fn moment(&self, boot: &str, up: i64) -> Option<Moment> {
        if boot.is_empty() || boot != self.began.boot {
            return None;
        }
        let began = i64::try_from(self.began.up).ok()?;
        let away = Duration::from_secs(up.abs_diff(began));
        Some(if up < began { Moment::START - away } else { Moment::START + away })
    }
}
