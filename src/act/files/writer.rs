//! The file thread, which makes all system calls on destinations.
//!
//! There is one thread, so that a slow disk delays no timer and no registry, and so that a test which makes the n-th
//! system call fail, or kills the agent there, always meets the same call. Jobs that are queued at the same time run
//! together, as a [`BatchCommit`], so that files that change together share their syncs. A job never waits for others.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::{io, thread};

use tokio::sync::oneshot;

use crate::config::{TemplateConfig, Trust};
use crate::error::Setback;

use super::batch_commit::{BatchCommit, Commit, catch_panic};
use super::file_state::FileState;
use super::staging::StageJob;
use crate::state::journal::{Key, ReloadRun, RunningReloads};

#[cfg(test)]
mod tests;

/// The most files in one batch: each has up to three open descriptors, and the default limit is 1,024. On ext4, larger
/// batches are no faster.
pub const MAX_BATCH: usize = 64;

/// A job for the file thread.
pub enum Job {
    /// Stage a file.
    Stage(Box<StageJob>),
    /// Put a staged file in place.
    Commit(Box<Commit>),
    /// Put files in place that belong together.
    Batch(BatchCommit),
    /// Anything else. It runs before the files that are queued at the same time, and after everything before.
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
    /// If the system refuses another thread.
    pub fn start() -> io::Result<Self> {
        let (jobs, inbox) = channel();
        let last_placed = Arc::default();
        let reloads = RunningReloads::default();
        let state = FileState::new(Arc::clone(&last_placed), reloads.clone());
        thread::Builder::new().name("rosterd-files".to_owned()).spawn(move || work(&inbox, state))?;
        Ok(Self { jobs, last_placed, reloads })
    }

    /// Runs a job on the thread and waits for its answer. Dropping the future does not stop the job.
    ///
    /// # Errors
    /// If the job panicked.
    pub async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> Job) -> Result<T, Setback> {
        let (answer, answered) = oneshot::channel();
        self.send(job(answer));
        answered.await.map_err(|_| {
            Setback::new("run a job on the file thread", "the job ended without an answer")
                .hint("this is a bug in rosterd: please report it with the log")
        })
    }

    /// Like [`Self::ask`], for a job that is not a step of a replacement.
    pub async fn call<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut FileState) -> T + Send + 'static,
    ) -> Result<T, Setback> {
        self.ask(|answer| {
            Job::Other(Box::new(move |state| {
                // If the caller no longer waits, the result cleans up after itself when it is dropped.
                let _ = answer.send(job(state));
            }))
        })
        .await
    }

    /// Runs something before the files of later publications.
    pub fn in_order(&self, job: impl FnOnce() + Send + 'static) {
        self.send(Job::Other(Box::new(|_| job())));
    }

    /// Records that a reload of these templates begins, which includes every file that is in place now.
    pub fn begin_reload<'a>(&self, templates: impl IntoIterator<Item = &'a TemplateConfig>) -> ReloadRun {
        let keys = templates.into_iter().map(Key::new).collect();
        self.reloads.begin(keys, self.last_placed.load(Ordering::Acquire))
    }

    /// Records that a reload succeeded: it is no longer pending for the files that were in place when it began.
    pub fn reload_succeeded(&self, run: ReloadRun) {
        self.send(Job::Other(Box::new(move |state| {
            let (keys, up_to) = run.covers();
            if let Some(journal) = &mut state.journal {
                journal.reload_succeeded(&keys, up_to);
            }
        })));
    }

    /// A person asked for these files: blocked versions of them may be written again.
    pub fn unblock(&self, dests: BTreeSet<PathBuf>) {
        self.send(Job::Other(Box::new(move |state| {
            if let Some(journal) = &mut state.journal {
                journal.unblock(|dest| dests.contains(dest));
            }
        })));
    }

    /// Rewrites the journal if it is missing: the state directory may have been removed, or something mounted on it.
    pub fn ensure_journal(&self) {
        self.send(Job::Other(Box::new(|state| {
            if let Some(journal) = &mut state.journal {
                journal.ensure_exists();
            }
        })));
    }

    /// Uses these directories although other users may write to them.
    pub fn trust(&self, trust: Trust) {
        self.send(Job::Other(Box::new(move |state| state.directories.trust = trust)));
    }

    /// Forgets the real paths of directories, for a new configuration: later publications follow links again.
    pub fn forget_directories(&self) {
        self.send(Job::Other(Box::new(|state| state.directories.forget())));
    }

    /// Queues a job.
    pub fn send(&self, job: Job) {
        // The thread lives as long as this handle. If it were gone, `ask` would report that its answer is missing.
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
