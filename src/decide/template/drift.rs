//! A destination that somebody else has changed.

use std::sync::Arc;
use std::time::Duration;

use super::Template;
use crate::config::OnDrift;
use crate::decide::event::{Event, seconds};
use crate::decide::moment::Moment;
use crate::model::backoff;

/// How often a file is put right at once.
const AT_ONCE: u32 = 3;

/// Somebody who leaves a file alone for so long has nothing against how it is.
const PEACE: Duration = Duration::from_mins(10);

/// That a destination is not as the agent left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// When that was first seen.
    pub since: Moment,
    /// What is there instead.
    pub what: String,
    /// How often it was put right before, and when it is again, where it has to wait.
    pub deferred: Option<(u32, Moment)>,
    /// It was seen while a publication was under way, which may not have put it right.
    seen_in_flight: bool,
}

impl Drift {
    /// When it is put right, where it has to wait.
    pub fn due(&self) -> Option<Moment> {
        self.deferred.map(|(_, due)| due)
    }
}

/// Somebody else changes a file as often as it is put right, such as another tool that writes it too.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dispute {
    /// How often it was put right, without [`PEACE`] between.
    times: u32,
    /// When that was last.
    last: Option<Moment>,
}

impl Dispute {
    fn is_over(self, now: Moment) -> bool {
        self.last.is_none_or(|last| now.since(last) > PEACE)
    }

    /// It was put right.
    fn record_correction(&mut self, now: Moment) {
        let before = if self.is_over(now) { 0 } else { self.times };
        *self = Self { times: before.saturating_add(1), last: Some(now) };
    }

    /// How often it was put right of late, and after which pause it is again; `None`: at once.
    fn pause(self, now: Moment) -> Option<(u32, Duration)> {
        let late = self.times.checked_sub(AT_ONCE).filter(|_| !self.is_over(now))?;
        Some((self.times, backoff::DISPUTE.pause(late.saturating_add(1))))
    }
}

impl Template {
    /// Its destination was found to be something else than the agent left there. It is said once, until the destination
    /// is in step again.
    ///
    /// Nobody's change is lost by that it has to wait: whatever is there then is put right.
    pub fn drifted(&mut self, now: Moment, what: String, events: &mut Vec<Event>) {
        if self.is_removing() {
            return;
        }
        let on_drift = self.plan.config.on_drift;
        // What is under way may have been in place before, and has not been heard of yet.
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
            events.push(match disputed {
                Some((corrections, pause)) => {
                    let remark = format!("rewritten {corrections} times recently: is another tool managing it?");
                    let (reason, retry_in_s) = (format!("{what}; {remark}"), seconds(pause));
                    Event::DriftDisputed { template, dest, reason, corrections, retry_in_s }
                }
                None => {
                    let on_drift = if on_drift == OnDrift::Correct { "correct" } else { "report" };
                    Event::DriftDetected { template, dest, reason: what.clone(), on_drift }
                }
            });
        }
        let since = self.drift.as_ref().map_or(now, |drift| drift.since);
        self.drift = Some(Drift { since, what, deferred, seen_in_flight });
        if on_drift == OnDrift::Correct && deferred.is_none() {
            self.queue();
        }
    }

    /// Its destination was found, or brought, in step. Whether that corrected what somebody else had made of it.
    pub fn end_drift(&mut self, now: Moment, is_replaced: bool) -> bool {
        let is_corrected = is_replaced && self.drift.is_some();
        if is_corrected {
            self.dispute.record_correction(now);
        }
        self.drift.take_if(|drift| !std::mem::take(&mut drift.seen_in_flight));
        is_corrected
    }

    /// A publication begins, which puts right what was seen so far.
    pub fn begin_correction(&mut self) {
        if let Some(drift) = &mut self.drift {
            drift.seen_in_flight = false;
        }
    }

    /// Somebody else has put its destination right.
    pub fn drift_resolved(&mut self, events: &mut Vec<Event>) {
        if self.drift.take().is_some() {
            let (template, dest) = (Arc::clone(&self.plan.config.name), self.plan.config.dest.clone());
            events.push(Event::DriftResolved { template, dest });
        }
    }

    /// What had to wait need not any more.
    pub fn end_drift_delay(&mut self) {
        if let Some(drift) = &mut self.drift {
            drift.deferred = None;
        }
    }

    /// What somebody else made of its destination, and nobody has put right yet.
    pub fn drift(&self) -> Option<&Drift> {
        self.drift.as_ref()
    }
}
