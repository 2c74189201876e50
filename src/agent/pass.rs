//! One pass: wait for every roster that is needed, decide, act, report.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::act::files::Writer;
use crate::agent;
use crate::agent::executor::{Executor, Manner, Write};
use crate::agent::{Inherited, Signals};
use crate::config::TemplateConfig;
use crate::decide::event::seconds;
use crate::decide::query::{Lack, is_held, lacks};
use crate::decide::template::Template;
use crate::decide::{Effect, Engine, Event, Input, Moment, Outcome, Pace};
use crate::error::{Exit, Fatal};
use crate::load::setup::Setup;
use crate::log::emit;
use crate::state::append_log::Access;
use crate::state::last_good::Memory;
use crate::state::owned_files::OwnedFiles;
use crate::watch::Keep;
use crate::watch::registries::Registries;

use beside::Maker;

pub mod beside;

/// What `render` and `diff` are asked for.
#[derive(Debug, Clone)]
pub struct Pass {
    /// The templates; all when empty.
    pub only: Vec<String>,
    /// How long to wait for the registries and the commands.
    pub timeout: Duration,
    /// What is written, shown and run.
    pub manner: Manner,
    /// Whether a difference is [`Exit::Differs`].
    pub detailed_exitcode: bool,
    /// Whether too few members are no failure.
    pub held_ok: bool,
    /// Whether a running agent cannot make it, because the command line says something else than the file.
    pub alone: bool,
    /// How old a last good roster may be that stands in for a registry that is not reached; `None`: none does.
    pub max_stale: Option<Duration>,
}

/// Makes one pass and says how it ended.
///
/// # Errors
/// A template that does not exist was named, or the state directory is another agent's or cannot be used.
pub async fn render(setup: Setup, pass: &Pass) -> Result<Exit, Fatal> {
    let unknown = setup.unknown(&pass.only);
    if !unknown.is_empty() {
        let known: Vec<&str> = setup.config.templates.iter().map(|template| &*template.name).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let message = format!("no template is named {}: there is {known}", unknown.join(" or "));
        return Err(Fatal::new(Exit::Usage, message));
    }
    setup.warn();
    let lock = match beside::maker(&setup, pass).await? {
        Maker::Agent(exit) => return Ok(exit),
        Maker::Itself(lock) => lock,
    };
    let mut signals = Signals::new()?;
    let locks = lock.is_some();
    let Some(earlier) = (tokio::select! {
        earlier = Earlier::of(&setup, pass, locks) => Some(earlier?),
        _ = signals.stop() => None,
    }) else {
        emit(Event::PassInterrupted {});
        return Ok(Exit::Failed);
    };
    let (mut performer, answers) = Executor::new(earlier.writer, Arc::clone(&setup.library), pass.manner);
    let state = setup.stateful.then(|| setup.config.agent.state_dir.clone());
    let keep = state.map_or(Keep::Nothing, |state| if locks { Keep::Write(state) } else { Keep::Read(state) });
    let mut registries = Registries::new(keep);
    let plan = setup.plan(&pass.only);
    registries.follow(&setup.config.registries, &plan);
    let memory = setup.stateful.then(|| Memory::of(&setup.config.agent.state_dir));
    let access = if locks { Access::Own } else { Access::Look };
    let written = earlier.ledger.as_ref().map(|ledger| ledger.written(&setup.config.templates));
    if let Some(ledger) = earlier.ledger {
        performer.keep_account(ledger);
    }
    let recalled = memory.as_ref().map(|memory| memory.recall(access)).unwrap_or_default();
    let mut round = Round {
        engine: Engine::new(Pace::Once, &setup.host.name, recalled),
        memory: memory.filter(|_| locks),
        performer,
        answers,
        registries,
        began: Instant::now(),
        exit: Exit::Done,
        differs: false,
        insists: !pass.only.is_empty() && pass.manner.write == Write::Really,
        removed: BTreeSet::new(),
    };
    if let Some(written) = written {
        round.step(Input::Wrote(written));
    }
    round.step(Input::Owed(earlier.owed));
    round.step(Input::Configured(plan));
    let ended = tokio::select! {
        () = round.go(pass) => true,
        _ = signals.stop() => false,
    };
    let exit = round.end(pass, ended).await;
    drop(lock);
    Ok(exit)
}

/// What there is from before the pass.
struct Earlier {
    writer: Writer,
    ledger: Option<OwnedFiles>,
    owed: Vec<Arc<TemplateConfig>>,
}

