//! The daemon: the only event loop, its signals, and its end.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::Interval;
use tracing::debug;

use crate::act::files::Writer;
use crate::agent::executor::{Executor, Manner};
use crate::agent::supervisor::{News, Supervisor};
use crate::config::{Reload, TemplateConfig, delta};
use crate::control::{Asked, Server};
use crate::decide::event::seconds;
use crate::decide::{Effect, Engine, Event, Input, Moment, Pace};
use crate::error::{Exit, Fatal};
use crate::fswatch::dests::DestWatcher;
use crate::fswatch::templates::Sources;
use crate::load::loader::{Load, Loaded, Loader};
use crate::load::setup::{Setup, Source};
use crate::log::emit;
use crate::state::append_log::Access;
use crate::state::last_good::Memory;
use crate::state::lock::StateLock;
use crate::state::owned_files::OwnedFiles;
use crate::watch::Keep;
use crate::watch::registries::Registries;

pub mod answers;
pub mod executor;
pub mod follows;
pub mod inherited;
pub mod pass;
pub mod passes;
pub mod signals;
pub mod supervisor;

pub use answers::paused;
pub use inherited::Inherited;
pub use signals::Signals;

use answers::Desk;
use follows::{config_loaded, follows};
use passes::{Look, Passes};

/// How long a second agent waits for the first one's state directory.
pub const LOCK_WAIT: Duration = Duration::from_secs(10);

/// How long what is under way may go on when the agent is asked to stop, so that a reload that was only deferred is
/// not lost. Then commands are ended, which takes 2 s at most: together less than the 5 s that are promised.
const GRACE: Duration = Duration::from_millis(1500);

/// How long the end may take after that: what is not done by then is left behind.
const END: Duration = Duration::from_secs(3);

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
    /// A dry run that was asked for ended.
    Looked(Look),
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
                drop(agent.tend());
                agent.keep_state();
            }
            Next::Look => agent.look_for_drift(),
            Next::Asked(load) => agent.loader.ask(load, &agent.setup),
            Next::Loaded(loaded) => agent.take_on(loaded).await,
            Next::Question(asked) => agent.answer(asked),
            Next::Looked(ended) => {
                agent.passes.take(ended);
                agent.passes.conclude(&agent.engine);
            }
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

/// Starts the one thread that writes files.
///
/// # Errors
/// The system gives no thread.
pub fn start_writer() -> Result<Writer, Fatal> {
    Writer::start().map_err(|why| Fatal::new(Exit::Failed, format!("start the thread that writes files: {why}")))
}

/// Ends all that is under way and every session, and leaves behind what does not end in time.
pub async fn wind_up(performer: &Executor, registries: Registries, tended: impl Future<Output = ()>) {
    let performer = performer.stopped();
    if tokio::time::timeout(END, async { tokio::join!(performer, registries.close(), tended) }).await.is_err() {
        emit(Event::ShutdownTimedOut { limit_s: seconds(END) });
    }
}

struct Agent {
    setup: Arc<Setup>,
    loader: Loader,
    engine: Engine,
    memory: Memory,
    tend: Interval,
    performer: Executor,
    ledger: OwnedFiles,
    lock: Arc<Mutex<StateLock>>,
    answers: mpsc::UnboundedReceiver<Input>,
    registries: Registries,
    sources: Sources,
    drifts: DestWatcher,
    server: Server,
    questions: mpsc::Receiver<Asked>,
    desk: Desk,
    passes: Passes,
    supervisor: Supervisor,
    began: Instant,
}

impl Agent {
    fn start(source: Source, setup: Setup, inherited: Inherited, lock: Arc<Mutex<StateLock>>) -> Self {
        let Inherited { writer, ledger, owed } = inherited;
        let memory = Memory::of(&setup.config.agent.state_dir);
        let (mut performer, answers) = Executor::new(writer, Arc::clone(&setup.library), Manner::DAEMON);
        ledger.release(&setup.config.templates);
        let written = ledger.written(&setup.config.templates);
        performer.keep_account(ledger.clone());
        let (ask, questions) = mpsc::channel(1);
        let began = Instant::now();
        let mut agent = Self {
            server: Server::open(setup.config.status.clone(), ask),
            questions,
            desk: Desk::new(&setup.config.agent.state_dir),
            passes: Passes::new(),
            engine: Engine::new(Pace::Continuous, &setup.host.name, memory.recall(Access::Own)),
            memory,
            tend: tokio::time::interval_at((Instant::now() + TEND).into(), TEND),
            sources: Sources::watch(&setup.config),
            drifts: DestWatcher::watch(&setup.config),
            registries: Registries::new(Keep::Write(setup.config.agent.state_dir.clone())),
            supervisor: Supervisor::new(began, performer.answers()),
            began,
            loader: Loader::new(source),
            setup: Arc::new(setup),
            performer,
            answers,
            ledger,
            lock,
        };
        let plan = agent.setup.plan(&[]);
        emit(Event::AgentStarted { version: env!("CARGO_PKG_VERSION"), pid: std::process::id() });
        agent.setup.warn();
        emit(config_loaded(&agent.setup.config, None));
        follows(&agent.setup.config, &plan);
        agent.registries.follow(&agent.setup.config.registries, &plan);
        agent.recall_pause();
        agent.step(Input::Wrote(written));
        agent.step(Input::Owed(owed));
        agent.performer.finish();
        agent.supervisor.follow(agent.setup.config.exec.clone());
        agent.step(Input::Configured(plan));
        agent
    }

