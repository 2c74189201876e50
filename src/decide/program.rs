//! The program that the agent runs: when it is started, told to take its files up, and ended.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::backoff;
use super::moment::Moment;
use crate::config::{ExecConfig, OnExit};

/// A program that ran for so long has not failed to start.
const SETTLED: Duration = Duration::from_mins(1);

/// How long a killed program may take to be gone before a stopping agent leaves it behind.
const GONE: Duration = Duration::from_secs(2);

/// Something that happened to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    /// This is the configuration now. What a change of it asks for is done after the time given.
    Configured(Option<Arc<ExecConfig>>, Duration),
    /// Every file is in step.
    InStep,
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

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// By itself, with this code.
    Exited(i32),
    /// By a signal.
    Signalled(i32),
    /// It did not start, and why.
    NotStarted(String),
}

impl End {
    /// The exit code that a shell gives for it.
    pub fn code(&self) -> u8 {
        let code = match self {
            Self::Exited(code) => *code,
            Self::Signalled(number) => number.saturating_add(128),
            Self::NotStarted(_) => 127,
        };
        u8::try_from(code).unwrap_or(u8::MAX)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit {code}"),
            Self::Signalled(number) => match Signal::try_from(*number) {
                Ok(signal) => write!(f, "ended by {signal}"),
                Err(_) => write!(f, "ended by signal {number}"),
            },
            Self::NotStarted(why) => write!(f, "did not start: {why}"),
        }
    }
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// Start it; answer with [`Happened::Started`] or [`Happened::Ended`].
    Start(Arc<ExecConfig>),
    /// Send it this signal, as `kill(1)` names it.
    Signal(String),
    /// Kill it with all that belongs to it.
    Kill,
    /// Every file that is in place by now is taken up, or will be by the next start.
    TookUp,
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
        /// What it has not taken up yet.
        change: Option<Change>,
    },
    /// It was asked to end.
    Stopping {
        /// The process.
        pid: u32,
        /// What comes after.
        then: Then,
        /// When it is killed, or was.
        kill: Moment,
        /// Whether it was.
        killed: bool,
    },
    /// It ended, and is started again at this moment.
    Resting(Moment),
    /// The agent ends, with this exit code.
    Over(u8),
}

/// What a running program has not taken up yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// When it is to.
    pub at: Moment,
    /// Files were replaced.
    files: bool,
    /// Its command or environment is another.
    command: bool,
}

/// What comes after the end of a program that was asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It is started again.
    Again,
    /// It is not in the configuration any more. One that is by then begins anew.
    Afresh,
    /// The agent ends.
    Over,
}

/// The program.
#[derive(Debug, Clone)]
pub struct Program {
    config: Option<Arc<ExecConfig>>,
    /// What it was last started with.
    started: Option<Arc<ExecConfig>>,
    state: State,
    /// How often in a row it has ended soon.
    failures: u32,
    starts: u64,
    last: Option<(End, Moment)>,
}

