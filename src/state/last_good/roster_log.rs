//! The log of one roster or key.

use std::io;
use std::path::PathBuf;

use super::record::Line;
use super::timestamp::{BootClock, Timestamp};
use super::{HEADER, record};
use crate::decide::{Event, Origin, SavedRoster, SavedUpdate};
use crate::log::emit;
use crate::state::append_log::{Access, AppendLog};

/// A log and its content. Only differences are written.
#[derive(Debug)]
pub struct RosterLog {
    log: AppendLog,
    known: SavedRoster,
    /// When the last line was written; `None` while nothing is known.
    at: Option<Timestamp>,
}

impl RosterLog {
    /// Reads a file up to where it is complete.
    pub fn open(file: PathBuf, access: Access, clock: &BootClock) -> Self {
        let (log, contents) = AppendLog::open(file, HEADER, access);
        if let Some(why) = contents.lost {
            let effect = "known-good members of a roster are missing";
            emit(Event::StateReadFailed { file: None, reason: why, effect });
        }
        let mut log = Self { log, known: SavedRoster::none(Origin { url: "".into(), path: "".into() }), at: None };
        contents.lines.into_iter().for_each(|line| log.apply(line, clock));
        log
    }

    fn apply(&mut self, line: Line, clock: &BootClock) {
        if let Some(origin) = line.origin() {
            (self.known, self.at) = (SavedRoster::none(origin), None);
        }
        self.at = line.at.or(self.at.take());
        for (path, path_change) in line.paths {
            path_change.apply(path, &mut self.known, clock);
        }
    }

    /// What is known, and since when.
    pub fn known(&self) -> Option<(&Timestamp, &SavedRoster)> {
        self.at.as_ref().map(|at| (at, &self.known))
    }

    /// Appends the differences. A new origin starts the file again.
    ///
    /// # Errors
    /// The system call that failed; the next write repeats it.
    pub fn add(&mut self, saved: SavedUpdate, now: Timestamp, clock: &BootClock) -> io::Result<()> {
        let none = SavedRoster::none(saved.origin.clone());
        let is_new = self.at.is_none() || self.known.origin != saved.origin;
        let paths = record::path_changes(if is_new { &none } else { &self.known }, &saved, clock);
        if paths.is_empty() {
            return Ok(());
        }
        self.known.take(saved);
        let at = self.at.insert(now).clone();
        if is_new {
            return self.log.rewrite(&record::snapshot(&self.known, &at, clock));
        }
        let known = &self.known;
        let members: usize = known.paths.values().map(|known| known.members.len()).sum();
        let all = || record::snapshot(known, &at, clock);
        self.log.append(&Line::change(at.clone(), paths), members, all).or_else(|_| self.log.rewrite(&all()))
    }

    /// Rewrites the file if it has grown long or is not intact.
    ///
    /// # Errors
    /// The system call that failed.
    pub fn compact(&mut self, clock: &BootClock) -> io::Result<()> {
        match &self.at {
            Some(at) if !self.log.is_compact() => self.log.rewrite(&record::snapshot(&self.known, at, clock)),
            _ => Ok(()),
        }
    }
}
