//! Says what a registry has seen, in the order in which it was seen.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::node::Subject;
use crate::sighting::{News, Sighting, Stamps};

use super::known::Told;

/// How often `Away` is said while it lasts.
const AWAY_EVERY: Duration = Duration::from_mins(1);

/// One registry's voice.
#[derive(Debug)]
pub struct Teller {
    registry: Arc<str>,
    out: mpsc::Sender<Sighting>,
    /// When `Away` was last said, if nothing was read since.
    away: Mutex<Option<Instant>>,
}

impl Teller {
    /// Speaks for `registry`.
    pub fn new(registry: Arc<str>, out: mpsc::Sender<Sighting>) -> Self {
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
            room.told(subject, told, Stamps::new());
        }
    }

    /// Waits until something can be said at once; `None` when nobody listens any more.
    pub async fn room(&self) -> Option<Room<'_>> {
        Some(Room { teller: self, permit: self.out.reserve().await.ok()? })
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
        let _ = self.out.send(Sighting { registry: Arc::clone(&self.registry), news }).await;
    }

    fn said_away(&self) -> Option<Instant> {
        *self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_away(&self, said: Option<Instant>) {
        *self.away.lock().unwrap_or_else(PoisonError::into_inner) = said;
    }
}

/// Room to say one thing.
#[derive(Debug)]
pub struct Room<'a> {
    teller: &'a Teller,
    permit: mpsc::Permit<'a, Sighting>,
}

impl Room<'_> {
    /// Says what was read of a subject, and how late that is.
    pub fn told(self, subject: &Subject, told: Told, stamps: Stamps) {
        let subject = subject.clone();
        let news = match told {
            Told::Reset(view) => News::Reset { subject, view, stamps },
            Told::Update(changes) => News::Update { subject, changes, stamps },
        };
        self.permit.send(Sighting { registry: Arc::clone(&self.teller.registry), news });
        self.teller.set_away(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_given_up_was_not_said() {
        let (out, mut news) = mpsc::channel(1);
        let teller = Teller::new("r".into(), out);
        teller.away("first".into()).await;
        assert!(!teller.is_away_due(), "said, though not heard yet");
        let told = Told::Reset(crate::sighting::View::Members(crate::sighting::Seen::Absent));
        let subject = Subject::roster("/a").unwrap();
        let telling = teller.told(&subject, told);
        assert!(tokio::time::timeout(Duration::from_millis(1), telling).await.is_err(), "no room");
        assert!(!teller.is_away_due());
        teller.set_away(None);
        assert!(tokio::time::timeout(Duration::from_millis(1), teller.away("second".into())).await.is_err());
        assert!(teller.is_away_due(), "it is still to be said");
        assert!(news.recv().await.is_some());
        teller.away("second".into()).await;
        assert!(matches!(news.recv().await.unwrap().news, News::Away { why } if why == "second"));
    }
}
