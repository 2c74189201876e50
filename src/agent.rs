//! The agent: its event loop, its signals and its shutdown.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{mpsc, oneshot};
use tokio::time::Interval;
use tracing::debug;

use crate::agent::supervisor::{Supervisor, SupervisorEvent};
use crate::config::{self, OnStop, TemplateConfig, delta};
use crate::control::{PendingRequest, Server};
use crate::decide::template::Template;
use crate::decide::{Event, Input, Plan, RunMode};
use crate::error::{Exit, Fatal};
use crate::fswatch::dests::DestWatcher;
use crate::fswatch::templates::TemplateWatcher;
use crate::load::loader::{Load, Loaded, Loader};
use crate::load::setup::{ConfigSource, Setup};
use crate::locks::{LockEvent, Locks};
use crate::log::{emit, observe};
use crate::metrics::Metrics;
use crate::register::{Registrar, RegistrarEvent};
use crate::report::snapshot::Snapshot;
use crate::serve;
use crate::state::lock::StateLock;

mod driver;
pub mod executor;
pub mod heartbeat;
mod history;
pub mod inherited;
mod jones_recorder;
mod key_origin;
pub mod pass;
pub mod pins;
pub mod progress;
pub mod refusals;
pub mod render;
pub mod requests;
pub mod rollback;
pub mod service_manager;
pub mod signals;
pub mod startup_events;
pub mod supervisor;
mod views;

pub use inherited::Inherited;
pub use requests::paused;
pub use signals::{BlockedSignals, Signals};

use driver::Driver;
use heartbeat::Heartbeat;
use jones_recorder::JonesRecorder;
use pass::Passes;
use refusals::Refusals;
use requests::RequestState;
use rollback::{Found, Rollbacks};
use service_manager::ServiceManager;
use startup_events::{config_loaded, emit_watched};

/// How long a second agent waits for the first one's state directory.
pub const LOCK_WAIT: Duration = Duration::from_secs(10);

/// How long running work may continue after a stop is requested, so that a deferred reload is not lost. Then commands
/// are ended, which takes at most 2 s. Together this stays below the documented 5 s.
const GRACE: Duration = Duration::from_millis(1500);

/// How long a stop or a load waits until the files are written without the locks that are given up, and a stop then until
/// the locks are released.
const LOCK_GRACE: Duration = Duration::from_millis(500);

/// How often the saved rosters are compacted. After a kill, their saved ages are off by at most this much.
const COMPACT_INTERVAL: Duration = Duration::from_mins(1);

