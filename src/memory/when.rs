//! Moments that outlive the process.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::decide::Moment;

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

/// Moments of the engine as seconds since the machine was started, and back: what is written by one process is read by
/// the next.
#[derive(Debug, Clone)]
pub struct Dial {
    /// The agent's start.
    began: When,
}

impl Dial {
    /// For an engine that begins now.
    pub fn new(began: When) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_outlives_the_process_and_not_the_machine() {
        let dial = |boot: &str, up| Dial::new(When { boot: boot.into(), up, wall: 0 });
        let after = |secs| Moment::START + Duration::from_secs(secs);
        let (first, second) = (dial("one", 100), dial("one", 400));
        assert_eq!((first.up(after(50)), first.up(Moment::START - Duration::from_millis(2500))), (150, 97));
        assert_eq!(second.moment("one", 150), Some(Moment::START - Duration::from_secs(250)));
        assert_eq!(second.moment("one", 430), Some(after(30)));
        let before = second.moment("one", 150).unwrap();
        assert_eq!(second.up(before), 150, "written again it is the same");
        assert_eq!(second.moment("two", 150), None);
        assert_eq!(dial("", 400).moment("", 150), None);
    }

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
