//! The metrics of the agent, in the text formats that Prometheus reads.
//!
//! Counters and histograms are fed by every [`Event`](crate::decide::Event), as an observer of the log, so that none is
//! missed. Everything else is read from a [`Snapshot`] at the moment of the scrape, which is what `status` shows. The
//! names follow the conventions of Prometheus. `docs/metrics.md` lists all of them; a test compares it with a live answer.
//!
//! A label is a name of the configuration, or one of a few words. Names of members and keys are not labels: their number
//! is not bounded, and others choose them. The files of a template with `each` count under the template's name. What
//! the configuration no longer has is not in the next answer.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::registry::Registry;

use crate::config::Config;
use crate::decide::Event;
use crate::report::snapshot::Snapshot;

mod counters;
mod exposition;
mod families;
mod files;
mod process;
mod tally;
#[cfg(test)]
mod tests;

use counters::Counters;
use families::Scrape;

/// The counters of a running agent.
#[derive(Debug)]
pub struct Metrics {
    counters: Mutex<Counters>,
    started: SystemTime,
}

/// A text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The text format 0.0.4 of Prometheus.
    Text,
}

impl Format {
    /// The format for a request with this `Accept` header. As in Prometheus's own libraries, OpenMetrics is sent only to
    /// a client that asks for it.
    pub fn accepted(accept: &str) -> Self {
        let mut types = accept.split(',').filter_map(|range| range.split(';').next());
        if types.any(|name| name.trim().eq_ignore_ascii_case("application/openmetrics-text")) {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    /// The `Content-Type` of an answer.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => prometheus_text::CONTENT_TYPE,
        }
    }
}

impl Metrics {
    /// All counters at zero, for this configuration.
    pub fn new(config: &Config) -> Self {
        let metrics = Self { counters: Mutex::default(), started: SystemTime::now() };
        metrics.configure(config);
        metrics
    }

    /// Counts for another configuration. What it no longer has is forgotten.
    pub fn configure(&self, config: &Config) {
        self.counters().configure(config);
    }

    /// Counts an event.
    pub fn record(&self, event: &Event) {
        self.counters().record(event, SystemTime::now());
    }

    /// Every metric as text.
    pub fn encode(&self, snapshot: Snapshot, format: Format) -> String {
        let counters = self.counters().clone();
        let scrape = Scrape::new(snapshot, counters, self.started);
        let mut registry = Registry::default();
        registry.register_collector(Box::new(scrape));
        let mut text = String::new();
        let written = match format {
            Format::OpenMetrics => text::encode(&mut text, &registry),
            Format::Text => prometheus_text::encode(&mut text, &registry),
        };
        // Writing to a string does not fail. Half an answer would look like one that lacks what follows.
        if written.is_err() {
            text.clear();
        }
        text
    }

    fn counters(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
