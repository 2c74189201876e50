//! What the answers are made from.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::event_feed::EventFeed;
use super::limits::MAX_STREAMS;
use super::recent_events::RecentEvents;
use super::snapshots::Snapshots;
use crate::agent::heartbeat::Heartbeat;
use crate::history::History;
use crate::metrics::Metrics;

/// What the answers are made from.
#[derive(Debug)]
pub struct Shared {
    /// The state of the agent.
    pub snapshots: Snapshots,
    /// The turns of the event loop.
    pub heartbeat: Heartbeat,
    /// The events.
    pub events: EventFeed,
    /// What was counted.
    pub metrics: Arc<Metrics>,
    /// The events of the last hour, for the page.
    pub recent: RecentEvents,
    /// The history, for the last difference of each file.
    pub history: Option<History>,
    /// A permit for each stream of events.
    pub streams: Arc<Semaphore>,
}

impl Shared {
    /// Without streams.
    pub fn new(
        snapshots: Snapshots,
        heartbeat: Heartbeat,
        events: EventFeed,
        metrics: Arc<Metrics>,
        history: Option<History>,
    ) -> Self {
        let streams = Arc::new(Semaphore::new(MAX_STREAMS));
        Self { snapshots, heartbeat, events, metrics, recent: RecentEvents::default(), history, streams }
    }
}
