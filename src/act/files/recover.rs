//! What an agent that was killed left to be done, by its journal.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{OnReloadFailure, TemplateConfig};
use crate::decide::{Event, Failure};
use crate::error::Setback;
use crate::log::emit;

use super::commit::{settle, swap, sync_folder, unnoted};
use super::file_state::FileState;
use super::inplace::complete;
use super::leftovers::{Tag, sweep_state};
use super::place::{Place, on_disk};
use super::rollback::take_away;
use super::stage::Staged;
use super::writer::Writer;
use crate::state::journal::{Entry, Journal, Key, Left, Now, Owner, Past};

/// The configuration that the agents of a state directory have now.
#[derive(Debug, Clone)]
pub struct Present {
    /// Every template that writes a file, those of keys with files included.
    pub templates: Vec<Arc<TemplateConfig>>,
    /// Further files that were written.
    pub files: Vec<PathBuf>,
}

impl Present {
    /// Whether anything is still to be known of a replacement that came about: a reload that is owed, or what to go back
    /// to.
    fn needs(&self, entry: &Entry) -> bool {
        let goes_back = |template: &Arc<TemplateConfig>| {
            template.on_reload_failure == OnReloadFailure::Rollback && Key::of(template) == entry.key()
        };
        let is_kept = entry.saved.is_some() && (entry.owner.unit.is_some() || entry.is_settled());
        entry.owner.owed.is_some()
            || (entry.owner.is_noted() && entry.saved.is_none())
            || (is_kept && self.templates.iter().any(goes_back))
    }
}

/// Takes a state directory over, whose lock this process has: opens its journal, finishes the replacements that were
/// noted and not made, and removes what was staged for others. From here on replacements are noted there.
///
/// Gives a template for each file whose reload is owed, as the reload was when the file was replaced. Of one that could not
/// be finished it is owed when it is: see [`finish_left`].
///
/// # Errors
/// The file thread has a fault.
pub async fn recover(writer: &Writer, state_dir: &Path, present: Present) -> Result<Vec<Arc<TemplateConfig>>, Setback> {
    let state_dir = state_dir.to_owned();
    writer.call(move |desk| take_over(&state_dir, &present, desk)).await
}

/// Tries once more to finish what could not be when the state directory was taken over. Gives a template for each file that
/// is in place now, with the reload that is owed if one was noted, and how many are left.
///
/// # Errors
/// The file thread has a fault.
pub async fn finish_left(writer: &Writer) -> Result<(Vec<Arc<TemplateConfig>>, usize), Setback> {
    writer.call(try_left).await
}

/// How many replacements that were begun are neither finished nor overtaken by later ones.
///
/// # Errors
/// The file thread has a fault.
pub async fn unfinished(writer: &Writer) -> Result<usize, Setback> {
    writer.call(|desk| desk.journal.as_ref().map_or(0, |journal| journal.left.len())).await
}

fn take_over(state_dir: &Path, present: &Present, desk: &mut FileState) -> Vec<Arc<TemplateConfig>> {
    let (mut journal, past) = Journal::open(state_dir);
    desk.tag = Tag::of(state_dir);
    let noted: Vec<Entry> = journal.entries().cloned().collect();
    let (mut owed, mut idle) = (Vec::new(), Vec::new());
    for entry in &noted {
        match come_about(entry, &noted, present, desk) {
            Came::Left(seen) => {
                // What stands there is whole, and may not have been taken up either.
                owed.extend(entry.debt().filter(|_| entry.again && entry.over.is_none()).map(Arc::new));
                journal.left.insert(entry.key(), Left { entry: entry.clone(), seen });
            }
            Came::About if present.needs(entry) => owed.extend(entry.debt().map(Arc::new)),
            Came::About | Came::Nothing => idle.push(entry.key()),
        }
    }
    owed.iter().for_each(say);
    journal.forget(idle);
    if let Past::Lost(why) = past {
        owed.extend(owe_all(&why, &owed, present, &mut journal));
    }
    desk.keep(journal);
    for entry in noted {
        sweep(&entry.plain(), desk);
    }
    for template in &present.templates {
        sweep(template, desk);
    }
    for dest in &present.files {
        sweep(&TemplateConfig::new("", "", dest), desk);
    }
    sweep_state(state_dir, &desk.spared());
    owed
}

/// What was noted and is not known may have been anything.
fn owe_all(
    why: &str,
    owed: &[Arc<TemplateConfig>],
    present: &Present,
    journal: &mut Journal,
) -> Vec<Arc<TemplateConfig>> {
    let (reason, effect) = (why.to_owned(), "every reload runs once, because it is not known which are pending");
    emit(Event::StateReadFailed { file: None, reason, effect });
    let is_known =
        |template: &TemplateConfig| owed.iter().any(|it| (&it.name, &it.dest) == (&template.name, &template.dest));
    let others = present.templates.iter().filter(|template| template.reload.is_some() && !is_known(template));
    let others: Vec<_> = others.cloned().collect();
    let entries = others.iter().map(|template| Owner::of(template).owes(template.dest.clone())).collect();
    if let Err(error) = journal.note(entries) {
        emit(unsaved(journal, error));
    }
    others
}

