//! Finishes what a killed agent left unfinished, by its journal.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{OnReloadFailure, TemplateConfig};
use crate::decide::{Event, Failure};
use crate::error::Setback;
use crate::log::emit;

use super::commit::{finish_sync, journal_error, replace, sync_directory_of};
use super::file_state::FileState;
use super::inplace::finish as finish_overwrite;
use super::leftovers::{Tag, sweep_state};
use super::place::{Place, on_disk};
use super::rollback::remove_new_file;
use super::stage::Staged;
use super::writer::Writer;
use crate::state::journal::{Entry, Journal, Key, OnDisk, Owner, Unfinished};

/// What the current configuration writes.
#[derive(Debug, Clone)]
pub struct CurrentConfig {
    /// Every template that writes a file, including the per-key files of templates with `each`.
    pub templates: Vec<Arc<TemplateConfig>>,
    /// Other files that were written.
    pub files: Vec<PathBuf>,
}

impl CurrentConfig {
    /// Whether the entry of a completed replacement is still needed: for a pending reload, or to roll back.
    fn needs(&self, entry: &Entry) -> bool {
        let goes_back = |template: &Arc<TemplateConfig>| {
            template.on_reload_failure == OnReloadFailure::Rollback && Key::new(template) == entry.key()
        };
        let is_kept = entry.saved.is_some() && (entry.owner.unit.is_some() || entry.is_restored());
        entry.owner.pending_reload.is_some()
            || (entry.owner.is_recorded() && entry.saved.is_none())
            || (is_kept && self.templates.iter().any(goes_back))
    }
}

/// Takes over a state directory that this process has locked: opens its journal, finishes the replacements that were
/// recorded but not made, and removes other staged files. From then on replacements are recorded there.
///
/// Returns a template for each file with a pending reload; the reload is the one that was configured when the file was
/// replaced. For a replacement that cannot be finished now, the reload is pending once it is: see [`retry_unfinished`].
///
/// # Errors
/// If the file thread panicked.
pub async fn recover(
    writer: &Writer,
    state_dir: &Path,
    current: CurrentConfig,
) -> Result<Vec<Arc<TemplateConfig>>, Setback> {
    let state_dir = state_dir.to_owned();
    writer.call(move |state| take_over(&state_dir, &current, state)).await
}

/// Retries the replacements that could not be finished so far. Returns a template for each file that is in place now,
/// with its pending reload if it has one, and the number of those that are left.
///
/// # Errors
/// If the file thread panicked.
pub async fn retry_unfinished(writer: &Writer) -> Result<(Vec<Arc<TemplateConfig>>, usize), Setback> {
    writer.call(retry).await
}

/// The number of replacements that were begun and neither finished nor superseded.
///
/// # Errors
/// If the file thread panicked.
pub async fn unfinished_count(writer: &Writer) -> Result<usize, Setback> {
    writer.call(|state| state.journal.as_ref().map_or(0, |journal| journal.unfinished.len())).await
}

fn take_over(state_dir: &Path, current: &CurrentConfig, state: &mut FileState) -> Vec<Arc<TemplateConfig>> {
    let (mut journal, lost) = Journal::open(state_dir);
    state.tag = Tag::new(state_dir);
    let recorded: Vec<Entry> = journal.entries().cloned().collect();
    let (mut pending, mut idle) = (Vec::new(), Vec::new());
    for entry in &recorded {
        match resume(entry, &recorded, current, state) {
            EntryState::Unfinished(seen) => {
                // The current file is complete, and may not have been reloaded either.
                pending.extend(
                    entry
                        .reload_template()
                        .filter(|_| entry.earlier_pending && entry.overwrite.is_none())
                        .map(Arc::new),
                );
                journal.unfinished.insert(entry.key(), Unfinished { entry: entry.clone(), seen });
            }
            EntryState::Made if current.needs(entry) => pending.extend(entry.reload_template().map(Arc::new)),
            EntryState::Made | EntryState::NotMade => idle.push(entry.key()),
        }
    }
    pending.iter().for_each(log_inherited);
    journal.forget(idle);
    if let Some(why) = lost {
        pending.extend(make_all_pending(&why, &pending, current, &mut journal));
    }
    state.set_journal(journal);
    for entry in recorded {
        sweep(&entry.bare_template(), state);
    }
    for template in &current.templates {
        sweep(template, state);
    }
    for dest in &current.files {
        sweep(&TemplateConfig::new("", "", dest), state);
    }
    sweep_state(state_dir, &state.names_in_use());
    pending
}

