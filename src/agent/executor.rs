//! Does what the engine asks for: renders off the loop, publishes, reloads, and answers with the next input.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::act::files;
use crate::act::files::{Batch, BatchFile, Writer};
use crate::config::TemplateConfig;
use crate::decide::event::Hex;
use crate::decide::in_flight::PublicationId;
use crate::decide::{
    Event, Failure, Group, Input, Outcome, Publication, ReloadJob, ReloadOutcome, Restoration, SavedUpdate, Snapshot,
    Stage,
};
use crate::log::emit;
use crate::model::backoff;
use crate::model::digest::digest_bytes;
use crate::render::Library;
use crate::state::last_good::LastGood;
use crate::state::owned_files::OwnedFiles;

pub mod diff_sink;
pub mod file;

pub use diff_sink::DiffSink;

/// How long a template that is rendered counts as busy. One that takes longer renders on, and another may begin beside
/// it, so that those which never end hold nobody up.
const TURN: Duration = Duration::from_millis(500);

/// The performer of effects. Each one runs in a task of its own; none holds up another.
#[derive(Debug)]
pub struct Executor {
    writer: Writer,
    library: Arc<Library>,
    /// As many templates are rendered at once as there are processors: each more would only take memory.
    renderers: Arc<Semaphore>,
    /// Whether reloads run, and are owed.
    reloads: bool,
    /// Which files of templates with `each` are this agent's own.
    ledger: Option<OwnedFiles>,
    stop: CancellationToken,
    /// Whether what could not be finished is being tried again.
    finishing: Arc<AtomicBool>,
    tasks: TaskTracker,
    done: mpsc::UnboundedSender<Input>,
    /// A look for drift was asked for, and has not begun.
    is_look_queued: Arc<AtomicBool>,
}

impl Executor {
    /// A performer whose answers come out of the receiver. Without a ledger no file of a template with `each` is ever
    /// removed.
    pub fn new(
        writer: Writer,
        library: Arc<Library>,
        ledger: Option<OwnedFiles>,
        reloads: bool,
    ) -> (Self, mpsc::UnboundedReceiver<Input>) {
        let (done, answers) = mpsc::unbounded_channel();
        let performer = Self {
            writer,
            library,
            renderers: Arc::new(Semaphore::new(available_parallelism().map_or(1, Into::into))),
            reloads,
            ledger,
            stop: CancellationToken::new(),
            finishing: Arc::default(),
            tasks: TaskTracker::new(),
            done,
            is_look_queued: Arc::default(),
        };
        (performer, answers)
    }

    /// Where the receiver's other end is, for what is done elsewhere.
    pub fn answers(&self) -> mpsc::UnboundedSender<Input> {
        self.done.clone()
    }

    /// Files that none of these templates would write any more are nobody's.
    pub fn release(&self, templates: Vec<Arc<TemplateConfig>>) {
        if let Some(ledger) = self.ledger.clone() {
            self.writer.in_order(move || ledger.retain(&templates));
        }
    }

    /// Publications that begin from here on are rendered with these templates.
    /// Links on the way to their destinations are followed anew.
    pub fn set_library(&mut self, library: Arc<Library>) {
        self.writer.forget_directories();
        self.library = library;
    }

    /// Remembers something for the next start, before any file that is published after this.
    pub fn remember(&self, memory: &LastGood, memo: SavedUpdate) {
        let memory = memory.clone();
        self.writer.in_order(move || memory.save(memo));
    }

    /// Brings the memory in order, after all that was to be remembered so far. The future ends with it; nobody needs to
    /// wait for it.
    pub fn tend(&self, memory: &LastGood, ages: BTreeMap<Arc<str>, Duration>) -> impl Future<Output = ()> + use<> {
        let (tell, told) = oneshot::channel::<()>();
        let memory = memory.clone();
        self.writer.in_order(move || {
            memory.compact(&ages);
            drop(tell);
        });
        async move {
            // Nothing is ever sent: the end of the channel is the end of the job.
            let _ = told.await;
        }
    }

    /// Does something on the file thread, after what was asked for before.
    pub fn in_order(&self, job: impl FnOnce() + Send + 'static) {
        self.writer.in_order(job);
    }

    /// Brings destinations in step that belong together; `diff` says where the diff of each goes, if one is wanted.
    pub fn publish(&self, group: Group, mut diff: impl FnMut(&Publication) -> Option<DiffSink>) {
        let mut seats = Vec::new();
        if group.publications.len() > 1 {
            let (joint, given) = Batch::new(group.publications.len(), group.unit, &self.stop);
            seats = given;
            self.tasks.spawn(joint.commit(self.writer.clone()));
        }
        for publication in group.publications {
            let diff = diff(&publication);
            self.publish_one(publication, seats.pop(), diff);
        }
    }

