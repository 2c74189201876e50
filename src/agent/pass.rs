//! Passes: each renders some templates once, for `render` and `diff`.
//!
//! A pass waits for the rosters and keys that its templates need. Then the engine renders the templates, or, in a dry
//! run by the agent, the pass compares them. It ends with a report. The running agent runs the passes that are requested
//! on its control socket. If no agent is running, the command runs the pass with its own engine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;

use crate::agent::executor::{DiffSink, Executor};
use crate::control::{Answer, FileResult, PassReport, PassRequest};
use crate::decide::in_flight::PublicationId;
use crate::decide::pending_reload::PendingReload;
use crate::decide::report::HoldReport;
use crate::decide::template::Template;
use crate::decide::template_readiness::{Readiness, is_held, readiness};
use crate::decide::{Engine, Input, Moment, Outcome, Plan, Publication, Stage};
use crate::error::Exit;
use crate::load::setup::is_or_has;
use crate::state::pause::MAX_DURATION;

mod waiting;

/// The maximum number of concurrent passes. Each occupies a connection.
const MAX_PASSES: usize = 8;

/// All passes in progress.
#[derive(Debug, Default)]
pub struct Passes {
    passes: Vec<Pass>,
    /// The number of comparisons that dry runs have begun.
    comparisons: u64,
}

#[derive(Debug)]
struct Pass {
    request: PassRequest,
    /// `None` after it has expired.
    deadline: Option<Instant>,
    jobs: BTreeMap<Arc<str>, Job>,
    diff: DiffSink,
    /// A file was replaced, or would have been.
    differs: bool,
    /// Takes the report; `None` if this process runs the pass for itself.
    answer: Option<oneshot::Sender<Answer>>,
}

/// The progress of a pass with one template.
#[derive(Debug)]
enum Job {
    /// It waits for rosters or keys that are missing or have not settled.
    Waiting,
    /// The engine was asked to render it.
    Requested,
    /// It is being published or compared.
    InFlight(PublicationId),
    /// It, or another file of its unit, could not be rendered or was refused by its check. The engine searches for the
    /// members at fault, and publishes the file without them.
    Refused(Outcome),
    /// It has a file for each key, and each file has a job.
    Split,
    Ended(FileResult),
}

impl Passes {
    /// Whether the maximum number of passes is in progress.
    pub fn is_full(&self) -> bool {
        self.passes.len() >= MAX_PASSES
    }

    /// Begins a pass for the templates of a plan. The report goes to `answer`. Without `answer`, this process runs the
    /// pass for itself, and everything that its engine publishes is part of the pass.
    pub fn start(&mut self, request: PassRequest, plan: &Plan, answer: Option<oneshot::Sender<Answer>>) {
        let deadline = Some(Instant::now() + request.timeout.min(MAX_DURATION));
        let jobs = plan.templates.iter().map(|template| (Arc::clone(&template.config.name), Job::Waiting)).collect();
        let diff = DiffSink::default();
        self.passes.push(Pass { request, deadline, jobs, diff, differs: false, answer });
    }