/// Makes every configured reload pending, because the lost part of the journal may have held any of them.
fn make_all_pending(
    why: &str,
    pending: &[Arc<TemplateConfig>],
    current: &CurrentConfig,
    journal: &mut Journal,
) -> Vec<Arc<TemplateConfig>> {
    let (reason, effect) = (why.to_owned(), "every reload runs once, because it is not known which are pending");
    emit(Event::StateReadFailed { file: None, reason, effect });
    let is_known =
        |template: &TemplateConfig| pending.iter().any(|it| (&it.name, &it.dest) == (&template.name, &template.dest));
    let others = current.templates.iter().filter(|template| template.reload.is_some() && !is_known(template));
    let others: Vec<_> = others.cloned().collect();
    let entries = others.iter().map(|template| Owner::new(template).pending_entry(template.dest.clone())).collect();
    if let Err(error) = journal.record(entries) {
        emit(journal_write_failed(journal, error));
    }
    others
}

fn retry(state: &mut FileState) -> (Vec<Arc<TemplateConfig>>, usize) {
    let left = state.journal.as_mut().map(|journal| std::mem::take(&mut journal.unfinished)).unwrap_or_default();
    let (mut finished, mut completed) = (Vec::new(), Vec::new());
    for (key, Unfinished { entry, seen }) in left {
        let now = on_disk(&entry, &mut state.directories);
        let is_as_it_was = seen == OnDisk::Unreadable || now == seen;
        let is_made = now.is(entry.new) && entry.overwrite.is_none();
        if !is_made && is_as_it_was && finish(&entry, state) == Finished::Failed {
            // The attempt may have changed the file.
            let left = Unfinished { seen: on_disk(&entry, &mut state.directories), entry };
            if let Some(journal) = &mut state.journal {
                journal.unfinished.insert(key, left);
            }
            continue;
        }
        state.discard(&entry);
        finished.push(Arc::new(entry.reload_template().unwrap_or_else(|| entry.bare_template())));
        if entry.owner.is_recorded() {
            completed.push(key);
        } else if let Some(journal) = &mut state.journal {
            journal.forget([key]);
        }
    }
    record_again(&completed, state);
    finished.iter().for_each(log_inherited);
    (finished, state.journal.as_ref().map_or(0, |journal| journal.unfinished.len()))
}

/// Records the replacements again: a reload that began before they were made does not include them.
fn record_again(keys: &[Key], state: &mut FileState) {
    let Some(journal) = &mut state.journal else { return };
    let entries = keys.iter().filter_map(|key| journal.entry(key).cloned()).collect();
    if let Err(error) = journal.record(entries) {
        emit(journal_write_failed(journal, error));
    }
    state.mark_placed();
}

/// Removes staged files from a template's directory, and from the one that its destination leads to.
fn sweep(template: &TemplateConfig, state: &mut FileState) {
    let places = [Place::open(&template.dest, &mut state.directories), Place::find(template, &mut state.directories)];
    for place in places.into_iter().flatten().flatten() {
        state.sweep(&place);
    }
}

fn log_inherited(template: &Arc<TemplateConfig>) {
    if let Some(reload) = &template.reload {
        emit(Event::ReloadInherited { command: reload.to_string(), template: Arc::clone(&template.name) });
    }
}

fn journal_write_failed(journal: &Journal, error: io::Error) -> Event {
    let (file, reason) = (Some(journal.file().to_owned()), journal_error(journal, error).to_string());
    Event::StateWriteFailed { file, reason, effect: "pending reloads may be lost on a restart" }
}

