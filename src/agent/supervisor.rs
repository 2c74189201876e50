//! Runs the program that the agent is started for: does what [`Program`] decides, and tells it what came of it.

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
use crate::config::ExecConfig;
use crate::decide::event::seconds;
use crate::decide::program::{End, Program, ProgramEffect, ProgramInput, STABLE_AFTER, State};
use crate::decide::report::ProgramReport;
use crate::decide::{Engine, Event, Input, Moment, NotReady};
use crate::log::emit;

/// The signals that are passed on: those that a person sends to a program, and the agent has no use for itself.
const PASSED_ON: [Signal; 6] =
    [Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGQUIT, Signal::SIGWINCH, Signal::SIGALRM, Signal::SIGCONT];

/// Something that happened.
#[derive(Debug)]
pub enum News {
    /// To the program.
    Program(ProgramInput),
    /// The agent got a signal that is the program's.
    Signal(&'static str),
    /// These files are there, of those that were looked for.
    Found(BTreeSet<PathBuf>),
}

/// The one that runs the program.
#[derive(Debug)]
pub struct Supervisor {
    program: Program,
    process: Option<Process>,
    began: Instant,
    /// Where the engine is told what was taken up.
    tell: mpsc::UnboundedSender<Input>,
    news: mpsc::UnboundedReceiver<News>,
    hear: mpsc::UnboundedSender<News>,
    /// Whether signals are passed on, and orphans waited for, already.
    is_ready: bool,
    /// What the first start waits for, or that with another command.
    not_ready: Vec<NotReady>,
    /// Files that were looked for, because they would do as they are.
    sought: BTreeSet<PathBuf>,
    /// Those of them that are there.
    found: BTreeSet<PathBuf>,
}

impl Supervisor {
    /// A supervisor without a program. As the first process of a container, the agent waits for orphans anyway.
    pub fn new(began: Instant, tell: mpsc::UnboundedSender<Input>) -> Self {
        let (hear, news) = mpsc::unbounded_channel();
        if std::process::id() == 1
            && let Err(why) = reaper::reap_orphans()
        {
            emit(Event::OrphansNotReaped { reason: why.to_string() });
        }
        Self {
            program: Program::default(),
            process: None,
            began,
            tell,
            news,
            hear,
            is_ready: false,
            not_ready: Vec::new(),
            sought: BTreeSet::new(),
            found: BTreeSet::new(),
        }
    }

    /// Takes a new configuration on.
    pub fn follow(&mut self, exec: Option<Arc<ExecConfig>>) {
        if exec.is_some() && !self.is_ready {
            self.is_ready = true;
            self.make_ready();
        }
        // Other files may matter now, or the same be there by now.
        (self.sought, self.found) = (BTreeSet::new(), BTreeSet::new());
        let wait = exec.as_ref().map_or(Duration::ZERO, |exec| random_up_to(exec.splay));
        self.step(ProgramInput::Configured(exec, wait));
    }

    /// Hears signals from here on in place of being ended by them, and takes orphans on.
    fn make_ready(&self) {
        for passed_on in PASSED_ON {
            let name = passed_on.as_str();
            match signal(SignalKind::from_raw(passed_on as i32)) {
                Ok(mut signal) => {
                    let hear = self.hear.clone();
                    tokio::spawn(async move {
                        while signal.recv().await.is_some() && hear.send(News::Signal(name)).is_ok() {}
                    });
                }
                Err(why) => emit(Event::SignalNotForwarded { signal: name, reason: why.to_string() }),
            }
        }
        // The first process has them already.
        if std::process::id() != 1
            && let Err(why) = reaper::adopt_orphans()
        {
            emit(Event::OrphansNotReaped { reason: why.to_string() });
        }
    }

