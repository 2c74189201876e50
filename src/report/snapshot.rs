//! The state of the agent at one moment, from which everything that shows it is made.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::context::Context;
use crate::decide::report::Report;
use crate::watch::session_counters::SessionCounts;

/// The state of the agent at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The state of the engine.
    pub report: Report,
    /// What the engine does not know.
    pub context: Context,
    /// What the sessions of registries have done.
    pub sessions: BTreeMap<Arc<str>, SessionCounts>,
}
