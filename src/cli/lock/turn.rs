//! Waiting for the lock, and its release.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::passed_on::PassedOn;
use crate::cli::get::say;
use crate::decide::contender::Standing;
use crate::error::{Exit, Fatal};
use crate::model::node_path::NodePath;
use crate::watch::zookeeper::lock_session::LockEvent;

/// How long a release waits for the registry. Without it, the lock is free when the session expires.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long to wait, and since when.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For the lock; `None` without limit.
    pub wait_for: Option<Duration>,
    /// For the registry.
    pub timeout: Duration,
    /// When the command was started.
    pub started: Instant,
}

/// One contender.
pub struct Turn<'a> {
    /// The lock's node.
    pub path: &'a NodePath,
    /// What happens to it.
    pub events: mpsc::UnboundedReceiver<LockEvent>,
    /// Releases the lock.
    pub release: CancellationToken,
    pub limits: Limits,
    pub quiet: bool,
}

/// Why the lock was not got.
pub enum Ended {
    /// Another one holds it for too long.
    Late,
    /// It cannot be got.
    Fatal(Fatal),
    /// A signal with this number ended the wait.
    Signal(i32),
}

impl Turn<'_> {
    /// Prints a note.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            say(text);
        }
    }

    /// Waits until the lock is held. Returns the name of the contender's node.
    pub async fn wait(&mut self, signals: &mut PassedOn) -> Result<String, Ended> {
        let Limits { wait_for, timeout, started } = self.limits;
        let late_at = wait_for.map(|wait| started + wait);
        // Since when the registry is away, and why.
        let (mut away, mut reason, mut is_waiting) = (Some(started), String::new(), false);
        loop {
            let event = tokio::select! {
                biased;
                event = self.events.recv() => event,
                number = signals.next() => return Err(Ended::Signal(number)),
                // Without an answer of the registry, nobody is known to hold it.
                () = sleep_until(late_at.unwrap_or(started)), if late_at.is_some() && is_waiting => {
                    return Err(Ended::Late);
                }
                () = sleep_until(away.unwrap_or(started) + timeout), if away.is_some() => {
                    return Err(self.unreached(&reason));
                }
            };
            match event {
                Some(LockEvent::Connected) => away = None,
                Some(LockEvent::Away { reason: why, is_final }) => {
                    (is_waiting, reason) = (false, why);
                    if is_final {
                        return Err(self.unreached(&reason));
                    }
                    if away.is_none() {
                        self.note(&format!("{}: {reason}; retrying", self.path));
                        away = Some(Instant::now());
                    }
                }
                Some(LockEvent::Changed { standing: Standing::Held, node }) => return Ok(node),
                Some(LockEvent::Changed { standing: Standing::Waiting { ahead, holder }, .. }) => {
                    is_waiting = true;
                    if late_at.is_none_or(|late| late > Instant::now()) {
                        self.report_line(ahead, holder.as_deref());
                    }
                }
                Some(LockEvent::Changed { standing: Standing::Absent, .. }) => is_waiting = false,
                Some(LockEvent::Changed { .. }) => {}
                Some(LockEvent::Failed(why)) => {
                    let message = format!("cannot lock {}: {why}", self.path);
                    return Err(Ended::Fatal(Fatal::new(Exit::Failed, message)));
                }
                None => return Err(self.unreached("the session ended")),
            }
        }
    }

    fn report_line(&self, ahead: usize, holder: Option<&str>) {
        let holder = holder.filter(|holder| !holder.is_empty()).map(|holder| format!("; {holder} holds it"));
        self.note(&format!("waiting for {}, {ahead} before this one{}", self.path, holder.unwrap_or_default()));
    }

    fn unreached(&self, reason: &str) -> Ended {
        let waited = || format!("no answer within {}", humantime::format_duration(self.limits.timeout));
        let reason = if reason.is_empty() { waited() } else { reason.to_owned() };
        Ended::Fatal(Fatal::new(Exit::Unreached, format!("cannot lock {}: {reason}", self.path)))
    }

    /// Releases the lock, or leaves the line, and waits until that is done.
    pub async fn release(&mut self) {
        self.release.cancel();
        let ending = async {
            // The session ends its events when it is closed.
            while self.events.recv().await.is_some() {}
        };
        if timeout(RELEASE_TIMEOUT, ending).await.is_err() {
            say(&format!("{}: the registry does not answer; the lock is free when the session expires", self.path));
        }
    }
}
