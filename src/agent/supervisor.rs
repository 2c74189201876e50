//! Runs the agent's program: executes what [`Program`] decides, and reports the results to it.

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::act::process::program::Process;
use crate::act::process::reaper;
use crate::agent::executor::Executor;
use crate::agent::signals::FORWARDED;
use crate::config::ExecConfig;
use crate::decide::event::seconds;
use crate::decide::program::{End, Program, ProgramEffect, ProgramInput, STABLE_AFTER, State};
use crate::decide::report::ProgramReport;
use crate::decide::{Engine, Event, Input, Moment, NotReady};
use crate::log::emit;

/// An event for the supervisor.
#[derive(Debug)]
pub enum SupervisorEvent {
    /// An input of the program's state machine.
    Program(ProgramInput),
    /// The agent received a signal for the program.
    Signal(&'static str),
    /// Of the checked files, these exist.
    Found(BTreeSet<PathBuf>),
}

/// Runs the program.
#[derive(Debug)]
pub struct Supervisor {
    program: Program,
    process: Option<Process>,
    started_at: Instant,
    /// Tells the engine which files the program uses.
    engine_inputs: mpsc::UnboundedSender<Input>,
    events: mpsc::UnboundedReceiver<SupervisorEvent>,
    event_sender: mpsc::UnboundedSender<SupervisorEvent>,
    /// Whether signals are forwarded and orphans are reaped.
    forwards_signals: bool,
    /// The templates that the first start, or the start of another command, waits for.
    not_ready: Vec<NotReady>,
    /// The files that were checked, because the program can start with existing ones.
    checked_files: BTreeSet<PathBuf>,
    /// The checked files that exist.
    existing_files: BTreeSet<PathBuf>,
}

impl Supervisor {
    /// A supervisor without a program. As the first process of a container, the agent reaps orphans anyway.
    pub fn new(started_at: Instant, engine_inputs: mpsc::UnboundedSender<Input>) -> Self {
        let (event_sender, events) = mpsc::unbounded_channel();
        if std::process::id() == 1
            && let Err(why) = reaper::reap_orphans()
        {
            emit(Event::OrphansNotReaped { reason: why.to_string() });
        }
        Self {
            program: Program::default(),
            process: None,
            started_at,
            engine_inputs,
            events,
            event_sender,
            forwards_signals: false,
            not_ready: Vec::new(),
            checked_files: BTreeSet::new(),
            existing_files: BTreeSet::new(),
        }
    }

    /// Applies a new configuration.
    pub fn configure(&mut self, exec: Option<Arc<ExecConfig>>) {
        if exec.is_some() && !self.forwards_signals {
            self.forwards_signals = true;
            self.forward_signals();
        }
        // The list of files can differ now, and files can exist by now.
        (self.checked_files, self.existing_files) = (BTreeSet::new(), BTreeSet::new());
        let wait = exec.as_ref().map_or(Duration::ZERO, |exec| random_up_to(exec.splay));
        self.step(ProgramInput::Configured(exec, wait));
    }

    /// Forwards signals from now on, and reaps orphans.
    fn forward_signals(&self) {
        for passed_on in FORWARDED {
            let name = passed_on.as_str();
            match signal(SignalKind::from_raw(passed_on as i32)) {
                Ok(mut signal) => {
                    let event_sender = self.event_sender.clone();
                    tokio::spawn(async move {
                        while signal.recv().await.is_some() && event_sender.send(SupervisorEvent::Signal(name)).is_ok()
                        {
                        }
                    });
                }
                Err(why) => emit(Event::SignalNotForwarded { signal: name, reason: why.to_string() }),
            }
        }
        // Process 1 reaps orphans already.
        if std::process::id() != 1
            && let Err(why) = reaper::adopt_orphans()
        {
            emit(Event::OrphansNotReaped { reason: why.to_string() });
        }
    }

    /// Starts the program, or its new command, as soon as every file is up to date, or exists and can be used as it is.
    pub fn start_if_ready(&mut self, engine: &Engine, executor: &Executor) {
        if !self.program.awaits_files() {
            return;
        }
        self.not_ready = engine.not_ready();
        let exists = |not_ready: &NotReady| {
            not_ready.existing_file.as_ref().is_some_and(|dest| self.existing_files.contains(dest))
        };
        if self.not_ready.iter().all(exists) {
            for not_ready in &self.not_ready {
                emit(Event::ExistingFileUsed { template: Arc::clone(&not_ready.template) });
            }
            self.step(ProgramInput::FilesReady);
            return;
        }
        let dests = self.not_ready.iter().filter_map(|not_ready| not_ready.existing_file.clone());
        let unchecked: Vec<PathBuf> = dests.filter(|dest| !self.checked_files.contains(dest)).collect();
        if !unchecked.is_empty() {
            self.checked_files.extend(unchecked.iter().cloned());
            let event_sender = self.event_sender.clone();
            executor.in_order(move || {
                let found = unchecked.into_iter().filter(|dest| dest.is_file()).collect();
                // The event loop may have ended.
                let _ = event_sender.send(SupervisorEvent::Found(found));
            });
        }
    }

    /// A file that the program must apply was replaced.
    pub fn files_changed(&mut self) {
        let splay = self.program.config().map_or(Duration::ZERO, |config| config.splay);
        self.step(ProgramInput::Changed(random_up_to(splay)));
    }

