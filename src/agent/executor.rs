//! Executes the engine's effects: renders, publishes and reloads off the event loop, and sends the results as inputs.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::act::files;
use crate::act::files::{Batch, BatchFile, Writer};
use crate::config::TemplateConfig;
use crate::decide::in_flight::PublicationId;
use crate::decide::{
    Event, Failure, Group, Input, Outcome, Publication, ReloadJob, ReloadOutcome, Restoration, SavedUpdate, Snapshot,
    Stage,
};
use crate::history::{FileChange, History};
use crate::log::emit;
use crate::model::backoff;
use crate::render::Library;
use crate::state::last_good::LastGood;
use crate::state::owned_files::OwnedFiles;

pub mod diff_sink;
pub mod file;
pub mod output;
mod render;
mod update;

pub use diff_sink::DiffSink;
pub use output::Output;

use render::render;
use update::{Source, Updated, change_of};

/// Executes effects, each in a task of its own.
#[derive(Debug)]
pub struct Executor {
    writer: Writer,
    library: Arc<Library>,
    /// One permit per CPU. More renderings at once would only use more memory.
    renderers: Arc<Semaphore>,
    /// Whether reloads run and become pending.
    reloads: bool,
    /// Whether files are only compared, and not checked.
    dry_run: bool,
    /// Where files go instead of their destinations.
    output: Option<Output>,
    /// Which files of templates with `each` are this agent's own.
    owned_files: Option<OwnedFiles>,
    /// Where the contents of files are recorded, if anywhere.
    history: Option<History>,
    stop: CancellationToken,
    /// Whether unfinished replacements are being retried.
    finishing: Arc<AtomicBool>,
    tasks: TaskTracker,
    done: mpsc::UnboundedSender<Input>,
    /// A drift check is queued and has not started.
    is_drift_check_queued: Arc<AtomicBool>,
}

impl Executor {
    /// An executor, and the receiver of its results. Without `owned_files`, no file of a template with `each` is ever
    /// removed.
    pub fn new(
        writer: Writer,
        library: Arc<Library>,
        owned_files: Option<OwnedFiles>,
        reloads: bool,
    ) -> (Self, mpsc::UnboundedReceiver<Input>) {
        let (done, answers) = mpsc::unbounded_channel();
        let executor = Self {
            writer,
            library,
            renderers: Arc::new(Semaphore::new(available_parallelism().map_or(1, Into::into))),
            reloads,
            dry_run: false,
            output: None,
            owned_files,
            history: None,
            stop: CancellationToken::new(),
            finishing: Arc::default(),
            tasks: TaskTracker::new(),
            done,
            is_drift_check_queued: Arc::default(),
        };
        (executor, answers)
    }

    /// Makes it a dry run: publications only compare, and no check runs.
    pub fn write_nothing(&mut self) {
        self.dry_run = true;
    }

    /// Puts files elsewhere than at their destinations. No check runs.
    pub fn write_to(&mut self, output: Output) {
        self.dry_run = true;
        self.output = Some(output);
    }

    /// Records the contents of files from now on.
    pub fn record_in(&mut self, history: Option<History>) {
        self.history = history;
    }

    /// A sender of inputs to the engine, for results from elsewhere.
    pub fn input_sender(&self) -> mpsc::UnboundedSender<Input> {
        self.done.clone()
    }

    /// Drops ownership of files that none of these templates would write.
    pub fn forget_unmanaged(&self, templates: Vec<Arc<TemplateConfig>>) {
        if let Some(owned_files) = self.owned_files.clone() {
            self.writer.in_order(move || owned_files.retain(&templates));
        }
    }

    /// Renders later publications with these templates, and resolves the links to their destinations again.
    pub fn set_library(&mut self, library: Arc<Library>) {
        self.writer.forget_directories();
        self.library = library;
    }

    /// Saves a roster for the next start, before any file that is published after this call.
    pub fn save_last_good(&self, last_good: &LastGood, saved: SavedUpdate) {
        let last_good = last_good.clone();
        self.writer.in_order(move || last_good.save(saved));
    }

    /// Compacts the saved rosters, after all saves so far. The future resolves when this is done; it need not be awaited.
    pub fn compact_last_good(
        &self,
        last_good: &LastGood,
        ages: BTreeMap<Arc<str>, Duration>,
    ) -> impl Future<Output = ()> + use<> {
        let (finished_sender, finished) = oneshot::channel::<()>();
        let last_good = last_good.clone();
        self.writer.in_order(move || {
            last_good.compact(&ages);
            drop(finished_sender);
        });
        async move {
            // Nothing is ever sent: the end of the channel is the end of the job.
            let _ = finished.await;
        }
    }

