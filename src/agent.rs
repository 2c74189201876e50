//! The daemon: the only event loop, its signals, and its end.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::Interval;
use tracing::debug;

use crate::agent::supervisor::{News, Supervisor};
use crate::config::{TemplateConfig, delta};
use crate::control::{Asked, Server};
use crate::decide::{Event, Input, RunMode};
use crate::error::{Exit, Fatal};
use crate::fswatch::dests::DestWatcher;
use crate::fswatch::templates::Sources;
use crate::load::loader::{Load, Loaded, Loader};
use crate::load::setup::{Setup, Source};
use crate::log::emit;
use crate::state::lock::StateLock;

pub mod answers;
mod driver;
pub mod executor;
pub mod follows;
pub mod inherited;
pub mod pass;
pub mod render;
pub mod signals;
pub mod supervisor;

pub use answers::paused;
pub use inherited::Inherited;
pub use signals::Signals;

use answers::Desk;
use driver::Driver;
use follows::{config_loaded, follows};
use pass::Passes;

/// How long a second agent waits for the first one's state directory.
pub const LOCK_WAIT: Duration = Duration::from_secs(10);

/// How long what is under way may go on when the agent is asked to stop, so that a reload that was only deferred is
/// not lost. Then commands are ended, which takes 2 s at most: together less than the 5 s that are promised.
const GRACE: Duration = Duration::from_millis(1500);

/// How often the memory is brought in order: so much a killed agent may forget of how long ago it was sure.
const TEND: Duration = Duration::from_mins(1);

/// What can happen next.
enum Next {
    Engine(Input),
    Tend,
    /// Destinations may have been changed by somebody else.
    Look,
    Asked(Load),
    Loaded(Loaded),
    /// Somebody asks on the control socket.
    Question(Asked),
    /// Something happened around the program that the agent runs.
    Program(News),
    Stop(&'static str),
}

/// Keeps every template in step until TERM or INT, or until the program that it runs has ended for good. The answer is the
/// exit code, which may be the program's.
///
/// # Errors
/// The state directory is another agent's or cannot be used, or the system refuses a thread or a signal handler.
pub async fn run(source: Source, setup: Setup) -> Result<u8, Fatal> {
    let mut signals = Signals::new()?;
    let lock = tokio::select! {
        lock = lock(&setup) => lock?,
        _ = signals.stop() => return Ok(Exit::Done.code()),
    };
    // A destination may be on a file system that hangs.
    let inherited = tokio::select! {
        inherited = Inherited::of(&setup) => inherited?,
        _ = signals.stop() => return Ok(Exit::Done.code()),
    };
    let lock = Arc::new(Mutex::new(lock));
    let mut agent = Agent::start(source, setup, inherited, Arc::clone(&lock));
    let code = loop {
        let event = agent.next(&mut signals).await;
        match event {
            Next::Engine(input) => agent.step(input),
            Next::Tend => {
                drop(agent.driver.tend());
                agent.keep_state();
            }
            Next::Look => {
                let templates = agent.driver.engine.templates().keys().cloned();
                agent.driver.executor.look_for_drift(templates.collect());
            }
            Next::Asked(load) => agent.loader.ask(load, &agent.setup),
            Next::Loaded(loaded) => agent.take_on(loaded).await,
            Next::Question(asked) => agent.answer(asked),
            Next::Program(news) => agent.supervise(news),
            Next::Stop(signal) => {
                emit(Event::AgentStopping { signal });
                agent.supervisor.stop();
            }
        }
        if let Some(code) = agent.supervisor.over() {
            break code;
        }
    };
    agent.end().await;
    drop(lock);
    emit(Event::AgentStopped {});
    Ok(code)
}

/// Takes the state directory's lock.
///
/// # Errors
/// Another agent has it, or the directory cannot be used.
pub async fn lock(setup: &Setup) -> Result<StateLock, Fatal> {
    StateLock::acquire(&setup.config.agent.state_dir, LOCK_WAIT).await
}

struct Agent {
    setup: Arc<Setup>,
    loader: Loader,
    driver: Driver,
    tend: Interval,
    lock: Arc<Mutex<StateLock>>,
    sources: Sources,
    drifts: DestWatcher,
    server: Server,
    questions: mpsc::Receiver<Asked>,
    desk: Desk,
    supervisor: Supervisor,
}

impl Agent {
    fn start(source: Source, setup: Setup, inherited: Inherited, lock: Arc<Mutex<StateLock>>) -> Self {
        inherited.ledger.iter().for_each(|ledger| ledger.retain(&setup.config.templates));
        let (ask, questions) = mpsc::channel(1);
        let driver = Driver::new(&setup, inherited, RunMode::Continuous, true);
        let mut agent = Self {
            server: Server::open(setup.config.status.clone(), ask),
            questions,
            desk: Desk::new(&setup.config.agent.state_dir),
            tend: tokio::time::interval_at((Instant::now() + TEND).into(), TEND),
            sources: Sources::watch(&setup.config),
            drifts: DestWatcher::watch(&setup.config),
            supervisor: Supervisor::new(driver.began, driver.executor.answers()),
            loader: Loader::new(source),
            setup: Arc::new(setup),
            driver,
            lock,
        };
        let plan = agent.setup.plan(&[]);
        emit(Event::AgentStarted { version: env!("CARGO_PKG_VERSION"), pid: std::process::id() });
        agent.setup.warn();
        emit(config_loaded(&agent.setup.config, None));
        follows(&agent.setup.config, &plan);
        agent.driver.registries.follow(&agent.setup.config.registries, &plan);
        agent.recall_pause();
        agent.driver.executor.finish();
        agent.supervisor.follow(agent.setup.config.exec.clone());
        agent.step(Input::Configured(plan));
        agent
    }

