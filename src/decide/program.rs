//! The program of `[exec]`: when it is started, signalled after changes, and stopped.

use std::sync::Arc;
use std::time::Duration;

use super::moment::Moment;
use crate::config::{ExecConfig, OnExit};
use crate::model::backoff;

mod end;
#[cfg(test)]
mod tests;

pub use end::End;

/// A program that ran for this long counts as started.
pub const STABLE_AFTER: Duration = Duration::from_mins(1);

/// How long a stopping agent waits for a killed program to end.
const KILL_GRACE: Duration = Duration::from_secs(2);

/// An input of the program's state machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProgramInput {
    /// The current configuration. A change takes effect after the given delay.
    Configured(Option<Arc<ExecConfig>>, Duration),
    /// Every file is up to date. Sent while [`Program::awaits_files`].
    FilesReady,
    /// A file that it uses was replaced. It is applied after the given delay.
    Changed(Duration),
    /// It runs, as this process.
    Started(u32),
    /// It ended, or did not start.
    Ended(End),
    /// The agent no longer holds the lock of the program.
    LockLost,
    /// The agent is asked to stop. The second time, the program is killed at once.
    Stopping,
    /// The time given by [`Program::next_wake`] has come.
    Tick,
}

/// An effect that the state machine requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProgramEffect {
    /// Start it. Answer with [`ProgramInput::Started`] or [`ProgramInput::Ended`].
    Start(Arc<ExecConfig>),
    /// Send it this signal, as `kill(1)` names it, so that it applies its files.
    Signal(String),
    /// Ask it to end, with this signal.
    End(String),
    /// Kill it and everything that belongs to it.
    Kill,
    /// Every file that is in place now is applied, or will be with the next start.
    FilesApplied,
}

/// The state of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// No program is configured.
    Off,
    /// It waits until every file is up to date for the first time.
    Waiting,
    /// It is being started.
    Starting,
    /// It runs.
    Running {
        /// The process.
        pid: u32,
        /// When it was started.
        since: Moment,
        /// When it is to apply replaced files.
        change: Option<Moment>,
    },
    /// It was asked to end.
    Stopping {
        /// The process.
        pid: u32,
        /// What follows its end.
        then: AfterStop,
        /// When it is or was killed.
        kill: Moment,
        /// Whether it was killed.
        killed: bool,
    },
    /// It ended, and is restarted at this time.
    Backoff(Moment),
    /// The agent exits with this code.
    Exited(u8),
}

/// Another command or environment. The old program runs until every file of the new configuration is up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
struct NextConfig {
    config: Arc<ExecConfig>,
    /// A running program is not restarted before this time.
    at: Moment,
    /// Whether every file has been up to date since.
    is_ready: bool,
}

/// What follows the end of a program that was asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterStop {
    /// It is restarted.
    Restart,
    /// It is no longer configured. A program that is configured by then waits for its files.
    AwaitFiles,
    /// The agent exits.
    Exit,
}

/// The state machine of the program.
#[derive(Debug, Clone)]
pub struct Program {
    config: Option<Arc<ExecConfig>>,
    /// The configuration that replaces the current one.
    next: Option<NextConfig>,
    state: State,
    /// The number of early ends in a row.
    failures: u32,
    starts: u64,
    last: Option<(End, Moment)>,
}

impl Default for Program {
    fn default() -> Self {
        Self { config: None, next: None, state: State::Off, failures: 0, starts: 0, last: None }
    }
}

impl Program {
    /// Its state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Its configuration.
    pub fn config(&self) -> Option<&Arc<ExecConfig>> {
        self.config.as_ref()
    }

    /// How often it was started.
    pub fn starts(&self) -> u64 {
        self.starts
    }

    /// How and when it last ended on its own.
    pub fn last(&self) -> Option<&(End, Moment)> {
        self.last.as_ref()
    }

    /// Whether it waits for [`ProgramInput::FilesReady`]: it is not started yet, or not with its new command.
    pub fn awaits_files(&self) -> bool {
        self.state == State::Waiting || self.next.as_ref().is_some_and(|next| !next.is_ready)
    }