    /// The next deadline.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.passes.iter().filter(|pass| !pass.is_written()).filter_map(|pass| pass.deadline).min()
    }

    /// Handles deadlines. Returns the input for the engine.
    pub fn tick(&mut self) -> Input {
        let (mut input, now) = (Input::Tick, Instant::now());
        for pass in &mut self.passes {
            let is_late = pass.deadline.take_if(|deadline| *deadline <= now).is_some();
            if let (true, None, Some(max)) = (is_late, &pass.answer, pass.request.max_stale) {
                input = Input::UseSaved(max);
            }
        }
        input
    }

    /// A publication begins. Returns the sink for its diff, if a pass wants one.
    pub fn publication_started(&mut self, publication: &Publication, executor: &Executor) -> Option<DiffSink> {
        let (name, mut diff) = (&publication.template.name, None);
        for pass in self.passes.iter_mut().filter(|pass| !pass.only_compares()) {
            let is_local = pass.answer.is_none();
            let job = match pass.jobs.get_mut(name) {
                Some(job) if is_local || matches!(job, Job::Requested | Job::Refused(_)) => job,
                None if is_local => pass.jobs.entry(Arc::clone(name)).or_insert(Job::Waiting),
                _ => continue,
            };
            *job = Job::InFlight(publication.id);
            // A request that names a file retries it even after a failure. A request for all files does not.
            if !pass.request.names.is_empty() && !pass.request.dry_run {
                executor.unblock(BTreeSet::from([publication.template.dest.clone()]));
            }
            if pass.request.diff {
                diff = diff.or_else(|| Some(pass.diff.clone()));
            }
        }
        diff
    }

    /// A publication or a comparison ended.
    pub fn publication_ended(&mut self, id: PublicationId, outcome: &Outcome) {
        for pass in &mut self.passes {
            for job in pass.jobs.values_mut().filter(|job| matches!(job, Job::InFlight(flight) if *flight == id)) {
                pass.differs |= outcome.differs();
                *job = match outcome {
                    Outcome::Failed(failure) if failure.stage.depends_on_members() || failure.stage == Stage::Unit => {
                        Job::Refused(outcome.clone())
                    }
                    Outcome::Abandoned => Job::Ended(FileResult::Late),
                    _ => Job::Ended(FileResult::Published(outcome.clone())),
                };
            }
        }
    }

    /// Advances every pass, and begins the comparisons of dry runs by the agent. Returns the inputs for the engine.
    pub fn advance(&mut self, engine: &Engine, now: Moment, executor: &Executor) -> Vec<Input> {
        let mut inputs = Vec::new();
        for pass in &mut self.passes {
            let templates = pass.update_jobs(engine, now);
            if !pass.only_compares() {
                let reload = pass.request.reloads();
                inputs.extend((!templates.is_empty()).then_some(Input::Render { templates, reload }));
                continue;
            }
            for (name, template) in templates.iter().filter_map(|name| engine.templates().get_key_value(name)) {
                // The engine counts its ids upwards, so it ignores the results of these.
                let id = PublicationId::MAX - self.comparisons;
                self.comparisons += 1;
                let snapshot = (!template.is_removing()).then(|| template.snapshot(engine.rosters(), engine.keys()));
                let diff = pass.request.diff.then(|| pass.diff.clone());
                executor.compare(id, Arc::clone(&template.plan().config), snapshot, diff);
                pass.jobs.insert(Arc::clone(name), Job::InFlight(id));
            }
        }
        inputs
    }

    /// Whether no pass will write anything more.
    pub fn are_written(&self) -> bool {
        self.passes.iter().all(Pass::is_written)
    }

    /// Answers the passes that have ended and whose reloads have all run. A failed reload is not waited for, and each
    /// reload has its own time limit.
    pub fn send_reports(&mut self, engine: &Engine, now: Moment) {
        let is_reloading = |pass: &Pass| {
            engine.pending_reloads().values().any(|pending| pending.will_run() && pass.is_reload_pending(pending))
        };
        let is_over = |pass: &mut Pass| pass.answer.is_some() && pass.is_written() && !is_reloading(pass);
        for mut pass in self.passes.extract_if(.., is_over) {
            if let Some(answer) = pass.answer.take() {
                // The client may have disconnected.
                let _ = answer.send(Answer::Rendered(pass.report(engine, now)));
            }
        }
    }

    /// The report of the pass that this process runs for itself, if it has ended.
    pub fn own_report(&self, engine: &Engine, now: Moment) -> Option<PassReport> {
        self.passes.first().map(|pass| pass.report(engine, now))
    }
}

impl Pass {
    /// Whether the pass compares files with the agent's views itself. The engine of a dry run's own process publishes
    /// as always, and its executor writes nothing.
    fn only_compares(&self) -> bool {
        self.request.dry_run && self.answer.is_some()
    }

    /// Returns the templates that can be rendered now, and ends those that no longer can be.
    fn update_jobs(&mut self, engine: &Engine, now: Moment) -> BTreeSet<Arc<str>> {
        let is_paused = engine.paused().is_some() && !self.request.dry_run;
        let (late, max_stale) = (self.deadline.is_none(), self.request.max_stale);
        let may_use_saved = |registry: &Arc<str>, age| {
            (late || engine.unreachable().contains_key(registry))
                && max_stale.zip(age).is_some_and(|(max, age)| age <= max)
        };
        // The agent retries, so a pass that it makes waits for that.
        let is_own = self.answer.is_none();
        let is_unusable =
            |name: &Arc<str>| is_own && engine.unreachable_of(name).is_some_and(|unreachable| unreachable.is_final);
        let is_busy = |other: &Template| other.is_searching() || other.is_in_flight();
        let (mut ready, mut patterns) = (BTreeSet::new(), Vec::new());
        for (name, job) in &mut self.jobs {
            let Some(template) = engine.templates().get(name) else {
                if !matches!(job, Job::Ended(_)) {
                    *job = Job::Ended(FileResult::Late);
                }
                continue;
            };
            match job {
                Job::Waiting | Job::Requested if is_paused => *job = Job::Ended(FileResult::Paused),
                Job::Waiting | Job::Requested if template.is_pinned() && !self.request.dry_run => {
                    *job = Job::Ended(FileResult::Pinned);
                }
                Job::Refused(outcome) if !engine.unit_templates(template).any(is_busy) => {
                    *job = Job::Ended(FileResult::Published(outcome.clone()));
                }
                Job::Waiting => match readiness(engine, template, now, may_use_saved) {
                    Readiness::Unreached(known) if known.keys().any(is_unusable) => {
                        *job = Job::Ended(FileResult::Unreached { known, is_final: true });
                    }
                    Readiness::Unreached(known) if late => {
                        *job = Job::Ended(FileResult::Unreached { known, is_final: false });
                    }
                    Readiness::Held(needs) => *job = Job::Ended(FileResult::Held(needs)),
                    Readiness::Unreached(_) => {}
                    Readiness::Settling if !late => {}
                    Readiness::Settling | Readiness::Ready if template.plan().config.pattern().is_some() => {
                        patterns.push(Arc::clone(name));
                    }
                    Readiness::Settling | Readiness::Ready => {
                        *job = Job::Requested;
                        ready.insert(Arc::clone(name));
                    }
                },
                _ => {}
            }
        }
        if !patterns.is_empty() {
            for name in &patterns {
                self.split(engine, name);
            }
            ready.extend(self.update_jobs(engine, now));
        }
        ready
    }

