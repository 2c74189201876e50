//! Files that are put in place together: when all that can be are staged and checked.
//!
//! Whoever brings a file of a group has a seat in it, and gives it up when the file has arrived or will not. With the
//! last seat given up, all that arrived are placed. Of a unit one that fails keeps all others back; else it only drops
//! out.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::config::TemplateConfig;
use crate::decide::{Failure, Outcome};

use super::answer::kept_back;
use super::batch_commit::Round;
use super::staging::Then;
use super::writer::{Job, ROUND, Writer};
use super::{Held, staging};

/// What a publication comes to.
type Placed = Result<Outcome, Failure>;

/// A file on its way in a group.
#[derive(Debug)]
pub struct Seat {
    tell: mpsc::UnboundedSender<Arrival>,
    is_whole: bool,
}

/// All that is on its way together.
#[derive(Debug)]
pub struct Batch {
    hear: mpsc::UnboundedReceiver<Arrival>,
    seats: usize,
    unit: Option<Arc<str>>,
    stop: CancellationToken,
}

/// A file that gives its seat up.
enum Arrival {
    /// It is staged and checked.
    Staged(Box<Held>, oneshot::Sender<Placed>),
    /// It has no check, and is staged when it is placed: a group may have more files than a process descriptors.
    Rendered(Box<TemplateConfig>, Vec<u8>, oneshot::Sender<Placed>),
    /// The destination has its bytes already.
    Unchanged,
    /// It failed, as these words say.
    Failed(String),
}

impl Seat {
    /// Whether all of the group are placed or none.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Gives the seat up without a file.
    pub fn leave(self, template: &TemplateConfig, outcome: &Outcome) {
        match outcome {
            Outcome::Unchanged => self.tell(Arrival::Unchanged),
            Outcome::Failed(failure) => {
                self.tell(Arrival::Failed(format!("template {}: {}", template.name, failed(failure))))
            }
            _ => {}
        }
    }

    /// A checked file has arrived; the answer comes when the group is placed.
    pub async fn staged(self, file: Held) -> Placed {
        self.arrive(|answer| Arrival::Staged(Box::new(file), answer)).await
    }

    /// A file that needs no check has arrived.
    pub async fn rendered(self, template: &TemplateConfig, bytes: Vec<u8>) -> Placed {
        self.arrive(|answer| Arrival::Rendered(Box::new(template.clone()), bytes, answer)).await
    }

    async fn arrive(self, arrival: impl FnOnce(oneshot::Sender<Placed>) -> Arrival) -> Placed {
        let (answer, answered) = oneshot::channel();
        self.tell(arrival(answer));
        drop(self);
        // Nothing drops an answer but the end of the agent, and a fault that the log tells of.
        answered.await.unwrap_or(Ok(Outcome::Abandoned))
    }

    fn tell(&self, arrival: Arrival) {
        // It is heard for as long as there is a seat.
        let _ = self.tell.send(arrival);
    }
}

/// What a failure did, after the name of its template.
fn failed(failure: &Failure) -> String {
    format!("{}: {}", failure.stage.describe(), failure.message)
}

impl Batch {
    /// A group of so many, and their seats; with a `unit` it is placed as a whole or not at all.
    pub fn of(count: usize, unit: Option<Arc<str>>, stop: &CancellationToken) -> (Self, Vec<Seat>) {
        let (tell, hear) = mpsc::unbounded_channel();
        let seats = (0..count).map(|_| Seat { tell: tell.clone(), is_whole: unit.is_some() }).collect();
        (Self { hear, seats: count, unit, stop: stop.clone() }, seats)
    }

    /// Places what arrives, once every seat is given up.
    pub async fn place(mut self, writer: Writer) {
        let mut arrivals = Vec::with_capacity(self.seats);
        while let Some(arrival) = self.hear.recv().await {
            arrivals.push(arrival);
        }
        let failed = arrivals.iter().find_map(|arrival| match arrival {
            Arrival::Failed(why) => Some(why.clone()),
            _ => None,
        });
        let silent = (arrivals.len() < self.seats).then(|| "one of them broke off".to_owned());
        match (&self.unit, failed.or(silent)) {
            (Some(unit), Some(why)) => self.keep_back(arrivals, &kept_back(unit, &why)).await,
            _ => self.send(arrivals, &writer),
        }
    }

    async fn keep_back(&self, arrivals: Vec<Arrival>, failure: &Failure) {
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
        let most = if self.unit.is_some() { usize::MAX } else { ROUND };
        let mut arrivals = arrivals.into_iter().peekable();
        while arrivals.peek().is_some() {
            let mut round = Round { unit: self.unit.clone(), ..Round::default() };
            for arrival in arrivals.by_ref().take(most) {
                let stop = self.stop.clone();
                match arrival {
                    Arrival::Staged(file, answer) => round.commits.extend(file.take(stop, answer)),
                    Arrival::Rendered(template, bytes, answer) => {
                        round.stages.push(staging::Stage {
                            template: *template,
                            bytes,
                            stop,
                            then: Then::Place(answer),
                        });
                    }
                    Arrival::Unchanged | Arrival::Failed(_) => {}
                }
            }
            writer.send(Job::Batch(round));
        }
    }
}