/// What can happen next.
enum Next {
    Engine(Input),
    Compact,
    /// Destinations may have been changed by another process.
    CheckDrift,
    Load(Load),
    Loaded(Loaded),
    /// A request on the control socket.
    Request(PendingRequest),
    /// HTTP asks for the state.
    Snapshot(oneshot::Sender<Snapshot>),
    /// Somebody asks whether the loop makes progress.
    Heartbeat,
    /// An event of the program that the agent runs.
    Program(SupervisorEvent),
    /// An event of the services.
    Service(RegistrarEvent),
    /// An event of the locks.
    Lock(LockEvent),
    /// The control socket is open, or cannot be opened for now.
    SocketTried,
    /// The service manager is to know that the loop makes progress.
    Alive,
    /// The contents for a rollback were looked up.
    Found(Found),
    Stop(&'static str),
    /// Stop, and leave the nodes of services to the next agent.
    HandOver,
}

/// Runs the agent until TERM or INT, or until its program has ended for good. Returns the exit code, which may be the
/// program's.
///
/// # Errors
/// The state directory is locked by another agent or cannot be used, or the system refuses a thread.
pub async fn run(source: ConfigSource, setup: Setup, mut signals: Signals) -> Result<u8, Fatal> {
    let metrics = Arc::new(Metrics::new(&setup.config));
    let observer = Arc::clone(&metrics);
    observe(move |event| observer.record(event));
    let lock = tokio::select! {
        lock = lock(&setup) => lock?,
        _ = signals.stop() => return Ok(Exit::Done.code()),
    };
    // A destination may be on a file system that hangs.
    let inherited = tokio::select! {
        inherited = Inherited::recover(&setup) => inherited?,
        _ = signals.stop() => return Ok(Exit::Done.code()),
    };
    let lock = Arc::new(Mutex::new(lock));
    let mut agent = Agent::start(source, setup, inherited, Arc::clone(&lock), metrics);
    let code = loop {
        let event = agent.next(&mut signals).await;
        agent.heartbeat.beat();
        match event {
            Next::Engine(input) => agent.step(input),
            Next::Compact => {
                drop(agent.driver.compact_last_good());
                agent.maintain_state();
            }
            Next::CheckDrift => {
                let templates = agent.driver.engine.templates().keys().cloned();
                agent.driver.executor.check_drift(templates.collect());
            }
            Next::Load(load) => {
                if load == Load::Everything {
                    agent.service_manager.reloading();
                }
                agent.loader.request(load, &agent.setup);
            }
            Next::Loaded(loaded) => agent.apply_load(loaded).await,
            Next::Request(request) => agent.answer(request),
            // The client may have disconnected.
            Next::Snapshot(reply) => _ = reply.send(agent.snapshot()),
            Next::Heartbeat => {}
            Next::Program(event) => agent.supervise(event),
            Next::Service(event) => agent.registrar.handle(event),
            Next::Lock(event) => {
                let inputs = agent.locks.handle(event);
                agent.step_all(inputs);
            }
            Next::SocketTried => agent.notify_ready(),
            Next::Alive => agent.notify_alive(),
            Next::Found(found) => agent.roll_back(found),
            Next::Stop(signal) => agent.stop(signal, agent.setup.config.agent.on_stop == OnStop::Keep),
            Next::HandOver => agent.hand_over(),
        }
        agent.give_up_locks();
        if let Some(code) = agent.supervisor.exit_code() {
            break code;
        }
    };
    let history = agent.driver.history.clone();
    agent.end().await;
    emit(Event::AgentStopped {});
    if let Some(history) = history {
        history.close().await;
    }
    drop(lock);
    Ok(code)
}

/// Locks the state directory.
///
/// # Errors
/// Another agent holds the lock, or the directory cannot be used.
pub async fn lock(setup: &Setup) -> Result<StateLock, Fatal> {
    StateLock::acquire(&setup.config.agent.state_dir, LOCK_WAIT, &setup.config.agent.trust).await
}

struct Agent {
    setup: Arc<Setup>,
    loader: Loader,
    driver: Driver,
    compact: Interval,
    lock: Arc<Mutex<StateLock>>,
    template_watcher: TemplateWatcher,
    dest_watcher: DestWatcher,
    server: Server,
    incoming: mpsc::Receiver<PendingRequest>,
    requests: RequestState,
    http: serve::Server,
    heartbeat: Heartbeat,
    metrics: Arc<Metrics>,
    rollbacks: Rollbacks,
    jones_recorder: JonesRecorder,
    supervisor: Supervisor,
    refusals: Refusals,
    registrar: Registrar,
    locks: Locks,
    service_manager: ServiceManager,
    /// Until when locks that are given up wait for files that are written without them.
    unlocked_by: Option<Instant>,
    /// The services are stopped, and the program was asked to end.
    is_stopping: bool,
}

impl Agent {
    fn start(
        source: ConfigSource,
        setup: Setup,
        inherited: Inherited,
        lock: Arc<Mutex<StateLock>>,
        metrics: Arc<Metrics>,
    ) -> Self {
        inherited.owned_files.iter().for_each(|owned_files| owned_files.retain(&setup.config.templates));
        let (sender, incoming) = mpsc::channel(1);
        let heartbeat = Heartbeat::new();
        let driver = Driver::new(&setup, inherited, RunMode::Continuous, true);
        let mut agent = Self {
            server: Server::open(setup.config.status.clone(), sender),
            incoming,
            requests: RequestState::new(&setup.config.agent.state_dir),
            http: serve::Server::start(setup.config.status.http.as_ref(), &heartbeat, &metrics, driver.history.clone()),
            heartbeat,
            metrics,
            rollbacks: Rollbacks::default(),
            jones_recorder: JonesRecorder::default(),
            compact: tokio::time::interval_at((Instant::now() + COMPACT_INTERVAL).into(), COMPACT_INTERVAL),
            template_watcher: TemplateWatcher::watch(&setup.config),
            dest_watcher: DestWatcher::watch(&setup.config),
            supervisor: Supervisor::new(driver.started_at, driver.executor.input_sender()),
            loader: Loader::new(source),
            refusals: Refusals::default(),
            registrar: Registrar::new(&setup.config.agent.state_dir, driver.started_at),
            locks: Locks::new(),
            service_manager: ServiceManager::from_env(),
            unlocked_by: None,
            is_stopping: false,
            setup: Arc::new(setup),
            driver,
            lock,
        };
        let plan = agent.setup.plan(&[]);
        emit(Event::AgentStarted { version: env!("CARGO_PKG_VERSION"), pid: std::process::id() });
        agent.setup.warn();
        emit(config_loaded(&agent.setup.config, None));
        emit_watched(&agent.setup.config, &plan);
        agent.follow(&plan);
        agent.restore_pause();
        agent.driver.executor.retry_unfinished();
        agent.supervisor.configure(agent.setup.config.exec.clone());
        agent.step(Input::Configured(plan));
        agent
    }

