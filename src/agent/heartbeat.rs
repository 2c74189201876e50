//! Whether the event loop makes progress. `/live` and a watchdog ask this.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::time::timeout;

#[cfg(test)]
mod tests;

/// A turn of the event loop that is not older than this answers every question. The loop is woken at most this often.
const RECENT: Duration = Duration::from_secs(1);

/// The turns of the event loop. An idle loop costs nothing: it is woken only when somebody asks.
#[derive(Debug, Clone)]
pub struct Heartbeat(Arc<Turns>);

#[derive(Debug)]
struct Turns {
    last: watch::Sender<Instant>,
    asked: Notify,
}

impl Heartbeat {
    /// A loop that begins now.
    pub fn new() -> Self {
        Self(Arc::new(Turns { last: watch::Sender::new(Instant::now()), asked: Notify::new() }))
    }

    /// To be called by the loop in each turn.
    pub fn beat(&self) {
        self.0.last.send_replace(Instant::now());
    }

    /// To be awaited by the loop with everything else that wakes it: somebody waits for a turn.
    pub async fn asked(&self) {
        self.0.asked.notified().await;
    }

    /// Whether the loop has just made a turn, or makes one within `limit`. May be called from any thread.
    pub async fn beats_within(&self, limit: Duration) -> bool {
        let mut last = self.0.last.subscribe();
        if last.borrow_and_update().elapsed() < RECENT {
            return true;
        }
        self.0.asked.notify_one();
        timeout(limit, last.changed()).await.is_ok_and(|turn| turn.is_ok())
    }
}
