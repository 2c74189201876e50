//! What the session of a registry has done, as numbers that can be read at any time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// The state of a session, as in Apache Curator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionState {
    /// There is none: no server was reached yet, or it has expired.
    Lost,
    /// The connection is lost, and the session can still be resumed.
    Suspended,
    /// It is connected.
    Connected,
}

/// Counts since the agent follows the registry.
#[derive(Debug, Default)]
pub struct SessionCounters {
    state: AtomicU8,
    connections: AtomicU64,
    expiries: AtomicU64,
    watch_events: AtomicU64,
    requests: Arc<AtomicU64>,
}

/// The counts at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionCounts {
    /// The state of the session.
    pub state: SessionState,
    /// How often a connection was opened after the first one.
    pub reconnects: u64,
    /// How many sessions have expired.
    pub expiries: u64,
    /// How many events of watches arrived.
    pub watch_events: u64,
    /// How many requests were sent, without pings.
    pub requests: u64,
}

impl SessionCounters {
    /// The counts now.
    pub fn read(&self) -> SessionCounts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SessionCounts {
            state: match self.state.load(Ordering::Relaxed) {
                0 => SessionState::Lost,
                1 => SessionState::Suspended,
                _ => SessionState::Connected,
            },
            reconnects: count(&self.connections).saturating_sub(1),
            expiries: count(&self.expiries),
            watch_events: count(&self.watch_events),
            requests: count(&self.requests),
        }
    }

    /// The counter of requests, for the connections.
    pub fn requests(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.requests)
    }

    /// An event of a watch arrived.
    pub fn watch_event(&self) {
        self.watch_events.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection was opened.
    pub fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.set(SessionState::Connected);
    }

    /// There is no connection. `can_resume`: the session may still be alive.
    pub fn disconnected(&self, can_resume: bool) {
        self.set(if can_resume { SessionState::Suspended } else { SessionState::Lost });
    }

    /// The session has expired.
    pub fn expired(&self) {
        self.expiries.fetch_add(1, Ordering::Relaxed);
        self.set(SessionState::Lost);
    }

    fn set(&self, state: SessionState) {
        self.state.store(state as u8, Ordering::Relaxed);
    }
}
