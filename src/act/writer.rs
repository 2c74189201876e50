//! The one thread that does all calls on destinations, in the order in which they were asked for.
//!
//! One thread, so that a slow disk stops no timer and no registry, and so that a test that lets the n-th system call
//! fail or kill the agent always meets the same call.

use std::collections::HashSet;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use tokio::sync::oneshot;

use crate::error::Setback;

type Job = Box<dyn FnOnce(&mut Desk) + Send>;

/// What the thread remembers from job to job.
#[derive(Debug, Default)]
pub(super) struct Desk {
    /// Destinations that were renamed into place, but whose folder could not be synced: a power cut may bring the old
    /// file back, so equal bytes are not believed, and the next publication replaces them whole.
    pub(super) unsettled: HashSet<PathBuf>,
}

/// A handle on the file thread. The thread ends when the last handle is dropped and its jobs are done.
#[derive(Debug, Clone)]
pub struct Writer {
    jobs: Sender<Job>,
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no further thread.
    pub fn start() -> io::Result<Self> {
        let (jobs, inbox) = channel();
        thread::Builder::new().name("rosterd-files".to_owned()).spawn(move || work(&inbox))?;
        Ok(Self { jobs })
    }

    /// Does a job on the thread and waits for its answer. Dropping the future does not stop the job.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Desk) -> T + Send + 'static,
    ) -> Result<T, Setback> {
        let (answer, answered) = oneshot::channel();
        self.send(move |desk| {
            // Nobody waits any more when this fails: what the job made cleans up after itself as it is dropped here.
            let _ = answer.send(job(desk));
        });
        answered.await.map_err(|_| {
            Setback::new("a job on the file thread", "it ended without an answer")
                .hint("this is a fault in rosterd: please report it with the log")
        })
    }

    /// Does something else that belongs before the files of later publications.
    pub fn in_order(&self, job: impl FnOnce() + Send + 'static) {
        self.send(|_| job());
    }

    /// Does a job on the thread some time.
    pub(super) fn send(&self, job: impl FnOnce(&mut Desk) + Send + 'static) {
        // The thread lives as long as this handle; were it gone, `call` sees that its answer is, and says so.
        let _ = self.jobs.send(Box::new(job));
    }
}

fn work(inbox: &Receiver<Job>) {
    let mut desk = Desk::default();
    for job in inbox {
        // A fault in one job must not take the thread from all other templates; its caller sees that no answer came.
        let _ = catch_unwind(AssertUnwindSafe(|| job(&mut desk)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn jobs_share_one_thread_and_a_broken_one_takes_nobody_with_it() {
        let writer = Writer::start().unwrap();
        let first = writer.call(|_| thread::current().id()).await.unwrap();
        let broken = writer.call(|_| panic!("a fault")).await;
        assert!(broken.is_err_and(|setback: Setback| setback.to_string().contains("please report")));
        let last = writer.clone().call(|_| thread::current().id()).await.unwrap();
        assert_eq!(first, last);
        assert_ne!(first, thread::current().id());
    }
}
