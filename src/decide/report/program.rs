//! The state of the program, as plain data.

use std::sync::Arc;

use crate::config::ExecConfig;
use crate::decide::moment::Moment;
use crate::decide::program::Program;

pub use crate::decide::program::{AfterStop, End, State as ProgramState};

/// The program of `[exec]`.
#[derive(Debug, Clone)]
pub struct ProgramReport {
    /// Its configuration.
    pub config: Option<Arc<ExecConfig>>,
    /// What it is doing.
    pub state: ProgramState,
    /// The templates whose files it waits for, before its first start or the start of another command.
    pub waiting_for: Option<Vec<Arc<str>>>,
    /// The lock that it waits for.
    pub waits_for_lock: Option<Arc<str>>,
    /// When changed files are applied, while it runs.
    pub applies: Option<Moment>,
    /// How often it was started.
    pub starts: u64,
    /// How and when it last ended on its own.
    pub last_end: Option<(End, Moment)>,
}

impl Program {
    /// The state of the program. `not_ready` are the templates whose files are not up to date. Returns `None` without a
    /// program.
    pub fn report(&self, not_ready: impl Iterator<Item = Arc<str>>) -> Option<ProgramReport> {
        let is_running = matches!(self.state(), ProgramState::Running { .. });
        (*self.state() != ProgramState::Off).then(|| ProgramReport {
            config: self.config().cloned(),
            state: self.state().clone(),
            waiting_for: self.awaits_files().then(|| not_ready.collect()),
            waits_for_lock: None,
            applies: self.next_wake().filter(|_| is_running),
            starts: self.starts(),
            last_end: self.last().cloned(),
        })
    }
}
