//! Runs the agent's program: executes what [`Program`] decides, and reports the results to it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
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
use crate::decide::program::{AfterStop, End, Program, ProgramEffect, ProgramInput, STABLE_AFTER, State};
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
    /// Files were checked: whether each exists.
    Checked(Vec<(PathBuf, bool)>),
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
    /// The files that are checked, because the program can start with existing ones; with the result, once known.
    checked_files: BTreeMap<PathBuf, Option<bool>>,
    /// The template that was last logged as delaying the start, and why.
    logged: Option<(Arc<str>, String)>,
    /// Whether the program may run: the agent holds its lock, or it has none.
    may_run: bool,
    /// The templates whose changed files the program has not applied yet.
    changed: BTreeSet<Arc<str>>,
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
            checked_files: BTreeMap::new(),
            logged: None,
            may_run: true,
            changed: BTreeSet::new(),
        }
    }

    /// Applies a new configuration.
    pub fn configure(&mut self, exec: Option<Arc<ExecConfig>>) {
        if exec.is_some() && !self.forwards_signals {
            self.forwards_signals = true;
            self.forward_signals();
        }
        // The list of files can differ now, and files can exist by now.
        self.checked_files.clear();
        self.logged = None;
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
        let lock = self.program.config().and_then(|config| config.lock.as_ref());
        let may_run = lock.is_none_or(|lock| engine.is_lock_held(lock));
        if !may_run && std::mem::replace(&mut self.may_run, may_run) {
            self.step(ProgramInput::LockLost);
        }
        self.may_run = may_run;
        if !may_run || !self.program.awaits_files() {
            return;
        }
        self.not_ready = engine.not_ready();
        if self.not_ready.iter().all(|it| self.has_file(it) == Some(true)) {
            for not_ready in &self.not_ready {
                emit(Event::ExistingFileUsed { template: Arc::clone(&not_ready.template) });
            }
            self.step(ProgramInput::FilesReady);
            return;
        }
        let dests = self.not_ready.iter().filter_map(|not_ready| not_ready.existing_file.clone());
        let unchecked: Vec<PathBuf> = dests.filter(|dest| !self.checked_files.contains_key(dest)).collect();
        if !unchecked.is_empty() {
            self.checked_files.extend(unchecked.iter().map(|dest| (dest.clone(), None)));
            let event_sender = self.event_sender.clone();
            executor.in_order(move || {
                let checked = unchecked.into_iter().map(|dest| (dest.is_file(), dest));
                let checked = checked.map(|(exists, dest)| (dest, exists)).collect();
                // The event loop may have ended.
                let _ = event_sender.send(SupervisorEvent::Checked(checked));
            });
        }
        self.log_delay();
    }

    /// Whether the existing file of a template can be used as it is; `None` while that is being checked.
    fn has_file(&self, it: &NotReady) -> Option<bool> {
        it.existing_file.as_ref().map_or(Some(false), |dest| self.checked_files.get(dest).copied().flatten())
    }

    /// Logs why the program does not start, once for each reason.
    fn log_delay(&mut self) {
        let delays = self.not_ready.iter().filter(|it| it.reason.is_some() && self.has_file(it) == Some(false));
        let delays: Vec<&NotReady> = delays.collect();
        let Some((template, reason)) = delays.first().and_then(|it| Some((&it.template, it.reason.as_ref()?))) else {
            return;
        };
        let logged = Some((Arc::clone(template), reason.clone()));
        if self.logged != logged {
            let templates = delays.iter().map(|it| Arc::clone(&it.template)).collect();
            emit(Event::ProgramWaiting { templates, reason: reason.clone() });
            self.logged = logged;
        }
    }

    /// Files of these templates, which the program must apply, were replaced.
    pub fn files_changed(&mut self, templates: BTreeSet<Arc<str>>) {
        self.changed.extend(templates);
        let splay = self.program.config().map_or(Duration::ZERO, |config| config.splay);
        self.step(ProgramInput::Changed(random_up_to(splay)));
    }

    /// Stops the program, and then the agent. A second call kills the program.
    pub fn stop(&mut self) {
        self.step(ProgramInput::Stopping);
    }

    /// Whether the program was asked to end, and has not ended yet.
    pub fn is_ending(&self) -> bool {
        matches!(self.program.state(), State::Stopping { .. })
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
            SupervisorEvent::Checked(checked) => {
                self.checked_files.extend(checked.into_iter().map(|(dest, exists)| (dest, Some(exists))));
            }
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
        let mut report = self.program.report(self.not_ready.iter().map(|not_ready| Arc::clone(&not_ready.template)))?;
        report.waits_for_lock = self.program.config().and_then(|config| config.lock.clone()).filter(|_| !self.may_run);
        Some(report)
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
                    let templates = changed_templates(&mut self.changed);
                    emit(Event::ProgramSignalled { pid: process.pid(), signal: format!("SIG{signal}"), templates });
                    process.signal(&signal);
                }
            }
            ProgramEffect::End(signal) => {
                let is_restart = matches!(self.program.state(), State::Stopping { then: AfterStop::Restart, .. });
                if let Some(process) = &mut self.process {
                    let templates = changed_templates(&mut self.changed).filter(|_| is_restart);
                    emit(Event::ProgramSignalled { pid: process.pid(), signal: format!("SIG{signal}"), templates });
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
                // The start or the signal that applies them has been logged.
                self.changed.clear();
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

/// The templates whose changed files are applied now, if there are any.
fn changed_templates(changed: &mut BTreeSet<Arc<str>>) -> Option<Vec<Arc<str>>> {
    let changed = std::mem::take(changed);
    (!changed.is_empty()).then(|| changed.into_iter().collect())
}

/// A random delay, so that the hosts of a fleet do not act at the same time.
fn random_up_to(longest: Duration) -> Duration {
    longest.mul_f64(fastrand::f64())
}
