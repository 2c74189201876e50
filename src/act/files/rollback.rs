//! Restores the versions of files before a failed reload, from the copies in the [`journal`](crate::state::journal).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nix::unistd::{UnlinkatFlags, unlinkat};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::config::{OnReloadFailure, Placing, TemplateConfig};
use crate::decide::Restoration;
use crate::error::Setback;

use super::answer::Answer;
use super::batch_commit::{BatchCommit, Commit};
use super::commit::{Replacement, journal_entry, sync_directory};
use super::file_state::FileState;
use super::place::Place;
use super::removal::Removal;
use super::staging::prepare;
use super::writer::Writer;
use crate::error::os::os_error;
use crate::state::journal::blocked::standing;
use crate::state::journal::{Blocked, Entry, Key, Owner, PreviousFile, Set};

/// The contents of restored files by template; `None` for a file that was removed.
pub type Restored = BTreeMap<Arc<str>, Option<Vec<u8>>>;

/// Restores all files of a job, or none, to the newest version whose reload succeeded. Returns the files that changed. The versions that failed are not written again together until others have succeeded.
///
/// The restoration is recorded as any replacement is, so an interrupted one is finished at the next start. If none of
/// the files existed before, nothing is changed.
///
/// # Errors
/// If a file cannot be restored; all stay as they are.
pub async fn restore(writer: &Writer, job: &Restoration) -> Result<Restored, Setback> {
    let job = job.clone();
    writer.call(move |state| restore_files(&job, state)).await.flatten()
}

fn restore_files(job: &Restoration, state: &mut FileState) -> Result<Restored, Setback> {
    let mut before = Vec::new();
    let journal = state.journal.as_ref().ok_or_else(without_journal)?;
    for template in &job.templates {
        let kept = journal.saved(&Key::new(template));
        let kept =
            kept.map_err(|error| os_error(format!("read the saved copy of {}", template.dest.display()), error))?;
        before.extend(kept.map(|kept| (Arc::clone(template), kept)));
    }
    if before.iter().all(|(_, kept)| kept.is_none()) {
        // Nothing to restore. Without any file, software that never ran could not even start.
        return Ok(Restored::new());
    }
    let mut restored = Restored::new();
    let (mut batch, mut answers) = (BatchCommit::default(), Vec::new());
    batch.unit = Some(Arc::from("being rolled back"));
    for (template, kept) in before {
        let (answer, answered) = oneshot::channel();
        let bytes = kept.as_ref().map(|kept| kept.bytes.clone());
        if let Some(kept) = kept {
            let earlier = earlier_template(&template, &kept);
            let Some(written) = prepare(&earlier, kept.bytes, state)? else { continue };
            let staged = written.for_rollback().sync()?;
            batch.commits.push(Commit { staged, stop: CancellationToken::new(), answer });
        } else if job.reload.is_some() {
            let Some(removal) = removal(&template, answer, state)? else { continue };
            batch.removals.push(removal);
        } else {
            // No file existed before. If one exists now, another process made it.
            continue;
        }
        answers.push(answered);
        restored.insert(Arc::clone(&template.name), bytes);
    }
    if job.reload.is_some() {
        let names = restored.keys().cloned().collect();
        let why = &job.why;
        batch.rollback.blocked =
            failed_sets(job, &names).into_iter().map(|files| Blocked { files, why: why.clone() }).collect();
        let mates = job.templates.iter().filter(|template| template.unit.is_some() && !names.contains(&template.name));
        for template in mates {
            batch.rollback.unchanged.extend(unchanged(template, state)?);
        }
    }
    batch.run(state);
    for mut answer in answers {
        if let Ok(Err(failure)) = answer.try_recv() {
            return Err(Setback::new("restore the previous files", failure.message));
        }
    }
    Ok(restored)
}

/// The removal of a file that did not exist before, if it exists now.
fn removal(template: &TemplateConfig, answer: Answer, state: &mut FileState) -> Result<Option<Removal>, Setback> {
    let owner = Owner { is_rollback: true, saves_copy: false, ..Owner::new(template) };
    let standing = current_entry(template, &owner, state)?;
    Ok(standing.map(|(place, entry)| Removal { entry, place, answer }))
}

/// The entry of a file that stays as it is while its unit is rolled back, so that later changes to it can be corrected.
fn unchanged(template: &TemplateConfig, state: &mut FileState) -> Result<Option<Entry>, Setback> {
    let owner = Owner { is_rollback: true, pending_reload: None, ..Owner::new(template) };
    let standing = current_entry(template, &owner, state)?;
    Ok(standing.map(|(_, entry)| Entry { new: entry.old, ..entry }))
}

/// Where the current file is, if there is one, and its journal entry for a removal.
fn current_entry(
    template: &TemplateConfig,
    owner: &Owner,
    state: &mut FileState,
) -> Result<Option<(Place, Entry)>, Setback> {
    let Some(place) = Place::find(template, &mut state.directories)? else { return Ok(None) };
    let (Some(old), Some(journal)) = (place.existing()?, &state.journal) else { return Ok(None) };
    let nothing = Replacement { new: None, staged: None, overwrite: None };
    let entry = journal_entry(owner, &place, Some(old), nothing, journal)?;
    Ok(Some((place, entry)))
}

fn without_journal() -> Setback {
    Setback::new("restore the previous files", "without a state directory no copies are kept")
}

/// The versions that failed, in sets that are not written again: one for each unit, and one for each file without one.
fn failed_sets(job: &Restoration, names: &BTreeSet<Arc<str>>) -> Vec<Set> {
    let mut sets: BTreeMap<&Arc<str>, Set> = BTreeMap::new();
    for template in job.templates.iter().filter(|template| template.unit.is_some() || names.contains(&template.name)) {
        let set = sets.entry(template.unit.as_ref().unwrap_or(&template.name)).or_default();
        set.extend(standing(&template.dest).map(|digest| (template.dest.clone(), digest)));
    }
    let goes = |set: &Set| {
        let mut goers = job.templates.iter().filter(|template| names.contains(&template.name));
        goers.any(|template| set.contains_key(&template.dest))
    };
    sets.into_values().filter(goes).collect()
}

/// A template that restores the earlier version of a file.
fn earlier_template(template: &TemplateConfig, before: &PreviousFile) -> TemplateConfig {
    TemplateConfig {
        mode: Some(before.mode),
        owner: Some(before.uid),
        group: Some(before.gid),
        on_reload_failure: OnReloadFailure::Retry,
        // The failed version is not backed up.
        placing: Placing { backup: 0, ..template.placing.clone() },
        ..template.clone()
    }
}

/// Removes a file that did not exist before.
pub fn remove_new_file(place: &Place, key: &Key, state: &mut FileState) -> Result<(), Setback> {
    if !state.journal.as_ref().is_none_or(|journal| journal.is_rollback(key)) {
        return Err(Setback::new(
            format!("remove {}", place.dest.display()),
            "it could not be recorded in the journal",
        ));
    }
    state.last_written.remove(&key.template);
    let removed = unlinkat(&place.directory, place.name.as_os_str(), UnlinkatFlags::NoRemoveDir);
    removed
        .and_then(|()| sync_directory(&place.directory))
        .map_err(|errno| os_error(format!("remove {}", place.dest.display()), errno))
}
