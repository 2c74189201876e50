//! The one thread that does all calls on destinations.
//!
//! One thread, so that a slow disk stops no timer and no registry, and so that a test that lets the n-th system call
//! fail or kill the agent always meets the same call. What is queued when it turns to its queue is done together, as a
//! [`Round`], so that files which change together share their syncs; nothing ever waits for company.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::{io, thread};

use tokio::sync::oneshot;

use crate::config::TemplateConfig;
use crate::error::Setback;

use super::batch_commit::{Commit, Round, guarded};
use super::file_state::FileState;
use super::staging::Stage;
use crate::state::journal::{Key, Run, Runs};

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
    Other(Box<dyn FnOnce(&mut FileState) + Send>),
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
        let desk = FileState::new(Arc::clone(&placed), runs.clone());
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
        job: impl FnOnce(&mut FileState) -> T + Send + 'static,
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

fn work(inbox: &Receiver<Job>, mut desk: FileState) {
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