    /// When [`ProgramInput::Tick`] is needed, if no other input comes first.
    pub fn next_wake(&self) -> Option<Moment> {
        match &self.state {
            State::Running { change, .. } => change.iter().copied().chain(self.replacement_due()).min(),
            State::Stopping { kill, killed: false, .. } => Some(*kill),
            State::Stopping { kill, then: AfterStop::Exit, .. } => Some(*kill + KILL_GRACE),
            State::Backoff(until) => Some(*until),
            _ => None,
        }
    }

    /// When another command replaces the current one, if it is ready.
    fn replacement_due(&self) -> Option<Moment> {
        self.next.as_ref().filter(|next| next.is_ready).map(|next| next.at)
    }

    /// Processes one input and returns what is to be done.
    pub fn step(&mut self, now: Moment, input: ProgramInput) -> Vec<ProgramEffect> {
        let mut effects = Vec::new();
        match input {
            ProgramInput::Configured(Some(config), wait) => self.configure(now, config, wait),
            ProgramInput::Configured(None, _) => self.unconfigure(now, &mut effects),
            ProgramInput::FilesReady => match &mut self.next {
                Some(next) => next.is_ready = true,
                None if self.state == State::Waiting => self.start(&mut effects),
                None => {}
            },
            ProgramInput::Changed(wait) => match &mut self.state {
                State::Running { change, .. } => _ = change.get_or_insert(now + wait),
                // The next start applies the change.
                _ => effects.push(ProgramEffect::FilesApplied),
            },
            ProgramInput::Started(pid) => {
                self.starts += 1;
                self.state = State::Running { pid, since: now, change: None };
                effects.push(ProgramEffect::FilesApplied);
            }
            ProgramInput::Ended(end) => self.ended(now, end, &mut effects),
            ProgramInput::LockLost => self.wait_for_lock(now, &mut effects),
            ProgramInput::Stopping => self.stop(now, &mut effects),
            ProgramInput::Tick => {}
        }
        self.advance(now, &mut effects);
        effects
    }

    fn configure(&mut self, now: Moment, new: Arc<ExecConfig>, wait: Duration) {
        let has_begun = match self.state {
            State::Starting | State::Running { .. } | State::Backoff(_) => true,
            State::Stopping { then, .. } => then == AfterStop::Restart,
            State::Off | State::Waiting | State::Exited(_) => false,
        };
        let is_other = self.config.as_ref().is_some_and(|old| !new.is_same_program(old));
        if has_begun && is_other {
            let known = self.next.as_ref().map(|next| next.at);
            let change = if let State::Running { change, .. } = self.state { change } else { None };
            self.next = Some(NextConfig { config: new, at: known.or(change).unwrap_or(now + wait), is_ready: false });
        } else {
            // The other settings take effect without a restart.
            self.config = Some(new);
            self.next = None;
        }
        if self.state == State::Off {
            self.state = State::Waiting;
        }
    }

    fn unconfigure(&mut self, now: Moment, effects: &mut Vec<ProgramEffect>) {
        match &mut self.state {
            State::Waiting | State::Backoff(_) => self.state = State::Off,
            State::Running { .. } => self.end(now, AfterStop::AwaitFiles, effects),
            State::Stopping { then: then @ AfterStop::Restart, .. } => *then = AfterStop::AwaitFiles,
            _ => {}
        }
        (self.config, self.next) = (None, None);
    }

    /// Stops the program until the files are ready again, which the caller says only while the lock is held.
    fn wait_for_lock(&mut self, now: Moment, effects: &mut Vec<ProgramEffect>) {
        match &mut self.state {
            State::Backoff(_) => self.state = State::Waiting,
            State::Running { .. } => self.end(now, AfterStop::AwaitFiles, effects),
            State::Stopping { then: then @ AfterStop::Restart, .. } => *then = AfterStop::AwaitFiles,
            _ => {}
        }
        // It does not run, so that another command replaces the current one at once.
        self.config = self.next.take().map(|next| next.config).or(self.config.take());
    }

