//! What the file thread keeps between jobs.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::libc::{dev_t, ino_t};

use crate::error::Setback;

use super::directory::DirectoryCache;
use super::drift::LastWritten;
use super::leftovers::{Tag, remove_staged};
use super::place::Place;
use crate::state::journal::{Entry, Journal, Key, OnDisk, RunningReloads};

/// What the file thread keeps between jobs.
#[derive(Debug)]
pub struct FileState {
    /// The journal, once a state directory was [taken over](super::recover()).
    pub journal: Option<Journal>,
    /// How the names of this agent's staged files begin.
    pub tag: Tag,
    /// Directories that no longer contain staged files of an earlier agent.
    swept: HashSet<(dev_t, ino_t)>,
    /// The last batch whose files are all in place.
    last_placed: Arc<AtomicU64>,
    /// The reloads that are running.
    reloads: RunningReloads,
    /// Destinations that were renamed into place but whose directory could not be synced. A power cut may bring the old
    /// file back, so equal bytes are not trusted: the next publication replaces them.
    pub unsettled: HashSet<PathBuf>,
    /// What was written, or found up to date, at the destinations of templates.
    pub last_written: HashMap<Arc<str>, LastWritten>,
    /// The real paths of directories.
    pub directories: DirectoryCache,
    /// Messages that are logged only once.
    pub logged: HashSet<String>,
}

impl FileState {
    /// The state before the first job.
    pub fn new(last_placed: Arc<AtomicU64>, reloads: RunningReloads) -> Self {
        Self {
            journal: None,
            tag: Tag::none(),
            swept: HashSet::new(),
            last_placed,
            reloads,
            unsettled: HashSet::new(),
            last_written: HashMap::new(),
            directories: DirectoryCache::default(),
            logged: HashSet::new(),
        }
    }

    /// Opens the state directory. A file that overwrites its destination is staged there if the destination's directory
    /// is not writable.
    pub fn open_state_dir(&mut self) -> Result<Option<(OwnedFd, PathBuf)>, Setback> {
        let Some(path) = self.journal.as_ref().and_then(|journal| journal.file().parent()) else { return Ok(None) };
        Ok(self.directories.open(path)?.map(|directory| (directory.handle, path.to_owned())))
    }

    /// Records replacements in this journal from now on.
    pub fn set_journal(&mut self, mut journal: Journal) {
        journal.share_reloads(&self.reloads);
        self.journal = Some(journal);
        self.mark_placed();
    }

    /// All recorded replacements are in place.
    pub fn mark_placed(&mut self) {
        if let Some(journal) = &self.journal {
            self.last_placed.store(journal.last_batch(), Ordering::Release);
        }
    }

    /// All recorded replacements are in place and durable: entries that need no reload are removed.
    pub fn mark_durable(&mut self) {
        if let Some(journal) = &mut self.journal {
            journal.remove_idle();
        }
    }

    /// Removes an earlier agent's staged files from a directory, the first time it is used.
    pub fn sweep(&mut self, place: &Place) {
        if self.swept.insert(place.id) {
            self.tag.sweep(&place.directory, &place.directory_path, &self.names_in_use());
        }
    }

    /// The names of staged files that unfinished replacements need.
    pub fn names_in_use(&self) -> BTreeSet<OsString> {
        let left = self.journal.iter().flat_map(|journal| journal.unfinished.values());
        left.filter_map(|left| left.entry.staged_name().map(ToOwned::to_owned)).collect()
    }

    /// A newer replacement was made: the unfinished one is dropped.
    pub fn supersede(&mut self, key: &Key) {
        if let Some(left) = self.journal.as_mut().and_then(|journal| journal.unfinished.remove(key)) {
            self.discard(&left.entry);
        }
    }

    /// The digest of a file that an interrupted overwrite left incomplete.
    pub fn partial_digest(&self, key: &Key) -> Option<u64> {
        let left = self.journal.as_ref()?.unfinished.get(key).filter(|left| !left.seen.is(left.entry.old))?;
        match left.seen {
            OnDisk::File(digest) => Some(digest).filter(|_| left.entry.overwrite.is_some()),
            OnDisk::Missing | OnDisk::Unreadable => None,
        }
    }

    /// The file is as it should be, with bytes of this digest or removed. Drops an unfinished replacement that would
    /// change it; its reload stays pending.
    pub fn mark_up_to_date(&mut self, key: &Key, now: Option<u64>) {
        let left = self.journal.as_ref().and_then(|journal| journal.unfinished.get(key));
        if let Some(entry) = left.map(|left| left.entry.clone()).filter(|entry| entry.new != now) {
            self.discard(&entry);
        }
    }

    /// Removes the staged file of a replacement that is over.
    pub fn discard(&mut self, entry: &Entry) {
        let found = match (&entry.overwrite, &entry.staged) {
            (Some(over), _) => Place::open(&over.staged, &mut self.directories),
            (None, Some(name)) => Place::find(&entry.bare_template(), &mut self.directories)
                .map(|place| place.and_then(|place| place.sibling(name.into()).ok())),
            (None, None) => Ok(None),
        };
        if let Ok(Some(place)) = found
            && place.exists()
        {
            remove_staged(&place.directory, &place.name, &place.directory_path);
        }
    }
}