impl Default for Program {
    fn default() -> Self {
        Self { config: None, started: None, state: State::Off, failures: 0, starts: 0, last: None }
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

    /// When [`Happened::Tick`] is wanted at the latest.
    pub fn next_wake(&self) -> Option<Moment> {
        match &self.state {
            State::Running { change, .. } => change.map(|change| change.at),
            State::Stopping { kill, killed: false, .. } => Some(*kill),
            State::Stopping { kill, then: Then::Over, .. } => Some(*kill + GONE),
            State::Resting(until) => Some(*until),
            _ => None,
        }
    }

    /// Takes in what happened and says what is to be done now.
    pub fn step(&mut self, now: Moment, happened: Happened) -> Vec<Deed> {
        let mut deeds = Vec::new();
        match happened {
            Happened::Configured(config, wait) => self.configure(now, config, wait, &mut deeds),
            Happened::InStep if self.state == State::Waiting => self.start(&mut deeds),
            Happened::Changed(wait) => match &mut self.state {
                State::Running { change, .. } => {
                    change.get_or_insert(Change { at: now + wait, files: true, command: false }).files = true;
                }
                // The next start is later than the change.
                _ => deeds.push(Deed::TookUp),
            },
            Happened::Started(pid) => {
                self.starts += 1;
                self.state = State::Running { pid, since: now, change: None };
                deeds.push(Deed::TookUp);
            }
            Happened::Ended(end) => self.ended(now, end, &mut deeds),
            Happened::Stopping => self.stop(now, &mut deeds),
            Happened::InStep | Happened::Tick => {}
        }
        self.advance(now, &mut deeds);
        deeds
    }

    fn configure(&mut self, now: Moment, config: Option<Arc<ExecConfig>>, wait: Duration, deeds: &mut Vec<Deed>) {
        self.config = config;
        let is_other = match (&self.config, &self.started) {
            (Some(new), Some(old)) => !new.runs_the_same(old),
            _ => false,
        };
        match (&mut self.state, &self.config) {
            (State::Off, Some(_)) => self.state = State::Waiting,
            (State::Waiting | State::Resting(_), None) => self.state = State::Off,
            (State::Resting(until), Some(_)) if is_other => {
                *until = now;
                self.failures = 0;
            }
            (State::Running { .. }, None) => self.end(now, Then::Afresh, deeds),
            (State::Stopping { then: then @ Then::Again, .. }, None) => *then = Then::Afresh,
            (State::Running { change, .. }, Some(_)) => {
                let known = change.unwrap_or(Change { at: now + wait, files: false, command: false });
                let wanted = Change { command: is_other, ..known };
                *change = (wanted.files || wanted.command).then_some(wanted);
            }
            _ => {}
        }
    }

    fn start(&mut self, deeds: &mut Vec<Deed>) {
        let Some(config) = self.config.clone() else {
            self.state = State::Off;
            return;
        };
        self.state = State::Starting;
        self.started = Some(Arc::clone(&config));
        deeds.push(Deed::Start(config));
    }

    /// Asks a running program to end.
    fn end(&mut self, now: Moment, then: Then, deeds: &mut Vec<Deed>) {
        let State::Running { pid, change, .. } = self.state else { return };
        // One that is not configured any more is ended as it was.
        let Some(config) = self.config.as_ref().or(self.started.as_ref()) else { return };
        deeds.push(Deed::Signal(config.kill_signal.clone()));
        if change.is_some() {
            // The next start is later than the change, be it another agent's.
            deeds.push(Deed::TookUp);
        }
        self.state = State::Stopping { pid, then, kill: now + config.kill_timeout, killed: false };
    }

    fn stop(&mut self, now: Moment, deeds: &mut Vec<Deed>) {
        match &mut self.state {
            State::Running { .. } => self.end(now, Then::Over, deeds),
            State::Stopping { then: Then::Over, kill, killed: false, .. } => *kill = now,
            State::Stopping { then, .. } => *then = Then::Over,
            State::Over(_) => {}
            _ => self.state = State::Over(0),
        }
    }

    fn ended(&mut self, now: Moment, end: End, deeds: &mut Vec<Deed>) {
        match &self.state {
            State::Stopping { then: Then::Over, .. } => self.state = State::Over(0),
            State::Stopping { then: Then::Again, .. } => self.start(deeds),
            State::Stopping { then: Then::Afresh, .. } => {
                self.started = None;
                self.state = if self.config.is_some() { State::Waiting } else { State::Off };
            }
            State::Running { .. } | State::Starting => self.ended_by_itself(now, end, deeds),
            State::Off | State::Waiting | State::Resting(_) | State::Over(_) => {}
        }
    }

    fn ended_by_itself(&mut self, now: Moment, end: End, deeds: &mut Vec<Deed>) {
        if let State::Running { since, change, .. } = &self.state {
            if now.since(*since) >= SETTLED {
                self.failures = 0;
            }
            if change.is_some() {
                // The next start is later than the change.
                deeds.push(Deed::TookUp);
            }
        }
        self.failures = self.failures.saturating_add(1);
        self.state = match self.config.as_ref().map(|config| config.on_exit) {
            Some(OnExit::Restart) => State::Resting(now + backoff::pause(self.failures)),
            Some(OnExit::Stop) => State::Over(end.code()),
            None => State::Off,
        };
        self.last = Some((end, now));
    }

    /// What is due by now.
    fn advance(&mut self, now: Moment, deeds: &mut Vec<Deed>) {
        match &mut self.state {
            State::Running { change, .. } if change.is_some_and(|change| change.at <= now) => {
                let is_other = change.take().is_some_and(|change| change.command);
                let signal = self.config.as_ref().and_then(|config| config.reload_signal.clone());
                match signal.filter(|_| !is_other) {
                    Some(signal) => deeds.push(Deed::Signal(signal)),
                    None => self.end(now, Then::Again, deeds),
                }
                deeds.push(Deed::TookUp);
            }
            State::Stopping { kill, killed, .. } if !*killed && *kill <= now => {
                *killed = true;
                deeds.push(Deed::Kill);
            }
            State::Stopping { kill, then: Then::Over, killed: true, .. } if *kill + GONE <= now => {
                self.state = State::Over(0);
            }
            State::Resting(until) if *until <= now => self.start(deeds),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
