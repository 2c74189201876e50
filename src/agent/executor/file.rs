//! Updates or compares one destination, and records whether the agent owns its file.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::act::files;
use crate::act::files::{BatchFile, Rendered, Writer};
use crate::config::TemplateConfig;
use crate::decide::{Event, Outcome};
use crate::log::emit;
use crate::state::owned_files::OwnedFiles;

use super::DiffSink;

#[cfg(test)]
mod tests;

/// Records, on the file thread, that the file of a key is about to be written.
pub fn record_intent(writer: &Writer, owned_files: Option<OwnedFiles>, template: &Arc<TemplateConfig>, digest: u64) {
    let template = Arc::clone(template);
    if let Some(owned_files) = owned_files {
        writer.in_order(move || owned_files.record_intent(&template, digest));
    }
}

/// Records that the file was written.
pub fn record_written(writer: &Writer, owned_files: Option<OwnedFiles>, template: &Arc<TemplateConfig>) {
    let template = Arc::clone(template);
    if let Some(owned_files) = owned_files {
        writer.in_order(move || owned_files.record_written(&template));
    }
}

/// Removes the file of a removed key, if the agent owns the file.
pub async fn remove(
    writer: &Writer,
    template: &Arc<TemplateConfig>,
    owned_files: Option<OwnedFiles>,
    dry_run: bool,
    diff: Option<&DiffSink>,
    stop: &CancellationToken,
) -> Outcome {
    let claim = owned_files.as_ref().and_then(|owned_files| owned_files.claim(template));
    if let Some(diff) = diff.filter(|_| claim.is_some())
        && let Some(old) = files::compare(writer, template, b"").await.ok().and_then(|compared| compared.old)
    {
        diff.add(Some(old), Vec::new(), template.dest.clone()).await;
    }
    let outcome = files::remove(writer, template, claim, !dry_run, stop).await;
    if let (false, Some(owned_files), Outcome::Removed | Outcome::Unchanged) = (dry_run, owned_files, &outcome) {
        let template = Arc::clone(template);
        writer.in_order(move || owned_files.record_removed(&template));
    }
    outcome
}

pub async fn replace(
    writer: &Writer,
    template: &TemplateConfig,
    rendered: Rendered,
    dry_run: bool,
    diff: Option<&DiffSink>,
    stop: &CancellationToken,
    batch_file: &mut Option<BatchFile>,
) -> Outcome {
    if diff.is_some() || dry_run {
        let compared = match files::compare(writer, template, &rendered.bytes).await {
            Ok(compared) => compared,
            Err(setback) => {
                return Outcome::Failed(files::answer::write_failure(&setback));
            }
        };
        if let Some(diff) = diff.filter(|_| compared.differs) {
            diff.add(compared.old, compared.new, template.dest.clone()).await;
            if let Some(change) = compared.attributes {
                let (template, dest) = (Arc::clone(&template.name), template.dest.clone());
                emit(Event::AttributesDiffer { template, dest, change });
            }
        }
        if dry_run {
            return if compared.differs { Outcome::WouldReplace } else { Outcome::Unchanged };
        }
    }
    files::publish(writer, template, rendered, stop, batch_file).await
}
