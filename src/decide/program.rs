//! The program that the agent runs: when it is started, told to take its files up, and ended.

use std::sync::Arc;
use std::time::Duration;

use super::moment::Moment;
use crate::config::{ExecConfig, OnExit};
use crate::model::backoff;

#[cfg(test)]
mod any_order;
mod end;
#[cfg(test)]
mod tests;

pub use end::End;

/// A program that ran for so long has not failed to start.
pub const STABLE_AFTER: Duration = Duration::from_mins(1);

/// How long a killed program may take to be gone before a stopping agent leaves it behind.
const KILL_GRACE: Duration = Duration::from_secs(2);

/// Something that input to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProgramInput {
    /// This is the configuration now. What a change of it asks for is done after the time given.
    Configured(Option<Arc<ExecConfig>>, Duration),
    /// Every file is in step; said while [`Program::awaits_files`].
    FilesReady,
    /// A file was replaced that it is to take up, after the time given.
    Changed(Duration),
    /// It runs, as this process.
    Started(u32),
    /// It ended, or did not start.
    Ended(End),
    /// The agent is asked to stop; for the second time: at once.
    Stopping,
    /// A moment that [`Program::next_wake`] named has come.
    Tick,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProgramEffect {
    /// Start it; answer with [`ProgramInput::Started`] or [`ProgramInput::Ended`].
    Start(Arc<ExecConfig>),
    /// Send it this signal, as `kill(1)` names it, so that it takes its files up.
    Signal(String),
    /// Ask it to end, by this signal.
    End(String),
    /// Kill it with all that belongs to it.
    Kill,
    /// Every file that is in place by now is taken up, or will be by the next start.
    FilesApplied,
}

/// How it is with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// There is none.
    Off,
    /// It waits for every file to be in step for the first time.
    Waiting,
    /// It is being started.
    Starting,
    /// It runs.
    Running {
        /// The process.
        pid: u32,
        /// Since when.
        since: Moment,
        /// When it is to take files up that were replaced.
        change: Option<Moment>,
    },
    /// It was asked to end.
    Stopping {
        /// The process.
        pid: u32,
        /// What comes after.
        then: AfterStop,
        /// When it is killed, or was.
        kill: Moment,
        /// Whether it was.
        killed: bool,
    },
    /// It ended, and is started again at this moment.
    Backoff(Moment),
    /// The agent ends, with this exit code.
    Exited(u8),
}

/// Another command or environment. The old one stays until every file of the new configuration is in step.
#[derive(Debug, Clone, PartialEq, Eq)]
struct NextConfig {
    config: Arc<ExecConfig>,
    /// A program that runs is not restarted for it before.
    at: Moment,
    /// Whether every file has been in step since.
    is_ready: bool,
}

/// What comes after the end of a program that was asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterStop {
    /// It is started again.
    Restart,
    /// It is not in the configuration any more. One that is by then begins anew.
    AwaitFiles,
    /// The agent ends.
    Exit,
}

/// The program.
#[derive(Debug, Clone)]
pub struct Program {
    config: Option<Arc<ExecConfig>>,
    /// What takes the place of that.
    next: Option<NextConfig>,
    state: State,
    /// How often in a row it has ended soon.
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
    /// How it is with it.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// How it is configured.
    pub fn config(&self) -> Option<&Arc<ExecConfig>> {
        self.config.as_ref()
    }

    /// How often it was started.
    pub fn starts(&self) -> u64 {
        self.starts
    }

    /// How it ended the last time by itself, and when.
    pub fn last(&self) -> Option<&(End, Moment)> {
        self.last.as_ref()
    }

    /// Whether [`ProgramInput::FilesReady`] is wanted: it is not started yet, or not with its new command.
    pub fn awaits_files(&self) -> bool {
        self.state == State::Waiting || self.next.as_ref().is_some_and(|next| !next.is_ready)
    }

    /// When [`ProgramInput::Tick`] is wanted at the latest.
    pub fn next_wake(&self) -> Option<Moment> {
        match &self.state {
            State::Running { change, .. } => change.iter().copied().chain(self.replacement_due()).min(),
            State::Stopping { kill, killed: false, .. } => Some(*kill),
            State::Stopping { kill, then: AfterStop::Exit, .. } => Some(*kill + KILL_GRACE),
            State::Backoff(until) => Some(*until),
            _ => None,
        }
    }

    /// When another command takes over, if it can.
    fn replacement_due(&self) -> Option<Moment> {
        self.next.as_ref().filter(|next| next.is_ready).map(|next| next.at)
    }

    /// Takes in what input and says what is to be done now.
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
                // The next start is later than the change.
                _ => effects.push(ProgramEffect::FilesApplied),
            },
            ProgramInput::Started(pid) => {
                self.starts += 1;
                self.state = State::Running { pid, since: now, change: None };
                effects.push(ProgramEffect::FilesApplied);
            }
            ProgramInput::Ended(end) => self.ended(now, end, &mut effects),
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
        let is_other = self.config.as_ref().is_some_and(|old| !new.runs_the_same(old));
        if has_begun && is_other {
            let known = self.next.as_ref().map(|next| next.at);
            let change = if let State::Running { change, .. } = self.state { change } else { None };
            self.next = Some(NextConfig { config: new, at: known.or(change).unwrap_or(now + wait), is_ready: false });
        } else {
            // The rest takes effect as it runs.
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
            // The next start is later than the change, be it another agent's.
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
                // The next start is later than the change.
                effects.push(ProgramEffect::FilesApplied);
            }
        }
        self.failures = self.failures.saturating_add(1);
        self.state = match self.config.as_ref().map(|config| config.on_exit) {
            Some(OnExit::Restart) => State::Backoff(now + backoff::RETRY.pause(self.failures)),
            Some(OnExit::Stop) => State::Exited(end.code()),
            None => State::Off,
        };
        self.last = Some((end, now));
    }

    /// What is due by now.
    fn advance(&mut self, now: Moment, effects: &mut Vec<ProgramEffect>) {
        let replacement_due = self.replacement_due();
        match &mut self.state {
            // Not by a signal, which would leave the old command running.
            State::Running { .. } if replacement_due.is_some_and(|at| at <= now) => {
                self.end(now, AfterStop::Restart, effects)
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
            // Another one has no reason to wait for the old one's pause.
            State::Backoff(until) if *until <= now || replacement_due.is_some() => self.start(effects),
            _ => {}
        }
    }
}
