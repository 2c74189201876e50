//! Stages the bytes of a file beside its destination.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::oneshot::Sender;
use tokio_util::sync::CancellationToken;

use crate::config::TemplateConfig;
use crate::decide::{Event, Failure, Outcome};
use crate::error::Setback;
use crate::log::emit;
use crate::model::digest::digest_bytes;

use super::answer::write_failure;
use super::block::shadowed_hosts;
use super::content::Content;
use super::drift::Expected;
use super::file_state::FileState;
use super::place::{ExistingFile, Place};
use super::stage::{Permissions, Staged, Unsynced};
use super::{inplace, ownership};
use crate::state::journal::Key;

/// Bytes to stage if the destination does not have them yet.
pub struct StageJob {
    /// The template.
    pub template: TemplateConfig,
    /// What was rendered.
    pub bytes: Vec<u8>,
    /// The file is not put in place if this is cancelled.
    pub stop: CancellationToken,
    /// What follows.
    pub next: NextStep,
}

/// What follows when a file is staged.
pub enum NextStep {
    /// It is returned for its check; `None` if the destination already has the bytes.
    Check(Sender<Result<Option<Staged>, Setback>>),
    /// It is returned for its check and never committed, also if the destination already has the bytes.
    CheckOnly(Sender<Result<Option<Staged>, Setback>>),
    /// It has no check and is committed in the same batch.
    Commit(Sender<Result<Outcome, Failure>>),
}

impl NextStep {
    /// Answers that the destination already has the bytes.
    pub fn unchanged(self) {
        match self {
            Self::Check(answer) | Self::CheckOnly(answer) => _ = answer.send(Ok(None)),
            Self::Commit(answer) => _ = answer.send(Ok(Outcome::Unchanged)),
        }
    }

    /// Answers that staging failed.
    pub fn failed(self, setback: Setback) {
        match self {
            Self::Check(answer) | Self::CheckOnly(answer) => _ = answer.send(Err(setback)),
            Self::Commit(answer) => _ = answer.send(Err(write_failure(&setback))),
        }
    }
}

/// Stages bytes; `None` if the destination already has them.
pub fn prepare(template: &TemplateConfig, bytes: Vec<u8>, state: &mut FileState) -> Result<Option<Unsynced>, Setback> {
    write(template, bytes, state, IfUnchanged::Skip)
}

/// What to do if the destination already has the bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum IfUnchanged {
    /// Stage nothing.
    Skip,
    /// Stage them anyway.
    Write,
}

/// Like [`prepare`], with a choice if the destination already has the bytes.
pub fn write(
    template: &TemplateConfig,
    bytes: Vec<u8>,
    state: &mut FileState,
    if_unchanged: IfUnchanged,
) -> Result<Option<Unsynced>, Setback> {
    let place = Place::open_or_create(template, &mut state.directories)?;
    state.sweep(&place);
    let mut old = place.existing()?;
    if let Some(old) = &old {
        ownership::check(old, &place, &state.tag)?;
    }
    let wanted = Permissions::new(template, old.as_ref());
    let content = Content::new(template, bytes, &mut old)?;
    log_shadowed_hosts(&content.bytes, template, state);
    let expected = Expected::new(template, &content);
    let is_settled =
        if_unchanged == IfUnchanged::Skip && old.as_ref().is_some_and(|old| wanted.describe_changes(old).is_none());
    if is_settled && !state.unsettled.contains(&template.dest) && content.is_in(old.as_mut(), &template.dest)? {
        state.last_written.extend(old.map(|old| expected.written(&place, &old.stat)));
        state.mark_up_to_date(&Key::new(template), Some(digest_bytes(&content.bytes)));
        return Ok(None);
    }
    let configured = old.as_ref().and_then(|_| inplace::if_configured(template, &place, state));
    let written = match configured {
        Some(configured) => {
            let state_dir = state.open_state_dir()?;
            Staged::write_for_copy(place, wanted, content, configured, state_dir, &state.tag)?
        }
        // A file with a block has other writers too.
        None if template.placing.block.is_some() => Staged::write(place, wanted, content, old.as_ref(), &state.tag)?,
        None => Staged::write(place, wanted, content, old.as_ref(), &state.tag)?.mark_owner(&state.tag)?,
    };
    Ok(Some(written.for_template(template, expected)))
}

/// A new file beside a destination that is still empty. It is never put in place.
pub struct Reserved {
    staged: Staged,
    file: File,
    wanted: Permissions,
    old: Option<ExistingFile>,
}

/// Creates a file for a copy of a template's file.
pub fn reserve(template: &TemplateConfig, state: &mut FileState) -> Result<Reserved, Setback> {
    let place = Place::open_or_create(template, &mut state.directories)?;
    state.sweep(&place);
    let old = place.existing()?;
    let wanted = Permissions::new(template, old.as_ref());
    let (staged, file) = Staged::create(place, wanted, None, &state.tag)?;
    Ok(Reserved { staged, file, wanted, old })
}

impl Reserved {
    /// Its path.
    pub fn path(&self) -> PathBuf {
        self.staged.path()
    }

    /// Writes the bytes.
    pub fn write(self, bytes: Vec<u8>) -> Result<Staged, Setback> {
        let content = Content { bytes, base: None };
        self.staged.write_content(self.file, self.wanted, content, self.old.as_ref())?.sync()
    }
}

/// Logs, once for each name in a block of a hosts file, that another line has the same name.
fn log_shadowed_hosts(content: &[u8], template: &TemplateConfig, state: &mut FileState) {
    let (Some(block), Some("hosts")) = (&template.placing.block, template.dest.file_name().and_then(|n| n.to_str()))
    else {
        return;
    };
    for (host, line) in shadowed_hosts(content, block) {
        if state.logged.insert(format!("{host} of {}", template.dest.display())) {
            let (template, dest, block) = (Arc::clone(&template.name), template.dest.clone(), block.to_string());
            emit(Event::HostShadowed { template, dest, block, host, line });
        }
    }
}
