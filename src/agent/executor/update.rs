//! What a file gets, and what became of it.

use std::future::Future;
use std::sync::Arc;

use super::{DiffSink, Executor, file, render::render};
use crate::act::files::{self, BatchFile, Rendered};
use crate::config::TemplateConfig;
use crate::decide::event::Hex;
use crate::decide::{Failure, Outcome, Pin, Snapshot, Stage};
use crate::history::Change;
use crate::model::digest::digest_bytes;
use crate::state::journal::ModeAndOwner;

/// What a file gets.
pub(super) enum Source {
    /// What is rendered with these members.
    Rendered(Snapshot),
    /// The content of a generation.
    Pinned(Arc<Pin>),
    /// Nothing: it is removed.
    Removed,
}

/// The result of a publication or comparison.
pub(super) struct Updated {
    /// How it ended.
    pub outcome: Outcome,
    /// The digest of what was rendered.
    pub digest: Option<Hex>,
    /// What the file was to hold, if it is to be recorded.
    pub content: Option<Arc<[u8]>>,
    /// What a file held that the history does not know yet, and its mode and owner.
    pub previous: Option<(Arc<[u8]>, ModeAndOwner)>,
}

/// How the history calls an outcome; `None` if the content is not recorded.
pub(super) fn change_of(outcome: &Outcome) -> Option<Change> {
    match outcome {
        Outcome::Replaced => Some(Change::Written),
        Outcome::Unchanged => Some(Change::Found),
        Outcome::Failed(failure) if failure.stage == Stage::Refused => Some(Change::Refused),
        _ => None,
    }
}

impl Executor {
    /// Brings a file up to date, or compares it. With `keeps_content`, the result has what it was to hold.
    pub(super) fn update_file(
        &self,
        template: Arc<TemplateConfig>,
        source: Source,
        dry_run: bool,
        keeps_content: bool,
        diff: Option<DiffSink>,
        mut batch_file: Option<BatchFile>,
    ) -> impl Future<Output = Updated> + use<> {
        let (writer, library, stop) = (self.writer.clone(), Arc::clone(&self.library), self.stop.clone());
        let renderers = Arc::clone(&self.renderers);
        let (owned_files, output) = (self.owned_files.clone(), self.output.clone());
        let history = self.history.clone().filter(|_| keeps_content && !dry_run);
        async move {
            let rendered = match source {
                Source::Removed => {
                    drop(batch_file);
                    let outcome = file::remove(&writer, &template, owned_files, dry_run, diff.as_ref(), &stop).await;
                    return Updated { outcome, digest: None, content: None, previous: None };
                }
                Source::Pinned(pin) => {
                    let number = pin.generation;
                    let had = match &history {
                        Some(history) => history.ask(move |trail| trail.had(number)).await.flatten(),
                        None => None,
                    };
                    let allowed = match had {
                        Some(had) => files::may_put_back(&writer, &template, had).await,
                        None => Ok(()),
                    };
                    let rendered = |()| Rendered { bytes: pin.content.to_vec(), copy: None };
                    allowed.map(rendered).map_err(|setback| Failure::new(Stage::Write, setback.to_string()))
                }
                Source::Rendered(snapshot) => {
                    let snapshot = Arc::new(snapshot);
                    let rendered = render(&library, &renderers, &template, &snapshot, true, &mut batch_file).await;
                    rendered.map_err(|message| Failure::new(Stage::Render, message))
                }
            };
            let (mut digest, mut content, mut previous) = (None, None, None);
            let outcome = match rendered {
                Err(failure) => Outcome::Failed(failure),
                Ok(rendered) => {
                    // Only files of templates with `each` are recorded as owned.
                    let owned_files = owned_files.filter(|_| !dry_run && template.file_of().is_some());
                    let bytes = digest_bytes(&rendered.bytes);
                    digest = Some(Hex(bytes));
                    content = keeps_content.then(|| Arc::from(rendered.bytes.as_slice()));
                    if history.is_some_and(|history| !history.knows(&template)) {
                        previous = files::previous_content(&writer, &template).await;
                    }
                    file::record_intent(&writer, owned_files.clone(), &template, bytes);
                    let outcome = match &output {
                        Some(output) => output.put(&writer, &template, rendered.bytes).await,
                        None => {
                            file::replace(&writer, &template, rendered, dry_run, diff.as_ref(), &stop, &mut batch_file)
                                .await
                        }
                    };
                    if matches!(outcome, Outcome::Replaced | Outcome::Unchanged) {
                        file::record_written(&writer, owned_files, &template);
                    }
                    outcome
                }
            };
            if let Some(batch_file) = batch_file {
                batch_file.finish(&template, &outcome);
            }
            Updated { outcome, digest, content, previous }
        }
    }
}
