//! What belongs to the file thread, while it is owned elsewhere.

use std::path::PathBuf;

use tokio::sync::oneshot::Sender;
use tokio_util::sync::CancellationToken;

use crate::decide::{Failure, Outcome};

use super::answer::write_failure;
use super::batch_commit::Commit;
use super::stage::Staged;
use super::writer::{Job, Writer};

/// A value that returns to the file thread to be used or dropped, also when the future that holds it is dropped.
#[derive(Debug)]
pub struct Handle<T: Send + 'static> {
    writer: Writer,
    value: Option<T>,
}

impl<T: Send + 'static> Handle<T> {
    /// Holds a value that a job returned.
    pub fn new(writer: &Writer, value: T) -> Self {
        Self { writer: writer.clone(), value: Some(value) }
    }

    /// The value, for the next job.
    pub fn take(mut self) -> Option<T> {
        self.value.take()
    }

    /// Drops it and waits for that, so that a staged file is removed before its answer is sent.
    pub async fn discard(mut self) -> Result<(), Failure> {
        let value = self.value.take();
        self.writer.call(move |_| drop(value)).await.map_err(|setback| write_failure(&setback))
    }
}

impl Handle<Staged> {
    /// The path of the staged file.
    pub fn path(&self) -> PathBuf {
        self.value.as_ref().map(Staged::path).unwrap_or_default()
    }

    /// The job that commits it.
    pub fn into_commit(self, stop: CancellationToken, answer: Sender<Result<Outcome, Failure>>) -> Option<Commit> {
        Some(Commit { staged: self.take()?, stop, answer })
    }

    /// Puts it in place.
    pub async fn commit(self, stop: &CancellationToken) -> Result<Outcome, Failure> {
        let writer = self.writer.clone();
        let Some(staged) = self.take() else { return Ok(Outcome::Abandoned) };
        let commit = |answer| Job::Commit(Box::new(Commit { staged, stop: stop.clone(), answer }));
        writer.ask(commit).await.map_err(|setback| write_failure(&setback))?
    }
}

impl<T: Send + 'static> Drop for Handle<T> {
    fn drop(&mut self) {
        if let Some(value) = self.value.take() {
            self.writer.in_order(move || drop(value));
        }
    }
}
