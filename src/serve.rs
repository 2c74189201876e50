//! HTTP on `listen` of `[status]`: the state of the agent, read only.
//!
//! It has a thread and a runtime of its own, so that no client can take time from the event loop, and `/live` is
//! answered while the loop hangs. The loop only ever gives it snapshots of the state: at most one in
//! [`snapshots::MAX_AGE`], which all clients share. Limits are in [`limits`].
//!
//! To add an answer that is made from the state, such as `/metrics`: write a function of a
//! [`Snapshot`](crate::report::snapshot::Snapshot) (the engine's report, and its context, from which
//! `Status::new(&snapshot.report, &snapshot.context)` is made), and add its path to [`routes`], where
//! `shared.snapshots.get().await` is the current snapshot. What is counted from events subscribes to them with
//! [`crate::log::subscribe`], before the first is emitted. Files of the page are in [`page`].

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::LocalSet;

use crate::agent::heartbeat::Heartbeat;
use crate::config::HttpConfig;
use crate::decide::Event;
use crate::history::History;
use crate::log::{emit, subscribe};
use crate::metrics::Metrics;
use crate::report::snapshot::Snapshot;

mod event_feed;
mod event_stream;
mod limits;
mod listener;
pub mod page;
mod recent_events;
mod routes;
mod shared;
mod snapshots;

use event_feed::EventFeed;
use shared::Shared;
use snapshots::Snapshots;

/// The HTTP server of a running agent.
#[derive(Debug)]
pub struct Server {
    config: watch::Sender<Option<HttpConfig>>,
    requests: mpsc::Receiver<oneshot::Sender<Snapshot>>,
    /// What the thread needs; `None` once it has started.
    unstarted: Option<Unstarted>,
}

#[derive(Debug)]
struct Unstarted {
    config: watch::Receiver<Option<HttpConfig>>,
    requests: mpsc::Sender<oneshot::Sender<Snapshot>>,
    heartbeat: Heartbeat,
    metrics: Arc<Metrics>,
    history: Option<History>,
}

impl Server {
    /// Listens in the background if there is a configuration.
    pub fn start(
        config: Option<&HttpConfig>,
        heartbeat: &Heartbeat,
        metrics: &Arc<Metrics>,
        history: Option<History>,
    ) -> Self {
        let (sender, receiver) = watch::channel(None);
        let (requests, incoming) = mpsc::channel(1);
        let (heartbeat, metrics) = (heartbeat.clone(), Arc::clone(metrics));
        let unstarted = Unstarted { config: receiver, requests, heartbeat, metrics, history };
        let mut server = Self { config: sender, requests: incoming, unstarted: Some(unstarted) };
        server.reconfigure(config);
        server
    }

    /// Moves to another address, or stops to listen. Connections are closed if anything changes.
    pub fn reconfigure(&mut self, config: Option<&HttpConfig>) {
        self.config.send_if_modified(|current| {
            let changes = current.as_ref() != config;
            *current = config.cloned();
            changes
        });
        if config.is_some()
            && let Some(unstarted) = self.unstarted.take()
        {
            let (events, recent) = (subscribe(), subscribe());
            let thread = std::thread::Builder::new().name("http".to_owned());
            let run = move || {
                let Unstarted { config, requests, heartbeat, metrics, history } = unstarted;
                let shared = Shared::new(Snapshots::new(requests), heartbeat, EventFeed::new(), metrics, history);
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                match runtime {
                    Ok(runtime) => LocalSet::new().block_on(&runtime, listener::run(config, shared, events, recent)),
                    Err(why) => emit(Event::HttpUnavailable { reason: format!("cannot start a runtime: {why}") }),
                }
            };
            if let Err(why) = thread.spawn(run) {
                emit(Event::HttpUnavailable { reason: format!("cannot start a thread: {why}") });
            }
        }
    }

    /// The next request for a snapshot. Returns `None` if there will be none.
    pub async fn next(&mut self) -> Option<oneshot::Sender<Snapshot>> {
        self.requests.recv().await
    }

    /// Closes the port and every connection.
    pub fn stop(&mut self) {
        self.config.send_replace(None);
        self.requests.close();
    }
}
