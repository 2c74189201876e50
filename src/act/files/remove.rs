//! Removes a file that the agent wrote, and nothing else.

use std::path::Path;

use nix::fcntl::AtFlags;
use nix::sys::stat::fstatat;
use nix::unistd::{UnlinkatFlags, unlinkat};
use tokio_util::sync::CancellationToken;

use crate::config::TemplateConfig;
use crate::decide::{Event, Outcome};
use crate::error::Setback;
use crate::log::emit;
use crate::model::digest::digest_of;
use crate::state::owned_files::Claim;

use super::commit::{Waits, noted, sync_names, unnoted};
use super::errors::{refused, unwritten};
use super::file_state::FileState;
use super::place::Place;
use super::writer::Writer;
use crate::state::journal::{Key, Owner};

/// Removes a template's destination, for good: the folder is synced.
///
/// It stays where nothing says that the agent wrote it, where something else than a regular file of one name stands
/// there by now, and, with [`Claim::Meant`], where it holds other bytes than were meant: [`Outcome::Unchanged`] then.
/// One that was written and is not there any more counts as removed: an agent may have been killed between that and its
/// reload. Without `really` the answer is [`Outcome::WouldRemove`], and nothing is done.
pub async fn remove(
    writer: &Writer,
    template: &TemplateConfig,
    claim: Option<Claim>,
    really: bool,
    stop: &CancellationToken,
) -> Outcome {
    let Some(claim) = claim else { return Outcome::Unchanged };
    let (template, stop) = (template.clone(), stop.clone());
    let job = move |desk: &mut FileState| {
        if stop.is_cancelled() { Ok(Outcome::Abandoned) } else { take_away(&template, claim, really, desk) }
    };
    let answer = writer.call(job).await.flatten();
    answer.unwrap_or_else(|setback| Outcome::Failed(unwritten(&setback)))
}

fn take_away(template: &TemplateConfig, claim: Claim, really: bool, at: &mut FileState) -> Result<Outcome, Setback> {
    let dest = &template.dest;
    let place = match Place::find(template, &mut at.folders) {
        Ok(Some(place)) => place,
        Ok(None) => return Ok(Outcome::Unchanged),
        // With its folder the file is gone.
        Err(_) if dest.parent().is_some_and(|folder| !folder.exists()) => return Ok(Outcome::Unchanged),
        Err(setback) => return Err(setback),
    };
    let old = match place.look() {
        Ok(old) => old,
        Err(why) => {
            let there = fstatat(&place.folder, place.name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW);
            if there.is_err() || there.is_ok_and(|stat| place.refuse(&stat).is_ok()) {
                // It only does not answer: whose it is stays known.
                return Err(why);
            }
            emit(Event::RemovalRefused { dest: dest.clone(), reason: why.to_string() });
            return Ok(Outcome::Unchanged);
        }
    };
    let there = match (old, claim) {
        (None, _) => false,
        (Some(_), Claim::Written) => true,
        (Some(mut old), Claim::Meant(meant)) => {
            if digest_of(&old.read(dest)?) != meant {
                return Ok(Outcome::Unchanged);
            }
            true
        }
    };
    if !really {
        return Ok(if there { Outcome::WouldRemove } else { Outcome::Unchanged });
    }
    at.sweep(&place);
    // Nobody would remove what is put in place after this.
    at.is_in_step(&Key::of(template), None);
    if !there && matches!(claim, Claim::Meant(_)) && !at.unsettled.contains(dest) {
        return Ok(Outcome::Unchanged);
    }
    if there {
        place.is_still_here()?;
    }
    note(template, &place, at)?;
    if there && let Err(errno) = unlinkat(&place.folder, place.name.as_os_str(), UnlinkatFlags::NoRemoveDir) {
        if let Some(journal) = &mut at.journal {
            journal.withdraw(&[Key::of(template)]);
        }
        return Err(refused(format!("remove {}", dest.display()), errno));
    }
    at.left.remove(&template.name);
    at.unsettled.insert(dest.clone());
    at.is_placed();
    match sync_names(&place.folder) {
        Ok(()) => _ = at.unsettled.remove(dest),
        Err(errno) => return Err(refused(unsynced(&place.folder_path, dest), errno)),
    }
    at.is_done();
    Ok(Outcome::Removed)
}

/// Notes that a file is about to go, where that owes a reload.
fn note(template: &TemplateConfig, place: &Place, at: &mut FileState) -> Result<(), Setback> {
    // Whose key is gone has nothing to go back to.
    let owner = Owner { saves: false, ..Owner::of(template) };
    let Some(journal) = &mut at.journal else { return Ok(()) };
    if !owner.is_noted() && !journal.has(&owner.key(&place.dest)) {
        return Ok(());
    }
    let gone = Waits { new: None, staged: None, over: None };
    let entry = noted(&owner, place, place.look()?, gone, journal)?;
    journal.note(vec![entry]).map_err(|error| unnoted(journal, error))
}

fn unsynced(folder: &Path, dest: &Path) -> String {
    format!(
        "sync the folder {} after {} was removed, which a power cut may therefore undo",
        folder.display(),
        dest.display()
    )
}
