//! What a successful reload confirms: files whose reload is no longer pending, and the versions that a rollback
//! restores.
//!
//! Files may be replaced while a reload runs. So the version from when it began is kept until it ends; if it succeeds,
//! that version is the one to restore.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Candidate, Entry, Journal, Key, Line, NewCopies, PreviousFile, to_lines};

/// The running reloads: the files of each, and the last batch that was in place when it began.
#[derive(Debug, Clone, Default)]
pub struct RunningReloads(Arc<Mutex<ByNumber>>);

type ByNumber = BTreeMap<u64, (Vec<Key>, u64)>;

/// A running reload. It ends when this is dropped.
#[derive(Debug)]
pub struct ReloadRun {
    number: u64,
    runs: RunningReloads,
}

impl RunningReloads {
    /// Begins a reload for these files, with all batches up to `up_to` in place.
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
    /// The files of the reload, and the last batch that it includes.
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
    /// Whether successful reloads (`done`, and earlier ones) confirmed the version of this file as of batch `up_to`.
    fn is_proven(&self, up_to: u64, done: &BTreeSet<Key>) -> bool {
        let owes = self.owner.pending_reload.is_some();
        match &self.candidate {
            _ if self.batch <= up_to => !owes || done.contains(&self.key()),
            // If no reload is pending because a later version was reloaded, that does not confirm this one.
            Some(candidate) => {
                let is_silent = !owes && !self.is_reloaded;
                candidate.from <= up_to && up_to < candidate.until && (is_silent || candidate.is_proven)
            }
            // It was the confirmed version then.
            None => !self.owner.is_rollback && self.since > up_to,
        }
    }

    /// Whether it was rolled back to a confirmed version and no reload is pending.
    pub fn is_restored(&self) -> bool {
        self.owner.is_rollback && self.owner.pending_reload.is_none() && self.saved.is_some()
    }

    /// Clears its pending reload; if the `whole` unit succeeded, its replacement is over.
    fn settle(&mut self, whole: bool) {
        self.is_reloaded |= self.owner.pending_reload.is_some();
        (self.owner.pending_reload, self.earlier_pending) = (None, false);
        if whole {
            (self.old, self.staged, self.overwrite) = (self.new, None, None);
        }
    }
}

impl Journal {
    /// Shares the list of running reloads.
    pub fn share_reloads(&mut self, runs: &RunningReloads) {
        self.runs = runs.clone();
    }

    /// Saves a durable copy of the current file for the entry that is recorded next, if no copy from before an earlier
    /// replacement exists, or if a running reload includes this version.
    ///
    /// # Errors
    /// The system call that failed.
    pub fn save(&self, key: &Key, before: Option<&PreviousFile>) -> io::Result<NewCopies> {
        let seq = self.last_batch + 1;
        let save = || self.store.save(key, seq, before);
        match self.entries.get(key).filter(|known| known.saved.is_some()) {
            None => Ok(NewCopies { saved: Some(save()?), candidate: None }),
            Some(known) if self.is_candidate(known) => {
                let candidate = Candidate { from: known.batch, until: seq, saved: save()?, is_proven: false };
                Ok(NewCopies { saved: None, candidate: Some(candidate) })
            }
            Some(_) => Ok(NewCopies::default()),
        }
    }

    /// Whether a running reload of this file or its unit includes the current version.
    fn is_candidate(&self, known: &Entry) -> bool {
        let unit = |key: &Key| self.entries.get(key).and_then(|entry| entry.owner.unit.as_ref());
        let own =
            |key: &Key| *key == known.key() || (known.owner.unit.is_some() && unit(key) == known.owner.unit.as_ref());
        self.runs.lock().values().any(|(keys, up_to)| *up_to >= known.batch && keys.iter().any(own))
    }

    /// The reload of these files succeeded, with all batches up to `up_to` in place. Reloads for later replacements
    /// stay pending. The copies of a unit's files are kept until its last pending reload; the copy of a file that was
    /// rolled back is kept while the failed version is blocked. Sets of which a file holds another version now are
    /// unblocked.
    pub fn reload_succeeded(&mut self, keys: &[Key], up_to: u64) {
        let mut done = BTreeSet::new();
        for key in keys {
            // A replacement that could not be finished was not reloaded.
            let Some(entry) = self.entries.get_mut(key).filter(|_| !self.unfinished.contains_key(key)) else {
                continue;
            };
            if entry.batch <= up_to {
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

    /// Clears the files of one unit, or one file without a unit.
    fn clear_unit(&mut self, group: &[Key], done: &BTreeSet<Key>, up_to: u64, line: &mut Line) {
        let is_finished = !group.iter().any(|key| self.unfinished.contains_key(key));
        let entries = || group.iter().filter_map(|key| self.entries.get(key));
        let is_proven = is_finished && entries().all(|entry| entry.is_proven(up_to, done));
        // All current versions are confirmed, by whichever reloads.
        let is_over = is_finished
            && entries().all(|entry| entry.is_reloaded || (entry.batch <= up_to && entry.is_proven(up_to, done)));
        for key in group {
            let Some(entry) = self.entries.get_mut(key) else { continue };
            let before = entry.clone();
            if entry.batch > up_to && !is_over {
                if let Some(candidate) = entry.candidate.take_if(|_| is_proven) {
                    (entry.saved, entry.since) = (Some(candidate.saved), candidate.until);
                }
            } else if is_over || is_proven || done.contains(key) {
                let blocked = self.blocked.iter().any(|set| set.files.contains_key(&entry.dest));
                let is_proven = is_over || is_proven;
                let stays = if is_proven { entry.owner.is_rollback && blocked } else { true };
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

    /// Everything recorded is durably in place. Removes entries without a pending reload and without a copy, except
    /// those of a unit with a pending reload.
    pub fn remove_idle(&mut self) {
        let owing: BTreeSet<_> = self
            .entries
            .values()
            .filter(|it| it.owner.pending_reload.is_some())
            .filter_map(|it| it.owner.unit.clone())
            .collect();
        let is_idle = |entry: &&Entry| {
            let of_owing = entry.owner.unit.as_ref().is_some_and(|unit| owing.contains(unit));
            let is_begun = self.unfinished.contains_key(&entry.key());
            entry.owner.pending_reload.is_none() && entry.saved.is_none() && !of_owing && !is_begun
        };
        let idle: Vec<Key> = self.entries.values().filter(is_idle).map(Entry::key).collect();
        self.forget(idle);
    }

    /// Removes these entries.
    pub fn forget(&mut self, keys: impl IntoIterator<Item = Key>) {
        let mut line = Line::default();
        line.gone.extend(keys.into_iter().filter(|key| self.entries.remove(key).is_some()));
        self.write_cleared_and_clean(&line);
    }

    /// Unblocks all sets that contain one of these files.
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
        // A version that the new lines restore is durable before the copies of older ones are removed.
        let done = if line.put.is_empty() { self.write_unsynced(line) } else { self.write(line) };
        self.log_failure(&done);
        self.remove_unused_copies();
    }
}
