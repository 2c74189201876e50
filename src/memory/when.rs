//! Moments that outlive the process.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A moment by two clocks: since the machine was started, which nobody can set, and by the calendar, which goes on
/// through a restart of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct When {
    /// Which start of the machine: `random(4)`, `boot_id`. Empty where the system does not say.
    pub boot: String,
    /// Seconds since then, time asleep included.
    pub up: u64,
    /// Seconds since 1970.
    pub wall: u64,
}

impl When {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calendar_counts_only_over_a_restart_of_the_machine() {
        let at = |boot: &str, up, wall| When { boot: boot.into(), up, wall };
        let secs = |a: &When, b: &When| a.since(b).map(|since| since.as_secs());
        let then = at("one", 100, 1000);
        assert_eq!(secs(&at("one", 160, 5), &then), Some(60), "a calendar that was set back is not looked at");
        assert_eq!(secs(&at("two", 5, 1900), &then), Some(900));
        assert_eq!(secs(&at("two", 5, 900), &then), None);
        assert_eq!(secs(&at("", 160, 1900), &at("", 100, 1000)), Some(900));
        let now = When::now();
        assert!(now.boot.len() == 36 && now.up > 0 && now.wall > 1_700_000_000, "{now:?}");
    }
}
