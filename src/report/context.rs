//! The facts that a report needs beside the engine's: the wall clock, the pause and the program.

use std::time::{Duration, SystemTime};

use crate::decide::Moment;
use crate::decide::report::{ProgramReport, Report};
use crate::state::pause::Pause;
use crate::text::time::utc;

/// One instant on both clocks: converts the engine's moments to wall-clock times.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// Now on the engine's clock.
    pub now: Moment,
    /// Now on the wall clock.
    pub wall: SystemTime,
}

impl Clock {
    /// A moment as RFC 3339 in UTC, to the second.
    pub fn time(&self, moment: Moment) -> String {
        let after = moment.since(self.now);
        let before = self.now.since(moment);
        let wall = self.wall.checked_add(after).and_then(|wall| wall.checked_sub(before)).unwrap_or(self.wall);
        utc(wall)
    }

    /// A future moment with the time until then: `2026-01-01T00:00:00Z (in 3s)`. A past moment counts as now.
    pub fn due(&self, moment: Moment) -> String {
        let moment = moment.max(self.now);
        format!("{} ({})", self.time(moment), from_now(moment.since(self.now)))
    }
}

/// What a report shows that the engine does not know.
#[derive(Debug, Clone)]
pub struct Context {
    /// The time of the report on the wall clock.
    pub wall: SystemTime,
    /// The pause in force, if there is one.
    pub pause: Option<Pause>,
    /// The program that the agent runs, if there is one.
    pub program: Option<ProgramReport>,
}

impl Context {
    /// Both clocks at the time of the report.
    pub fn clock(&self, report: &Report) -> Clock {
        Clock { now: report.now, wall: self.wall }
    }
}

/// A time from now as text, at least one second: "in 3s".
pub fn from_now(time: Duration) -> String {
    format!("in {}", humantime::format_duration(Duration::from_secs(time.as_secs().max(1))))
}

/// A duration to the second: "1m 15s".
pub fn seconds(age: Duration) -> String {
    humantime::format_duration(Duration::from_secs(age.as_secs())).to_string()
}