    async fn next(&mut self, signals: &mut Signals) -> Next {
        let Signals { hup, term, int, usr2 } = signals;
        let unlocked_by = self.unlocked_by;
        let unlocked = async move {
            match unlocked_by {
                Some(by) => tokio::time::sleep_until(by.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // What ends the agent comes first.
            biased;
            _ = term.recv() => Next::Stop("SIGTERM"),
            _ = int.recv() => Next::Stop("SIGINT"),
            _ = usr2.recv() => Next::HandOver,
            _ = hup.recv() => Next::Load(Load::Everything),
            // Before the rest: an agent that is busy, but makes progress, must not look as if it hung.
            () = self.service_manager.due() => Next::Alive,
            () = self.server.tried(), if !self.service_manager.is_ready() => Next::SocketTried,
            event = self.supervisor.next() => Next::Program(event),
            input = self.driver.next() => Next::Engine(input),
            event = self.registrar.next() => Next::Service(event),
            event = self.locks.next() => Next::Lock(event),
            () = unlocked => Next::Heartbeat,
            found = self.rollbacks.found() => Next::Found(found),
            _ = self.compact.tick() => Next::Compact,
            loaded = self.loader.loaded() => Next::Loaded(loaded),
            Some(request) = self.incoming.recv() => Next::Request(request),
            Some(reply) = self.http.next() => Next::Snapshot(reply),
            () = self.heartbeat.asked() => Next::Heartbeat,
            () = self.dest_watcher.due() => Next::CheckDrift,
            () = self.template_watcher.changed() => Next::Load(Load::Templates),
        }
    }

    /// Follows the registries of a plan and of the services.
    fn follow(&mut self, plan: &Plan) {
        let config = &self.setup.config;
        let mut with_sessions = Registrar::registries(config);
        with_sessions.extend(self.locks.registries(config));
        self.driver.registries.follow(&config.registries, plan, &with_sessions);
        let registries = &self.driver.registries;
        self.registrar.configure(config, |name| registries.link(name));
        self.jones_recorder.configure(config, &self.setup.host.name);
        let inputs = self.locks.configure(config, |name| registries.link(name));
        if !inputs.is_empty() {
            self.unlocked_by = Some(Instant::now() + LOCK_GRACE);
        }
        for input in inputs {
            self.step_driver(input);
        }
    }

    /// Stops the services, and then the program. A second call ends the wait for the services, or kills the program.
    fn stop(&mut self, signal: &'static str, keep: bool) {
        emit(Event::AgentStopping { signal });
        self.service_manager.stopping();
        if self.registrar.is_stopped() {
            self.supervisor.stop();
        }
        self.registrar.stop(keep);
        // Files are written without the locks, and the program is stopped, before another agent gets them.
        let inputs = self.locks.stop();
        if !inputs.is_empty() {
            self.unlocked_by = Some(Instant::now() + LOCK_GRACE);
        }
        self.step_all(inputs);
    }

    /// Once files are written without the locks that are given up: releases those that are no longer configured, when the
    /// program has ended, too. Stops the program once the services are stopped.
    fn give_up_locks(&mut self) {
        let mut templates = self.driver.engine.templates().values();
        let is_writing = self.driver.engine.is_publishing() || templates.any(Template::is_queued);
        if self.unlocked_by.is_some_and(|by| is_writing && Instant::now() < by) {
            return;
        }
        self.unlocked_by = None;
        if !self.supervisor.is_ending() {
            self.locks.release_left();
        }
        if self.registrar.is_stopped() && !self.is_stopping {
            self.is_stopping = true;
            self.supervisor.stop();
        }
    }

    /// Leaves the nodes of services to the next agent. With a program, the signal is the program's.
    fn hand_over(&mut self) {
        if self.setup.config.exec.is_none() {
            self.stop("SIGUSR2", true);
        }
    }

    fn step_all(&mut self, inputs: Vec<Input>) {
        for input in inputs {
            self.step(input);
        }
    }

    fn step(&mut self, input: Input) {
        // Nothing is rendered with a lock that another agent may have by now.
        for input in self.locks.update() {
            self.step_driver(input);
        }
        self.step_driver(input);
        self.clear_expired_pause();
        self.supervisor.start_if_ready(&self.driver.engine, &self.driver.executor);
    }

    fn step_driver(&mut self, input: Input) {
        let changed = self.driver.step(input);
        if !changed.is_empty() {
            self.supervisor.files_changed(changed);
        }
        self.advance_rollbacks();
    }

    /// Handles an event of the program.
    fn supervise(&mut self, event: SupervisorEvent) {
        self.supervisor.handle(event);
        self.supervisor.start_if_ready(&self.driver.engine, &self.driver.executor);
    }

    /// Renews the lock, restores missing state files, and retries unfinished replacements.
    fn maintain_state(&self) {
        let lock = Arc::clone(&self.lock);
        self.driver.executor.in_order(move || lock.lock().unwrap_or_else(PoisonError::into_inner).renew());
        self.driver.executor.ensure_state_files();
        self.driver.executor.retry_unfinished();
    }

    /// Applies a load as a whole, or not at all.
    async fn apply_load(&mut self, loaded: Loaded) {
        self.refusals.record(SystemTime::now(), &loaded);
        // The problem may have been in a template.
        let checks = matches!(loaded, Loaded::Templates(Ok(_))) && self.refusals.has_configuration();
        match loaded {
            Loaded::Checked(_) => {}
            Loaded::Everything(Ok(setup)) => self.apply_config(*setup).await,
            Loaded::Everything(Err(problems)) => emit(Event::ConfigRefused { reason: problems.to_string() }),
            Loaded::Templates(Ok(None)) => debug!("templates were touched, but none changed"),
            Loaded::Templates(Ok(Some(library))) => {
                emit(Event::TemplatesChanged {});
                library.warnings().iter().for_each(|reason| emit(Event::ConfigWarning { reason: reason.clone() }));
                self.apply_setup(self.setup.with_library(library));
            }
            Loaded::Templates(Err(problems)) => emit(Event::TemplatesRefused { reason: problems.to_string() }),
            Loaded::Broken(why) => emit(Event::ConfigRefused { reason: why }),
        }
        if let Some(load) = self.loader.queued().or(checks.then_some(Load::Check)) {
            self.loader.request(load, &self.setup);
        } else if self.service_manager.is_ready() {
            self.notify_ready();
        }
        self.start_passes();
    }

    async fn apply_config(&mut self, setup: Setup) {
        self.metrics.configure(&setup.config);
        setup.warn();
        let changes = delta::delta(&self.setup.config, &setup.config);
        emit(config_loaded(&setup.config, Some(changes.len())));
        for change in changes {
            emit(Event::ConfigChanged { change });
        }
        self.unblock_changed(&setup);
        let (old, new) = (&self.setup.config.agent, &setup.config.agent);
        let fixed = |it: &config::Agent| (it.name.clone(), it.state_dir.clone(), it.trust.clone(), it.log_format);
        if fixed(old) != fixed(new) {
            emit(Event::RestartRequired {});
        }
        self.template_watcher = TemplateWatcher::watch(&setup.config);
        self.dest_watcher = DestWatcher::watch(&setup.config);
        self.server.reconfigure(&setup.config.status).await;
        self.http.reconfigure(setup.config.status.http.as_ref());
        self.apply_setup(setup);
        self.maintain_state();
    }

    /// Unblocks files that a reload failed with if their template's configuration has changed: its reload may be fixed.
    fn unblock_changed(&self, setup: &Setup) {
        let old = &self.setup.config.templates;
        let changed: BTreeSet<&str> =
            setup.config.templates.iter().filter(|new| !old.contains(new)).map(|new| &*new.name).collect();
        let configs = self.driver.engine.templates().values().map(|template| &template.plan().config);
        let base = |config: &TemplateConfig| {
            config.file_of().map_or_else(|| Arc::clone(&config.name), |(each, _)| Arc::clone(&each.template))
        };
        let dests = configs.filter(|config| changed.contains(&*base(config))).map(|config| config.dest.clone());
        self.driver.executor.unblock(dests.collect());
    }

    fn apply_setup(&mut self, setup: Setup) {
        self.setup = Arc::new(setup);
        let plan = self.setup.plan(&[]);
        if let Some(history) = &self.driver.history {
            history.set_limits(self.setup.config.history);
        }
        self.driver.executor.set_library(Arc::clone(&self.setup.library));
        self.follow(&plan);
        // After what is under way: a file that is being written is noted first.
        self.driver.executor.forget_unmanaged(self.setup.config.templates.clone());
        self.step_driver(Input::Configured(plan));
        // By then it is known which files the new configuration makes, and the program has not started with any of them.
        self.supervisor.configure(self.setup.config.exec.clone());
        self.step(Input::Tick);
    }

    /// Shuts down in time: runs pending reloads, ends commands, completes files, closes sessions.
    async fn end(mut self) {
        self.service_manager.stopping();
        // A late answer would describe a state that is no longer true.
        self.incoming.close();
        while self.incoming.try_recv().is_ok() {}
        self.requests.close();
        self.rollbacks = Rollbacks::default();
        self.jones_recorder = JonesRecorder::default();
        self.driver.passes = Passes::default();
        self.server.stop().await;
        self.http.stop();
        self.step(Input::Stopping);
        let grace = tokio::time::sleep(GRACE);
        tokio::pin!(grace);
        while self.driver.engine.is_publishing() || self.driver.engine.is_reloading() {
            tokio::select! {
                Some(answer) = self.driver.answers.recv() => self.step(answer),
                () = &mut grace => break,
            }
        }
        // The sessions may be kept, and a hanging ensemble must not delay the end.
        let _ = tokio::time::timeout(LOCK_GRACE, self.locks.release()).await;
        if !self.registrar.keeps_sessions() {
            // A hanging file system must not delay the end.
            let _ = tokio::time::timeout(GRACE, self.registrar.forget_sessions()).await;
        }
        self.driver.end().await;
        for (reload, debt) in self.driver.engine.pending_reloads() {
            if debt.is_pending() {
                emit(Event::ReloadPending { command: reload.to_string(), templates: debt.templates() });
            }
        }
    }
}