    /// Begins a job for each file of a template with `each`.
    fn split(&mut self, engine: &Engine, name: &Arc<str>) {
        let names = &self.request.names;
        let is_complete = names.is_empty() || names.iter().any(|asked| **asked == **name);
        if is_complete {
            self.jobs.insert(Arc::clone(name), Job::Split);
        } else {
            self.jobs.remove(name);
        }
        for (_, template) in engine.files(name) {
            let file = &template.plan().config.name;
            if is_complete || names.iter().any(|asked| **asked == **file) {
                self.jobs.entry(Arc::clone(file)).or_insert(Job::Waiting);
            }
        }
        for asked in names.iter().filter(|asked| ***asked != **name && is_or_has(name, asked)) {
            self.jobs.entry(Arc::from(asked.as_str())).or_insert(Job::Ended(FileResult::NoKey));
        }
    }

    /// Whether the pass will write nothing more. With `max_stale`, the last files begin at the deadline, because checks
    /// have their own time limits.
    fn is_written(&self) -> bool {
        let late = self.deadline.is_none();
        self.jobs.values().all(|job| match job {
            Job::Split | Job::Ended(_) => true,
            Job::Waiting | Job::Requested => late,
            Job::InFlight(_) | Job::Refused(_) => late && self.request.max_stale.is_none(),
        })
    }

    /// Whether this reload is for a file of the pass.
    fn is_reload_pending(&self, pending: &PendingReload) -> bool {
        let is_about = || self.request.names.is_empty() || self.jobs.keys().any(|name| pending.includes(name));
        self.request.reloads() && pending.is_pending() && is_about()
    }

    fn report(&self, engine: &Engine, now: Moment) -> PassReport {
        let mut exit = if self.differs && self.request.detailed_exitcode { Exit::Differs } else { Exit::Done };
        let (mut files, mut unchecked) = (Vec::new(), Vec::new());
        for (name, job) in &self.jobs {
            let template = engine.templates().get(name);
            let has_none = matches!(job, Job::Ended(FileResult::Held(_)));
            if (has_none || template.is_some_and(|it| is_held(engine, it))) && !self.request.held_ok {
                exit = exit.worse(Exit::Held);
            }
            let failure = template.and_then(Template::failure).filter(|_| !self.request.dry_run);
            let rolled_back = failure.filter(|failure| failure.stage == Stage::Rollback);
            let result = match job {
                Job::Split => continue,
                Job::Ended(FileResult::Published(outcome)) => {
                    let outcome = rolled_back.map_or_else(|| outcome.clone(), |it| Outcome::Failed(it.clone()));
                    FileResult::Published(outcome)
                }
                Job::Ended(result) => result.clone(),
                Job::Waiting | Job::Requested | Job::InFlight(_) | Job::Refused(_) => FileResult::Late,
            };
            exit = exit.worse(result.exit());
            let has_check = template.is_some_and(|template| template.plan().config.check.is_some());
            let is_new = matches!(result, FileResult::Published(Outcome::WouldReplace | Outcome::Replaced));
            if has_check && self.request.dry_run && is_new {
                unchecked.push(Arc::clone(name));
            }
            let dest = template.map(|template| template.plan().config.dest.clone()).unwrap_or_default();
            files.push((Arc::clone(name), dest, result));
        }
        let known = engine.report(now);
        let is_needed = |name, is_roster| {
            let mut templates = self.jobs.keys().filter_map(|name| engine.templates().get(name));
            templates.any(|template| template.depends_on(name, is_roster))
        };
        let mut holds = Vec::new();
        for (name, roster) in known.rosters.iter().filter(|(name, roster)| roster.held && is_needed(name, true)) {
            let describe =
                |it: &HoldReport| (name.clone(), it.path.clone(), it.hold.reason.describe(&it.path), it.kept);
            holds.extend(roster.holds.iter().map(describe));
        }
        for (name, key) in known.keys.iter().filter(|(name, _)| is_needed(name, false)) {
            let (path, kept) = (key.config.subject.to_string(), key.known.then_some(1));
            holds.extend(key.hold.as_ref().map(|hold| (name.clone(), path.clone(), hold.reason.describe(&path), kept)));
        }
        let owed = known
            .reloads
            .iter()
            .filter(|(reload, _)| engine.pending_reloads().get(*reload).is_some_and(|it| self.is_reload_pending(it)));
        let owed = owed
            .map(|(reload, it)| (reload.to_string(), it.templates.iter().cloned().collect(), it.last_error.clone()));
        let owed: Vec<_> = owed.collect();
        if !owed.is_empty() {
            exit = exit.worse(Exit::Failed);
        }
        PassReport { exit, diff: self.diff.text(), files, unchecked, holds, owed }
    }
}