    /// Runs a job on the file thread, after all earlier jobs.
    pub fn in_order(&self, job: impl FnOnce() + Send + 'static) {
        self.writer.in_order(job);
    }

    /// Publishes a group of destinations. `diff` gives the sink for the diff of each, if one is wanted.
    pub fn publish(&self, group: Group, mut diff: impl FnMut(&Publication) -> Option<DiffSink>) {
        let (mut batch_files, batch) = (Vec::new(), group.unit.is_some().then(|| fastrand::u64(..)));
        if group.publications.len() > 1 && !self.dry_run {
            let is_joint = group.publications.iter().any(|it| self.library.unit(&it.template).is_some());
            let (batch, given) = Batch::new(group.publications.len(), group.unit, is_joint, &self.stop);
            batch_files = given;
            self.tasks.spawn(batch.commit(self.writer.clone()));
        }
        for publication in group.publications {
            let diff = diff(&publication);
            self.publish_one(publication, batch, batch_files.pop(), diff);
        }
    }

    fn publish_one(
        &self,
        publication: Publication,
        batch: Option<u64>,
        batch_file: Option<BatchFile>,
        diff: Option<DiffSink>,
    ) {
        let Publication { id, mut template, snapshot, remove, no_reload, pinned, views } = publication;
        if no_reload || !self.reloads {
            // A reload that will not run is not recorded as pending.
            template = Arc::new(TemplateConfig { reload: None, ..TemplateConfig::clone(&template) });
        }
        let (done, started) = (self.done.clone(), Instant::now());
        let placed = self.output.as_ref().map(|output| output.path(&template.dest));
        let restores = pinned.as_ref().map(|pin| pin.generation);
        let source = match pinned {
            Some(pin) => Source::Pinned(pin),
            None if remove => Source::Removed,
            None => Source::Rendered(snapshot),
        };
        let history = self.history.clone().filter(|_| !self.dry_run);
        let keeps = history.is_some();
        let updating = self.update_file(Arc::clone(&template), source, self.dry_run, keeps, diff, batch_file);
        self.tasks.spawn(async move {
            let Updated { outcome, digest, content, previous } = updating.await;
            let took_ms = started.elapsed().as_millis().try_into().ok();
            if let (Some(history), Some(bytes), Some(change)) = (history, content, change_of(&outcome)) {
                if let (Outcome::Replaced, Some((previous, had))) = (&outcome, previous) {
                    history.record_file(FileChange::found(&template, previous, had, batch));
                }
                let (checked, template, dest) =
                    (template.check.is_some(), Arc::clone(&template.name), template.dest.clone());
                history.record_file(FileChange {
                    template,
                    dest,
                    change,
                    bytes,
                    took_ms,
                    views,
                    checked,
                    restores,
                    batch,
                    had: None,
                });
            }
            let (name, dest) = (Arc::clone(&template.name), placed.unwrap_or_else(|| template.dest.clone()));
            match &outcome {
                // The engine emits this event: it knows when it retries.
                Outcome::Failed(_) => {}
                Outcome::Replaced => {
                    emit(Event::FileWritten { template: name, dest, digest, took_ms });
                }
                _ => emit(outcome.event(name, dest, None)),
            }
            // The event loop may have ended.
            let _ = done.send(Input::Published(id, outcome));
        });
    }

    /// Renders a template and runs its check, if it has one, and replaces nothing. If the check reads other files of the
    /// unit, they are rendered with the same members.
    pub fn probe(&self, publication: Publication) {
        let Publication { id, template, snapshot, .. } = publication;
        let (writer, library, stop) = (self.writer.clone(), Arc::clone(&self.library), self.stop.clone());
        let (renderers, done, dry_run) = (Arc::clone(&self.renderers), self.done.clone(), self.dry_run);
        self.tasks.spawn(async move {
            let of_unit = library.checked_with(&template).map(|unit| unit.templates.clone());
            let (snapshot, mut files) = (Arc::new(snapshot), Vec::new());
            let rendering = async {
                for template in of_unit.unwrap_or_else(|| vec![Arc::clone(&template)]) {
                    let rendered = render(&library, &renderers, &template, &snapshot, false, &mut None).await?;
                    files.push((template, rendered));
                }
                Ok::<_, String>(())
            };
            let outcome = match rendering.await {
                Err(message) => Outcome::Failed(Failure::new(Stage::Render, message)),
                Ok(()) if dry_run || template.check.is_none() => Outcome::WouldReplace,
                Ok(()) => files::probe(&writer, &template, files, &stop).await,
            };
            // The event loop may have ended.
            let _ = done.send(Input::Probed(id, outcome));
        });
    }