impl Earlier {
    async fn of(setup: &Setup, pass: &Pass, locks: bool) -> Result<Self, Fatal> {
        if !locks {
            let look = || OwnedFiles::open(&setup.config.agent.state_dir, Access::Look);
            let ledger = setup.stateful.then(look);
            return Ok(Self { writer: agent::start_writer()?, ledger, owed: Vec::new() });
        }
        let Inherited { writer, ledger, owed } = Inherited::of(setup).await?;
        // What is owed for other templates is for a pass that is about them.
        let only = |template: &Arc<TemplateConfig>| {
            let whole = template.file_of().map(|(each, _)| Arc::clone(&each.template));
            let is = |only: &String| **only == *template.name || whole.as_ref().is_some_and(|whole| **only == **whole);
            pass.manner.reload && (pass.only.is_empty() || pass.only.iter().any(is))
        };
        Ok(Self { writer, ledger: Some(ledger), owed: owed.into_iter().filter(only).collect() })
    }
}

struct Round {
    engine: Engine,
    performer: Executor,
    answers: tokio::sync::mpsc::UnboundedReceiver<Input>,
    registries: Registries,
    /// What outlives this pass, if it has a state directory and writes anything that somebody will see.
    memory: Option<Memory>,
    began: Instant,
    exit: Exit,
    differs: bool,
    /// Whoever names files wants them to be tried, also where that has failed.
    insists: bool,
    /// The templates whose files were removed.
    removed: BTreeSet<String>,
}

impl Round {
    /// Goes on until nothing more will come of waiting, or the time is over; then the reloads that are owed run, each
    /// with its own time limit, because a file that was replaced without its reload would look done to the next pass.
    async fn go(&mut self, pass: &Pass) {
        // A timeout too long to be counted is none for a while.
        let deadline =
            self.began.checked_add(pass.timeout).unwrap_or_else(|| self.began + Duration::from_hours(24 * 365));
        while self.is_waiting() {
            let wake = self.engine.next_wake().map(|wake| self.began + wake.since_start());
            let input = tokio::select! {
                input = self.next() => input,
                () = tokio::time::sleep_until(wake.map_or(deadline, |wake| wake.min(deadline)).into()) => Input::Tick,
            };
            if matches!(input, Input::Tick) && Instant::now() >= deadline {
                break;
            }
            self.step(input);
        }
        if let Some(max_stale) = pass.max_stale {
            self.step(Input::StandIn(max_stale));
            // Checks have a time limit of their own.
            while self.engine.is_publishing() {
                let input = self.next().await;
                self.step(input);
            }
        }
        self.step(Input::Stopping);
        while self.engine.is_reloading() {
            // One may be deferred: by its interval, where it ran for other files of this pass.
            let wake = self.engine.next_wake().map(|wake| self.began + wake.since_start());
            let woken = async {
                match wake {
                    Some(wake) => tokio::time::sleep_until(wake.into()).await,
                    None => std::future::pending().await,
                }
            };
            let input = tokio::select! {
                input = self.next() => input,
                () = woken => Input::Tick,
            };
            self.step(input);
        }
        if self.performer.unfinished().await > 0 {
            emit(Event::WriteUnfinished {});
            self.exit = self.exit.worse(Exit::Failed);
        }
    }

    async fn next(&mut self) -> Input {
        tokio::select! {
            Some(answer) = self.answers.recv() => answer,
            sighting = self.registries.next() => Input::Saw(sighting),
        }
    }

    fn step(&mut self, input: Input) {
        for effect in self.take(input) {
            match effect {
                Effect::Publish(group) => {
                    let removed = group.publications.iter().filter(|publication| publication.remove);
                    self.removed.extend(removed.map(|publication| publication.template.name.to_string()));
                    if self.insists {
                        let dests = group.publications.iter().map(|publication| publication.template.dest.clone());
                        self.performer.lift(dests.collect());
                    }
                    self.performer.publish(group, |_| None);
                }
                Effect::Probe(publication) => self.performer.probe(publication),
                Effect::Reload(job) => self.performer.reload(job),
                Effect::Restore(job) => self.performer.restore(job),
                Effect::Remember(memo) => {
                    if let Some(memory) = &self.memory {
                        self.performer.remember(memory, memo);
                    }
                }
                Effect::Emit(event) => emit(event),
            }
        }
    }