/// What became of a recorded replacement.
enum EntryState {
    /// It was not made: the old file is there.
    NotMade,
    /// It was made, or something else was.
    Made,
    /// It is still to be made, but cannot be now. Holds what is at the destination instead.
    Unfinished(OnDisk),
}

/// Finishes a recorded replacement if it was not made. All files of a batch had passed their checks when they were
/// recorded, so the remaining ones may follow.
fn resume(entry: &Entry, recorded: &[Entry], current: &CurrentConfig, state: &mut FileState) -> EntryState {
    let now = on_disk(entry, &mut state.directories);
    // A file that was being overwritten may hold anything except what another template has just written.
    let others = |other: &&Entry| other.dest == entry.dest && other.owner.template != entry.owner.template;
    let is_begun = entry.overwrite.is_some() && !recorded.iter().filter(others).any(|other| now.is(other.new));
    if is_begun || now.is(entry.old) && !current.belongs_to_another(entry) {
        match finish(entry, state) {
            Finished::Done => return EntryState::Made,
            Finished::Failed => return EntryState::Unfinished(on_disk(entry, &mut state.directories)),
            Finished::Nothing => {}
        }
    }
    // If it is neither the old file nor the new one, another process changed it, or it cannot be read. What the
    // software loaded is unknown.
    let is_made = now.is(entry.new) || !now.is(entry.old) || entry.earlier_pending;
    if is_made { EntryState::Made } else { EntryState::NotMade }
}

impl CurrentConfig {
    /// Whether a file that one template was to replace now belongs to another. A unit may be partly replaced, and is
    /// completed.
    fn belongs_to_another(&self, entry: &Entry) -> bool {
        let mut now = self.templates.iter().filter(|template| template.dest == entry.dest).peekable();
        entry.owner.unit.is_none() && now.peek().is_some() && now.all(|template| template.name != entry.owner.template)
    }
}

/// The result of finishing a replacement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finished {
    Done,
    /// There is nothing to finish it with, or it was changed.
    Nothing,
    /// A system call failed, which is logged.
    Failed,
}

/// Puts the bytes in place that a killed agent had staged.
fn finish(entry: &Entry, state: &mut FileState) -> Finished {
    let Ok(Some(place)) = Place::find(&entry.bare_template(), &mut state.directories) else { return Finished::Nothing };
    let is_removal = entry.owner.is_rollback && entry.new.is_none();
    let finished = match (entry.new, &entry.overwrite, &entry.staged) {
        _ if is_removal => remove_new_file(&place, &entry.key(), state).map(|()| true),
        (Some(new), Some(over), _) => finish_overwrite(over, new, &place, &mut state.directories),
        (Some(new), None, Some(name)) => rename(place, name, new, state),
        _ => Ok(false),
    };
    let dest = entry.dest.clone();
    match finished {
        Ok(true) => {
            emit(Event::WriteRecovered { dest });
            Finished::Done
        }
        Ok(false) => Finished::Nothing,
        Err(why) => {
            emit(Event::WriteRecoveryFailed { dest, reason: why.to_string() });
            Finished::Failed
        }
    }
}

/// Renames a staged file of this digest into place; returns whether there was one.
fn rename(place: Place, name: &str, new: u64, state: &mut FileState) -> Result<bool, Setback> {
    let Ok(mut staged) = Staged::find(place, name) else { return Ok(false) };
    let swapped = match staged.digest() {
        Ok(digest) if digest != new => return Ok(false),
        Ok(_) => replace(&mut staged, state)
            .map_err(|Failure { message, .. }| Setback::new("put the staged file in place", message)),
        Err(why) => Err(why),
    };
    if let Err(why) = swapped {
        staged.keep_for_recovery();
        return Err(why);
    }
    let synced = sync_directory_of(std::iter::once(&staged.place));
    if let Err(why) = finish_sync(&staged.place, synced, state) {
        emit(Event::SyncFailed { reason: why.to_string() });
    }
    Ok(true)
}
