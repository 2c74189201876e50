//! A file that another process has changed.

use std::sync::Arc;
use std::time::Duration;

use super::Template;
use crate::config::OnDrift;
use crate::decide::event::{Event, seconds};
use crate::decide::moment::Moment;
use crate::model::backoff;

/// The number of corrections that are made without a pause.
const AT_ONCE: u32 = 3;

/// After this time without a correction, the file is no longer disputed.
const PEACE: Duration = Duration::from_mins(10);

/// A difference between a file and what the agent wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// When it was first seen.
    pub since: Moment,
    /// The difference.
    pub what: String,
    /// How often the file was corrected before, and when it is corrected next, if it has to wait.
    pub deferred: Option<(u32, Moment)>,
    /// It was seen while a publication was in flight, which may not have corrected it.
    seen_in_flight: bool,
}

impl Drift {
    /// When it is corrected, if it has to wait.
    pub fn due(&self) -> Option<Moment> {
        self.deferred.map(|(_, due)| due)
    }
}

/// Repeated corrections of a file, which another tool may be managing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dispute {
    /// The number of corrections without [`PEACE`] between them.
    times: u32,
    /// The last correction.
    last: Option<Moment>,
}

impl Dispute {
    fn is_over(self, now: Moment) -> bool {
        self.last.is_none_or(|last| now.since(last) > PEACE)
    }

    /// Records a correction.
    fn record_correction(&mut self, now: Moment) {
        let before = if self.is_over(now) { 0 } else { self.times };
        *self = Self { times: before.saturating_add(1), last: Some(now) };
    }

    /// The number of recent corrections, and the pause before the next one; `None` for no pause.
    fn pause(self, now: Moment) -> Option<(u32, Duration)> {
        let late = self.times.checked_sub(AT_ONCE).filter(|_| !self.is_over(now))?;
        Some((self.times, backoff::DISPUTE.pause(late.saturating_add(1))))
    }
}

impl Template {
    /// Its file differs from what the agent wrote. That is reported once, until the file is up to date again.
    ///
    /// A delayed correction includes changes up to that time.
    pub fn drifted(&mut self, now: Moment, what: String, events: &mut Vec<Event>) {
        if self.is_removing() {
            return;
        }
        let on_drift = self.plan.config.on_drift;
        // The publication in flight may have ended before the change.
        let seen_in_flight = self.publish.is_in_flight() && on_drift == OnDrift::Correct;
        if let Some(drift) = &mut self.drift {
            let is_known = drift.what == what && !seen_in_flight;
            if is_known || on_drift == OnDrift::Report || drift.deferred.is_some() {
                drift.what = what;
                drift.seen_in_flight |= seen_in_flight;
                return;
            }
        }
        let disputed = self.dispute.pause(now).filter(|_| on_drift == OnDrift::Correct);
        let deferred = disputed.map(|(times, pause)| (times, now + pause));
        if self.drift.is_none() || !seen_in_flight || deferred.is_some() {
            let (template, dest) = (Arc::clone(&self.plan.config.name), self.plan.config.dest.clone());
            events.push(if let Some((corrections, pause)) = disputed {
                let remark = format!("corrected {corrections} times recently; is another tool managing it?");
                let (reason, retry_in_s) = (format!("{what}; {remark}"), seconds(pause));
                Event::DriftDisputed { template, dest, reason, corrections, retry_in_s }
            } else {
                let on_drift = if on_drift == OnDrift::Correct { "correct" } else { "report" };
                Event::DriftDetected { template, dest, reason: what.clone(), on_drift }
            });
        }
        let since = self.drift.as_ref().map_or(now, |drift| drift.since);
        self.drift = Some(Drift { since, what, deferred, seen_in_flight });
        if on_drift == OnDrift::Correct && deferred.is_none() {
            self.republish();
        }
    }

    /// Its file was found or brought up to date. Returns whether a change was corrected.
    pub fn end_drift(&mut self, now: Moment, is_replaced: bool) -> bool {
        let is_corrected = is_replaced && self.drift.is_some();
        if is_corrected {
            self.dispute.record_correction(now);
        }
        self.drift.take_if(|drift| !std::mem::take(&mut drift.seen_in_flight));
        is_corrected
    }

    /// A publication begins, which corrects the changes seen so far.
    pub fn begin_correction(&mut self) {
        if let Some(drift) = &mut self.drift {
            drift.seen_in_flight = false;
        }
    }

    /// Another process has restored its file.
    pub fn drift_resolved(&mut self, events: &mut Vec<Event>) {
        if self.drift.take().is_some() {
            let (template, dest) = (Arc::clone(&self.plan.config.name), self.plan.config.dest.clone());
            events.push(Event::DriftResolved { template, dest });
        }
    }

    /// A correction no longer has to wait.
    pub fn end_drift_delay(&mut self) {
        if let Some(drift) = &mut self.drift {
            drift.deferred = None;
        }
    }

    /// The difference that is not corrected yet, if any.
    pub fn drift(&self) -> Option<&Drift> {
        self.drift.as_ref()
    }
}
