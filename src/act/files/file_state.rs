//! What the file thread keeps between jobs.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::libc::{dev_t, ino_t};

use crate::error::Setback;

use super::directory::Folders;
use super::drift::Left;
use super::leftovers::{Tag, remove_staged};
use super::place::Place;
use crate::state::journal::{Entry, Journal, Key, Now, Runs};

/// What the thread remembers from job to job.
#[derive(Debug)]
pub struct FileState {
    /// Where replacements are noted, once a state directory was [taken over](super::recover()).
    pub journal: Option<Journal>,
    /// How this agent's staged files are known.
    pub tag: Tag,
    /// Folders in which nothing of an agent before this one is staged any more.
    swept: HashSet<(dev_t, ino_t)>,
    /// The last round of which all files are in place.
    placed: Arc<AtomicU64>,
    /// The reloads under way.
    runs: Runs,
    /// Destinations that were renamed into place, but whose folder could not be synced: a power cut may bring the old
    /// file back, so equal bytes are not believed, and the next publication replaces them whole.
    pub unsettled: HashSet<PathBuf>,
    /// What was put, or found in step, at the destinations of templates.
    pub left: HashMap<Arc<str>, Left>,
    /// Where the folders of destinations are.
    pub folders: Folders,
    /// What was said, and is not to be said again.
    pub told: HashSet<String>,
}

impl FileState {
    pub fn new(placed: Arc<AtomicU64>, runs: Runs) -> Self {
        Self {
            journal: None,
            tag: Tag::none(),
            swept: HashSet::new(),
            placed,
            runs,
            unsettled: HashSet::new(),
            left: HashMap::new(),
            folders: Folders::default(),
            told: HashSet::new(),
        }
    }

    /// The state directory, open: files are staged there whose destination is overwritten and has a folder that takes none.
    pub fn state(&mut self) -> Result<Option<(OwnedFd, PathBuf)>, Setback> {
        let Some(path) = self.journal.as_ref().and_then(|journal| journal.file().parent()) else { return Ok(None) };
        Ok(self.folders.open(path)?.map(|folder| (folder.handle, path.to_owned())))
    }

    /// Notes replacements here from now on.
    pub fn keep(&mut self, mut journal: Journal) {
        journal.follow(&self.runs);
        self.journal = Some(journal);
        self.is_placed();
    }

    /// Whatever was noted so far is in place.
    pub fn is_placed(&mut self) {
        if let Some(journal) = &self.journal {
            self.placed.store(journal.last(), Ordering::Release);
        }
    }

    /// Whatever was noted so far is in place for good: what has no reload was noted for the time in between alone.
    pub fn is_done(&mut self) {
        if let Some(journal) = &mut self.journal {
            journal.is_done();
        }
    }

    /// Removes what an agent before this one has staged in a folder, when this is first asked for.
    pub fn sweep(&mut self, place: &Place) {
        if self.swept.insert(place.id) {
            self.tag.sweep(&place.folder, &place.folder_path, &self.spared());
        }
    }

    /// The names of staged files that a replacement which was begun is finished with.
    pub fn spared(&self) -> BTreeSet<OsString> {
        let left = self.journal.iter().flat_map(|journal| journal.left.values());
        left.filter_map(|left| left.entry.waits().map(ToOwned::to_owned)).collect()
    }

    /// A later replacement of a file has come about: an earlier one is finished no more.
    pub fn overtake(&mut self, key: &Key) {
        if let Some(left) = self.journal.as_mut().and_then(|journal| journal.left.remove(key)) {
            self.discard(&left.entry);
        }
    }

    /// The digest of what an overwriting that could not be finished has left of a file.
    pub fn torn(&self, key: &Key) -> Option<u64> {
        let left = self.journal.as_ref()?.left.get(key).filter(|left| !left.seen.is(left.entry.old))?;
        match left.seen {
            Now::Bytes(digest) => Some(digest).filter(|_| left.entry.over.is_some()),
            Now::Nothing | Now::Unknown => None,
        }
    }

    /// A file is as it is to be, with bytes of this digest or not there: what was begun for it before, and was to make
    /// something else of it, is not finished any more. That its reload may be owed stays known.
    pub fn is_in_step(&mut self, key: &Key, now: Option<u64>) {
        let left = self.journal.as_ref().and_then(|journal| journal.left.get(key));
        if let Some(entry) = left.map(|left| left.entry.clone()).filter(|entry| entry.new != now) {
            self.discard(&entry);
        }
    }

    /// Removes what waits for a replacement that is over.
    pub fn discard(&mut self, entry: &Entry) {
        let found = match (&entry.over, &entry.staged) {
            (Some(over), _) => Place::of(&over.staged, &mut self.folders),
            (None, Some(name)) => Place::find(&entry.plain(), &mut self.folders)
                .map(|place| place.and_then(|place| place.beside(name.into()).ok())),
            (None, None) => Ok(None),
        };
        if let Ok(Some(place)) = found
            && place.exists()
        {
            remove_staged(&place.folder, &place.name, &place.folder_path);
        }
    }
}
