//! The journal: which file replaces which, and which reloads are pending, so that a crash or a power cut loses neither.
//!
//! Before a file with a reload is replaced or removed, the journal records that, once for all files of a batch, and
//! syncs. After the reload succeeded, the entry is cleared. A file that is overwritten in place is recorded also
//! without a reload, until all of it is written. So the next start ([`recover`](crate::act::files::recover())) knows
//! every file that was replaced and not reloaded, even if the configuration has changed.
//!
//! Clearing is not synced: after a power cut a reload may run once more than needed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::decide::Event;
use crate::log::emit;
use crate::state::append_log::{Access, AppendLog, Contents, Header};

pub mod blocked;
pub mod entry;
pub mod key;
pub mod known_good;
pub mod saved;
#[cfg(test)]
pub mod tests;
pub mod unfinished;

pub use blocked::{Blocked, Set};
pub use entry::{Entry, ModeAndOwner, Overwrite, Owner};
pub use key::Key;
pub use saved::{Candidate, NewCopies, PreviousFile};
pub use unfinished::{OnDisk, Unfinished};

pub use known_good::{ReloadRun, RunningReloads};

use blocked::{BlockedLine, to_lines};
use saved::CopyStore;

/// The file's name in the state directory.
const NAME: &str = "journal";

const HEADER: Header = Header { about: "journal", version: 1, synced: true, snapshot: 0 };

/// The journal of a locked state directory.
#[derive(Debug)]
pub struct Journal {
    log: AppendLog,
    store: CopyStore,
    entries: BTreeMap<Key, Entry>,
    blocked: Vec<Blocked>,
    /// Replacements that were begun and not finished.
    pub unfinished: BTreeMap<Key, Unfinished>,
    /// The earlier entries of the files in the last batch.
    before: BTreeMap<Key, Option<Entry>>,
    /// The earlier blocked sets, if the last batch blocked something.
    blocked_before: Option<Vec<Blocked>>,
    last_batch: u64,
    failing: bool,
    runs: RunningReloads,
}

/// One line. What it does not mention is unchanged.
#[derive(Default, Serialize, Deserialize)]
struct Line {
    /// Replacements of one batch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    put: Vec<Entry>,
    /// Entries that are removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    gone: Vec<Key>,
    /// All blocked sets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    blocked: Option<Vec<BlockedLine>>,
}

impl Journal {
    /// Opens the journal in a state directory and reads its intact lines. Also returns why entries may be missing.
    pub fn open(state_dir: &Path) -> (Self, Option<String>) {
        let (log, contents) = AppendLog::open(state_dir.join(NAME), HEADER, Access::ReadWrite);
        let mut journal = Self {
            log,
            store: CopyStore::new(state_dir),
            entries: BTreeMap::new(),
            blocked: Vec::new(),
            unfinished: BTreeMap::new(),
            before: BTreeMap::new(),
            blocked_before: None,
            last_batch: 0,
            failing: false,
            runs: RunningReloads::default(),
        };
        let Contents { lines, lost } = contents;
        for line in lines {
            journal.apply(line);
        }
        let Self { store, entries, .. } = &mut journal;
        for entry in entries.values_mut() {
            entry.saved = entry.saved.take().filter(|saved| store.has(saved));
            entry.candidate = entry.candidate.take().filter(|candidate| store.has(candidate.copy()));
        }
        if lost.is_none() {
            journal.remove_unused_copies();
        }
        (journal, lost)
    }

    /// The path of the file.
    pub fn file(&self) -> &Path {
        self.log.file()
    }

    /// All entries.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Whether there is an entry for a template's file.
    pub fn contains(&self, key: &Key) -> bool {
        self.entries.contains_key(key)
    }

    /// The number of the last batch.
    pub fn last_batch(&self) -> u64 {
        self.last_batch
    }

    /// Records the files of a batch before the first of them is replaced. After a power cut either all of them are
    /// recorded or none; once this returns, all are. Sets their batch number. If a file already has an entry, its copy
    /// stays and an earlier reload stays pending.
    ///
    /// # Errors
    /// The system call that failed; nothing is recorded then.
    pub fn record(&mut self, entries: Vec<Entry>) -> io::Result<()> {
        self.record_rollback(entries, Vec::new())
    }

