//! Files that are put in place together: when all that can be are staged and checked.
//!
//! Whoever brings a file of a group has a file in it, and gives it up when the file has arrived or will not. With the
//! last file given up, all that arrived are placed. Of a unit one that fails keeps all others back; else it only drops
//! out.

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

/// What a publication comes to.
type Placement = Result<Outcome, Failure>;

/// A file on its way in a group.
#[derive(Debug)]
pub struct BatchFile {
    sender: mpsc::UnboundedSender<Arrival>,
    is_all_or_nothing: bool,
}

/// All that is on its way together.
#[derive(Debug)]
pub struct Batch {
    receiver: mpsc::UnboundedReceiver<Arrival>,
    count: usize,
    unit: Option<Arc<str>>,
    stop: CancellationToken,
}

/// A file that gives its file up.
enum Arrival {
    /// It is staged and checked.
    Staged(Box<StagedHandle>, oneshot::Sender<Placement>),
    /// It has no check, and is staged when it is placed: a group may have more files than a process descriptors.
    Rendered(Box<TemplateConfig>, Vec<u8>, oneshot::Sender<Placement>),
    /// The destination has its bytes already.
    Unchanged,
    /// It failed, as these words say.
    Failed(String),
}

impl BatchFile {
    /// Whether all of the group are placed or none.
    pub fn is_all_or_nothing(&self) -> bool {
        self.is_all_or_nothing
    }

    /// Gives the file up without a file.
    pub fn finish(self, template: &TemplateConfig, outcome: &Outcome) {
        match outcome {
            Outcome::Unchanged => self.send(Arrival::Unchanged),
            Outcome::Failed(failure) => {
                self.send(Arrival::Failed(format!("template {}: {}", template.name, describe(failure))))
            }
            _ => {}
        }
    }

    /// A checked file has arrived; the answer comes when the group is placed.
    pub async fn staged(self, file: StagedHandle) -> Placement {
        self.arrive(|answer| Arrival::Staged(Box::new(file), answer)).await
    }

    /// A file that needs no check has arrived.
    pub async fn rendered(self, template: &TemplateConfig, bytes: Vec<u8>) -> Placement {
        self.arrive(|answer| Arrival::Rendered(Box::new(template.clone()), bytes, answer)).await
    }

    async fn arrive(self, arrival: impl FnOnce(oneshot::Sender<Placement>) -> Arrival) -> Placement {
        let (answer, answered) = oneshot::channel();
        self.send(arrival(answer));
        drop(self);
        // Nothing drops an answer but the end of the agent, and a fault that the log tells of.
        answered.await.unwrap_or(Ok(Outcome::Abandoned))
    }

    fn send(&self, arrival: Arrival) {
        // It is heard for as long as there is a file.
        let _ = self.sender.send(arrival);
    }
}

/// What a failure did, after the name of its template.
fn describe(failure: &Failure) -> String {
    format!("{}: {}", failure.stage.describe(), failure.message)
}

impl Batch {
    /// A group of so many, and their count; with a `unit` it is placed as a whole or not at all.
    pub fn new(count: usize, unit: Option<Arc<str>>, stop: &CancellationToken) -> (Self, Vec<BatchFile>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let files =
            (0..count).map(|_| BatchFile { sender: sender.clone(), is_all_or_nothing: unit.is_some() }).collect();
        (Self { receiver, count, unit, stop: stop.clone() }, files)
    }

    /// Places what arrives, once every file is given up.
    pub async fn commit(mut self, writer: Writer) {
        let mut arrivals = Vec::with_capacity(self.count);
        while let Some(arrival) = self.receiver.recv().await {
            arrivals.push(arrival);
        }
        let failed = arrivals.iter().find_map(|arrival| match arrival {
            Arrival::Failed(why) => Some(why.clone()),
            _ => None,
        });
        let silent = (arrivals.len() < self.count).then(|| "one of them broke off".to_owned());
        match (&self.unit, failed.or(silent)) {
            (Some(unit), Some(why)) => self.reject_all(arrivals, &unit_failure(unit, &why)).await,
            _ => self.send(arrivals, &writer),
        }
    }

    async fn reject_all(&self, arrivals: Vec<Arrival>, failure: &Failure) {
        for arrival in arrivals {
            let Arrival::Staged(file, answer) = arrival else { continue };
            // First it is removed: whoever hears of the failure finds nothing left behind.
            let kept = file
                .discard()
                .await
                .and_then(|()| if self.stop.is_cancelled() { Ok(Outcome::Abandoned) } else { Err(failure.clone()) });
            let _ = answer.send(kept);
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
