//! One pass: wait for every roster that is needed, decide, act, report.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

use crate::decide::debt::Debt;
use crate::decide::key::Key;
use crate::decide::roster::Roster;
use crate::decide::template::Template;
use crate::decide::{Effect, Engine, Input, Moment, Outcome, Pace};
use crate::error::{Exit, Fatal};
use crate::perform::{Manner, Performer, Write};
use crate::registries::Registries;
use crate::run;
use crate::say;
use crate::setup::Setup;

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
}

/// Makes one pass and says how it ended.
///
/// # Errors
/// A template that does not exist was named, or the state directory is another agent's or cannot be used.
pub async fn render(setup: Setup, pass: &Pass) -> Result<Exit, Fatal> {
    let unknown = setup.unknown(&pass.only);
    if !unknown.is_empty() {
        return Err(Fatal::new(Exit::Usage, format!("no template is named {}", unknown.join(" or "))));
    }
    say::odd(&setup.warnings);
    // A dry run writes nothing, so it may look over a running agent's shoulder.
    let locks = setup.stateful && pass.manner.write == Write::Really;
    let lock = if locks { Some(run::lock(&setup).await?) } else { None };
    let (performer, answers) = Performer::new(run::start_writer()?, Arc::clone(&setup.library), pass.manner);
    let mut registries = Registries::new();
    let plan = setup.plan(&pass.only);
    registries.follow(&setup.config.registries, &plan);
    let mut round = Round {
        engine: Engine::new(Pace::Once, &setup.host.name),
        performer,
        answers,
        registries,
        began: Instant::now(),
        exit: Exit::Done,
        differs: false,
    };
    round.step(Input::Configured(plan));
    round.go(pass.timeout).await?;
    let exit = round.end(pass).await;
    drop(lock);
    Ok(exit)
}

struct Round {
    engine: Engine,
    performer: Performer,
    answers: tokio::sync::mpsc::UnboundedReceiver<Input>,
    registries: Registries,
    began: Instant,
    exit: Exit,
    differs: bool,
}

/// Why a template is not done.
#[derive(PartialEq, Eq)]
enum Lack {
    /// The registry has not answered yet.
    Unseen,
    /// It has, and the roster holds without a last good view.
    Held,
}

impl Round {
    /// Goes on until nothing more will come of waiting, or the time is over.
    async fn go(&mut self, timeout: Duration) -> Result<(), Fatal> {
        let listen = |kind| signal(kind).map_err(|why| Fatal::new(Exit::Failed, format!("listen for signals: {why}")));
        let (mut term, mut int) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
        // A timeout too long to be counted is none for a while.
        let deadline = self.began.checked_add(timeout).unwrap_or_else(|| self.began + Duration::from_hours(24 * 365));
        while !self.is_over() {
            let wake = self.engine.next_wake().map(|wake| self.began + wake.since_start());
            let sleep_until = wake.map_or(deadline, |wake| wake.min(deadline));
            let input = tokio::select! {
                Some(answer) = self.answers.recv() => answer,
                sighting = self.registries.next() => Input::Saw(sighting),
                () = tokio::time::sleep_until(sleep_until.into()) => Input::Tick,
                _ = term.recv() => Input::Stopping,
                _ = int.recv() => Input::Stopping,
            };
            if matches!(input, Input::Stopping) {
                warn!("stopped before the pass was over");
                self.exit = Exit::Failed;
                break;
            }
            if matches!(input, Input::Tick) && Instant::now() >= deadline {
                break;
            }
            self.step(input);
        }
        Ok(())
    }

    fn step(&mut self, input: Input) {
        if let Input::Published(template, outcome) = &input {
            say::published(template, outcome);
            match outcome {
                Outcome::Replaced | Outcome::WouldReplace => self.differs = true,
                Outcome::Failed(_) => self.exit = Exit::Failed,
                Outcome::Unchanged | Outcome::Abandoned => {}
            }
        }
        for effect in self.engine.step(Moment::after_start(self.began.elapsed()), input) {
            match effect {
                Effect::Publish(publication) => self.performer.publish(publication),
                Effect::Reload(job) => self.performer.reload(job),
                Effect::Say(notice) => say::notice(&notice),
            }
        }
    }

    /// Whether every template is done, failed, or waits for members that the registry does not have.
    fn is_over(&self) -> bool {
        let waiting = |template: &Template| template.is_wanted() && self.lacks(template, &Lack::Unseen);
        !self.engine.is_busy() && !self.engine.templates().values().any(waiting)
    }

    fn lacks(&self, template: &Template, lack: &Lack) -> bool {
        let missing = template.missing(self.engine.rosters(), self.engine.keys());
        missing.iter().any(|name| {
            let roster = self.engine.rosters().get(name).map(Roster::is_seen);
            let key = self.engine.keys().get(name).map(Key::is_seen);
            let seen = roster.or(key).unwrap_or_default();
            (if seen { Lack::Held } else { Lack::Unseen }) == *lack
        })
    }

    async fn end(mut self, pass: &Pass) -> Exit {
        self.judge(pass);
        let Self { performer, registries, exit, .. } = self;
        tokio::join!(performer.stop(), registries.close());
        exit
    }

    /// The most serious of all that happened.
    fn judge(&mut self, pass: &Pass) {
        let mut unreached = BTreeSet::new();
        for (name, template) in self.engine.templates() {
            if template.is_in_flight() {
                error!(template = &**name, timeout = ?pass.timeout, "not done in time");
                self.exit = self.exit.worse(Exit::Failed);
            }
            if template.is_wanted() && self.lacks(template, &Lack::Unseen) {
                unreached.insert(Arc::clone(name));
                self.exit = self.exit.worse(Exit::Unreached);
            }
            if self.is_held(template) && !pass.held_ok {
                self.exit = self.exit.worse(Exit::Held);
            }
        }
        for template in unreached {
            error!(template = &*template, timeout = ?pass.timeout, "no answer from the registry in time");
        }
        if self.engine.debts().values().any(Debt::is_owed) {
            self.exit = self.exit.worse(Exit::Failed);
        }
        if self.differs && pass.detailed_exitcode {
            self.exit = self.exit.worse(Exit::Differs);
        }
        info!(exit = self.exit.code(), "done");
    }

    /// Whether a roster or key that it needs does not give what the registry shows.
    fn is_held(&self, template: &Template) -> bool {
        let rosters = self.engine.rosters().iter();
        let keys = self.engine.keys().iter();
        let mut held = rosters
            .filter(|(name, roster)| template.needs(name, true) && !roster.holds().is_empty())
            .map(|(name, _)| name)
            .chain(
                keys.filter(|(name, key)| template.needs(name, false) && key.hold().is_some()).map(|(name, _)| name),
            );
        held.next().is_some()
    }
}
