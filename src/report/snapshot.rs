//! The state of the agent at one moment, from which everything that shows it is made.

use super::context::Context;
use crate::decide::report::Report;

/// The state of the agent at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The state of the engine.
    pub report: Report,
    /// What the engine does not know.
    pub context: Context,
}
