//! The last known-good members of each roster and the data of each key, kept in the state directory across restarts:
//! with their slots, the guard's history, and when all of it was last confirmed.
//!
//! There is one [log](crate::state::append_log) for each roster. It begins with the whole roster. Each change appends a
//! line, so the cost of a change does not depend on the size of the roster.
//!
//! A line is written before the files that are rendered from it are replaced, so a killed agent restores what it
//! rendered. It is not synced, because that would double the cost of a change. After a power cut the last good members
//! may therefore be half a minute older than the files. That does no harm: they are one whole view that was good then,
//! their age is known, they are used only while no registry is reached, and the first view of a registry replaces them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fs, io};

use crate::decide::{Event, SavedRoster, SavedState, SavedUpdate};
use crate::log::emit;
use crate::state::append_log::{Access, Header};

use confirmed::Confirmed;
use roster_log::RosterLog;
use timestamp::{BootClock, Timestamp};

pub mod confirmed;
pub mod record;
pub mod roster_log;
#[cfg(test)]
pub mod tests;
pub mod timestamp;

/// The directory's name in the state directory.
const NAME: &str = "rosters";

/// The file name extension after the name of a roster or key, which is an identifier.
const SUFFIX: &str = "roster";

/// The whole roster is two lines: its origin and its members.
const HEADER: Header = Header { about: "memory", version: 1, synced: false, snapshot: 2 };

/// The last known-good rosters in a state directory. Clones share them.
#[derive(Debug, Clone)]
pub struct LastGood {
    store: Arc<Mutex<Store>>,
}

#[derive(Debug)]
struct Store {
    directory: PathBuf,
    rosters: BTreeMap<Arc<str>, RosterLog>,
    confirmed: Option<Confirmed>,
    clock: BootClock,
    /// The last write failed, and that was logged.
    failing: bool,
}

impl LastGood {
    /// Those in a state directory. The engine's clock starts now.
    pub fn new(state_dir: &Path) -> Self {
        Self::at(state_dir, Timestamp::now())
    }

    fn at(state_dir: &Path, now: Timestamp) -> Self {
        let directory = state_dir.join(NAME);
        let store =
            Store { directory, rosters: BTreeMap::new(), confirmed: None, clock: BootClock::new(now), failing: false };
        Self { store: Arc::new(Mutex::new(store)) }
    }

    /// Reads all of them. A file that cannot be used is renamed, which is logged.
    pub fn load(&self, access: Access) -> SavedState {
        self.store().load(access, &Timestamp::now())
    }

    /// Saves the latest members of one roster. A failure is only logged: the file that is about to be written matters
    /// more than the next start.
    pub fn save(&self, saved: SavedUpdate) {
        self.write(|store| {
            let clock = store.clock.clone();
            store.open(&saved.name.clone(), Access::ReadWrite).add(saved, Timestamp::now(), &clock)
        });
    }

    /// Does what can wait: rewrites files that have grown long or are missing, and records how long ago each roster and
    /// key was last confirmed.
    pub fn compact(&self, ages: &BTreeMap<Arc<str>, Duration>) {
        self.write(|Store { directory, rosters, confirmed, clock, .. }| {
            if rosters.is_empty() {
                return Ok(());
            }
            let done = rosters.values_mut().map(|log| log.compact(clock)).fold(Ok(()), Result::and);
            let confirmed = confirmed.get_or_insert_with(|| Confirmed::open(directory, Access::ReadWrite));
            done.and(confirmed.note(rosters.keys(), ages))
        });
    }

    /// Logs the first of several failures.
    fn write(&self, write: impl FnOnce(&mut Store) -> io::Result<()>) {
        let mut store = self.store();
        let done = write(&mut store);
        if let (Err(why), false) = (&done, store.failing) {
            let (reason, effect) = (why.to_string(), "known-good members may be lost on a restart");
            emit(Event::StateWriteFailed { file: Some(store.directory.clone()), reason, effect });
        }
        store.failing = done.is_err();
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        // After a panic the log is at worst out of date, and is rewritten.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    fn load(&mut self, access: Access, now: &Timestamp) -> SavedState {
        for entry in fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            let file = entry.file_name();
            let Some((name, kind)) = file.to_str().and_then(|file| file.split_once('.')) else { continue };
            // A temporary or renamed file belongs to the log of that name.
            if [SUFFIX, "tmp"].contains(&kind) || kind.starts_with("roster.unread") {
                self.open(name, access);
            }
        }
        let confirmed = self.confirmed.insert(Confirmed::open(&self.directory, access));
        let with_age = |(name, log): (&Arc<str>, &RosterLog)| {
            let (at, known) = log.known()?;
            let age = [now.since(at), confirmed.age(name, now)].into_iter().flatten().min();
            Some((Arc::clone(name), SavedRoster { age, ..known.clone() }))
        };
        self.rosters.iter().filter_map(with_age).collect()
    }

    fn open(&mut self, name: &str, access: Access) -> &mut RosterLog {
        let open = || RosterLog::open(self.directory.join(format!("{name}.{SUFFIX}")), access, &self.clock);
        self.rosters.entry(name.into()).or_insert_with(open)
    }
}