    /// Like [`Self::record`], for a rollback, with the sets that it blocks: versions that failed are not written again,
    /// even if the agent is killed after this.
    ///
    /// # Errors
    /// The system call that failed; nothing is recorded then.
    pub fn record_rollback(&mut self, entries: Vec<Entry>, blocked: Vec<Blocked>) -> io::Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let seq = self.last_batch + 1;
        let put: Vec<Entry> = entries.into_iter().map(|entry| self.merge_earlier(entry, seq)).collect();
        self.before = put.iter().map(Entry::key).map(|key| (key.clone(), self.entries.get(&key).cloned())).collect();
        let known = self.blocked.clone();
        let line = Line { put, gone: Vec::new(), blocked: self.add_blocked(blocked) };
        for entry in &line.put {
            self.entries.insert(entry.key(), entry.clone());
        }
        let noted = self.write(&line);
        if noted.is_err() {
            let before = std::mem::take(&mut self.before);
            for (key, entry) in before {
                self.put_back(key, entry);
            }
            self.blocked = known;
            // The line may be in the file nevertheless.
            let _ = self.write_unsynced(&Line::default());
        } else {
            self.blocked_before = line.blocked.is_some().then_some(known);
            self.last_batch = seq;
        }
        noted
    }

    /// Begins a batch: entries from before it can no longer be withdrawn.
    pub fn begin_batch(&mut self) {
        self.before.clear();
        self.blocked_before = None;
    }

    /// Takes back the entries of files in the last batch that were not replaced.
    pub fn withdraw(&mut self, keys: &[Key]) {
        let keys: Vec<&Key> = keys.iter().filter(|key| self.before.contains_key(key)).collect();
        let (mut put, mut gone) = (Vec::new(), Vec::new());
        for key in keys {
            let before = self.before.remove(key).flatten();
            match &before {
                Some(entry) => put.push(entry.clone()),
                None => gone.push(key.clone()),
            }
            self.put_back(key.clone(), before);
        }
        if !(put.is_empty() && gone.is_empty()) {
            // Files of a rollback go back together or not at all.
            let blocked = self.blocked_before.take().inspect(|known| self.blocked.clone_from(known));
            self.write_cleared(&Line { put, gone, blocked: blocked.as_deref().map(to_lines) });
        }
    }

    /// Rewrites the journal if the file is missing or was replaced: the state directory may have been removed, or
    /// something mounted on it.
    pub fn ensure_exists(&mut self) {
        let is_empty = self.entries.is_empty() && self.blocked.is_empty();
        if !is_empty && !self.log.is_intact() {
            self.write_cleared(&Line::default());
        }
    }

    /// The entry for a template's file.
    pub fn entry(&self, key: &Key) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// The newest version of a file whose reload succeeded: `None` if no copy is kept, `Some(None)` if there was no
    /// file.
    ///
    /// # Errors
    /// The system call that failed.
    #[expect(clippy::option_option, reason = "no copy and no file are two facts")]
    pub fn saved(&self, key: &Key) -> io::Result<Option<Option<PreviousFile>>> {
        let saved = self.entries.get(key).and_then(|entry| entry.saved.as_ref());
        saved.map(|saved| self.store.read(saved)).transpose()
    }

    /// Keeps these files from holding the same bytes together again, until others have succeeded.
    ///
    /// # Errors
    /// The system call that failed; the set stays blocked until the process ends.
    #[cfg(test)]
    pub fn block(&mut self, set: Blocked) -> io::Result<()> {
        let line = Line { blocked: self.add_blocked(vec![set]), ..Line::default() };
        self.write(&line)
    }

    fn add_blocked(&mut self, sets: Vec<Blocked>) -> Option<Vec<BlockedLine>> {
        let is_none = sets.is_empty();
        for set in sets {
            self.blocked.retain(|known| !known.files.keys().eq(set.files.keys()));
            self.blocked.push(set);
        }
        (!is_none).then(|| to_lines(&self.blocked))
    }

    /// Unblocks sets of which a file has been replaced by another version that succeeded, except by a rollback.
    fn drop_outdated_blocks(&mut self, keys: &BTreeSet<Key>) {
        let taken = keys.iter().filter_map(|key| self.entries.get(key)).filter(|entry| !entry.owner.is_rollback);
        let taken: BTreeMap<&PathBuf, Option<u64>> = taken.map(|entry| (&entry.dest, entry.new)).collect();
        let is_new = |dest: &PathBuf, failed: u64| taken.get(dest).is_some_and(|new| *new != Some(failed));
        let known = self.blocked.len();
        self.blocked.retain(|set| !set.files.iter().any(|(dest, failed)| is_new(dest, *failed)));
        if self.blocked.len() != known {
            self.write_cleared(&Line { blocked: Some(to_lines(&self.blocked)), ..Line::default() });
        }
    }

    /// Whether a file is being rolled back, or was.
    pub fn is_rollback(&self, key: &Key) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.owner.is_rollback)
    }

    /// Removes copies that no entry needs.
    fn remove_unused_copies(&self) {
        self.store.sweep(self.entries.values().flat_map(Entry::copies));
    }

    /// All blocked sets.
    pub fn blocked(&self) -> &[Blocked] {
        &self.blocked
    }

    /// Merges a new entry with the one that its file already has.
    fn merge_earlier(&self, mut entry: Entry, seq: u64) -> Entry {
        (entry.batch, entry.since) = (seq, seq);
        let Some(known) = self.entries.get(&entry.key()) else { return entry };
        entry.earlier_pending |= known.owner.pending_reload.is_some();
        entry.owner.pending_reload = entry.owner.pending_reload.or_else(|| known.owner.pending_reload.clone());
        // A file whose key is gone is not rolled back.
        if known.saved.is_some() && (entry.new.is_some() || entry.owner.is_rollback) {
            entry.saved.clone_from(&known.saved);
            entry.candidate = entry.candidate.or_else(|| known.candidate.clone()).filter(|_| !entry.owner.is_rollback);
            entry.since = if known.owner.is_rollback { seq } else { known.since };
        }
        entry
    }

    fn put_back(&mut self, key: Key, entry: Option<Entry>) {
        match entry {
            Some(entry) => _ = self.entries.insert(key, entry),
            None => _ = self.entries.remove(&key),
        }
    }

    fn apply(&mut self, line: Line) {
        for entry in line.put {
            self.last_batch = self.last_batch.max(entry.batch);
            self.entries.insert(entry.key(), entry);
        }
        for key in line.gone {
            self.entries.remove(&key);
        }
        if let Some(sets) = line.blocked {
            self.blocked = sets.into_iter().map(Blocked::from).collect();
        }
    }

    /// Writes a line that may be lost: without it a reload runs once more than needed.
    fn write_cleared(&mut self, line: &Line) {
        let done = self.write_unsynced(line);
        self.log_failure(&done);
    }

    fn log_failure(&mut self, done: &io::Result<()>) {
        if let (Err(why), false) = (done, self.failing) {
            let (file, effect) = (Some(self.file().to_owned()), "a reload that has run may run again after a restart");
            emit(Event::StateWriteFailed { file, reason: why.to_string(), effect });
        }
        self.failing = done.is_err();
    }

    fn write(&mut self, line: &Line) -> io::Result<()> {
        let Self { log, entries, blocked, .. } = self;
        log.append(line, 1, || vec![snapshot(entries, blocked)])
    }

    fn write_unsynced(&mut self, line: &Line) -> io::Result<()> {
        let Self { log, entries, blocked, .. } = self;
        log.append_unsynced(line, 1, || vec![snapshot(entries, blocked)])
    }
}

/// The whole state in one line.
fn snapshot(entries: &BTreeMap<Key, Entry>, blocked: &[Blocked]) -> Line {
    Line { put: entries.values().cloned().collect(), gone: Vec::new(), blocked: Some(to_lines(blocked)) }
}
