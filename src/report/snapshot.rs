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

#[cfg(test)]
impl Snapshot {
    /// Of an agent without a configuration, in 1970.
    pub fn empty() -> Self {
        let report = Report {
            now: crate::decide::Moment::START,
            paused_until: None,
            registries: BTreeMap::new(),
            rosters: BTreeMap::new(),
            keys: BTreeMap::new(),
            templates: BTreeMap::new(),
            reloads: BTreeMap::new(),
        };
        let (wall, zone) = (std::time::SystemTime::UNIX_EPOCH, crate::text::time::Zone::utc());
        let (pause, program, refused, services) = (None, None, Vec::new(), Vec::new());
        let context = Context { wall, zone, host: "lb1".to_owned(), pause, program, refused, services, origin: None };
        Self { report, context, sessions: BTreeMap::new() }
    }
}
