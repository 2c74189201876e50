//! Says what a registry has seen, in the order in which it was seen.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::model::node_path::Subject;
use crate::model::registry_event::{News, RegistryEvent, Versions};

use super::cache::Told;

#[cfg(test)]
mod tests;

/// How often `Away` is said while it lasts.
const AWAY_EVERY: Duration = Duration::from_mins(1);

/// One registry's voice.
#[derive(Debug)]
pub struct EventSender {
    registry: Arc<str>,
    out: mpsc::Sender<RegistryEvent>,
    /// When `Away` was last said, if nothing was read since.
    away: Mutex<Option<Instant>>,
}

impl EventSender {
    /// Speaks for `registry`.
    pub fn new(registry: Arc<str>, out: mpsc::Sender<RegistryEvent>) -> Self {
        Self { registry, out, away: Mutex::new(None) }
    }

    /// The registry's name.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Returns when nobody listens any more.
    pub async fn closed(&self) {
        self.out.closed().await;
    }

    /// Says what was read of a subject.
    pub async fn told(&self, subject: &Subject, told: Told) {
        if let Some(room) = self.room().await {
            room.told(subject, told, Versions::new());
        }
    }

    /// Waits until something can be said at once; `None` when nobody listens any more.
    pub async fn room(&self) -> Option<EventPermit<'_>> {
        Some(EventPermit { teller: self, permit: self.out.reserve().await.ok()? })
    }

    /// Says that what was said may be out of date, and is not to be judged before it is said again.
    pub async fn suspended(&self) {
        self.say(News::Suspended).await;
    }

    /// Whether it is time to say that the registry is not reached.
    pub fn is_away_due(&self) -> bool {
        self.said_away().is_none_or(|said| said.elapsed() >= AWAY_EVERY)
    }

    /// Says that the registry is not reached, once a minute at most.
    pub async fn away(&self, why: String) {
        if self.is_away_due() {
            self.say(News::Away { why }).await;
            // Only now: where the queue was full, and the saying was given up for something newer, nothing was said.
            self.set_away(Some(Instant::now()));
        }
    }

    async fn say(&self, news: News) {
        // A closed channel ends the whole registry, which waits for `closed`.
        let _ = self.out.send(RegistryEvent { registry: Arc::clone(&self.registry), news }).await;
    }

    fn said_away(&self) -> Option<Instant> {
        *self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_away(&self, said: Option<Instant>) {
        *self.away.lock().unwrap_or_else(PoisonError::into_inner) = said;
    }
}

/// EventPermit to say one thing.
#[derive(Debug)]
pub struct EventPermit<'a> {
    teller: &'a EventSender,
    permit: mpsc::Permit<'a, RegistryEvent>,
}

impl EventPermit<'_> {
    /// Says what was read of a subject, and how late that is.
    pub fn told(self, subject: &Subject, told: Told, stamps: Versions) {
        let subject = subject.clone();
        let news = match told {
            Told::Reset(view) => News::Reset { subject, view, stamps },
            Told::Update(changes) => News::Update { subject, changes, stamps },
        };
        self.permit.send(RegistryEvent { registry: Arc::clone(&self.teller.registry), news });
        self.teller.set_away(None);
    }
}