    fn publish_one(&self, publication: Publication, seat: Option<BatchFile>, diff: Option<DiffSink>) {
        let Publication { id, mut template, snapshot, remove, no_reload } = publication;
        if no_reload || !self.reloads {
            // What nobody will run is not noted as owed.
            template = Arc::new(TemplateConfig { reload: None, ..TemplateConfig::clone(&template) });
        }
        let (done, began) = (self.done.clone(), Instant::now());
        let bringing = self.bring(Arc::clone(&template), (!remove).then_some(snapshot), false, diff, seat);
        self.tasks.spawn(async move {
            let (outcome, digest) = bringing.await;
            let (name, dest) = (Arc::clone(&template.name), template.dest.clone());
            match &outcome {
                // The engine tells of it, which knows when it is tried again.
                Outcome::Failed(_) => {}
                Outcome::Replaced => {
                    let took_ms = began.elapsed().as_millis().try_into().ok();
                    emit(Event::FileWritten { template: name, dest, digest, took_ms });
                }
                _ => emit(outcome.event(name, dest, None)),
            }
            // The loop may have ended: then nobody waits for the answer.
            let _ = done.send(Input::Published(id, outcome));
        });
    }

    /// Has a template's check tell whether it takes this, and replaces nothing.
    pub fn probe(&self, publication: Publication) {
        let Publication { id, template, snapshot, .. } = publication;
        let (writer, library, stop) = (self.writer.clone(), Arc::clone(&self.library), self.stop.clone());
        let (renderers, done) = (Arc::clone(&self.renderers), self.done.clone());
        self.tasks.spawn(async move {
            let outcome = match render(library, &renderers, &template, snapshot, &mut None).await {
                Err(message) => Outcome::Failed(Failure { stage: Stage::Render, message }),
                Ok(bytes) => files::probe(&writer, &template, bytes, &stop).await,
            };
            // The loop may have ended: then nobody waits for the answer.
            let _ = done.send(Input::Probed(id, outcome));
        });
    }

    /// Renders and compares, and writes nothing; without a snapshot it is said whether the file would be removed.
    pub fn compare(
        &self,
        id: PublicationId,
        template: Arc<TemplateConfig>,
        snapshot: Option<Snapshot>,
        diff: Option<DiffSink>,
    ) {
        let done = self.done.clone();
        let comparing = self.bring(template, snapshot, true, diff, None);
        self.tasks.spawn(async move {
            // The loop may have ended: then nobody waits for the answer.
            let _ = done.send(Input::Published(id, comparing.await.0));
        });
    }

    fn bring(
        &self,
        template: Arc<TemplateConfig>,
        snapshot: Option<Snapshot>,
        dry_run: bool,
        diff: Option<DiffSink>,
        mut seat: Option<BatchFile>,
    ) -> impl Future<Output = (Outcome, Option<Hex>)> + use<> {
        let (writer, library, stop) = (self.writer.clone(), Arc::clone(&self.library), self.stop.clone());
        let renderers = Arc::clone(&self.renderers);
        let ledger = self.ledger.clone();
        async move {
            let Some(snapshot) = snapshot else {
                drop(seat);
                return (file::remove(&writer, &template, ledger, dry_run, diff.as_ref(), &stop).await, None);
            };
            let mut digest = None;
            let outcome = match render(library, &renderers, &template, snapshot, &mut seat).await {
                Err(message) => Outcome::Failed(Failure { stage: Stage::Render, message }),
                Ok(bytes) => {
                    // Nobody else's file is ever noted: a plain template's are not the ledger's.
                    let ledger = ledger.filter(|_| !dry_run && template.file_of().is_some());
                    let rendered = digest_bytes(&bytes);
                    digest = Some(Hex(rendered));
                    file::note(&writer, ledger.clone(), &template, rendered);
                    let outcome =
                        file::replace(&writer, &template, bytes, dry_run, diff.as_ref(), &stop, &mut seat).await;
                    if matches!(outcome, Outcome::Replaced | Outcome::Unchanged) {
                        file::confirm(&writer, ledger, &template);
                    }
                    outcome
                }
            };
            if let Some(seat) = seat {
                seat.finish(&template, &outcome);
            }
            (outcome, digest)
        }
    }

