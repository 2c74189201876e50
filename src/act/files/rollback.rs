//! Puts back what stood at destinations before a reload failed, by what the [`journal`](crate::state::journal) keeps of it; and
//! knows what was put back once, and is not tried again.

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
use super::errors::os_error;
use super::file_state::FileState;
use super::place::Place;
use super::removal::Removal;
use super::staging::prepare;
use super::writer::Writer;
use crate::state::journal::blocked::standing;
use crate::state::journal::{Blocked, Entry, Key, Owner, PreviousFile, Set};

/// Puts back what stood there before a reload failed, all of it or nothing, and gives the names of the templates whose
/// files changed by that. The bytes that go are not placed again as a whole until others have proven themselves.
///
/// It is noted as any replacement is: what is cut off is finished at the next start. Where none of them was there before,
/// they stay.
///
/// # Errors
/// A file cannot be put back: all stay as they are.
pub async fn restore(writer: &Writer, job: &Restoration) -> Result<BTreeSet<Arc<str>>, Setback> {
    let job = job.clone();
    writer.call(move |state| restore_files(&job, state)).await.flatten()
}

fn restore_files(job: &Restoration, state: &mut FileState) -> Result<BTreeSet<Arc<str>>, Setback> {
    let mut before = Vec::new();
    let journal = state.journal.as_ref().ok_or_else(without_journal)?;
    for template in &job.templates {
        let kept = journal.saved(&Key::new(template));
        let kept =
            kept.map_err(|error| os_error(format!("read what {} held before", template.dest.display()), error))?;
        before.extend(kept.map(|kept| (Arc::clone(template), kept)));
    }
    if before.iter().all(|(_, kept)| kept.is_none()) {
        // There is nothing to go back to: software that has never run would not find even the file that it is to start with.
        return Ok(BTreeSet::new());
    }
    let mut names = BTreeSet::new();
    let (mut batch, mut answers) = (BatchCommit::default(), Vec::new());
    batch.unit = Some(Arc::from("that is rolled back"));
    for (template, kept) in before {
        let (answer, answered) = oneshot::channel();
        if let Some(kept) = kept {
            let earlier = earlier_template(&template, &kept);
            let Some(written) = prepare(&earlier, kept.bytes, state)? else { continue };
            let staged = written.for_rollback().sync()?;
            batch.commits.push(Commit { staged, stop: CancellationToken::new(), answer });
        } else if job.reload.is_some() {
            let Some(removal) = removal(&template, answer, state)? else { continue };
            batch.removals.push(removal);
        } else {
            // Whoever has made one since where none was put back meant it.
            continue;
        }
        answers.push(answered);
        names.insert(Arc::clone(&template.name));
    }
    if job.reload.is_some() {
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
            return Err(Setback::new("put the files from before back", failure.message));
        }
    }
    Ok(names)
}

/// That of a file that was not there before, if it is there now.
fn removal(template: &TemplateConfig, answer: Answer, state: &mut FileState) -> Result<Option<Removal>, Setback> {
    let owner = Owner { back: true, saves: false, ..Owner::new(template) };
    let standing = current_entry(template, &owner, state)?;
    Ok(standing.map(|(place, entry)| Removal { entry, place, answer }))
}

/// That of a file that stays as it is while its unit goes back: whatever others make of it, it can be put right.
fn unchanged(template: &TemplateConfig, state: &mut FileState) -> Result<Option<Entry>, Setback> {
    let owner = Owner { back: true, owed: None, ..Owner::new(template) };
    let standing = current_entry(template, &owner, state)?;
    Ok(standing.map(|(_, entry)| Entry { new: entry.old, ..entry }))
}

/// Where a file stands, if it does, and what is noted of it when nothing takes its place.
fn current_entry(
    template: &TemplateConfig,
    owner: &Owner,
    state: &mut FileState,
) -> Result<Option<(Place, Entry)>, Setback> {
    let Some(place) = Place::find(template, &mut state.directories)? else { return Ok(None) };
    let (Some(old), Some(journal)) = (place.existing()?, &state.journal) else { return Ok(None) };
    let nothing = Replacement { new: None, staged: None, over: None };
    let entry = journal_entry(owner, &place, Some(old), nothing, journal)?;
    Ok(Some((place, entry)))
}

fn without_journal() -> Setback {
    Setback::new("put the files from before back", "without a state directory nothing is kept of them")
}

/// What the files hold that go, in sets that are not tried again: units, and each file that is of none.
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

/// A template by which a file becomes what it was.
fn earlier_template(template: &TemplateConfig, before: &PreviousFile) -> TemplateConfig {
    TemplateConfig {
        mode: Some(before.mode),
        owner: Some(before.uid),
        group: Some(before.gid),
        on_reload_failure: OnReloadFailure::Retry,
        // What failed is not worth the place of an older one.
        placing: Placing { backup: 0, ..template.placing.clone() },
        ..template.clone()
    }
}

/// Removes a file that was not there before.
pub fn remove_new_file(place: &Place, key: &Key, state: &mut FileState) -> Result<(), Setback> {
    if !state.journal.as_ref().is_none_or(|journal| journal.is_rollback(key)) {
        return Err(Setback::new(format!("remove {}", place.dest.display()), "it could not be noted"));
    }
    state.last_written.remove(&key.template);
    let removed = unlinkat(&place.directory, place.name.as_os_str(), UnlinkatFlags::NoRemoveDir);
    removed
        .and_then(|()| sync_directory(&place.directory))
        .map_err(|errno| os_error(format!("remove {}", place.dest.display()), errno))
}
