//! A destination that somebody else has changed.

use std::sync::Arc;

use super::super::moment::Moment;
use super::super::notice::Notice;
use super::Template;
use crate::config::OnDrift;

/// That a destination is not as the agent left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// When that was first seen.
    pub since: Moment,
    /// What is there instead.
    pub what: String,
}

impl Template {
    /// Its destination was found to be something else than the agent left there. It is said once, until the destination
    /// is in step again.
    pub fn drifted(&mut self, now: Moment, what: String, notices: &mut Vec<Notice>) {
        if self.is_going() || self.drift.as_ref().is_some_and(|drift| drift.what == what) {
            return;
        }
        let since = self.drift.as_ref().map_or(now, |drift| drift.since);
        let on_drift = self.plan.config.on_drift;
        let template = Arc::clone(&self.plan.config.name);
        notices.push(Notice::Drifted { template, dest: self.plan.config.dest.clone(), what: what.clone(), on_drift });
        self.drift = Some(Drift { since, what });
        if on_drift == OnDrift::Correct {
            self.want();
        }
    }

    /// What somebody else made of its destination, and nobody has put right yet.
    pub fn drift(&self) -> Option<&Drift> {
        self.drift.as_ref()
    }
}
