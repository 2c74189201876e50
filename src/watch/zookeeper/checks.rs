//! When to compare which subject with the server: one subject at a time, with one request at a time. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::node_path::Subject;

use super::dirty_tracker::Id;
use super::reconcile::{Item, Reconciliation};
use super::subscriptions::Subscriptions;

/// The subject of a request, and the nodes to check, each with whether its data is large.
type Request = (Id, Subject, Vec<(Item, bool)>);

/// The queue of checks, and the one under way.
#[derive(Debug)]
pub struct Checks {
    interval: Duration,
    queue: BTreeSet<(Instant, Id)>,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    /// The next request of this check can be sent.
    Ready(Id, Reconciliation),
    /// A request of this check is under way.
    InFlight(Id, Reconciliation),
}

impl Checks {
    /// No checks yet. Each subject is checked once in `interval`.
    pub fn new(interval: Duration) -> Self {
        Self { interval, queue: BTreeSet::new(), state: State::Idle }
    }

    /// Queues the first check of a subject: at once, or at a random moment within the interval.
    pub fn queue_first(&mut self, id: Id, at_once: bool) {
        let delay = if at_once { Duration::ZERO } else { self.interval.mul_f64(fastrand::f64()) };
        self.queue.insert((Instant::now() + delay, id));
    }

    /// Queues the next check of a subject. The interval is jittered by a tenth, so that agents do not check in step.
    pub fn queue_next(&mut self, id: Id) {
        let delay = self.interval.mul_f64(fastrand::f64().mul_add(0.2, 0.9));
        self.queue.insert((Instant::now() + delay, id));
    }

    /// When the next check is due, unless one is under way.
    pub fn wake(&self) -> Option<Instant> {
        self.queue.first().filter(|_| matches!(self.state, State::Idle)).map(|(at, _)| *at)
    }

    /// Takes the next subject whose check is due, unless one is under way.
    pub fn take_due(&mut self) -> Option<Id> {
        self.wake().filter(|at| *at <= Instant::now())?;
        self.queue.pop_first().map(|(_, id)| id)
    }

    /// Starts the check of a subject.
    pub fn start(&mut self, id: Id, reconciliation: Reconciliation) {
        self.state = State::Ready(id, reconciliation);
    }

    /// The next request; `None` if there is no check, or its request is under way. A check that is complete
    /// ends, and the next one of its subject is queued.
    pub fn next_request(&mut self, subscriptions: &mut Subscriptions) -> Option<Request> {
        match std::mem::take(&mut self.state) {
            State::Ready(id, mut reconciliation) => {
                let subscription = subscriptions.get(id)?;
                let items = reconciliation.next(&subscription.cached);
                if items.is_empty() {
                    self.queue_next(id);
                    return None;
                }
                self.state = State::InFlight(id, reconciliation);
                Some((id, subscription.subject.clone(), items))
            }
            other => {
                self.state = other;
                None
            }
        }
    }

    /// The request under way has its reply.
    pub fn request_done(&mut self) {
        if let State::InFlight(id, reconciliation) = std::mem::take(&mut self.state) {
            self.state = State::Ready(id, reconciliation);
        }
    }
}
