//! Files that are committed together, once all that can be are staged and checked.
//!
//! Each file of a batch holds a [`BatchFile`] and gives it up when the file is ready or will not be. When the last one
//! is given up, all files that are ready are committed. In a unit one failure rejects all files; otherwise the failed
//! file is left out.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::config::TemplateConfig;
use crate::decide::{Failure, Outcome, Stage};

use super::answer::unit_failure;
use super::batch_commit::BatchCommit;
use super::handle::Handle;
use super::stage::Staged;
use super::staging;
use super::staging::NextStep;
use super::unit_check::{UnitFile, UnitView};
use super::writer::{Job, MAX_BATCH, Writer};

/// What becomes of a file.
type CommitResult = Result<Outcome, Failure>;

/// The place of one file in a batch.
#[derive(Debug)]
pub struct BatchFile {
    /// `None` once it is given up.
    sender: Option<mpsc::UnboundedSender<Arrival>>,
    unit: UnitKind,
}

/// Whether the files of a batch are a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitKind {
    /// They are committed as far as possible.
    None,
    /// Either all are committed or none, and each is checked by itself.
    Separate,
    /// Either all are committed or none, and the checks of some read the new files of others.
    Joint,
}

/// Files that will be committed together.
#[derive(Debug)]
pub struct Batch {
    receiver: mpsc::UnboundedReceiver<Arrival>,
    count: usize,
    unit: Option<Arc<str>>,
    stop: CancellationToken,
}

/// A file that waits for the other files of its unit, and where the answer is sent.
type Waiting = (UnitFile, bool, oneshot::Sender<MeetResult>);

/// The new files of a unit as its checks find them; `None` if no file of it changes.
type MeetResult = Result<Option<Arc<UnitView>>, Failure>;

/// What a file does in the batch. All but the first give up its place.
enum Arrival {
    /// It is staged, and waits for the other files of its unit.
    ForCheck(Box<Waiting>),
    /// It is staged and checked.
    Staged(Box<Handle<Staged>>, oneshot::Sender<CommitResult>),
    /// It has no check. It is staged when the batch is committed, because a batch may have more files than a process
    /// may have descriptors.
    Rendered(Box<TemplateConfig>, Vec<u8>, oneshot::Sender<CommitResult>),
    /// The destination already has its bytes.
    Unchanged,
    /// It failed; the reason.
    Failed(String),
    /// It ended otherwise.
    Interrupted,
}

impl BatchFile {
    /// Whether either all files of the batch are committed or none.
    pub fn is_all_or_nothing(&self) -> bool {
        self.unit != UnitKind::None
    }

    /// Whether [`Self::meet`] comes before the check.
    pub fn is_checked_with_unit(&self) -> bool {
        self.unit == UnitKind::Joint
    }

    /// Waits until all files of the unit are staged.
    pub async fn meet(&self, file: UnitFile, is_changed: bool) -> MeetResult {
        let (answer, answered) = oneshot::channel();
        if let Some(sender) = &self.sender {
            // As in `send`.
            let _ = sender.send(Arrival::ForCheck(Box::new((file, is_changed, answer))));
        }
        // The answer is missing only by a fault, which is logged.
        answered.await.unwrap_or_else(|_| Err(Failure::new(Stage::Unit, "the checks of its unit were not prepared")))
    }

    /// Gives up the place without a file.
    pub fn finish(mut self, template: &TemplateConfig, outcome: &Outcome) {
        match outcome {
            Outcome::Unchanged => self.send(Arrival::Unchanged),
            Outcome::Failed(failure) => {
                self.send(Arrival::Failed(format!("template {}: {}", template.name, describe(failure))));
            }
            _ => {}
        }
    }

    /// Adds a checked file; the answer comes when the batch is committed.
    pub async fn staged(self, file: Handle<Staged>) -> CommitResult {
        self.arrive(|answer| Arrival::Staged(Box::new(file), answer)).await
    }

    /// Adds a file that needs no check.
    pub async fn rendered(self, template: &TemplateConfig, bytes: Vec<u8>) -> CommitResult {
        self.arrive(|answer| Arrival::Rendered(Box::new(template.clone()), bytes, answer)).await
    }