    /// Looks whether the destinations of these templates are as they were left. One look that has not begun is enough,
    /// however long the file thread hangs.
    pub fn look_for_drift(&self, templates: Vec<Arc<str>>) {
        if self.is_look_queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let (writer, done) = (self.writer.clone(), self.done.clone());
        let is_queued = Arc::clone(&self.is_look_queued);
        self.tasks.spawn(async move {
            let begins = move || is_queued.store(false, Ordering::Release);
            for (template, what) in files::drifted(&writer, templates, begins).await {
                let _ = done.send(Input::Drifted(template, what));
            }
        });
    }

    /// Runs a reload.
    pub fn reload(&self, job: ReloadJob) {
        let (stop, done, reloads) = (self.stop.clone(), self.done.clone(), self.reloads);
        let writer = self.writer.clone();
        self.tasks.spawn(async move {
            let (mark, began) = (writer.begin_reload(job.templates.iter().map(Arc::as_ref)), Instant::now());
            let ran = if reloads { files::reload(&job, &stop).await } else { ReloadOutcome::Succeeded };
            if reloads && ran == ReloadOutcome::Succeeded {
                emit(Event::ReloadSucceeded {
                    command: job.reload.to_string(),
                    templates: job.templates.iter().map(|template| Arc::clone(&template.name)).collect(),
                    took_ms: began.elapsed().as_millis().try_into().unwrap_or(u64::MAX),
                });
                writer.reload_succeeded(mark);
            }
            let _ = done.send(Input::Reloaded(job.reload, ran));
        });
    }

    /// A person insists on these files: what was blocked of them may be tried once more by the publications after this.
    pub fn lift(&self, dests: BTreeSet<PathBuf>) {
        self.writer.unblock(dests);
    }

    /// Finishes the replacements that were begun and could not be finished, as soon as they can be.
    pub fn finish(&self) {
        if self.finishing.swap(true, Ordering::Relaxed) {
            return;
        }
        let (writer, stop, done) = (self.writer.clone(), self.stop.clone(), self.done.clone());
        let finishing = Arc::clone(&self.finishing);
        self.tasks.spawn(async move {
            let (mut left, mut failures) = (files::unfinished_count(&writer).await.unwrap_or_default(), 0);
            while left > 0 {
                failures += 1;
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(backoff::RETRY.pause(failures)) => {}
                }
                let Ok((owed, still)) = files::retry_unfinished(&writer).await else { return };
                let _ = done.send(Input::WritesFinished(owed));
                left = still;
            }
            finishing.store(false, Ordering::Relaxed);
        });
    }

    /// How many replacements that were begun are neither finished nor overtaken by later ones.
    pub fn unfinished(&self) -> impl Future<Output = usize> + use<> {
        let writer = self.writer.clone();
        async move { files::unfinished_count(&writer).await.unwrap_or_default() }
    }

    /// Sees to it that what is noted in the state directory is still there.
    pub fn stand_up(&self) {
        self.writer.ensure_journal();
        if let Some(ledger) = self.ledger.clone() {
            self.writer.in_order(move || ledger.ensure_exists());
        }
    }

    /// Puts files back that a failed reload was for.
    pub fn restore(&self, job: Restoration) {
        let (writer, done) = (self.writer.clone(), self.done.clone());
        self.tasks.spawn(async move {
            let restored = files::restore(&writer, &job).await.map_err(|setback| setback.to_string());
            let _ = done.send(Input::Restored(job.id, restored));
        });
    }

    /// Finishes or abandons what is under way, and begins nothing more that is not abandoned at once: a command is
    /// ended, a file is either whole and new or untouched. Returns when all of it has ended.
    pub fn stopped(&self) -> impl Future<Output = ()> + use<> {
        self.stop.cancel();
        self.tasks.close();
        let tasks = self.tasks.clone();
        async move { tasks.wait().await }
    }
}

/// Renders on a thread of its own, so that a slow template holds nobody up.
async fn render(
    library: Arc<Library>,
    renderers: &Semaphore,
    template: &Arc<TemplateConfig>,
    snapshot: Snapshot,
    seat: &mut Option<BatchFile>,
) -> Result<Vec<u8>, String> {
    // It is never closed; were it, everything would be rendered at once.
    let turn = renderers.acquire().await.ok();
    let src = template.src.clone();
    let mut rendering =
        tokio::task::spawn_blocking(move || library.render(&src, &snapshot).map_err(|why| why.to_string()));
    let rendered = if let Ok(rendered) = timeout(TURN, &mut rendering).await {
        rendered
    } else {
        drop(turn);
        // Nor those that it belongs with, but for its unit.
        seat.take_if(|seat| !seat.is_all_or_nothing());
        rendering.await
    };
    rendered.unwrap_or_else(|why| Err(format!("rendering {} broke off: {why}", template.name)))
}