    /// Lets the engine decide, and keeps what the exit code depends on.
    fn take(&mut self, input: Input) -> Vec<Effect> {
        let placed = |it: &Outcome| {
            matches!(it, Outcome::Replaced | Outcome::WouldReplace | Outcome::Removed | Outcome::WouldRemove)
        };
        self.differs |= matches!(&input, Input::Published(_, outcome) if placed(outcome));
        if matches!(input, Input::Restored(..)) {
            // What was rolled back was wrong, however well the reload of the old files went.
            self.exit = Exit::Failed;
        }
        self.engine.step(self.now(), input)
    }

    fn now(&self) -> Moment {
        Moment::after_start(self.began.elapsed())
    }

    /// Whether a template is under way, or waits for a registry that has not answered yet. One that waits for members
    /// that its registry does not have is done: the registry's answer is an answer.
    fn is_waiting(&self) -> bool {
        let waiting = |template: &Template| template.is_wanted() && lacks(&self.engine, template, Lack::Unseen);
        self.engine.is_publishing() || self.engine.templates().values().any(waiting)
    }

    async fn end(mut self, pass: &Pass, ended: bool) -> Exit {
        let tended = self.memory.as_ref().map(|memory| self.performer.tend(memory, self.engine.ages(self.now())));
        let tended = async {
            if let Some(tended) = tended {
                tended.await;
            }
        };
        agent::wind_up(&self.performer, std::mem::take(&mut self.registries), tended).await;
        // What ended meanwhile counts, but begins nothing new.
        while let Ok(answer) = self.answers.try_recv() {
            let _ = self.take(answer);
        }
        if !ended {
            emit(Event::PassInterrupted {});
            self.exit = self.exit.worse(Exit::Failed);
        }
        self.judge(pass);
        self.exit
    }

    /// The most serious of all that happened.
    fn judge(&mut self, pass: &Pass) {
        for (name, template) in self.engine.templates() {
            let limit_s = seconds(pass.timeout);
            if template.failure().is_some() {
                self.exit = self.exit.worse(Exit::Failed);
            }
            if template.is_in_flight() || template.last() == Some(&Outcome::Abandoned) {
                emit(Event::TemplateTimedOut { template: Arc::clone(name), limit_s });
                self.exit = self.exit.worse(Exit::Failed);
            }
            if template.is_wanted() && lacks(&self.engine, template, Lack::Unseen) {
                emit(Event::RegistryTimedOut { template: Arc::clone(name), limit_s });
                self.say_too_old(template, pass);
                self.exit = self.exit.worse(Exit::Unreached);
            }
            let each = template.plan().config.pattern();
            let keys = each.and_then(|each| each.only.as_ref()).into_iter().flatten();
            for key in keys.filter(|key| !self.engine.files(name).any(|(known, _)| known == *key)) {
                // Where the registry did not answer, that was said.
                if !lacks(&self.engine, template, Lack::Unseen) && !self.removed.contains(&format!("{name}[{key}]")) {
                    emit(Event::KeyMissing { template: Arc::clone(name), key: key.to_string() });
                    self.exit = self.exit.worse(Exit::Held);
                }
            }
            if is_held(&self.engine, template) && !pass.held_ok {
                self.exit = self.exit.worse(Exit::Held);
            }
        }
        for (reload, debt) in self.engine.debts().iter().filter(|(_, debt)| debt.is_owed()) {
            emit(Event::PassReloadPending { command: reload.to_string(), templates: debt.templates() });
            self.exit = self.exit.worse(Exit::Failed);
        }
        if self.differs && pass.detailed_exitcode {
            self.exit = self.exit.worse(Exit::Differs);
        }
        emit(Event::PassFinished { exit: self.exit.code(), by: "itself" });
    }

    /// Why nothing that is remembered stands in.
    fn say_too_old(&self, template: &Template, pass: &Pass) {
        let Some(max) = pass.max_stale.map(humantime::format_duration) else {
            return;
        };
        for name in template.missing(self.engine.rosters(), self.engine.keys()) {
            let roster = self.engine.rosters().get(&name).and_then(|roster| roster.age(self.now()));
            let age = roster.or_else(|| self.engine.keys().get(&name)?.age(self.now()));
            let reason = match age {
                Some(age) => {
                    format!("those of {name} are {} s old, and {max} is the most (--max-stale)", age.as_secs())
                }
                None => format!("none of {name} are saved, or their age is not known"),
            };
            let template = Arc::clone(&template.plan().config.name);
            emit(Event::StaleRefused { template, roster: name, reason });
        }
    }
}