    fn now(&self) -> Moment {
        Moment::after_start(self.began.elapsed())
    }

    async fn next(&mut self, signals: &mut Signals) -> Next {
        let wake = self.engine.next_wake().map(|wake| self.began + wake.since_start());
        let wake = wake.into_iter().chain(self.passes.wake()).min();
        let sleep = async move {
            match wake {
                Some(wake) => tokio::time::sleep_until(wake.into()).await,
                None => std::future::pending().await,
            }
        };
        let Signals { hup, term, int } = signals;
        tokio::select! {
            // What ends the agent comes first, and what frees a template before what may make it wanted again.
            biased;
            _ = term.recv() => Next::Stop("SIGTERM"),
            _ = int.recv() => Next::Stop("SIGINT"),
            _ = hup.recv() => Next::Asked(Load::Everything),
            news = self.supervisor.next() => Next::Program(news),
            Some(answer) = self.answers.recv() => Next::Engine(answer),
            sighting = self.registries.next() => Next::Engine(Input::Saw(sighting)),
            () = sleep => Next::Engine(Input::Tick),
            _ = self.tend.tick() => Next::Tend,
            loaded = self.loader.loaded() => Next::Loaded(loaded),
            Some(asked) = self.questions.recv() => Next::Question(asked),
            look = self.passes.looked() => Next::Looked(look),
            () = self.drifts.due() => Next::Look,
            () = self.sources.edited() => Next::Asked(Load::Templates),
        }
    }

    /// Steps the engine, and brings passes on with what came of it.
    fn step(&mut self, input: Input) {
        self.step_engine(input);
        for input in self.passes.advance(&self.engine, (Instant::now(), self.now()), &self.performer) {
            self.step_engine(input);
        }
        self.passes.conclude(&self.engine);
        self.keep_pause();
        self.supervisor.consider(&self.engine, &self.performer);
    }

    /// Takes in what happened around the program.
    fn supervise(&mut self, news: News) {
        self.supervisor.take(news);
        self.supervisor.consider(&self.engine, &self.performer);
    }

    fn step_engine(&mut self, input: Input) {
        self.passes.hear(&input);
        for effect in self.engine.step(self.now(), input) {
            match effect {
                Effect::Publish(group) => self.performer.publish(group, |publication| self.passes.see(publication)),
                Effect::Probe(publication) => self.performer.probe(publication),
                Effect::Reload(job) if job.reload == Reload::Program => self.supervisor.changed(),
                Effect::Reload(job) => self.performer.reload(job),
                Effect::Restore(job) => self.performer.restore(job),
                Effect::Remember(memo) => self.performer.remember(&self.memory, memo),
                Effect::Emit(event) => emit(event),
            }
        }
    }

    fn look_for_drift(&self) {
        self.performer.look_for_drift(self.engine.templates().keys().cloned().collect());
    }

    fn tend(&self) -> impl Future<Output = ()> + use<> {
        self.performer.tend(&self.memory, self.engine.ages(self.now()))
    }

    /// Sees to it that the state directory is still this agent's and holds what it is to do, and that what was begun is
    /// finished.
    fn keep_state(&self) {
        let lock = Arc::clone(&self.lock);
        self.performer.in_order(move || lock.lock().unwrap_or_else(PoisonError::into_inner).renew());
        self.performer.stand_up();
        self.performer.finish();
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
        let configs = self.engine.templates().values().map(|template| &template.plan().config);
        let base = |config: &TemplateConfig| {
            config.file_of().map_or_else(|| Arc::clone(&config.name), |(each, _)| Arc::clone(&each.template))
        };
        let dests = configs.filter(|config| changed.contains(&*base(config))).map(|config| config.dest.clone());
        self.performer.lift(dests.collect());
    }

    fn adopt(&mut self, setup: Setup) {
        self.setup = Arc::new(setup);
        let plan = self.setup.plan(&[]);
        self.performer.set_library(Arc::clone(&self.setup.library));
        self.registries.follow(&self.setup.config.registries, &plan);
        // After what is under way: a file that is being written is noted first.
        let (ledger, setup) = (self.ledger.clone(), Arc::clone(&self.setup));
        self.performer.in_order(move || ledger.release(&setup.config.templates));
        self.step_engine(Input::Configured(plan));
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
        self.passes = Passes::new();
        self.server.end().await;
        self.step(Input::Stopping);
        let grace = tokio::time::sleep(GRACE);
        tokio::pin!(grace);
        while self.engine.is_publishing() || self.engine.is_reloading() {
            tokio::select! {
                Some(answer) = self.answers.recv() => self.step(answer),
                () = &mut grace => break,
            }
        }
        let tended = self.tend();
        wind_up(&self.performer, std::mem::take(&mut self.registries), tended).await;
        // What ended meanwhile counts, but begins nothing new.
        let now = self.now();
        while let Ok(answer) = self.answers.try_recv() {
            let _ = self.engine.step(now, answer);
        }
        for (reload, debt) in self.engine.debts() {
            if debt.is_owed() {
                emit(Event::ReloadPending { command: reload.to_string(), templates: debt.templates() });
            }
        }
    }
}
