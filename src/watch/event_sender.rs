//! Sends the updates of one registry, in order.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::model::node_path::Subject;
use crate::model::registry_event::{RegistryEvent, Unreachable, Update};
use crate::model::version::Versions;

use super::cache::Diff;

#[cfg(test)]
mod tests;

/// How often `Unreachable` is repeated while it lasts.
const UNREACHABLE_INTERVAL: Duration = Duration::from_mins(1);

/// The sending end of the queue of registry events, for one registry.
#[derive(Debug)]
pub struct EventSender {
    registry: Arc<str>,
    out: mpsc::Sender<RegistryEvent>,
    /// When `Unreachable` was last sent and whether it was final, unless something was read since.
    unreachable_sent: Mutex<Option<(Instant, bool)>>,
}

impl EventSender {
    /// A sender for `registry`.
    pub fn new(registry: Arc<str>, out: mpsc::Sender<RegistryEvent>) -> Self {
        Self { registry, out, unreachable_sent: Mutex::new(None) }
    }

    /// The name of the registry.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Runs `work` until `stop`, or until the receiver of events is gone. Returns `None` then.
    pub async fn until_stopped<T>(&self, stop: &CancellationToken, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = stop.cancelled() => None,
            () = self.out.closed() => None,
            done = work => Some(done),
        }
    }

    /// Sends a diff of a subject that has no versions.
    pub async fn send_diff(&self, subject: &Subject, diff: Diff) {
        if let Some(permit) = self.reserve().await {
            permit.send_diff(subject, diff, Versions::new());
        }
    }

    /// Waits for space in the queue; `None` when the receiver is gone.
    pub async fn reserve(&self) -> Option<EventPermit<'_>> {
        Some(EventPermit { sender: self, permit: self.out.reserve().await.ok()? })
    }

    /// Sends `Suspended`.
    pub async fn send_suspended(&self) {
        self.send(Update::Suspended).await;
    }

    /// Sends `Unreachable`, at most once a minute, and at once if it has become final.
    pub async fn send_unreachable(&self, unreachable: Unreachable) {
        let (sent, is_final) = (*self.unreachable_sent(), unreachable.is_final);
        if sent.is_none_or(|(at, was_final)| at.elapsed() >= UNREACHABLE_INTERVAL || is_final && !was_final) {
            self.send(Update::Unreachable(unreachable)).await;
            // Only now: if the queue was full and this future was dropped, nothing was sent.
            *self.unreachable_sent() = Some((Instant::now(), is_final));
        }
    }

    /// Sends `Connected`, if `Unreachable` was sent before.
    pub async fn send_connected(&self) {
        if self.unreachable_sent().is_some() {
            self.send(Update::Connected).await;
            *self.unreachable_sent() = None;
        }
    }

    async fn send(&self, update: Update) {
        // A closed channel ends the registry, which `until_stopped` stops.
        let _ = self.out.send(RegistryEvent { registry: Arc::clone(&self.registry), update }).await;
    }

    fn unreachable_sent(&self) -> MutexGuard<'_, Option<(Instant, bool)>> {
        self.unreachable_sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Space in the queue for one event.
#[derive(Debug)]
pub struct EventPermit<'a> {
    sender: &'a EventSender,
    permit: mpsc::Permit<'a, RegistryEvent>,
}

impl EventPermit<'_> {
    /// Sends a diff of a subject and its versions.
    pub fn send_diff(self, subject: &Subject, diff: Diff, versions: Versions) {
        let subject = subject.clone();
        let update = match diff {
            Diff::Reset(view) => Update::Reset { subject, view, versions },
            Diff::Changes(changes) => Update::Changed { subject, changes, versions },
        };
        self.permit.send(RegistryEvent { registry: Arc::clone(&self.sender.registry), update });
        *self.sender.unreachable_sent() = None;
    }
}
