//! Snapshots of the state, which all clients share.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper::body::Bytes;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use super::limits::SNAPSHOT_TIMEOUT;
use super::page::page;
use super::recent_events::RecentEvents;
use crate::history::History;
use crate::report::health::not_ready;
use crate::report::snapshot::Snapshot;
use crate::report::status::Status;

#[cfg(test)]
mod tests;

/// The event loop is asked for a snapshot at most once in this time.
pub const MAX_AGE: Duration = Duration::from_millis(250);

/// A snapshot, with the answers that were made from it.
#[derive(Debug)]
pub struct SharedSnapshot {
    /// The state.
    pub snapshot: Snapshot,
    json: OnceLock<Bytes>,
    page: OnceLock<Bytes>,
}

impl SharedSnapshot {
    /// The output of `status --json`.
    pub fn json(&self) -> Bytes {
        let json = || Status::new(&self.snapshot.report, &self.snapshot.context).json().into();
        self.json.get_or_init(json).clone()
    }

    /// The page.
    pub fn page(&self, recent: &RecentEvents, history: Option<&History>) -> Bytes {
        let page = || {
            let differences = history.map(History::last_differences).unwrap_or_default();
            page(&self.snapshot, &recent.since(self.snapshot.context.wall), &differences).into()
        };
        self.page.get_or_init(page).clone()
    }

    /// Why not everything is up to date: one line for each reason.
    pub fn not_ready(&self) -> Vec<String> {
        not_ready(&self.snapshot.report, &self.snapshot.context)
    }
}

/// The last snapshot.
#[derive(Debug)]
pub struct Snapshots {
    requests: mpsc::Sender<oneshot::Sender<Snapshot>>,
    latest: Mutex<Latest>,
}

#[derive(Debug, Default)]
struct Latest {
    /// When the event loop was last asked.
    asked: Option<Instant>,
    snapshot: Option<Arc<SharedSnapshot>>,
}

impl Snapshots {
    /// Asks the event loop through this channel.
    pub fn new(requests: mpsc::Sender<oneshot::Sender<Snapshot>>) -> Self {
        Self { requests, latest: Mutex::default() }
    }

    /// The current snapshot, or one of the last moment; `None` if the event loop does not answer.
    pub async fn get(&self) -> Option<Arc<SharedSnapshot>> {
        timeout(SNAPSHOT_TIMEOUT, self.current()).await.ok().flatten()
    }

    async fn current(&self) -> Option<Arc<SharedSnapshot>> {
        let mut latest = self.latest.lock().await;
        if let Some(asked) = latest.asked {
            match &latest.snapshot {
                Some(snapshot) if asked.elapsed() < MAX_AGE => return Some(Arc::clone(snapshot)),
                // A client that asks and disconnects before the answer does not save time.
                _ => sleep_until(asked + MAX_AGE).await,
            }
        }
        *latest = Latest { asked: Some(Instant::now()), snapshot: None };
        let (reply, answer) = oneshot::channel();
        self.requests.send(reply).await.ok()?;
        let snapshot =
            Arc::new(SharedSnapshot { snapshot: answer.await.ok()?, json: OnceLock::new(), page: OnceLock::new() });
        latest.snapshot = Some(Arc::clone(&snapshot));
        Some(snapshot)
    }
}
