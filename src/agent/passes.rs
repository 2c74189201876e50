//! Passes that the running agent makes for `render` and `diff`: with its own views, through its own publications.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use crate::agent::executor::{Executor, Manner, Page};
use crate::control::{Answer, FileReport, RenderAsk, RenderReport};
use crate::decide::flight::FlightId;
use crate::decide::query::Lack;
use crate::decide::template::Template;
use crate::decide::{Engine, Input, Moment, Outcome, Publication, Ran, Stage, query};
use crate::error::Exit;
use crate::load::setup::is_or_has;

/// How many passes may be under way: each holds a connection.
pub const MOST: usize = 8;

/// All passes under way.
#[derive(Debug)]
pub struct Passes {
    under_way: BTreeMap<u64, Pass>,
    last: u64,
    tell: mpsc::UnboundedSender<Look>,
    looks: mpsc::UnboundedReceiver<Look>,
}

/// What a dry run came to: of which pass, for which template.
pub type Look = (u64, Arc<str>, Outcome);

#[derive(Debug)]
struct Pass {
    ask: RenderAsk,
    deadline: Instant,
    jobs: BTreeMap<Arc<str>, Job>,
    diff: Arc<Mutex<String>>,
    /// Reloads of this pass's files that failed, with why.
    failed: BTreeMap<String, String>,
    answer: oneshot::Sender<Answer>,
}

/// How far a pass is with one template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Job {
    /// What it needs is not all there, or not settled.
    Waiting,
    /// The engine, or a dry run, has been asked for it.
    Asked,
    /// It is being published.
    Flying(FlightId),
    /// Its check refused it: who is at fault is looked for, and it is published without him.
    Refused(Outcome),
    /// It is over.
    Ended(End),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    Came(Outcome),
    /// No good view yet.
    Held,
    /// One key's file was asked for, and there is no such key.
    NoKey,
    /// No answer from a registry in time.
    Unreached,
    /// Not done in time.
    Late,
    /// Paused meanwhile.
    Paused,
}

impl Passes {
    /// None.
    pub fn new() -> Self {
        let (tell, looks) = mpsc::unbounded_channel();
        Self { under_way: BTreeMap::new(), last: 0, tell, looks }
    }

    /// Whether one more would be too many.
    pub fn is_full(&self) -> bool {
        self.under_way.len() >= MOST
    }

    /// Begins one, for templates that exist.
    pub fn begin(&mut self, ask: RenderAsk, engine: &Engine, now: Instant, answer: oneshot::Sender<Answer>) {
        let wanted = |it: &Template| {
            let config = &it.plan().config;
            // The files of a template with `each` come with it, once it is known which there are.
            let own = |only: &String| match config.pattern() {
                Some(_) => is_or_has(&config.name, only),
                None => **only == *config.name,
            };
            config.file_of().is_none() && (ask.only.is_empty() || ask.only.iter().any(own))
        };
        let wanted = engine.templates().values().filter(|template| wanted(template));
        let names = wanted.flat_map(|template| engine.mates(template)).map(|it| &it.plan().config.name);
        let jobs = names.map(|name| (Arc::clone(name), Job::Waiting)).collect();
        let deadline = now.checked_add(ask.timeout).unwrap_or_else(|| now + crate::state::pause::LONGEST);
        let (diff, failed) = (Arc::default(), BTreeMap::new());
        self.last += 1;
        self.under_way.insert(self.last, Pass { ask, deadline, jobs, diff, failed, answer });
    }

    /// When something is to be done although nothing happens.
    pub fn wake(&self) -> Option<Instant> {
        self.under_way.values().filter(|pass| !pass.is_written()).map(|pass| pass.deadline).min()
    }

    /// The next answer of a dry run.
    pub async fn looked(&mut self) -> Look {
        match self.looks.recv().await {
            Some(look) => look,
            // The queue never closes: `tell` is here.
            None => std::future::pending().await,
        }
    }

    /// Takes the answer of a dry run.
    pub fn take(&mut self, (id, template, outcome): Look) {
        if let Some(job) = self.under_way.get_mut(&id).and_then(|pass| pass.jobs.get_mut(&template)) {
            *job = Job::Ended(End::Came(outcome));
        }
    }

    /// Hears what the engine hears.
    pub fn hear(&mut self, input: &Input) {
        match input {
            Input::Published(id, outcome) => {
                let jobs = self.under_way.values_mut().flat_map(|pass| pass.jobs.values_mut());
                for job in jobs.filter(|job| **job == Job::Flying(*id)) {
                    *job = match outcome {
                        Outcome::Failed(failure) if failure.stage == Stage::Refused => Job::Refused(outcome.clone()),
                        _ => Job::Ended(End::Came(outcome.clone())),
                    };
                }
            }
            Input::Reloaded(reload, Ran::Failed(why)) => {
                for pass in self.under_way.values_mut() {
                    pass.failed.insert(reload.to_string(), why.clone());
                }
            }
            _ => {}
        }
    }

