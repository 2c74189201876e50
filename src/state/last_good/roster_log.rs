//! The log of one roster or key.

use std::io;
use std::path::PathBuf;

use super::record::Line;
use super::when::{Dial, When};
use super::{TITLE, record};
use crate::decide::{Event, Origin, Recalled, SavedRoster};
use crate::log::emit;
use crate::state::append_log::{Access, Book};

/// One log, and what it holds: only what differs from that is written.
#[derive(Debug)]
pub struct RosterLog {
    log: Book,
    known: Recalled,
    /// When the last line was written; `None` while nothing is known.
    at: Option<When>,
}

impl RosterLog {
    /// Reads a file, as far as it is complete.
    pub fn open(file: PathBuf, access: Access, dial: &Dial) -> Self {
        let (log, held) = Book::open(file, TITLE, access);
        if let Some(why) = held.lost {
            let effect = "known-good members of a roster are missing";
            emit(Event::StateReadFailed { file: None, reason: why, effect });
        }
        let mut log = Self { log, known: Recalled::none(Origin { url: "".into(), path: "".into() }), at: None };
        held.lines.into_iter().for_each(|line| log.apply(line, dial));
        log
    }

    fn apply(&mut self, line: Line, dial: &Dial) {
        if let Some(origin) = line.origin() {
            (self.known, self.at) = (Recalled::none(origin), None);
        }
        self.at = line.at.or(self.at.take());
        for (path, step) in line.paths {
            step.apply(path, &mut self.known, dial);
        }
    }

    /// What is known, and since when.
    pub fn known(&self) -> Option<(&When, &Recalled)> {
        self.at.as_ref().map(|at| (at, &self.known))
    }

    /// Adds what differs. Another origin begins the file anew.
    ///
    /// # Errors
    /// What the system refused; the next write makes up for it.
    pub fn add(&mut self, memo: SavedRoster, now: When, dial: &Dial) -> io::Result<()> {
        let none = Recalled::none(memo.origin.clone());
        let is_new = self.at.is_none() || self.known.origin != memo.origin;
        let paths = record::steps(if is_new { &none } else { &self.known }, &memo, dial);
        if paths.is_empty() {
            return Ok(());
        }
        self.known.take(memo);
        let at = self.at.insert(now).clone();
        if is_new {
            return self.log.rewrite(&record::snapshot(&self.known, &at, dial));
        }
        let known = &self.known;
        let members: usize = known.paths.values().map(|known| known.members.len()).sum();
        let all = || record::snapshot(known, &at, dial);
        self.log.add(&Line::change(at.clone(), paths), members, all).or_else(|_| self.log.rewrite(&all()))
    }

    /// Rewrites the file where it has grown long, or is not what was left there.
    ///
    /// # Errors
    /// What the system refused.
    pub fn compact(&mut self, dial: &Dial) -> io::Result<()> {
        match &self.at {
            Some(at) if !self.log.is_compact() => self.log.rewrite(&record::snapshot(&self.known, at, dial)),
            _ => Ok(()),
        }
    }
}
