//! Drives an engine: feeds it inputs, executes its effects, and advances passes.

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::agent::Inherited;
use crate::agent::executor::Executor;
use crate::agent::pass::Passes;
use crate::agent::pins::PinFile;
use crate::config::Reload;
use crate::decide::event::seconds;
use crate::decide::{Effect, Engine, Event, Input, Moment, RunMode};
use crate::history::History;
use crate::load::setup::Setup;
use crate::log::emit;
use crate::state::append_log::Access;
use crate::state::last_good::LastGood;
use crate::state::pause::DEFAULT_DURATION;
use crate::watch::StateAccess;
use crate::watch::registries::Registries;

/// The time limit of a shutdown. Work that has not ended by then is abandoned.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the end of the process waits until the last pins are saved. A disk may hang.
const PINS_TIMEOUT: Duration = Duration::from_millis(500);

/// Opens the history of a state directory; `None` if that is not possible, which stops nothing else.
fn open_history(state_dir: &Path, setup: &Setup) -> Option<History> {
    let opened = History::open(state_dir, setup.config.history);
    let failed = |why: &io::Error| {
        let (reason, effect) = (format!("cannot start its thread: {why}"), "no history is recorded");
        emit(Event::StateWriteFailed { file: None, reason, effect });
    };
    opened.inspect_err(failed).ok()
}

/// An engine with the parts that it controls.
pub struct Driver {
    pub engine: Engine,
    pub executor: Executor,
    pub registries: Registries,
    pub passes: Passes,
    /// The results of effects.
    pub answers: mpsc::UnboundedReceiver<Input>,
    /// The saved rosters; `None` if nothing is saved.
    last_good: Option<LastGood>,
    /// The history; `None` if nothing is recorded.
    pub history: Option<History>,
    /// The saved pins; `None` if nothing is saved.
    pub pin_file: Option<PinFile>,
    /// Why the pins of the previous run could not be read.
    pub unread_pins: Option<String>,
    pub started_at: Instant,
}

impl Driver {
    /// Creates an engine with inherited state and without a configuration. Without `reloads`, no reload runs or becomes
    /// pending.
    pub fn new(setup: &Setup, inherited: Inherited, pace: RunMode, reloads: bool) -> Self {
        let Inherited { writer, access, owned_files, owed } = inherited;
        let written =
            owned_files.as_ref().map(|owned_files| owned_files.written(&setup.config.templates)).unwrap_or_default();
        let (executor, answers) = Executor::new(writer, Arc::clone(&setup.library), owned_files, reloads);
        let state_dir = setup.stateful.then(|| setup.config.agent.state_dir.clone());
        let last_good = state_dir.as_ref().map(|state_dir| LastGood::new(state_dir));
        let saved = last_good.as_ref().map(|last_good| last_good.load(access)).unwrap_or_default();
        let own_dir = state_dir.as_deref().filter(|_| access == Access::ReadWrite);
        let history = own_dir.and_then(|state_dir| open_history(state_dir, setup));
        let pin_file = own_dir.map(PinFile::new);
        let keep = match (state_dir, access) {
            (None, _) => StateAccess::None,
            (Some(state_dir), Access::ReadWrite) => StateAccess::ReadWrite(state_dir),
            (Some(state_dir), Access::ReadOnly) => StateAccess::ReadOnly(state_dir),
        };
        let mut executor = executor;
        executor.record_in(history.clone());
        let registries = Registries::new(keep);
        let registries = if pace == RunMode::Continuous { registries.with_services() } else { registries };
        let mut driver = Self {
            engine: Engine::new(pace, &setup.host.name, saved),
            executor,
            registries,
            passes: Passes::default(),
            answers,
            last_good: last_good.filter(|_| access == Access::ReadWrite),
            history,
            pin_file,
            unread_pins: None,
            started_at: Instant::now(),
        };
        driver.step(Input::WrittenKeys(written));
        driver.restore_pins();
        driver.step(Input::PendingReloads(owed));
        driver
    }

    /// Restores the pins of the previous run. If they cannot be read, it is not known which files must not be rendered, so
    /// replacements are paused, as for a pause that cannot be read.
    fn restore_pins(&mut self) {
        let now = self.now();
        match self.pin_file.as_ref().map(|pin_file| pin_file.load(now)) {
            None => {}
            Some(Ok(pins)) => _ = self.step(Input::Pins(pins)),
            Some(Err(why)) => {
                self.unread_pins = Some(why);
                self.step(Input::Paused(now + DEFAULT_DURATION));
            }
        }
    }