    /// Sees a publication begin. Says whether it is to show a diff, and where.
    pub fn see(&mut self, publication: &Publication) -> Option<(Manner, Page)> {
        let mut page = None;
        for pass in self.under_way.values_mut().filter(|pass| !pass.ask.dry_run) {
            let job = pass.jobs.get_mut(&publication.template.name);
            if let Some(job) = job.filter(|job| matches!(job, Job::Asked | Job::Refused(_))) {
                *job = Job::Flying(publication.id);
                if pass.ask.diff && page.is_none() {
                    page = Some(Page::Kept(Arc::clone(&pass.diff)));
                }
            }
        }
        page.map(|page| (Manner { diff: true, ..Manner::DAEMON }, page))
    }

    /// What the engine is to be asked now. Dry runs begin here.
    pub fn advance(&mut self, engine: &Engine, now: (Instant, Moment), performer: &Executor) -> Vec<Input> {
        let mut inputs = Vec::new();
        for (id, pass) in &mut self.under_way {
            let ready = pass.settle(engine, now);
            if pass.ask.dry_run {
                for name in ready {
                    look(*id, &name, pass, engine, performer, &self.tell);
                }
            } else if !ready.is_empty() {
                // Who names a file wants it to be tried, also where that has failed; who asks for all of them, again and
                // again, does not.
                if !pass.ask.only.is_empty() {
                    let configs =
                        ready.iter().filter_map(|name| engine.templates().get(name)).map(|it| &it.plan().config);
                    performer.lift(configs.map(|config| config.dest.clone()).collect());
                }
                inputs.push(Input::Render { templates: ready, reload: pass.ask.reload });
            }
        }
        inputs
    }

    /// Answers those that are over.
    pub fn conclude(&mut self, engine: &Engine) {
        let over = |pass: &Pass| pass.is_written() && !pass.is_reloading(engine);
        let ended: Vec<u64> = self.under_way.iter().filter(|(_, pass)| over(pass)).map(|(id, _)| *id).collect();
        for pass in ended.iter().filter_map(|id| self.under_way.remove(id)) {
            let report = pass.report(engine);
            // Who asked may have gone; what was done is done.
            let _ = pass.answer.send(Answer::Rendered(report));
        }
    }
}

/// Begins the dry run of one template.
fn look(
    id: u64,
    name: &Arc<str>,
    pass: &Pass,
    engine: &Engine,
    performer: &Executor,
    tell: &mpsc::UnboundedSender<Look>,
) {
    let Some(template) = engine.templates().get(name) else {
        return;
    };
    let snapshot = (!template.is_going()).then(|| template.snapshot(engine.rosters(), engine.keys()));
    let page = Page::Kept(Arc::clone(&pass.diff));
    let looking = performer.look(Arc::clone(&template.plan().config), snapshot, pass.ask.diff, page);
    let (tell, name) = (tell.clone(), Arc::clone(name));
    tokio::spawn(async move {
        // The loop may have ended: then nobody waits for the answer.
        let _ = tell.send((id, name, looking.await));
    });
}

impl Pass {
    /// Says which templates can be rendered now, and ends those that cannot be any more.
    fn settle(&mut self, engine: &Engine, (instant, now): (Instant, Moment)) -> BTreeSet<Arc<str>> {
        let late = instant >= self.deadline;
        let max_stale = self.ask.max_stale;
        let paused = engine.paused().is_some() && !self.ask.dry_run;
        let (mut ready, mut spread) = (BTreeSet::new(), Vec::new());
        for (name, job) in &mut self.jobs {
            let template = engine.templates().get(name);
            let next = match (&*job, template) {
                (Job::Ended(_), _) => continue,
                (_, None) => Some(Job::Ended(End::Late)),
                (Job::Waiting | Job::Asked, _) if paused => Some(Job::Ended(End::Paused)),
                (Job::Waiting, Some(template)) => {
                    waited(engine, template, late, query::is_stale(engine, template, now, max_stale))
                }
                (Job::Refused(outcome), Some(template)) if !template.is_searching() => {
                    Some(Job::Ended(End::Came(outcome.clone())))
                }
                (Job::Asked | Job::Flying(_) | Job::Refused(_), _) => late.then_some(Job::Ended(End::Late)),
            };
            if let (Some(Job::Asked), Some(template)) = (&next, template)
                && template.plan().config.pattern().is_some()
            {
                spread.push(Arc::clone(name));
                continue;
            }
            if next == Some(Job::Asked) {
                ready.insert(Arc::clone(name));
            }
            if let Some(next) = next {
                *job = next;
            }
        }
        if spread.is_empty() {
            return ready;
        }
        for name in &spread {
            ready.extend(self.spread(engine, name));
        }
        // The files have needs of their own.
        ready.extend(self.settle(engine, (instant, now)));
        ready
    }