    fn start(&mut self, effects: &mut Vec<ProgramEffect>) {
        if let Some(next) = self.next.take_if(|next| next.is_ready) {
            self.config = Some(next.config);
            self.failures = 0;
        }
        let Some(config) = self.config.clone() else {
            self.state = State::Off;
            return;
        };
        self.state = State::Starting;
        effects.push(ProgramEffect::Start(config));
    }

    /// Asks a running program to end.
    fn end(&mut self, now: Moment, then: AfterStop, effects: &mut Vec<ProgramEffect>) {
        let (&State::Running { pid, change, .. }, Some(config)) = (&self.state, &self.config) else { return };
        effects.push(ProgramEffect::End(config.kill_signal.clone()));
        if change.is_some() {
            // The next start applies the change, even under another agent.
            effects.push(ProgramEffect::FilesApplied);
        }
        self.state = State::Stopping { pid, then, kill: now + config.kill_timeout, killed: false };
    }

    fn stop(&mut self, now: Moment, effects: &mut Vec<ProgramEffect>) {
        match &mut self.state {
            State::Running { .. } => self.end(now, AfterStop::Exit, effects),
            State::Stopping { then: AfterStop::Exit, kill, killed: false, .. } => *kill = now,
            State::Stopping { then, .. } => *then = AfterStop::Exit,
            State::Exited(_) => {}
            _ => self.state = State::Exited(0),
        }
    }

    fn ended(&mut self, now: Moment, end: End, effects: &mut Vec<ProgramEffect>) {
        match &self.state {
            State::Stopping { then: AfterStop::Exit, .. } => self.state = State::Exited(0),
            State::Stopping { then: AfterStop::Restart, .. } => self.start(effects),
            State::Stopping { then: AfterStop::AwaitFiles, .. } => {
                self.state = if self.config.is_some() { State::Waiting } else { State::Off };
            }
            State::Running { .. } | State::Starting => self.exited(now, end, effects),
            State::Off | State::Waiting | State::Backoff(_) | State::Exited(_) => {}
        }
    }

    fn exited(&mut self, now: Moment, end: End, effects: &mut Vec<ProgramEffect>) {
        if let State::Running { since, change, .. } = &self.state {
            if now.since(*since) >= STABLE_AFTER {
                self.failures = 0;
            }
            if change.is_some() {
                // The next start applies the change.
                effects.push(ProgramEffect::FilesApplied);
            }
        }
        self.failures = self.failures.saturating_add(1);
        let must_start = self.starts == 0 && self.config.as_ref().is_some_and(|config| config.must_start);
        self.state = match self.config.as_ref().map(|config| config.on_exit) {
            _ if must_start && matches!(end, End::NotStarted(_)) => State::Exited(end.code()),
            Some(OnExit::Restart) => State::Backoff(now + backoff::RETRY.pause(self.failures)),
            Some(OnExit::Stop) => State::Exited(end.code()),
            None => State::Off,
        };
        self.last = Some((end, now));
    }

    /// Does what is due now.
    fn advance(&mut self, now: Moment, effects: &mut Vec<ProgramEffect>) {
        let replacement_due = self.replacement_due();
        match &mut self.state {
            // A signal would leave the old command running.
            State::Running { .. } if replacement_due.is_some_and(|at| at <= now) => {
                self.end(now, AfterStop::Restart, effects);
            }
            State::Running { change, .. } if change.is_some_and(|at| at <= now) => {
                match self.config.as_ref().and_then(|config| config.reload_signal.clone()) {
                    Some(signal) => {
                        *change = None;
                        effects.extend([ProgramEffect::Signal(signal), ProgramEffect::FilesApplied]);
                    }
                    None => self.end(now, AfterStop::Restart, effects),
                }
            }
            State::Stopping { kill, killed, .. } if !*killed && *kill <= now => {
                *killed = true;
                effects.push(ProgramEffect::Kill);
            }
            State::Stopping { kill, then: AfterStop::Exit, killed: true, .. } if *kill + KILL_GRACE <= now => {
                self.state = State::Exited(0);
            }
            // The backoff of the old command does not apply to another one.
            State::Backoff(until) if *until <= now || replacement_due.is_some() => self.start(effects),
            _ => {}
        }
    }
}
