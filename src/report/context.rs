//! The facts that a report needs beside the engine's: the wall clock, the pause, the program, and what was refused.

use std::time::SystemTime;

use crate::config::Problems;
use crate::decide::Moment;
use crate::decide::report::{ProgramReport, Report, ServiceReport};
use crate::jones::store::origin::Origin;
use crate::state::pause::Pause;
use crate::text::time::{Zone, past, to_come, utc};

/// One instant on both clocks: converts the engine's moments to wall-clock times.
#[derive(Debug, Clone, Copy)]
pub struct Clock<'a> {
    /// Now on the engine's clock.
    pub now: Moment,
    /// Now on the wall clock.
    pub wall: SystemTime,
    /// The zone of local times.
    pub zone: &'a Zone,
}

impl Clock<'_> {
    /// A moment on the wall clock.
    pub fn at(&self, moment: Moment) -> SystemTime {
        let after = moment.since(self.now);
        let before = self.now.since(moment);
        self.wall.checked_add(after).and_then(|wall| wall.checked_sub(before)).unwrap_or(self.wall)
    }

    /// A moment as RFC 3339 in UTC, to the second: for programs.
    pub fn time(&self, moment: Moment) -> String {
        utc(self.at(moment))
    }

    /// A past moment for a person: `2026-01-01T00:00:00Z (01:00:00 CET, 3s ago)`.
    pub fn past(&self, moment: Moment) -> String {
        past(self.at(moment), self.wall, self.zone)
    }

    /// A future moment for a person: `2026-01-01T00:00:00Z (01:00:00 CET, in 3s)`. A past moment counts as now.
    pub fn due(&self, moment: Moment) -> String {
        to_come(self.at(moment.max(self.now)), self.wall, self.zone)
    }
}

/// What a report shows that the engine does not know.
#[derive(Debug, Clone)]
pub struct Context {
    /// The time of the report on the wall clock.
    pub wall: SystemTime,
    /// The zone of local times.
    pub zone: Zone,
    /// The name of this host.
    pub host: String,
    /// The pause in force, if there is one.
    pub pause: Option<Pause>,
    /// The program that the agent runs, if there is one.
    pub program: Option<ProgramReport>,
    /// What was refused since it was last loaded.
    pub refused: Vec<Refusal>,
    /// The services of this host.
    pub services: Vec<ServiceReport>,
    /// Who wrote what the explained `[[key]]` of Jones holds, if that is known.
    pub origin: Option<Origin>,
}

impl Context {
    /// Both clocks at the time of the report.
    pub fn clock(&self, report: &Report) -> Clock<'_> {
        Clock { now: report.now, wall: self.wall, zone: &self.zone }
    }
}

/// What can be loaded, and refused as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The configuration, with its templates: on HUP.
    Configuration,
    /// Templates that were edited.
    Templates,
}

/// A load that was refused: what was loaded before is still in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What was refused.
    pub part: Part,
    /// Since when nothing newer has been loaded.
    pub since: SystemTime,
    /// The place of the first problem, as `FILE:LINE`.
    pub place: Option<String>,
    /// The first problem.
    pub reason: String,
    /// The number of problems.
    pub problems: usize,
}

impl Refusal {
    /// A refusal because of these problems.
    pub fn new(part: Part, since: SystemTime, Problems(problems): &Problems) -> Self {
        let first = problems.first();
        let place = first.map(|it| {
            let file = it.file.display();
            // A file that cannot be read has no lines.
            if it.text.is_empty() { file.to_string() } else { format!("{file}:{}", it.line()) }
        });
        let reason = first.map(|it| it.message.trim_end_matches('.').to_owned()).unwrap_or_default();
        Self { part, since, place, reason, problems: problems.len() }
    }
}
