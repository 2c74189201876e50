//! When each roster was last confirmed, recorded once a minute. For a roster that does not change, nothing else records
//! this.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::HEADER;
use super::timestamp::Timestamp;
use crate::decide::Event;
use crate::log::emit;
use crate::state::append_log::{Access, AppendLog};

/// The file's name.
const NAME: &str = "confirmed";

/// The log of confirmations. Only its last line counts.
#[derive(Debug)]
pub struct Confirmed {
    log: AppendLog,
    last: Option<Line>,
}

/// How long ago each roster and key was confirmed.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Line {
    at: Timestamp,
    /// In seconds, as of `at`.
    ages: BTreeMap<Arc<str>, u64>,
}

impl Confirmed {
    /// Reads the file in this directory.
    pub fn open(directory: &Path, access: Access) -> Self {
        let (log, mut contents) = AppendLog::open(directory.join(NAME), HEADER, access);
        if let Some(why) = contents.lost {
            let effect = "known-good members may seem older than they are";
            emit(Event::StateReadFailed { file: None, reason: why, effect });
        }
        Self { log, last: contents.lines.pop() }
    }

    /// How long ago this roster or key was confirmed, as of `now`.
    pub fn age(&self, name: &str, now: &Timestamp) -> Option<Duration> {
        let Line { at, ages } = self.last.as_ref()?;
        Some(now.since(at)?.saturating_add(Duration::from_secs(*ages.get(name)?)))
    }

    /// Records these ages. For rosters without one, the earlier confirmation is kept.
    ///
    /// # Errors
    /// The system call that failed.
    pub fn note<'a>(
        &mut self,
        names: impl Iterator<Item = &'a Arc<str>>,
        ages: &BTreeMap<Arc<str>, Duration>,
    ) -> io::Result<()> {
        let at = Timestamp::now();
        let age = |name: &Arc<str>| ages.get(name).copied().or_else(|| self.age(name, &at));
        let ages = names.filter_map(|name| Some((Arc::clone(name), age(name)?.as_secs()))).collect();
        let line = self.last.insert(Line { at, ages });
        self.log.append(line, 1, || vec![line.clone()])
    }
}
