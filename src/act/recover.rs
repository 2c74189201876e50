//! What an agent that was killed left to be done, by its journal.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::{info, warn};

use crate::config::{OnReloadFailure, TemplateConfig};
use crate::decide::Failure;
use crate::digest::digest_of;
use crate::error::Setback;

use super::commit::{settle, swap, sync_folder, unnoted};
use super::inplace::complete;
use super::journal::{Entry, Journal, Key, Owner, Past};
use super::leftovers::{Tag, sweep_state};
use super::place::Place;
use super::rollback::take_away;
use super::stage::Staged;
use super::trouble::unwritten;
use super::writer::{Desk, Writer};

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
/// Gives a template for each file whose reload is owed, as the reload was when the file was replaced.
///
/// # Errors
/// The file thread has a fault.
pub async fn recover(writer: &Writer, state_dir: &Path, present: Present) -> Result<Vec<Arc<TemplateConfig>>, Setback> {
    let state_dir = state_dir.to_owned();
    writer.call(move |desk| take_over(&state_dir, &present, desk)).await
}

fn take_over(state_dir: &Path, present: &Present, desk: &mut Desk) -> Vec<Arc<TemplateConfig>> {
    let (mut journal, past) = Journal::open(state_dir);
    desk.tag = Tag::of(state_dir);
    let owed = match past {
        Past::Known => {
            let noted: Vec<Entry> = journal.entries().cloned().collect();
            let owed: Vec<Entry> =
                noted.iter().filter(|entry| is_owed(entry, &noted, desk) && present.needs(entry)).cloned().collect();
            let idle = noted.iter().filter(|entry| !owed.iter().any(|known| known.key() == entry.key()));
            journal.forget(idle.map(Entry::key).collect::<Vec<_>>());
            for entry in noted {
                sweep(&entry.plain(), desk);
            }
            let debts = owed.iter().filter_map(Entry::debt).map(Arc::new);
            debts.inspect(say).collect()
        }
        // One that does not answer may have held anything, and is begun anew all the same.
        Past::Lost(why) | Past::Unreadable(why) => {
            warn!(%why, "it is not known which reloads are owed: each runs once");
            let reloaded = present.templates.iter().filter(|template| template.reload.is_some());
            let owed: Vec<_> = reloaded.cloned().collect();
            let entries = owed.iter().map(|template| Owner::of(template).owes(template.dest.clone())).collect();
            if let Err(error) = journal.note(entries) {
                warn!(why = %unnoted(&journal, error), "what is owed is not known at the next start");
            }
            owed
        }
    };
    for template in &present.templates {
        sweep(template, desk);
    }
    for dest in &present.files {
        sweep(&TemplateConfig::new("", "", dest), desk);
    }
    sweep_state(state_dir);
    desk.keep(journal);
    owed
}

/// Removes what was staged for a template, also in the folder that its destination leads to.
fn sweep(template: &TemplateConfig, desk: &mut Desk) {
    let places = [Place::of(&template.dest, &mut desk.folders), Place::find(template, &mut desk.folders)];
    for place in places.into_iter().flatten().flatten() {
        desk.sweep(&place);
    }
}

fn say(template: &Arc<TemplateConfig>) {
    if let Some(why) = &template.reload {
        info!(%why, template = &*template.name, "a reload is owed from before the start");
    }
}

/// What stands at a destination.
#[derive(Debug, PartialEq, Eq)]
enum Now {
    Nothing,
    Bytes(u64),
    /// It cannot be read.
    Unknown,
}

impl Now {
    fn is(&self, digest: Option<u64>) -> bool {
        match self {
            Self::Nothing => digest.is_none(),
            Self::Bytes(now) => digest == Some(*now),
            Self::Unknown => false,
        }
    }
}

/// Whether a noted replacement came about, or is made to now: all files of a round were checked when it was noted, so
/// those that were left over go the same way as those that were not.
fn is_owed(entry: &Entry, noted: &[Entry], desk: &mut Desk) -> bool {
    let now = look(entry, desk);
    // One that was being overwritten may hold anything, but for what another template has just made of it.
    let others = |other: &&Entry| other.dest == entry.dest && other.owner.template != entry.owner.template;
    let is_begun = entry.over.is_some() && !noted.iter().filter(others).any(|other| now.is(other.new));
    if (is_begun || now.is(entry.old)) && finish(entry, desk) {
        return true;
    }
    // Where it is neither the old nor the new one, somebody has changed it since, or it does not answer. What the software
    // has taken up nobody knows.
    now.is(entry.new) || !now.is(entry.old) || entry.again
}

fn look(entry: &Entry, desk: &mut Desk) -> Now {
    if entry.dest.parent().is_some_and(|folder| !folder.exists()) {
        return Now::Nothing;
    }
    let found =
        Place::find(&entry.plain(), &mut desk.folders).and_then(|place| place.map(|place| place.look()).transpose());
    match found.map(Option::flatten) {
        Ok(None) => Now::Nothing,
        Ok(Some(mut old)) => old.read(&entry.dest).map_or(Now::Unknown, |bytes| Now::Bytes(digest_of(&bytes))),
        Err(_) => Now::Unknown,
    }
}

/// Puts the bytes in place that an agent was killed before; `false` where they are not there, or not as they were.
fn finish(entry: &Entry, desk: &mut Desk) -> bool {
    let Ok(Some(place)) = Place::find(&entry.plain(), &mut desk.folders) else { return false };
    if entry.owner.back && entry.new.is_none() {
        if let Err(why) = take_away(&place, &entry.key(), desk) {
            warn!(%why, file = %entry.dest.display(), "a removal that was cut off could not be finished");
        }
        return true;
    }
    let finished = match (entry.new, &entry.over, &entry.staged) {
        (Some(new), Some(over), _) => complete(over, new, &place, &mut desk.folders).map_err(|why| unwritten(&why)),
        (Some(new), None, Some(name)) => rename(place, name, new, desk),
        _ => Ok(false),
    };
    match finished {
        Ok(true) => info!(file = %entry.dest.display(), "finished a replacement that was cut off"),
        Ok(false) => return false,
        Err(Failure { message: why, .. }) => {
            warn!(%why, file = %entry.dest.display(), "a replacement that was cut off could not be finished");
        }
    }
    true
}

/// Renames a staged file of this digest that was left; whether there is one.
fn rename(place: Place, name: &str, new: u64, desk: &mut Desk) -> Result<bool, Failure> {
    let Ok(mut staged) = Staged::found(place, name) else { return Ok(false) };
    if staged.digest().ok() != Some(new) {
        return Ok(false);
    }
    swap(&mut staged, desk)?;
    let synced = sync_folder(std::iter::once(&staged.place));
    settle(&staged.place, synced, desk).map(|()| true).map_err(|why| unwritten(&why))
}
