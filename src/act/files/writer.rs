//! The one thread that does all calls on destinations.
//!
//! One thread, so that a slow disk stops no timer and no registry, and so that a test that lets the n-th system call
//! fail or kill the agent always meets the same call. What is queued when it turns to its queue is done together, as a
//! [`Round`], so that files which change together share their syncs; nothing ever waits for company.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::{io, thread};

use nix::libc::{dev_t, ino_t};
use tokio::sync::oneshot;

use crate::config::TemplateConfig;
use crate::error::Setback;

use super::batch_commit::{Commit, Round};
use super::directory::Folders;
use super::drift::Left;
use super::leftovers::Tag;
use super::place::Place;
use super::recover::discard;
use super::staging::Stage;
use crate::state::journal::{Journal, Key, Now, Run, Runs};

#[cfg(test)]
mod tests;

/// The most files in one round: each has up to three descriptors open, and a system gives 1,024 unless told otherwise.
/// Measured on ext4, larger rounds are no faster.
pub const ROUND: usize = 64;

/// What is asked of the thread.
pub enum Job {
    /// A file is to be staged.
    Stage(Box<Stage>),
    /// A staged file is to be put in place.
    Commit(Box<Commit>),
    /// Files that belong together are.
    Batch(Round),
    /// Anything else. It is done before the files that are queued at the same time, and after everything before.
    Other(Box<dyn FnOnce(&mut Desk) + Send>),
}

/// What the thread remembers from job to job.
#[derive(Debug)]
pub struct Desk {
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

impl Desk {
    fn new(placed: Arc<AtomicU64>, runs: Runs) -> Self {
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
            discard(&left.entry, self);
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
            discard(&entry, self);
        }
    }
}

/// A reload under way, and every file that is in place when it begins: those it takes up.
#[derive(Debug)]
pub struct Mark(Run);

/// A handle on the file thread. The thread ends when the last handle is dropped and its jobs are done.
#[derive(Debug, Clone)]
pub struct Writer {
    jobs: Sender<Job>,
    placed: Arc<AtomicU64>,
    runs: Runs,
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no further thread.
    pub fn start() -> io::Result<Self> {
        let (jobs, inbox) = channel();
        let placed = Arc::default();
        let runs = Runs::default();
        let desk = Desk::new(Arc::clone(&placed), runs.clone());
        thread::Builder::new().name("rosterd-files".to_owned()).spawn(move || work(&inbox, desk))?;
        Ok(Self { jobs, placed, runs })
    }

    /// Has a job done on the thread and waits for its answer. Dropping the future does not stop the job.
    pub async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> Job) -> Result<T, Setback> {
        let (answer, answered) = oneshot::channel();
        self.send(job(answer));
        answered.await.map_err(|_| {
            Setback::new("a job on the file thread", "it ended without an answer")
                .hint("this is a fault in rosterd: please report it with the log")
        })
    }

    /// The same for a job that is no step of a replacement.
    pub async fn call<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Desk) -> T + Send + 'static,
    ) -> Result<T, Setback> {
        self.ask(|answer| {
            Job::Other(Box::new(move |desk| {
                // Nobody waits any more when this fails: what the job made cleans up after itself as it is dropped.
                let _ = answer.send(job(desk));
            }))
        })
        .await
    }

    /// Does something else that belongs before the files of later publications.
    pub fn in_order(&self, job: impl FnOnce() + Send + 'static) {
        self.send(Job::Other(Box::new(|_| job())));
    }

    /// A reload begins for these templates, and takes up every file that is in place.
    pub fn mark<'a>(&self, templates: impl IntoIterator<Item = &'a TemplateConfig>) -> Mark {
        let keys = templates.into_iter().map(Key::of).collect();
        Mark(self.runs.begin(keys, self.placed.load(Ordering::Acquire)))
    }

    /// A reload has succeeded: it is owed no more for what was in place when it began.
    pub fn clear(&self, Mark(run): Mark) {
        self.send(Job::Other(Box::new(move |desk| {
            let (keys, up_to) = run.covers();
            if let Some(journal) = &mut desk.journal {
                journal.clear(&keys, up_to);
            }
        })));
    }

    /// A person insists on these files: what was blocked of them may be tried once more.
    pub fn lift(&self, dests: BTreeSet<PathBuf>) {
        self.send(Job::Other(Box::new(move |desk| {
            if let Some(journal) = &mut desk.journal {
                journal.lift(|dest| dests.contains(dest));
            }
        })));
    }

    /// Sees to it that what is noted is still there: somebody may have removed the state directory, or mounted something on
    /// it.
    pub fn stand_up(&self) {
        self.send(Job::Other(Box::new(|desk| {
            if let Some(journal) = &mut desk.journal {
                journal.stand_up();
            }
        })));
    }

    /// Forgets where folders are: of publications from here on each follows its links once more. For a new configuration.
    pub fn forget_folders(&self) {
        self.send(Job::Other(Box::new(|desk| desk.folders.forget())));
    }

    /// Has a job done some time.
    pub fn send(&self, job: Job) {
        // The thread lives as long as this handle; were it gone, `ask` sees that its answer is, and says so.
        let _ = self.jobs.send(job);
    }
}

fn work(inbox: &Receiver<Job>, mut desk: Desk) {
    while let Ok(first) = inbox.recv() {
        let (mut round, mut joint) = (Round::default(), Vec::new());
        for job in std::iter::once(first).chain(inbox.try_iter()).take(ROUND) {
            match job {
                Job::Stage(stage) => round.stages.push(*stage),
                Job::Commit(commit) => round.commits.push(*commit),
                Job::Batch(files) => joint.push(files),
                Job::Other(job) => _ = guarded(|| job(&mut desk)),
            }
        }
        round.run(&mut desk);
        for files in joint {
            files.run(&mut desk);
        }
    }
}

/// Does a step of one job. A fault in it must not take the thread from all other templates: whoever waits for the job
/// sees that its answer is gone.
pub fn guarded<T>(step: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(step)).ok()
}