    /// Stops the program, and then the agent. A second call kills the program.
    pub fn stop(&mut self) {
        self.step(ProgramInput::Stopping);
    }

    /// The exit code, once the agent must exit.
    pub fn exit_code(&self) -> Option<u8> {
        match self.program.state() {
            State::Exited(code) => Some(*code),
            _ => None,
        }
    }

    /// Waits for the next event. Cancel safe.
    pub async fn next(&mut self) -> SupervisorEvent {
        let wake = self.program.next_wake().map(|wake| self.started_at + wake.since_start());
        let sleep = async move {
            match wake {
                Some(wake) => tokio::time::sleep_until(wake.into()).await,
                None => std::future::pending().await,
            }
        };
        let (process, events) = (&mut self.process, &mut self.events);
        let end = async move {
            match process {
                Some(process) => process.wait().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // Signals come first: after the end of this process, they would reach the next one.
            biased;
            Some(event) = events.recv() => event,
            end = end => SupervisorEvent::Program(ProgramInput::Ended(end)),
            () = sleep => SupervisorEvent::Program(ProgramInput::Tick),
        }
    }

    /// Handles an event.
    pub fn handle(&mut self, event: SupervisorEvent) {
        match event {
            SupervisorEvent::Program(input) => self.step(input),
            SupervisorEvent::Found(found) => self.existing_files.extend(found),
            SupervisorEvent::Signal(signal) => {
                emit(Event::SignalReceived { signal, forwarded: self.process.is_some() });
                if let Some(process) = &self.process {
                    process.signal(signal);
                }
            }
        }
    }

    /// The state of the program, if there is one.
    pub fn report(&self) -> Option<ProgramReport> {
        self.program.report(self.not_ready.iter().map(|not_ready| Arc::clone(&not_ready.template)))
    }

    fn step(&mut self, input: ProgramInput) {
        let mut all = VecDeque::from([input]);
        while let Some(input) = all.pop_front() {
            let end =
                if let ProgramInput::Ended(end) = &input { Some((end.clone(), self.describe_end(end))) } else { None };
            if end.is_some() {
                // The drop kills the remaining processes of its group.
                self.process = None;
            }
            let effects = self.program.step(self.now(), input);
            if let Some((end, description)) = end {
                emit(self.end_event(end, description));
            }
            for effect in effects {
                all.extend(self.perform(effect));
            }
        }
    }

    fn perform(&mut self, effect: ProgramEffect) -> Option<ProgramInput> {
        match effect {
            ProgramEffect::Start(config) => match Process::start(&config) {
                Ok(process) => {
                    let pid = process.pid();
                    emit(Event::ProgramStarted { command: config.cmd.to_string(), pid });
                    self.process = Some(process);
                    return Some(ProgramInput::Started(pid));
                }
                Err(why) => return Some(ProgramInput::Ended(End::NotStarted(why))),
            },
            ProgramEffect::Signal(signal) => {
                if let Some(process) = &self.process {
                    emit(Event::ProgramSignalled { pid: process.pid(), signal: format!("SIG{signal}") });
                    process.signal(&signal);
                }
            }
            ProgramEffect::End(signal) => {
                if let Some(process) = &mut self.process {
                    emit(Event::ProgramSignalled { pid: process.pid(), signal: format!("SIG{signal}") });
                    process.ask_to_end(&signal);
                }
            }
            ProgramEffect::Kill => {
                if let Some(process) = &mut self.process {
                    let reason = "it did not exit in time (kill_timeout)";
                    emit(Event::ProgramKilled { pid: process.pid(), reason });
                    process.kill();
                }
            }
            ProgramEffect::FilesApplied => {
                // The event loop may have ended.
                let _ = self.engine_inputs.send(Input::FilesApplied);
            }
        }
        None
    }

    /// Describes an end; if the agent did not cause it, with possible reasons.
    fn describe_end(&self, end: &End) -> String {
        let (State::Running { since, .. }, Some(process)) = (self.program.state(), &self.process) else {
            return end.to_string();
        };
        let is_soon = self.now().since(*since) < STABLE_AFTER;
        let reload_signal = self.program.config().and_then(|config| config.reload_signal.as_deref());
        process.describe_end(end, is_soon, reload_signal)
    }

    fn end_event(&self, end: End, reason: String) -> Event {
        let retry_in_s = match self.program.state() {
            State::Backoff(until) => Some(seconds(until.since(self.now()))),
            _ => None,
        };
        let (exit, signal) = match end {
            End::NotStarted(reason) => return Event::ProgramStartFailed { reason, retry_in_s },
            End::Exited(code) => (Some(code), None),
            End::Signalled(number) => {
                (None, Some(Signal::try_from(number).map_or_else(|_| number.to_string(), |it| it.to_string())))
            }
        };
        match retry_in_s {
            Some(retry_in_s) => Event::ProgramExited { reason, exit, signal, retry_in_s },
            None => Event::ProgramStopped { exit, signal },
        }
    }

    fn now(&self) -> Moment {
        Moment::after_start(self.started_at.elapsed())
    }
}

/// A random delay, so that the hosts of a fleet do not act at the same time.
fn random_up_to(longest: Duration) -> Duration {
    longest.mul_f64(fastrand::f64())
}