fn try_left(desk: &mut FileState) -> (Vec<Arc<TemplateConfig>>, usize) {
    let left = desk.journal.as_mut().map(|journal| std::mem::take(&mut journal.left)).unwrap_or_default();
    let (mut finished, mut over) = (Vec::new(), Vec::new());
    for (key, Left { entry, seen }) in left {
        let now = on_disk(&entry, &mut desk.folders);
        let is_as_it_was = seen == Now::Unknown || now == seen;
        let is_made = now.is(entry.new) && entry.over.is_none();
        if !is_made && is_as_it_was && finish(&entry, desk) == Finished::Failed {
            // It may have become another part of the whole by that.
            let left = Left { seen: on_disk(&entry, &mut desk.folders), entry };
            if let Some(journal) = &mut desk.journal {
                journal.left.insert(key, left);
            }
            continue;
        }
        desk.discard(&entry);
        finished.push(Arc::new(entry.debt().unwrap_or_else(|| entry.plain())));
        if entry.owner.is_noted() {
            over.push(key);
        } else if let Some(journal) = &mut desk.journal {
            journal.forget([key]);
        }
    }
    note_anew(&over, desk);
    finished.iter().for_each(say);
    (finished, desk.journal.as_ref().map_or(0, |journal| journal.left.len()))
}

/// What is in place now was not when it was noted: a reload that has begun since may not have taken it up.
fn note_anew(keys: &[Key], desk: &mut FileState) {
    let Some(journal) = &mut desk.journal else { return };
    let entries = keys.iter().filter_map(|key| journal.entry(key).cloned()).collect();
    if let Err(error) = journal.note(entries) {
        emit(unsaved(journal, error));
    }
    desk.is_placed();
}

/// Removes what was staged for a template, also in the folder that its destination leads to.
fn sweep(template: &TemplateConfig, desk: &mut FileState) {
    let places = [Place::of(&template.dest, &mut desk.folders), Place::find(template, &mut desk.folders)];
    for place in places.into_iter().flatten().flatten() {
        desk.sweep(&place);
    }
}

fn say(template: &Arc<TemplateConfig>) {
    if let Some(reload) = &template.reload {
        emit(Event::ReloadInherited { command: reload.to_string(), template: Arc::clone(&template.name) });
    }
}

fn unsaved(journal: &Journal, error: io::Error) -> Event {
    let (file, reason) = (Some(journal.file().to_owned()), unnoted(journal, error).to_string());
    Event::StateWriteFailed { file, reason, effect: "pending reloads may not be known after a restart" }
}

/// What came of a noted replacement.
enum Came {
    /// Nothing: what stood there stands there.
    Nothing,
    /// It came about, or something else did.
    About,
    /// It is to come about, and cannot now. What stands there instead.
    Left(Now),
}

/// Whether a noted replacement came about, or is made to now: all files of a round were checked when it was noted, so
/// those that were left over go the same way as those that were not.
fn come_about(entry: &Entry, noted: &[Entry], present: &Present, desk: &mut FileState) -> Came {
    let now = on_disk(entry, &mut desk.folders);
    // One that was being overwritten may hold anything, but for what another template has just made of it.
    let others = |other: &&Entry| other.dest == entry.dest && other.owner.template != entry.owner.template;
    let is_begun = entry.over.is_some() && !noted.iter().filter(others).any(|other| now.is(other.new));
    if is_begun || now.is(entry.old) && !present.is_anothers(entry) {
        match finish(entry, desk) {
            Finished::Done => return Came::About,
            Finished::Failed => return Came::Left(on_disk(entry, &mut desk.folders)),
            Finished::Nothing => {}
        }
    }
    // Where it is neither the old nor the new one, somebody has changed it since, or it does not answer. What the software
    // has taken up nobody knows.
    let is_owed = now.is(entry.new) || !now.is(entry.old) || entry.again;
    if is_owed { Came::About } else { Came::Nothing }
}

impl Present {
    /// Whether a file that was to be replaced for one template is another's by now. Of a unit a part may have been
    /// replaced, and goes with the rest of it.
    fn is_anothers(&self, entry: &Entry) -> bool {
        let mut now = self.templates.iter().filter(|template| template.dest == entry.dest).peekable();
        entry.owner.unit.is_none() && now.peek().is_some() && now.all(|template| template.name != entry.owner.template)
    }
}

/// What came of finishing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finished {
    Done,
    /// There is nothing to finish it with, or that is not as it was.
    Nothing,
    /// The system refused; that is said.
    Failed,
}

/// Puts the bytes in place that an agent was killed before.
fn finish(entry: &Entry, desk: &mut FileState) -> Finished {
    let Ok(Some(place)) = Place::find(&entry.plain(), &mut desk.folders) else { return Finished::Nothing };
    let is_removal = entry.owner.back && entry.new.is_none();
    let finished = match (entry.new, &entry.over, &entry.staged) {
        _ if is_removal => take_away(&place, &entry.key(), desk).map(|()| true),
        (Some(new), Some(over), _) => complete(over, new, &place, &mut desk.folders),
        (Some(new), None, Some(name)) => rename(place, name, new, desk),
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

/// Renames a staged file of this digest that was left; whether there is one.
fn rename(place: Place, name: &str, new: u64, desk: &mut FileState) -> Result<bool, Setback> {
    let Ok(mut staged) = Staged::found(place, name) else { return Ok(false) };
    let swapped = match staged.digest() {
        Ok(digest) if digest != new => return Ok(false),
        Ok(_) => swap(&mut staged, desk).map_err(|Failure { message, .. }| Setback::new("put it in place", message)),
        Err(why) => Err(why),
    };
    if let Err(why) = swapped {
        staged.stays();
        return Err(why);
    }
    let synced = sync_folder(std::iter::once(&staged.place));
    if let Err(why) = settle(&staged.place, synced, desk) {
        emit(Event::SyncFailed { reason: why.to_string() });
    }
    Ok(true)
}