    /// Renders and compares, and writes nothing. Without a snapshot, it reports whether the file would be removed.
    pub fn compare(
        &self,
        id: PublicationId,
        template: Arc<TemplateConfig>,
        snapshot: Option<Snapshot>,
        diff: Option<DiffSink>,
    ) {
        let (done, source) = (self.done.clone(), snapshot.map_or(Source::Removed, Source::Rendered));
        let comparing = self.update_file(template, source, true, false, diff, None);
        self.tasks.spawn(async move {
            // The event loop may have ended.
            let _ = done.send(Input::Published(id, comparing.await.outcome));
        });
    }

    /// Checks the destinations of these templates for drift. At most one check is queued, however long the file thread
    /// hangs.
    pub fn check_drift(&self, templates: Vec<Arc<str>>) {
        if self.is_drift_check_queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let (writer, done) = (self.writer.clone(), self.done.clone());
        let is_queued = Arc::clone(&self.is_drift_check_queued);
        self.tasks.spawn(async move {
            let on_start = move || is_queued.store(false, Ordering::Release);
            for (template, what) in files::drifted(&writer, templates, on_start).await {
                let _ = done.send(Input::Drifted(template, what));
            }
        });
    }

    /// Runs a reload.
    pub fn reload(&self, job: ReloadJob) {
        let (stop, done, reloads) = (self.stop.clone(), self.done.clone(), self.reloads);
        let writer = self.writer.clone();
        self.tasks.spawn(async move {
            let (mark, started) = (writer.begin_reload(job.templates.iter().map(Arc::as_ref)), Instant::now());
            let ran = if reloads { files::reload(&job, &stop).await } else { ReloadOutcome::Succeeded };
            if reloads && ran == ReloadOutcome::Succeeded {
                emit(Event::ReloadSucceeded {
                    command: job.reload.to_string(),
                    templates: job.templates.iter().map(|template| Arc::clone(&template.name)).collect(),
                    took_ms: started.elapsed().as_millis().try_into().unwrap_or(u64::MAX),
                });
                writer.reload_succeeded(mark);
            }
            let _ = done.send(Input::Reloaded(job.reload, ran));
        });
    }

    /// Unblocks these files: later publications may retry content that failed before.
    pub fn unblock(&self, dests: BTreeSet<PathBuf>) {
        self.writer.unblock(dests);
    }

    /// Retries unfinished replacements until they are finished.
    pub fn retry_unfinished(&self) {
        if self.finishing.swap(true, Ordering::Relaxed) {
            return;
        }
        let (writer, stop, done) = (self.writer.clone(), self.stop.clone(), self.done.clone());
        let finishing = Arc::clone(&self.finishing);
        self.tasks.spawn(async move {
            let (mut unfinished, mut failures) = (files::unfinished_count(&writer).await.unwrap_or_default(), 0);
            while unfinished > 0 {
                failures += 1;
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(backoff::RETRY.pause(failures)) => {}
                }
                let Ok((owed, still)) = files::retry_unfinished(&writer).await else { return };
                let _ = done.send(Input::WritesFinished(owed));
                unfinished = still;
            }
            finishing.store(false, Ordering::Relaxed);
        });
    }

    /// The number of replacements that are neither finished nor superseded.
    pub fn unfinished(&self) -> impl Future<Output = usize> + use<> {
        let writer = self.writer.clone();
        async move { files::unfinished_count(&writer).await.unwrap_or_default() }
    }

    /// Restores state files that have been removed.
    pub fn ensure_state_files(&self) {
        self.writer.ensure_journal();
        if let Some(owned_files) = self.owned_files.clone() {
            self.writer.in_order(move || owned_files.ensure_exists());
        }
    }

    /// Restores the files that a failed reload was for.
    pub fn restore(&self, job: Restoration) {
        let (writer, done, history) = (self.writer.clone(), self.done.clone(), self.history.clone());
        self.tasks.spawn(async move {
            let batch = fastrand::u64(..);
            let mut restored = files::restore(&writer, &job).await.map_err(|setback| setback.to_string());
            for template in &job.templates {
                let content = restored.as_mut().ok().and_then(|files| files.get_mut(&template.name)?.take());
                let (Some(history), Some(bytes)) = (&history, content) else { continue };
                history.record_file(FileChange::restored(template, bytes, batch));
            }
            let names = restored.map(|files| files.into_keys().collect());
            let _ = done.send(Input::Restored(job.id, names));
        });
    }

    /// Shuts down: ends commands, and completes or abandons files, which are then either new or untouched. The future
    /// resolves when everything has ended.
    pub fn shut_down(&self) -> impl Future<Output = ()> + use<> {
        self.stop.cancel();
        self.tasks.close();
        let tasks = self.tasks.clone();
        async move { tasks.wait().await }
    }
}