    /// Starts the program, or another command in its place, as soon as every file is in step, or existing_file in for what is
    /// not to be had.
    pub fn consider(&mut self, engine: &Engine, performer: &Executor) {
        if !self.program.awaits_files() {
            return;
        }
        self.not_ready = engine.not_ready();
        let existing_file =
            |not_ready: &NotReady| not_ready.existing_file.as_ref().is_some_and(|dest| self.found.contains(dest));
        if self.not_ready.iter().all(existing_file) {
            for not_ready in &self.not_ready {
                emit(Event::ExistingFileUsed { template: Arc::clone(&not_ready.template) });
            }
            self.step(ProgramInput::FilesReady);
            return;
        }
        let dests = self.not_ready.iter().filter_map(|not_ready| not_ready.existing_file.clone());
        let unsought: Vec<PathBuf> = dests.filter(|dest| !self.sought.contains(dest)).collect();
        if !unsought.is_empty() {
            self.sought.extend(unsought.iter().cloned());
            let hear = self.hear.clone();
            performer.in_order(move || {
                let found = unsought.into_iter().filter(|dest| dest.is_file()).collect();
                // The loop may have ended: then nobody waits for the answer.
                let _ = hear.send(News::Found(found));
            });
        }
    }

    /// A file was replaced that the program is to take up.
    pub fn changed(&mut self) {
        let splay = self.program.config().map_or(Duration::ZERO, |config| config.splay);
        self.step(ProgramInput::Changed(random_up_to(splay)));
    }

    /// The agent is to stop, and the program before it; asked twice, at once.
    pub fn stop(&mut self) {
        self.step(ProgramInput::Stopping);
    }

    /// The exit code, once the agent is to end.
    pub fn over(&self) -> Option<u8> {
        match self.program.state() {
            State::Exited(code) => Some(*code),
            _ => None,
        }
    }

    /// What happens next. May be dropped and asked again.
    pub async fn next(&mut self) -> News {
        let wake = self.program.next_wake().map(|wake| self.began + wake.since_start());
        let sleep = async move {
            match wake {
                Some(wake) => tokio::time::sleep_until(wake.into()).await,
                None => std::future::pending().await,
            }
        };
        let (process, news) = (&mut self.process, &mut self.news);
        let end = async move {
            match process {
                Some(process) => process.end().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // What was meant for this process is not to reach the next.
            biased;
            Some(news) = news.recv() => news,
            end = end => News::Program(ProgramInput::Ended(end)),
            () = sleep => News::Program(ProgramInput::Tick),
        }
    }

    /// Takes in what happened.
    pub fn take(&mut self, news: News) {
        match news {
            News::Program(happened) => self.step(happened),
            News::Found(found) => self.found.extend(found),
            News::Signal(signal) => {
                emit(Event::SignalReceived { signal, forwarded: self.process.is_some() });
                if let Some(process) = &self.process {
                    process.signal(signal);
                }
            }
        }
    }

    /// What is known of the program, if there is one.
    pub fn report(&self) -> Option<ProgramReport> {
        self.program.report(self.not_ready.iter().map(|not_ready| Arc::clone(&not_ready.template)))
    }

    fn step(&mut self, happened: ProgramInput) {
        let mut all = VecDeque::from([happened]);
        while let Some(happened) = all.pop_front() {
            let end =
                if let ProgramInput::Ended(end) = &happened { Some((end.clone(), self.words(end))) } else { None };
            if end.is_some() {
                // What it leaves not_ready in its group is killed.
                self.process = None;
            }
            let deeds = self.program.step(self.now(), happened);
            if let Some((end, words)) = end {
                emit(self.ended(end, words));
            }
            for deed in deeds {
                all.extend(self.perform(deed));
            }
        }
    }

    fn perform(&mut self, deed: ProgramEffect) -> Option<ProgramInput> {
        match deed {
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
                    let reason = "it had not ended in time (kill_timeout)";
                    emit(Event::ProgramKilled { pid: process.pid(), reason });
                    process.kill();
                }
            }
            ProgramEffect::FilesApplied => {
                // The loop may have ended: then nobody waits for it.
                let _ = self.tell.send(Input::FilesApplied);
            }
        }
        None
    }

    /// An end in words; of one that nobody asked for, with what is known of it.
    fn words(&self, end: &End) -> String {
        let (State::Running { since, .. }, Some(process)) = (self.program.state(), &self.process) else {
            return end.to_string();
        };
        let is_soon = self.now().since(*since) < STABLE_AFTER;
        let reload_signal = self.program.config().and_then(|config| config.reload_signal.as_deref());
        process.words(end, is_soon, reload_signal)
    }

    fn ended(&self, end: End, reason: String) -> Event {
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
        Moment::after_start(self.began.elapsed())
    }
}

/// A random time, so that a fleet does not do the same all at once.
fn random_up_to(longest: Duration) -> Duration {
    longest.mul_f64(fastrand::f64())
}