    /// The time on the engine's clock.
    pub fn now(&self) -> Moment {
        Moment::after_start(self.started_at.elapsed())
    }

    /// Waits for the next input of [`Driver::step`].
    pub async fn next(&mut self) -> Input {
        let wake = self.engine.next_wake().map(|wake| self.started_at + wake.since_start());
        let wake = wake.into_iter().chain(self.passes.next_deadline()).min();
        let sleep = async {
            match wake {
                Some(wake) => tokio::time::sleep_until(wake.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // Results come first: they free a template before another input queues it.
            biased;
            Some(answer) = self.answers.recv() => answer,
            event = self.registries.next() => Input::Registry(event),
            () = sleep => self.passes.tick(),
        }
    }

    /// Steps the engine and advances passes. Returns the templates whose files have changed and must be applied by the
    /// agent's program.
    pub fn step(&mut self, input: Input) -> BTreeSet<Arc<str>> {
        let mut changed = self.step_engine(input);
        for input in self.passes.advance(&self.engine, self.now(), &self.executor) {
            changed.append(&mut self.step_engine(input));
        }
        self.passes.send_reports(&self.engine, self.now());
        changed
    }

    fn step_engine(&mut self, input: Input) -> BTreeSet<Arc<str>> {
        self.record_publication(&input);
        let mut changed = BTreeSet::new();
        for effect in self.engine.step(self.now(), input) {
            match effect {
                Effect::Publish(group) => self
                    .executor
                    .publish(group, |publication| self.passes.publication_started(publication, &self.executor)),
                Effect::Probe(publication) => self.executor.probe(publication),
                Effect::Reload(job) if job.reload == Reload::Program => {
                    changed.extend(job.templates.iter().map(|template| Arc::clone(&template.name)));
                }
                Effect::Reload(job) => self.executor.reload(job),
                Effect::Restore(job) => self.executor.restore(job),
                Effect::Save(saved) => {
                    if let Some(last_good) = &self.last_good {
                        self.executor.save_last_good(last_good, saved);
                    }
                }
                Effect::SavePins(pins) => {
                    if let Some(pin_file) = &self.pin_file {
                        pin_file.save(&self.executor, &pins, self.now());
                    }
                }
                Effect::Emit(event) => emit(event),
            }
        }
        changed
    }

    fn record_publication(&mut self, input: &Input) {
        if let Input::Published(id, outcome) = input {
            self.passes.publication_ended(*id, outcome);
        }
    }

    /// Compacts the saved rosters. The future resolves when this is done; it need not be awaited.
    pub fn compact_last_good(&self) -> impl Future<Output = ()> + use<> {
        let ages = self.engine.ages(self.now());
        let compacted = self.last_good.as_ref().map(|last_good| self.executor.compact_last_good(last_good, ages));
        async move {
            if let Some(compacted) = compacted {
                compacted.await;
            }
        }
    }

    /// Ends all work and every session. Work that does not end in time is abandoned.
    pub async fn end(&mut self) {
        let (executor, registries) = (self.executor.shut_down(), std::mem::take(&mut self.registries).close());
        let compacted = self.compact_last_good();
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, async { tokio::join!(executor, registries, compacted) })
            .await
            .is_err()
        {
            emit(Event::ShutdownTimedOut { limit_s: seconds(SHUTDOWN_TIMEOUT) });
        }
        // Record results that arrived meanwhile, but begin nothing new. A rollback may be among them.
        let mut last_save = None;
        while let Ok(answer) = self.answers.try_recv() {
            self.record_publication(&answer);
            for effect in self.engine.step(self.now(), answer) {
                if let (Effect::SavePins(pins), Some(pin_file)) = (effect, &self.pin_file) {
                    pin_file.save(&self.executor, &pins, self.now());
                    let (sender, saved) = oneshot::channel::<()>();
                    self.executor.in_order(move || drop(sender));
                    last_save = Some(saved);
                }
            }
        }
        if let Some(saved) = last_save {
            // Nothing is ever sent: the end of the channel is the end of the job.
            let _ = tokio::time::timeout(PINS_TIMEOUT, saved).await;
        }
    }
}
