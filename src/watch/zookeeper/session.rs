//! The session of one registry: when to retry a connection, and what to report meanwhile. Pure.
//!
//! As in Apache Curator, a session is connected, suspended or lost. A lost connection suspends the session, which is
//! resumed on the first server that answers. The session is lost if a server says so, or if no server has heard from it
//! for its timeout. Then a new session is created.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::backoff::Backoff;
use crate::zk::SessionId;

#[cfg(test)]
mod tests;

/// How many tries are at most one second apart, so that a restarted ensemble is found at once.
const QUICK_TRIES: u32 = 90;

/// The pauses after that. Jitter keeps a fleet of agents from connecting in step.
const SLOW_TRIES: Backoff = Backoff::growing(Duration::from_secs(1), 1.5, Duration::from_secs(30));

/// The time limit of one address in the first round of tries. It doubles with each round, up to the session timeout: an
/// address that drops packets must not use up the session, and a slow ensemble must be reached in the end.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection that ends sooner counts as a failed try: the same cause may end the next one too.
const MIN_USEFUL: Duration = Duration::from_secs(5);

/// How long a connection may be lost before the registry is reported as unreachable. Another server usually takes over
/// sooner.
const GRACE: Duration = Duration::from_millis(500);

/// The longest pause before the first try after a useful connection. It spreads the agents of a server that went down.
const RECONNECT_JITTER: Duration = Duration::from_millis(100);

/// While a session can be resumed, the pauses are at most its timeout divided by this. The last third of the timeout is
/// left for that when a server falls silent.
const RESUME_TRIES: u32 = 24;

/// The session of one registry.
#[derive(Debug, Default)]
pub struct Session {
    id: Option<SessionId>,
    /// Failed tries since the last useful connection.
    tries: u32,
    /// Failed rounds of tries since the last connection.
    rounds: u32,
    pause: Duration,
    /// When a useful connection was lost; `None` before the first one.
    suspended: Option<Instant>,
}

impl Session {
    /// How long to wait before the next round of tries.
    pub fn pause(&self) -> Duration {
        self.pause
    }

    /// How long one address may take. One that failed in this outage, while others are there, may take a quarter of it
    /// for as long as the session can be resumed.
    pub fn address_timeout(&self, session_timeout: Duration, has_failed: bool) -> Duration {
        let backoff = Backoff::doubling(ADDRESS_TIMEOUT, session_timeout.max(ADDRESS_TIMEOUT));
        let timeout = backoff.pause(self.rounds.saturating_add(1));
        // Not longer than the session lives: after that a new session is created.
        let left = self.id.as_ref().map(|id| id.timeout.saturating_sub(id.last_heard.elapsed()));
        left.map_or(timeout, |left| {
            let timeout = if has_failed { timeout / 4 } else { timeout };
            timeout.min(left.max(ADDRESS_TIMEOUT / 4))
        })
    }

    /// The session to resume, if there is one.
    pub fn id(&self) -> Option<&SessionId> {
        self.id.as_ref()
    }

    /// Drops the session if it must have expired, and returns its timeout then.
    pub fn drop_expired(&mut self) -> Option<Duration> {
        self.id.take_if(|id| id.is_expired()).map(|id| id.timeout)
    }

    /// Drops the session: it has expired, or cannot be used.
    pub fn drop_id(&mut self) {
        self.id = None;
    }

    /// Records that a round of tries gave no connection, or only a useless one. Returns whether to report that now.
    pub fn failed(&mut self, now: Instant) -> bool {
        self.rounds = self.rounds.saturating_add(1);
        self.back_off();
        self.suspended.is_none_or(|since| now.duration_since(since) >= GRACE)
    }

    /// Records that no address gave a connection. Returns whether to report that now. While the session can still be
    /// resumed, the next round comes soon.
    pub fn no_server(&mut self, now: Instant) -> bool {
        let is_due = self.failed(now);
        if let Some(id) = &self.id {
            self.pause = self.pause.min(id.timeout / RESUME_TRIES);
        }
        is_due
    }

    /// Records that a connection was lost that was useful since `since`.
    pub fn suspend(&mut self, since: Instant, now: Instant, id: SessionId) {
        self.id = Some(id);
        self.rounds = 0;
        self.suspended = Some(now);
        if now.duration_since(since) >= MIN_USEFUL {
            self.tries = 0;
            self.pause = RECONNECT_JITTER.mul_f64(fastrand::f64());
        } else {
            self.back_off();
        }
    }

    fn back_off(&mut self) {
        self.tries = self.tries.saturating_add(1);
        self.pause = SLOW_TRIES.jittered(self.tries.saturating_sub(QUICK_TRIES), fastrand::f64());
    }

    /// Keeps the session of a connection that was not useful.
    pub fn set_id(&mut self, id: SessionId) {
        self.id = Some(id);
    }

    /// Skips the next pause, because what ended the connection cannot happen again.
    pub fn skip_pause(&mut self) {
        self.pause = Duration::ZERO;
    }
}
