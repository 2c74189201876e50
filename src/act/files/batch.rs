//! Files that are committed together, once all that can be are staged and checked.
//!
//! Each file of a batch holds a [`BatchFile`] and gives it up when the file is ready or will not be. When the last one
//! is given up, all files that are ready are committed. In a unit one failure rejects all files; otherwise the failed
//! file is left out.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::config::TemplateConfig;
use crate::decide::{Failure, Outcome};

use super::answer::unit_failure;
use super::batch_commit::BatchCommit;
use super::staging::NextStep;
use super::writer::{Job, MAX_BATCH, Writer};
use super::{StagedHandle, staging};

/// What becomes of a file.
type CommitResult = Result<Outcome, Failure>;

/// The place of one file in a batch.
#[derive(Debug)]
pub struct BatchFile {
    sender: mpsc::UnboundedSender<Arrival>,
    is_all_or_nothing: bool,
}

/// Files that will be committed together.
#[derive(Debug)]
pub struct Batch {
    receiver: mpsc::UnboundedReceiver<Arrival>,
    count: usize,
    unit: Option<Arc<str>>,
    stop: CancellationToken,
}

/// How a file gives up its place in the batch.
enum Arrival {
    /// It is staged and checked.
    Staged(Box<StagedHandle>, oneshot::Sender<CommitResult>),
    /// It has no check. It is staged when the batch is committed, because a batch may have more files than a process
    /// may have descriptors.
    Rendered(Box<TemplateConfig>, Vec<u8>, oneshot::Sender<CommitResult>),
    /// The destination already has its bytes.
    Unchanged,
    /// It failed; the reason.
    Failed(String),
}

impl BatchFile {
    /// Whether either all files of the batch are committed or none.
    pub fn is_all_or_nothing(&self) -> bool {
        self.is_all_or_nothing
    }

    /// Gives up the place without a file.
    pub fn finish(self, template: &TemplateConfig, outcome: &Outcome) {
        match outcome {
            Outcome::Unchanged => self.send(Arrival::Unchanged),
            Outcome::Failed(failure) => {
                self.send(Arrival::Failed(format!("template {}: {}", template.name, describe(failure))));
            }
            _ => {}
        }
    }

    /// Adds a checked file; the answer comes when the batch is committed.
    pub async fn staged(self, file: StagedHandle) -> CommitResult {
        self.arrive(|answer| Arrival::Staged(Box::new(file), answer)).await
    }

    /// Adds a file that needs no check.
    pub async fn rendered(self, template: &TemplateConfig, bytes: Vec<u8>) -> CommitResult {
        self.arrive(|answer| Arrival::Rendered(Box::new(template.clone()), bytes, answer)).await
    }

    async fn arrive(self, arrival: impl FnOnce(oneshot::Sender<CommitResult>) -> Arrival) -> CommitResult {
        let (answer, answered) = oneshot::channel();
        self.send(arrival(answer));
        drop(self);
        // The sender is dropped only if the agent ends or a job panicked, which is logged.
        answered.await.unwrap_or(Ok(Outcome::Abandoned))
    }

    fn send(&self, arrival: Arrival) {
        // The batch receives as long as one of its files has a place.
        let _ = self.sender.send(arrival);
    }
}

/// The failed stage and the message.
fn describe(failure: &Failure) -> String {
    format!("{}: {}", failure.stage.describe(), failure.message)
}

impl Batch {
    /// A batch of `count` files and a place for each. With a `unit` either all are committed or none.
    pub fn new(count: usize, unit: Option<Arc<str>>, stop: &CancellationToken) -> (Self, Vec<BatchFile>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let files =
            (0..count).map(|_| BatchFile { sender: sender.clone(), is_all_or_nothing: unit.is_some() }).collect();
        (Self { receiver, count, unit, stop: stop.clone() }, files)
    }

    /// Commits the files once every place is given up.
    pub async fn commit(mut self, writer: Writer) {
        let mut arrivals = Vec::with_capacity(self.count);
        while let Some(arrival) = self.receiver.recv().await {
            arrivals.push(arrival);
        }
        let failed = arrivals.iter().find_map(|arrival| match arrival {
            Arrival::Failed(why) => Some(why.clone()),
            _ => None,
        });
        let interrupted = (arrivals.len() < self.count).then(|| "one of its files was interrupted".to_owned());
        match (&self.unit, failed.or(interrupted)) {
            (Some(unit), Some(why)) => self.reject_all(arrivals, &unit_failure(unit, &why)).await,
            _ => self.send(arrivals, &writer),
        }
    }

    async fn reject_all(&self, arrivals: Vec<Arrival>, failure: &Failure) {
        for arrival in arrivals {
            let Arrival::Staged(file, answer) = arrival else { continue };
            // The staged file is removed before the answer, so that the caller finds nothing left behind.
            let result = file
                .discard()
                .await
                .and_then(|()| if self.stop.is_cancelled() { Ok(Outcome::Abandoned) } else { Err(failure.clone()) });
            let _ = answer.send(result);
        }
    }

    fn send(&self, arrivals: Vec<Arrival>, writer: &Writer) {
        let most = if self.unit.is_some() { usize::MAX } else { MAX_BATCH };
        let mut arrivals = arrivals.into_iter().peekable();
        while arrivals.peek().is_some() {
            let mut batch = BatchCommit { unit: self.unit.clone(), ..BatchCommit::default() };
            for arrival in arrivals.by_ref().take(most) {
                let stop = self.stop.clone();
                match arrival {
                    Arrival::Staged(file, answer) => batch.commits.extend(file.into_commit(stop, answer)),
                    Arrival::Rendered(template, bytes, answer) => {
                        batch.stages.push(staging::StageJob {
                            template: *template,
                            bytes,
                            stop,
                            next: NextStep::Commit(answer),
                        });
                    }
                    Arrival::Unchanged | Arrival::Failed(_) => {}
                }
            }
            writer.send(Job::Batch(batch));
        }
    }
}
