//! Times that outlive the process.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::decide::Moment;

#[cfg(test)]
mod tests;

/// A time on two clocks: since boot, which nobody can set, and the calendar, which continues across reboots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timestamp {
    /// The boot (`random(4)`, `boot_id`); empty if it is unknown.
    pub boot: String,
    /// Seconds since boot, including suspend.
    pub up: u64,
    /// Seconds since 1970.
    pub wall: u64,
}

impl Timestamp {
    /// The current time.
    pub fn now() -> Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
        Self {
            boot: boot.trim().to_owned(),
            up: uptime.split('.').next().and_then(|whole| whole.parse().ok()).unwrap_or_default(),
            wall: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        }
    }

    /// The time since `earlier`; `None` if that is in the future because the calendar was set back.
    pub fn since(&self, earlier: &Self) -> Option<Duration> {
        let same = !self.boot.is_empty() && self.boot == earlier.boot;
        let (now, then) = if same { (self.up, earlier.up) } else { (self.wall, earlier.wall) };
        now.checked_sub(then).map(Duration::from_secs)
    }
}

/// Converts the engine's moments to seconds since boot and back: one process writes them and the next reads them.
#[derive(Debug, Clone)]
pub struct BootClock {
    /// The agent's start.
    began: Timestamp,
}

impl BootClock {
    /// The clock of an engine that starts at `began`.
    pub fn new(began: Timestamp) -> Self {
        Self { began }
    }

    /// The boot that the seconds count from.
    pub fn boot(&self) -> &str {
        &self.began.boot
    }

    /// A moment in seconds since boot; negative if it was restored from an earlier one.
    pub fn up(&self, moment: Moment) -> i64 {
        let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        let before = Moment::START.since(moment);
        // Rounds down, before the start as after it.
        let before = seconds(before).saturating_add(i64::from(before.subsec_nanos() > 0));
        seconds(Duration::from_secs(self.began.up)).saturating_sub(before).saturating_add(seconds(moment.since_start()))
    }

    /// The moment of this many seconds since that boot; `None` if the machine has rebooted since, or the boot is
    /// unknown.
    pub fn moment(&self, boot: &str, up: i64) -> Option<Moment> {
        if boot.is_empty() || boot != self.began.boot {
            return None;
        }
        let began = i64::try_from(self.began.up).ok()?;
        let away = Duration::from_secs(up.abs_diff(began));
        Some(if up < began { Moment::START - away } else { Moment::START + away })
    }
}
