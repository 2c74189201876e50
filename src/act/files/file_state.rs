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

/// What the thread remembers from job to job.
#[derive(Debug)]
pub struct FileState {
    /// Where replacements are noted, once a state directory was [taken over](super::recover()).
    pub journal: Option<Journal>,
    /// How this agent's staged files are known.
    pub tag: Tag,
    /// DirectoryCache in which nothing of an agent before this one is staged any more.
    swept: HashSet<(dev_t, ino_t)>,
    /// The last round of which all files are in place.
    last_placed: Arc<AtomicU64>,
    /// The reloads under way.
    reloads: RunningReloads,
    /// Destinations that were renamed into place, but whose directory could not be synced: a power cut may bring the old
    /// file back, so equal bytes are not believed, and the next publication replaces them whole.
    pub unsettled: HashSet<PathBuf>,
    /// What was put, or found in step, at the destinations of templates.
    pub last_written: HashMap<Arc<str>, LastWritten>,
    /// Where the directories of destinations are.
    pub directories: DirectoryCache,
    /// What was said, and is not to be said again.
    pub logged: HashSet<String>,
}

impl FileState {
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

    /// The state directory, open: files are staged there whose destination is overwritten and has a directory that takes none.
    pub fn open_state_dir(&mut self) -> Result<Option<(OwnedFd, PathBuf)>, Setback> {
        let Some(path) = self.journal.as_ref().and_then(|journal| journal.file().parent()) else { return Ok(None) };
        Ok(self.directories.open(path)?.map(|directory| (directory.handle, path.to_owned())))
    }

    /// Notes replacements here from now on.
    pub fn set_journal(&mut self, mut journal: Journal) {
        journal.share_reloads(&self.reloads);
        self.journal = Some(journal);
        self.mark_placed();
    }

    /// Whatever was noted so far is in place.
    pub fn mark_placed(&mut self) {
        if let Some(journal) = &self.journal {
            self.last_placed.store(journal.last_batch(), Ordering::Release);
        }
    }

    /// Whatever was noted so far is in place for good: what has no reload was noted for the time in between alone.
    pub fn mark_durable(&mut self) {
        if let Some(journal) = &mut self.journal {
            journal.remove_idle();
        }
    }

    /// Removes what an agent before this one has staged in a directory, when this is first asked for.
    pub fn sweep(&mut self, place: &Place) {
        if self.swept.insert(place.id) {
            self.tag.sweep(&place.directory, &place.directory_path, &self.names_in_use());
        }
    }

    /// The names of staged files that a replacement which was begun is finished with.
    pub fn names_in_use(&self) -> BTreeSet<OsString> {
        let left = self.journal.iter().flat_map(|journal| journal.unfinished.values());
        left.filter_map(|left| left.entry.staged_name().map(ToOwned::to_owned)).collect()
    }

    /// A later replacement of a file has come about: an earlier one is finished no more.
    pub fn supersede(&mut self, key: &Key) {
        if let Some(left) = self.journal.as_mut().and_then(|journal| journal.unfinished.remove(key)) {
            self.discard(&left.entry);
        }
    }

    /// The digest of what an overwriting that could not be finished has left of a file.
    pub fn partial_digest(&self, key: &Key) -> Option<u64> {
        let left = self.journal.as_ref()?.unfinished.get(key).filter(|left| !left.seen.is(left.entry.old))?;
        match left.seen {
            OnDisk::File(digest) => Some(digest).filter(|_| left.entry.over.is_some()),
            OnDisk::Missing | OnDisk::Unreadable => None,
        }
    }

    /// A file is as it is to be, with bytes of this digest or not there: what was begun for it before, and was to make
    /// something else of it, is not finished any more. That its reload may be owed stays known.
    pub fn mark_up_to_date(&mut self, key: &Key, now: Option<u64>) {
        let left = self.journal.as_ref().and_then(|journal| journal.unfinished.get(key));
        if let Some(entry) = left.map(|left| left.entry.clone()).filter(|entry| entry.new != now) {
            self.discard(&entry);
        }
    }

    /// Removes what waits for a replacement that is over.
    pub fn discard(&mut self, entry: &Entry) {
        let found = match (&entry.over, &entry.staged) {
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
