//! The session and how it is got back: what to try next, when, and what to say meanwhile. Pure but for the session_id.
//!
//! Connected, suspended, lost, as Apache Curator has them. A lost connection suspends: the session is kept, and is
//! carried to whichever server answers first. It is lost when a server says so, or when no server has heard of it for as
//! long as it was granted; then a new one is had.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::backoff::Backoff;

use crate::zk::SessionId;

#[cfg(test)]
mod tests;

/// How many tries come within a second of each other, so that a restarted ensemble is found at once.
const QUICK: u32 = 90;

/// The pauses after that, each jittered, so that a fleet of agents does not connect in step.
const SLOW: Backoff = Backoff::growing(Duration::from_secs(1), 1.5, Duration::from_secs(30));

/// How long one address may take in the first round. It doubles with each round, up to the session timeout: an address
/// that swallows everything must not eat the session, and a slow ensemble must be reached in the end.
const LIMIT: Duration = Duration::from_secs(1);

/// A connection that lasts less is none: what ended it may end the next one too, and nobody knocks without a pause.
const SHORT: Duration = Duration::from_secs(5);

/// How long a connection may be lost before that is said: another server usually takes over sooner.
const GRACE: Duration = Duration::from_millis(500);

/// The pause before the first try after a connection that lasted: so much that agents of one dead server do not all
/// knock at once.
const JITTER: Duration = Duration::from_millis(100);

/// One registry's session.
#[derive(Debug, Default)]
pub struct Session {
    session_id: Option<SessionId>,
    /// Tries since there last was a connection that lasted.
    tries: u32,
    /// Tries of every address since there last was a connection.
    rounds: u32,
    pause: Duration,
    /// When a connection that was of use was lost; `None` while there is one, and before the first.
    suspended: Option<Instant>,
}

impl Session {
    /// How long to wait before the next round of tries.
    pub fn pause(&self) -> Duration {
        self.pause
    }

    /// How long one address may take.
    pub fn limit(&self, session_timeout: Duration) -> Duration {
        let limit = Backoff::doubling(LIMIT, session_timeout.max(LIMIT)).pause(self.rounds.saturating_add(1));
        // Not longer than the session can live: a new one is had by then.
        let left =
            self.session_id.as_ref().map(|session_id| session_id.timeout.saturating_sub(session_id.heard.elapsed()));
        left.map_or(limit, |left| limit.min(left.max(LIMIT / 4)))
    }

    /// The session to carry on, where there is one.
    pub fn session_id(&self) -> Option<&SessionId> {
        self.session_id.as_ref()
    }

    /// Gives the session up when it can no longer live. Tells whether that is news.
    pub fn is_newly_lost(&mut self) -> bool {
        self.session_id.take_if(|session_id| session_id.is_over()).is_some()
    }

    /// The session is over, or of no use.
    pub fn drop_ticket(&mut self) {
        self.session_id = None;
    }

    /// No address gave a connection, or the one that there was came to nothing. Tells whether that is to be said now.
    pub fn failed(&mut self, now: Instant) -> bool {
        self.rounds = self.rounds.saturating_add(1);
        self.back_off();
        self.suspended.is_none_or(|since| now.duration_since(since) >= GRACE)
    }

    /// A connection was lost that was of use since `since`.
    pub fn suspend(&mut self, since: Instant, now: Instant, session_id: SessionId) {
        self.session_id = Some(session_id);
        self.rounds = 0;
        self.suspended = Some(now);
        if now.duration_since(since) >= SHORT {
            self.tries = 0;
            self.pause = JITTER.mul_f64(fastrand::f64());
        } else {
            self.back_off();
        }
    }

    fn back_off(&mut self) {
        self.tries = self.tries.saturating_add(1);
        self.pause = SLOW.jittered(self.tries.saturating_sub(QUICK), fastrand::f64());
    }

    /// A connection was had; nothing came of it yet, but the session is known.
    pub fn keep(&mut self, session_id: SessionId) {
        self.session_id = Some(session_id);
    }

    /// At once, as what ended it does not happen again.
    pub fn hurry(&mut self) {
        self.pause = Duration::ZERO;
    }
}
