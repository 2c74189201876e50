//! What a reload that succeeded has proven: files that owe nothing any more, and what to go back to from the next ones.
//!
//! Files are replaced while a reload runs. So what stood there when it began is kept until it has ended: where it ended
//! well, that is what later ones go back to.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Candidate, Entry, Journal, Key, Line, NewCopies, PreviousFile, to_lines};

/// The reloads under way: which files each is for, and the last round of which all files were in place when it began.
#[derive(Debug, Clone, Default)]
pub struct RunningReloads(Arc<Mutex<ByNumber>>);

type ByNumber = BTreeMap<u64, (Vec<Key>, u64)>;

/// A reload under way.
#[derive(Debug)]
pub struct ReloadRun {
    number: u64,
    runs: RunningReloads,
}

impl RunningReloads {
    /// One begins.
    pub fn begin(&self, keys: Vec<Key>, up_to: u64) -> ReloadRun {
        let mut runs = self.lock();
        let number = runs.last_key_value().map_or(0, |(last, _)| last + 1);
        runs.insert(number, (keys, up_to));
        ReloadRun { number, runs: self.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, ByNumber> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReloadRun {
    /// What it is for, and the last round that it takes up.
    pub fn covers(&self) -> (Vec<Key>, u64) {
        self.runs.lock().get(&self.number).cloned().unwrap_or_default()
    }
}

impl Drop for ReloadRun {
    fn drop(&mut self) {
        self.runs.lock().remove(&self.number);
    }
}

impl Entry {
    /// Whether a reload, or that of its unit, knew the file as it was at the round `up_to`, and nothing was owed for
    /// that any more, with those `done`.
    fn is_proven(&self, up_to: u64, done: &BTreeSet<Key>) -> bool {
        let owes = self.owner.owed.is_some();
        match &self.candidate {
            _ if self.seq <= up_to => !owes || done.contains(&self.key()),
            // Where nothing is owed because a later one was taken up, this one was not for that.
            Some(candidate) => {
                let is_silent = !owes && !self.is_reloaded;
                candidate.from <= up_to && up_to < candidate.until && (is_silent || candidate.is_proven)
            }
            // It was as it had been proven before.
            None => !self.owner.back && self.since > up_to,
        }
    }

    /// Whether it was put back and is as it was proven: nothing is owed for it.
    pub fn is_restored(&self) -> bool {
        self.owner.back && self.owner.owed.is_none() && self.saved.is_some()
    }

    /// Nothing is owed for it any more; and where it is `whole`, its replacement is over.
    fn settle(&mut self, whole: bool) {
        self.is_reloaded |= self.owner.owed.is_some();
        (self.owner.owed, self.again) = (None, false);
        if whole {
            (self.old, self.staged, self.over) = (self.new, None, None);
        }
    }
}

impl Journal {
    /// Which reloads are under way is known from here on.
    pub fn share_reloads(&mut self, runs: &RunningReloads) {
        self.runs = runs.clone();
    }

    /// Keeps what stands at a destination, for good, for the entry that is noted next: where nothing is kept from
    /// before an earlier replacement, or where a reload under way takes it up.
    ///
    /// # Errors
    /// What the system refused.
    pub fn save(&self, key: &Key, before: Option<&PreviousFile>) -> io::Result<NewCopies> {
        let seq = self.last_batch + 1;
        let save = || self.store.save(key, seq, before);
        match self.entries.get(key).filter(|known| known.saved.is_some()) {
            None => Ok(NewCopies { saved: Some(save()?), candidate: None }),
            Some(known) if self.is_candidate(known) => {
                let candidate = Candidate { from: known.seq, until: seq, saved: save()?, is_proven: false };
                Ok(NewCopies { saved: None, candidate: Some(candidate) })
            }
            Some(_) => Ok(NewCopies::default()),
        }
    }

    /// Whether a reload under way, its own or one of its unit, takes it up as it stands.
    fn is_candidate(&self, known: &Entry) -> bool {
        let unit = |key: &Key| self.entries.get(key).and_then(|entry| entry.owner.unit.as_ref());
        let own =
            |key: &Key| *key == known.key() || (known.owner.unit.is_some() && unit(key) == known.owner.unit.as_ref());
        self.runs.lock().values().any(|(keys, up_to)| *up_to >= known.seq && keys.iter().any(own))
    }

    /// The reload of these files has succeeded, as they were after the round `up_to`. What was replaced since is still
    /// owed for. What is kept of a unit's files goes with the last whose reload is owed; and of a file that was put
    /// back it stays for as long as the bytes are blocked that it was put back from. What was blocked of files that
    /// hold something else by now is forgotten.
    pub fn reload_succeeded(&mut self, keys: &[Key], up_to: u64) {
        let mut done = BTreeSet::new();
        for key in keys {
            // What could not be finished has not been taken up.
            let Some(entry) = self.entries.get_mut(key).filter(|_| !self.unfinished.contains_key(key)) else {
                continue;
            };
            if entry.seq <= up_to {
                done.insert(key.clone());
            } else if let Some(candidate) = entry.candidate.as_mut().filter(|candidate| candidate.from <= up_to) {
                candidate.is_proven = true;
            }
        }
        self.drop_outdated_blocks(&done);
        let mut groups: BTreeMap<Result<Arc<str>, Key>, Vec<Key>> = BTreeMap::new();
        for (key, entry) in &self.entries {
            groups.entry(entry.owner.unit.clone().ok_or_else(|| key.clone())).or_default().push(key.clone());
        }
        let mut line = Line::default();
        for group in groups.into_values().filter(|group| group.iter().any(|key| keys.contains(key))) {
            self.clear_unit(&group, &done, up_to, &mut line);
        }
        self.write_cleared_and_clean(&line);
    }

    /// The same for files that go back together.
    fn clear_unit(&mut self, group: &[Key], done: &BTreeSet<Key>, up_to: u64, line: &mut Line) {
        let is_finished = !group.iter().any(|key| self.unfinished.contains_key(key));
        let entries = || group.iter().filter_map(|key| self.entries.get(key));
        let is_proven = is_finished && entries().all(|entry| entry.is_proven(up_to, done));
        // All as it stands, in whatever order it was taken up.
        let is_over = is_finished
            && entries().all(|entry| entry.is_reloaded || (entry.seq <= up_to && entry.is_proven(up_to, done)));
        for key in group {
            let Some(entry) = self.entries.get_mut(key) else { continue };
            let before = entry.clone();
            if entry.seq > up_to && !is_over {
                if let Some(candidate) = entry.candidate.take_if(|_| is_proven) {
                    (entry.saved, entry.since) = (Some(candidate.saved), candidate.until);
                }
            } else if is_over || is_proven || done.contains(key) {
                let blocked = self.blocked.iter().any(|set| set.files.contains_key(&entry.dest));
                let is_proven = is_over || is_proven;
                let stays = if is_proven { entry.owner.back && blocked } else { true };
                if !stays || entry.saved.is_none() {
                    self.entries.remove(key);
                    line.gone.push(key.clone());
                    continue;
                }
                entry.settle(is_proven);
            }
            if *entry != before {
                line.put.push(entry.clone());
            }
        }
    }

    /// What was noted so far is in place for good: a file that owes no reload, and of which nothing is kept, was noted for
    /// the time in between alone, but for one of a unit whose reload is owed.
    pub fn remove_idle(&mut self) {
        let owing: BTreeSet<_> =
            self.entries.values().filter(|it| it.owner.owed.is_some()).filter_map(|it| it.owner.unit.clone()).collect();
        let is_idle = |entry: &&Entry| {
            let of_owing = entry.owner.unit.as_ref().is_some_and(|unit| owing.contains(unit));
            let is_begun = self.unfinished.contains_key(&entry.key());
            entry.owner.owed.is_none() && entry.saved.is_none() && !of_owing && !is_begun
        };
        let idle: Vec<Key> = self.entries.values().filter(is_idle).map(Entry::key).collect();
        self.forget(idle);
    }

    /// Nothing more is to be known of these files.
    pub fn forget(&mut self, keys: impl IntoIterator<Item = Key>) {
        let mut line = Line::default();
        line.gone.extend(keys.into_iter().filter(|key| self.entries.remove(key).is_some()));
        self.write_cleared_and_clean(&line);
    }

    /// What is blocked of any of these files may be tried again.
    pub fn unblock(&mut self, is_meant: impl Fn(&std::path::Path) -> bool) {
        let known = self.blocked.len();
        self.blocked.retain(|set| !set.files.keys().any(|dest| is_meant(dest)));
        if self.blocked.len() == known {
            return;
        }
        let mut line = Line { blocked: Some(to_lines(&self.blocked)), ..Line::default() };
        let is_blocked = |entry: &Entry| self.blocked.iter().any(|set| set.files.contains_key(&entry.dest));
        let free = self.entries.values().filter(|entry| entry.is_restored() && !is_blocked(entry));
        line.gone = free.map(Entry::key).collect();
        for key in &line.gone {
            self.entries.remove(key);
        }
        self.write_cleared_and_clean(&line);
    }

    fn write_cleared_and_clean(&mut self, line: &Line) {
        if line.gone.is_empty() && line.put.is_empty() && line.blocked.is_none() {
            return;
        }
        // What is gone back to by what is written here is on disk, and what was gone back to before is removed.
        let done = if line.put.is_empty() { self.write_unsynced(line) } else { self.write(line) };
        self.log_failure(&done);
        self.remove_unused_copies();
    }
}