    /// In place of a template with `each` its files are asked for. Gives those that are to be removed, which wait for
    /// nothing.
    fn spread(&mut self, engine: &Engine, name: &Arc<str>) -> Vec<Arc<str>> {
        self.jobs.remove(name);
        let mut going = Vec::new();
        for (_, template) in engine.files(name) {
            let file = &template.plan().config.name;
            let asked = |only: &String| **only == **file || **only == **name;
            if self.ask.only.is_empty() || self.ask.only.iter().any(asked) {
                let job = if template.is_going() { Job::Asked } else { Job::Waiting };
                going.extend(template.is_going().then(|| Arc::clone(file)));
                self.jobs.insert(Arc::clone(file), job);
            }
        }
        let missing = self.ask.only.iter().filter(|only| ***only != **name && is_or_has(name, only));
        let missing: Vec<Arc<str>> = missing.map(|only| Arc::from(only.as_str())).collect();
        for file in missing {
            self.jobs.entry(file).or_insert(Job::Ended(End::NoKey));
        }
        going
    }

    /// Whether nothing more will be written.
    fn is_written(&self) -> bool {
        self.jobs.values().all(|job| matches!(job, Job::Ended(_)))
    }

    /// Whether a reload for its files has still to run, and has not failed. Each has its own time limit.
    fn is_reloading(&self, engine: &Engine) -> bool {
        let owed = |name: &Arc<str>| engine.debts().values().any(|debt| debt.is_pending() && debt.owes(name));
        !self.ask.dry_run && self.ask.reload && self.jobs.keys().any(owed)
    }

    fn report(&self, engine: &Engine) -> RenderReport {
        let mut report = RenderReport {
            exit: Exit::Done,
            diff: self.diff.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            files: Vec::new(),
            remarks: Vec::new(),
        };
        for (name, job) in &self.jobs {
            let template = engine.templates().get(name);
            let (what, why, exit) = self.told(job);
            report.exit = report.exit.worse(exit);
            let dest = template.map(|template| template.plan().config.dest.clone()).unwrap_or_default();
            report.files.push(FileReport { template: name.to_string(), dest, what: what.to_owned(), why });
            if template.is_some_and(|template| query::is_held(engine, template)) && !self.ask.held_ok {
                report.exit = report.exit.worse(Exit::Held);
            }
        }
        let needed = |name: &Arc<str>, is_roster| {
            self.jobs.keys().filter_map(|name| engine.templates().get(name)).any(|it| it.leans_on(name, is_roster))
        };
        for (_, roster) in engine.rosters().iter().filter(|(name, roster)| needed(name, true) && roster.is_held()) {
            let holds = roster.holds().into_iter();
            report.remarks.extend(holds.map(|(path, hold)| format!("holding: {}", hold.reason.describe(&path))));
        }
        for (_, key) in engine.keys().iter().filter(|(name, _)| needed(name, false)) {
            let hold = key.hold().map(|hold| format!("holding: {}", hold.reason.describe(&key.config().path)));
            report.remarks.extend(hold);
        }
        let owed = |debt: &crate::decide::pending_reload::PendingReload| self.jobs.keys().any(|name| debt.owes(name));
        for (reload, _) in engine.debts().iter().filter(|(_, debt)| owed(debt) && self.ask.reload && !self.ask.dry_run)
        {
            let why = self.failed.get(&reload.to_string()).map(|why| format!(": {why}")).unwrap_or_default();
            report.remarks.push(format!("a reload is still owed: {reload}{why}"));
            report.exit = report.exit.worse(Exit::Failed);
        }
        report
    }

    /// What became of one template: in a word, why, and the exit code.
    fn told(&self, job: &Job) -> (&'static str, Option<String>, Exit) {
        let differs = if self.ask.detailed_exitcode { Exit::Differs } else { Exit::Done };
        let not = |why: &str, exit| ("not done", Some(why.to_owned()), exit);
        match job {
            Job::Ended(End::Came(Outcome::Unchanged)) => ("unchanged", None, Exit::Done),
            Job::Ended(End::Came(Outcome::Replaced)) => ("wrote", None, differs),
            Job::Ended(End::Came(Outcome::Removed)) => ("removed", None, differs),
            Job::Ended(End::Came(Outcome::WouldRemove)) => ("would remove", None, differs),
            Job::Ended(End::NoKey) => not("there is no such key with members", Exit::Held),
            Job::Ended(End::Came(Outcome::WouldReplace)) => ("would write", None, differs),
            Job::Ended(End::Came(Outcome::Failed(failure))) => not(&failure.message, Exit::Failed),
            Job::Ended(End::Came(Outcome::Abandoned)) => not("the agent is stopping", Exit::Failed),
            // The code is the hold's, which --held-ok may pardon.
            Job::Ended(End::Held) => not("no good view yet", Exit::Done),
            Job::Ended(End::Unreached) => not("no answer from the registry in time", Exit::Unreached),
            Job::Ended(End::Paused) => not("paused", Exit::Held),
            Job::Ended(End::Late) | Job::Waiting | Job::Asked | Job::Flying(_) | Job::Refused(_) => {
                not("not done in time", Exit::Failed)
            }
        }
    }
}

/// What becomes of a template that waits; `None` while it goes on waiting.
fn waited(engine: &Engine, template: &Template, late: bool, stale: bool) -> Option<Job> {
    if stale {
        return late.then_some(Job::Ended(End::Unreached));
    }
    if query::is_settling(engine, template) && !late {
        return None;
    }
    Some(if query::lacks(engine, template, Lack::Held) { Job::Ended(End::Held) } else { Job::Asked })
}
