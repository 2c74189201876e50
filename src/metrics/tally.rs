//! How often something ended in each way, and how long it took.

use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;

/// The upper bounds of the buckets of every duration, in seconds. Few, because each is a series for each template.
const BUCKETS: [f64; 6] = [0.005, 0.05, 0.25, 1.0, 5.0, 30.0];

/// How often something ended in each way, and how long it took.
#[derive(Debug, Clone)]
pub struct Tally {
    counts: Vec<(&'static str, u64)>,
    seconds: Histogram,
}

impl Tally {
    /// Zero for each of these outcomes. Prometheus sees a first failure only if there was a zero before it.
    pub fn new(outcomes: &[&'static str]) -> Self {
        Self { counts: outcomes.iter().map(|outcome| (*outcome, 0)).collect(), seconds: Histogram::new(BUCKETS) }
    }

    /// Counts one.
    pub fn add(&mut self, outcome: &str, took: Option<Duration>) {
        if let Some((_, count)) = self.counts.iter_mut().find(|(known, _)| *known == outcome) {
            *count += 1;
            if let Some(took) = took {
                self.seconds.observe(took.as_secs_f64());
            }
        }
    }

    /// The outcomes and their counts.
    pub fn counts(&self) -> &[(&'static str, u64)] {
        &self.counts
    }

    /// How long it took.
    pub fn seconds(&self) -> &Histogram {
        &self.seconds
    }
}
