//! Tells a person at a terminal what a command waits for.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::log::plain;

/// How often what is waited for is looked at. A shorter wait is not reported.
const INTERVAL: Duration = Duration::from_secs(1);

/// How often the same line is repeated.
const REPEAT: Duration = Duration::from_secs(10);

/// The lines of one wait. They go to standard error, and only if that is a terminal.
#[derive(Debug)]
pub struct Progress {
    started: Instant,
    limit: Duration,
    /// `None` without a terminal.
    next: Option<Instant>,
    /// The last line, and when it was printed.
    last: Option<(String, Instant)>,
}

impl Progress {
    /// A wait that begins now and takes at most `limit`.
    pub fn new(limit: Duration) -> Self {
        let (started, is_terminal) = (Instant::now(), io::stderr().is_terminal());
        Self { started, limit, next: is_terminal.then(|| started + INTERVAL), last: None }
    }

    /// A wait of which nothing is printed.
    pub fn silent() -> Self {
        Self { started: Instant::now(), limit: Duration::MAX, next: None, last: None }
    }

    /// Returns when [`say`](Self::say) is to be called; never without a terminal.
    pub async fn due(&self) {
        match self.next {
            Some(next) => sleep_until(next).await,
            None => std::future::pending().await,
        }
    }

    /// Prints what is waited for, if that has changed or was last printed a while ago.
    pub fn say(&mut self, what: &str) {
        let now = Instant::now();
        self.next = Some(now + INTERVAL);
        let is_known = |(last, at): &(String, Instant)| last == what && now.duration_since(*at) < REPEAT;
        if what.is_empty() || self.last.as_ref().is_some_and(is_known) {
            return;
        }
        let (waited, limit) = (now.duration_since(self.started).as_secs(), humantime::format_duration(self.limit));
        // Standard error may be closed.
        let _ = writeln!(io::stderr(), "rosterd: waiting for {} ({waited} s of {limit})", plain(what));
        self.last = Some((what.to_owned(), now));
    }
}