    async fn arrive(mut self, arrival: impl FnOnce(oneshot::Sender<CommitResult>) -> Arrival) -> CommitResult {
        let (answer, answered) = oneshot::channel();
        self.send(arrival(answer));
        drop(self);
        // The sender is dropped only if the agent ends or a job panicked, which is logged.
        answered.await.unwrap_or(Ok(Outcome::Abandoned))
    }

    fn send(&mut self, arrival: Arrival) {
        if let Some(sender) = self.sender.take() {
            // The batch receives as long as one of its files has a place.
            let _ = sender.send(arrival);
        }
    }
}

impl Drop for BatchFile {
    fn drop(&mut self) {
        self.send(Arrival::Interrupted);
    }
}

/// Why a unit is not committed, if a file failed or was interrupted.
fn reason(arrivals: &[Arrival]) -> Option<String> {
    let failed = arrivals.iter().find_map(|arrival| match arrival {
        Arrival::Failed(why) => Some(why.clone()),
        _ => None,
    });
    let is_interrupted = arrivals.iter().any(|arrival| matches!(arrival, Arrival::Interrupted));
    failed.or_else(|| is_interrupted.then(|| "one of its files was interrupted".to_owned()))
}

/// The failed stage and the message.
fn describe(failure: &Failure) -> String {
    format!("{}: {}", failure.stage.describe(), failure.message)
}

impl Batch {
    /// A batch of `count` files and a place for each. With a `unit` either all are committed or none; `is_joint`: the
    /// checks of some read the new files of others.
    pub fn new(
        count: usize,
        unit: Option<Arc<str>>,
        is_joint: bool,
        stop: &CancellationToken,
    ) -> (Self, Vec<BatchFile>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let kind = match unit {
            None => UnitKind::None,
            Some(_) if is_joint => UnitKind::Joint,
            Some(_) => UnitKind::Separate,
        };
        let files = (0..count).map(|_| BatchFile { sender: Some(sender.clone()), unit: kind }).collect();
        (Self { receiver, count, unit, stop: stop.clone() }, files)
    }

    /// Commits the files once every place is given up.
    pub async fn commit(mut self, writer: Writer) {
        let (mut arrivals, mut waiting) = (Vec::with_capacity(self.count), Vec::new());
        while let Some(arrival) = self.receiver.recv().await {
            match arrival {
                Arrival::ForCheck(file) => waiting.push(*file),
                arrival => arrivals.push(arrival),
            }
            if !waiting.is_empty() && waiting.len() + arrivals.len() == self.count {
                self.prepare_checks(std::mem::take(&mut waiting), reason(&arrivals), &writer).await;
            }
        }
        match (&self.unit, reason(&arrivals)) {
            (Some(unit), Some(why)) => self.reject_all(arrivals, &unit_failure(unit, &why)).await,
            _ => self.send(arrivals, &writer),
        }
    }

    /// Answers the files that wait: the checks begin, unless another file of the unit has failed.
    async fn prepare_checks(&self, waiting: Vec<Waiting>, failed: Option<String>, writer: &Writer) {
        let unit = self.unit.as_deref().unwrap_or_default();
        let (mut files, mut answers, mut is_changed) = (Vec::new(), Vec::new(), false);
        for (file, changes, answer) in waiting {
            answers.push((Arc::clone(&file.template.name), answer));
            files.push(file);
            is_changed |= changes;
        }
        let prepared = match failed {
            Some(why) => Err((None, unit_failure(unit, &why))),
            None if !is_changed => Ok(None),
            None => match UnitView::new(writer, files).await {
                Ok(view) => Ok(Some(Arc::new(view))),
                Err((name, failure)) => Err((Some(name), failure)),
            },
        };
        for (name, answer) in answers {
            let _ = answer.send(match &prepared {
                Ok(view) => Ok(view.clone()),
                Err((Some(culprit), failure)) if *culprit != name => {
                    Err(unit_failure(unit, &format!("template {culprit}: {}", describe(failure))))
                }
                Err((_, failure)) => Err(failure.clone()),
            });
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
                    Arrival::ForCheck(_) | Arrival::Unchanged | Arrival::Failed(_) | Arrival::Interrupted => {}
                }
            }
            writer.send(Job::Batch(batch));
        }
    }
}
