//! The one thread that does all calls on destinations.
//!
//! One thread, so that a slow disk stops no timer and no registry, and so that a test that lets the n-th system call
//! fail or kill the agent always meets the same call. What is queued when it turns to its queue is done together, as a
//! [`BatchCommit`], so that files which change together share their syncs; nothing ever waits for company.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::{io, thread};

use tokio::sync::oneshot;

use crate::config::TemplateConfig;
use crate::error::Setback;

use super::batch_commit::{BatchCommit, Commit, catch_panic};
use super::file_state::FileState;
use super::staging::StageJob;
use crate::state::journal::{Key, ReloadRun, RunningReloads};

#[cfg(test)]
mod tests;

/// The most files in one singles: each has up to three descriptors open, and a system gives 1,024 unless told otherwise.
/// Measured on ext4, larger rounds are no faster.
pub const MAX_BATCH: usize = 64;

/// What is asked of the thread.
pub enum Job {
    /// A file is to be staged.
    Stage(Box<StageJob>),
    /// A staged file is to be put in place.
    Commit(Box<Commit>),
    /// Files that belong together are.
    Batch(BatchCommit),
    /// Anything else. It is done before the files that are queued at the same time, and after everything before.
    Other(Box<dyn FnOnce(&mut FileState) + Send>),
}

/// A handle on the file thread. The thread ends when the last handle is dropped and its jobs are done.
#[derive(Debug, Clone)]
pub struct Writer {
    jobs: Sender<Job>,
    last_placed: Arc<AtomicU64>,
    reloads: RunningReloads,
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no further thread.
    pub fn start() -> io::Result<Self> {
        let (jobs, inbox) = channel();
        let last_placed = Arc::default();
        let reloads = RunningReloads::default();
        let state = FileState::new(Arc::clone(&last_placed), reloads.clone());
        thread::Builder::new().name("rosterd-files".to_owned()).spawn(move || work(&inbox, state))?;
        Ok(Self { jobs, last_placed, reloads })
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
        job: impl FnOnce(&mut FileState) -> T + Send + 'static,
    ) -> Result<T, Setback> {
        self.ask(|answer| {
            Job::Other(Box::new(move |state| {
                // Nobody waits any more when this fails: what the job made cleans up after itself as it is dropped.
                let _ = answer.send(job(state));
            }))
        })
        .await
    }

    /// Does something else that belongs before the files of later publications.
    pub fn in_order(&self, job: impl FnOnce() + Send + 'static) {
        self.send(Job::Other(Box::new(|_| job())));
    }

    /// A reload begins for these templates, and takes up every file that is in place.
    pub fn begin_reload<'a>(&self, templates: impl IntoIterator<Item = &'a TemplateConfig>) -> ReloadRun {
        let keys = templates.into_iter().map(Key::new).collect();
        self.reloads.begin(keys, self.last_placed.load(Ordering::Acquire))
    }

    /// A reload has succeeded: it is owed no more for what was in place when it began.
    pub fn reload_succeeded(&self, run: ReloadRun) {
        self.send(Job::Other(Box::new(move |state| {
            let (keys, up_to) = run.covers();
            if let Some(journal) = &mut state.journal {
                journal.reload_succeeded(&keys, up_to);
            }
        })));
    }

    /// A person insists on these files: what was blocked of them may be tried once more.
    pub fn unblock(&self, dests: BTreeSet<PathBuf>) {
        self.send(Job::Other(Box::new(move |state| {
            if let Some(journal) = &mut state.journal {
                journal.unblock(|dest| dests.contains(dest));
            }
        })));
    }

    /// Sees to it that what is noted is still there: somebody may have removed the state directory, or mounted something on
    /// it.
    pub fn ensure_journal(&self) {
        self.send(Job::Other(Box::new(|state| {
            if let Some(journal) = &mut state.journal {
                journal.ensure_exists();
            }
        })));
    }

    /// Forgets where directories are: of publications from here on each follows its links once more. For a new configuration.
    pub fn forget_directories(&self) {
        self.send(Job::Other(Box::new(|state| state.directories.forget())));
    }

    /// Has a job done some time.
    pub fn send(&self, job: Job) {
        // The thread lives as long as this handle; were it gone, `ask` sees that its answer is, and says so.
        let _ = self.jobs.send(job);
    }
}

fn work(inbox: &Receiver<Job>, mut state: FileState) {
    while let Ok(first) = inbox.recv() {
        let (mut singles, mut batches) = (BatchCommit::default(), Vec::new());
        for job in std::iter::once(first).chain(inbox.try_iter()).take(MAX_BATCH) {
            match job {
                Job::Stage(stage) => singles.stages.push(*stage),
                Job::Commit(commit) => singles.commits.push(*commit),
                Job::Batch(files) => batches.push(files),
                Job::Other(job) => _ = catch_panic(|| job(&mut state)),
            }
        }
        singles.run(&mut state);
        for files in batches {
            files.run(&mut state);
        }
    }
}