    async fn next(&mut self, signals: &mut Signals) -> Next {
        let Signals { hup, term, int } = signals;
        tokio::select! {
            // What ends the agent comes first.
            biased;
            _ = term.recv() => Next::Stop("SIGTERM"),
            _ = int.recv() => Next::Stop("SIGINT"),
            _ = hup.recv() => Next::Asked(Load::Everything),
            news = self.supervisor.next() => Next::Program(news),
            input = self.driver.next() => Next::Engine(input),
            _ = self.tend.tick() => Next::Tend,
            loaded = self.loader.loaded() => Next::Loaded(loaded),
            Some(asked) = self.questions.recv() => Next::Question(asked),
            () = self.drifts.due() => Next::Look,
            () = self.sources.edited() => Next::Asked(Load::Templates),
        }
    }

    fn step(&mut self, input: Input) {
        self.step_driver(input);
        self.keep_pause();
        self.supervisor.consider(&self.driver.engine, &self.driver.executor);
    }

    fn step_driver(&mut self, input: Input) {
        if self.driver.step(input) {
            self.supervisor.changed();
        }
    }

    /// Takes in what happened around the program.
    fn supervise(&mut self, news: News) {
        self.supervisor.take(news);
        self.supervisor.consider(&self.driver.engine, &self.driver.executor);
    }

    /// Sees to it that the state directory is still this agent's and holds what it is to do, and that what was begun is
    /// finished.
    fn keep_state(&self) {
        let lock = Arc::clone(&self.lock);
        self.driver.executor.in_order(move || lock.lock().unwrap_or_else(PoisonError::into_inner).renew());
        self.driver.executor.stand_up();
        self.driver.executor.finish();
    }

    /// What was read again is taken on as a whole, or not at all.
    async fn take_on(&mut self, loaded: Loaded) {
        match loaded {
            Loaded::Everything(Ok(setup)) => self.take_on_config(*setup).await,
            Loaded::Everything(Err(problems)) => emit(Event::ConfigRefused { reason: problems.to_string() }),
            Loaded::Templates(Ok(None)) => debug!("templates touched, none has changed"),
            Loaded::Templates(Ok(Some(library))) => {
                emit(Event::TemplatesChanged {});
                self.adopt(self.setup.with_library(library));
            }
            Loaded::Templates(Err(problems)) => emit(Event::TemplatesRefused { reason: problems.to_string() }),
            Loaded::Broken(why) => emit(Event::ConfigRefused { reason: why }),
        }
        if let Some(load) = self.loader.asked_meanwhile() {
            self.loader.ask(load, &self.setup);
        }
        self.begin_passes();
    }

    async fn take_on_config(&mut self, setup: Setup) {
        setup.warn();
        let changes = delta::delta(&self.setup.config, &setup.config);
        emit(config_loaded(&setup.config, Some(changes.len())));
        for change in changes {
            emit(Event::ConfigChanged { change });
        }
        self.lift_what_changed(&setup);
        let (old, new) = (&self.setup.config.agent, &setup.config.agent);
        if (&old.name, &old.state_dir, old.log_format) != (&new.name, &new.state_dir, new.log_format) {
            emit(Event::RestartRequired {});
        }
        self.sources = Sources::watch(&setup.config);
        self.drifts = DestWatcher::watch(&setup.config);
        self.server.follow(&setup.config.status).await;
        self.adopt(setup);
        self.keep_state();
    }

    /// What a reload has failed with is tried once more where its template is another one now: its reload may be mended.
    fn lift_what_changed(&self, setup: &Setup) {
        let old = &self.setup.config.templates;
        let changed: BTreeSet<&str> =
            setup.config.templates.iter().filter(|new| !old.contains(new)).map(|new| &*new.name).collect();
        let configs = self.driver.engine.templates().values().map(|template| &template.plan().config);
        let base = |config: &TemplateConfig| {
            config.file_of().map_or_else(|| Arc::clone(&config.name), |(each, _)| Arc::clone(&each.template))
        };
        let dests = configs.filter(|config| changed.contains(&*base(config))).map(|config| config.dest.clone());
        self.driver.executor.lift(dests.collect());
    }

    fn adopt(&mut self, setup: Setup) {
        self.setup = Arc::new(setup);
        let plan = self.setup.plan(&[]);
        self.driver.executor.set_library(Arc::clone(&self.setup.library));
        self.driver.registries.follow(&self.setup.config.registries, &plan);
        // After what is under way: a file that is being written is noted first.
        self.driver.executor.release(self.setup.config.templates.clone());
        self.step_driver(Input::Configured(plan));
        // By then it is known which files the new configuration makes, and none of them has a start behind it yet.
        self.supervisor.follow(self.setup.config.exec.clone());
        self.step(Input::Tick);
    }

    /// Ends everything in time: owed reloads run, commands are ended, files are whole, sessions are closed.
    async fn end(mut self) {
        // Nobody is told any more what is not so any more.
        self.questions.close();
        while self.questions.try_recv().is_ok() {}
        self.desk.close();
        self.driver.passes = Passes::default();
        self.server.end().await;
        self.step(Input::Stopping);
        let grace = tokio::time::sleep(GRACE);
        tokio::pin!(grace);
        while self.driver.engine.is_publishing() || self.driver.engine.is_reloading() {
            tokio::select! {
                Some(answer) = self.driver.answers.recv() => self.step(answer),
                () = &mut grace => break,
            }
        }
        self.driver.end().await;
        for (reload, debt) in self.driver.engine.pending_reloads() {
            if debt.is_pending() {
                emit(Event::ReloadPending { command: reload.to_string(), templates: debt.templates() });
            }
        }
    }
}
