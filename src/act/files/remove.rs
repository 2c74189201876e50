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
use crate::model::digest::digest_bytes;
use crate::state::owned_files::Claim;

use super::answer::write_failure;
use super::commit::{Replacement, journal_entry, journal_error, sync_directory};
use super::file_state::FileState;
use super::place::Place;
use super::writer::Writer;
use crate::error::os::os_error;
use crate::state::journal::{Key, Owner};

/// Removes a template's destination and syncs its directory.
///
/// The outcome is [`Outcome::Unchanged`], and the file stays, if nothing shows that the agent wrote it, if it is no
/// longer a regular file with one name, or, with [`Claim::Intended`], if it holds other bytes than intended. A file
/// that was written and is already gone counts as removed, because an agent may have been killed between the removal
/// and its reload. Without `really` nothing is done and the outcome is [`Outcome::WouldRemove`].
pub async fn remove(
    writer: &Writer,
    template: &TemplateConfig,
    claim: Option<Claim>,
    really: bool,
    stop: &CancellationToken,
) -> Outcome {
    let Some(claim) = claim else { return Outcome::Unchanged };
    let (template, stop) = (template.clone(), stop.clone());
    let job = move |state: &mut FileState| {
        if stop.is_cancelled() { Ok(Outcome::Abandoned) } else { remove_owned(&template, claim, really, state) }
    };
    let answer = writer.call(job).await.flatten();
    answer.unwrap_or_else(|setback| Outcome::Failed(write_failure(&setback)))
}

fn remove_owned(
    template: &TemplateConfig,
    claim: Claim,
    really: bool,
    state: &mut FileState,
) -> Result<Outcome, Setback> {
    let dest = &template.dest;
    let place = match Place::find(template, &mut state.directories) {
        Ok(Some(place)) => place,
        Ok(None) => return Ok(Outcome::Unchanged),
        // Without its directory the file is gone.
        Err(_) if dest.parent().is_some_and(|directory| !directory.exists()) => return Ok(Outcome::Unchanged),
        Err(setback) => return Err(setback),
    };
    let old = match place.existing() {
        Ok(old) => old,
        Err(why) => {
            let there = fstatat(&place.directory, place.name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW);
            if there.is_err() || there.is_ok_and(|stat| place.check_kind(&stat).is_ok()) {
                // It cannot be read, but may still be the agent's.
                return Err(why);
            }
            emit(Event::RemovalRefused { dest: dest.clone(), reason: why.to_string() });
            return Ok(Outcome::Unchanged);
        }
    };
    let there = match (old, claim) {
        (None, _) => false,
        (Some(_), Claim::Written) => true,
        (Some(mut old), Claim::Intended(intended)) => {
            if digest_bytes(&old.read(dest)?) != intended {
                return Ok(Outcome::Unchanged);
            }
            true
        }
    };
    if !really {
        return Ok(if there { Outcome::WouldRemove } else { Outcome::Unchanged });
    }
    state.sweep(&place);
    // An unfinished replacement would bring the file back.
    state.mark_up_to_date(&Key::new(template), None);
    if !there && matches!(claim, Claim::Intended(_)) && !state.unsettled.contains(dest) {
        return Ok(Outcome::Unchanged);
    }
    if there {
        place.verify_directory()?;
    }
    note(template, &place, state)?;
    if there && let Err(errno) = unlinkat(&place.directory, place.name.as_os_str(), UnlinkatFlags::NoRemoveDir) {
        if let Some(journal) = &mut state.journal {
            journal.withdraw(&[Key::new(template)]);
        }
        return Err(os_error(format!("remove {}", dest.display()), errno));
    }
    state.last_written.remove(&template.name);
    state.unsettled.insert(dest.clone());
    state.mark_placed();
    match sync_directory(&place.directory) {
        Ok(()) => _ = state.unsettled.remove(dest),
        Err(errno) => return Err(os_error(unsynced(&place.directory_path, dest), errno)),
    }
    state.mark_durable();
    Ok(Outcome::Removed)
}

/// Records that a file is about to be removed, if that makes a reload pending.
fn note(template: &TemplateConfig, place: &Place, state: &mut FileState) -> Result<(), Setback> {
    // A file whose key is gone is not rolled back.
    let owner = Owner { saves_copy: false, ..Owner::new(template) };
    let Some(journal) = &mut state.journal else { return Ok(()) };
    if !owner.is_recorded() && !journal.contains(&owner.key(&place.dest)) {
        return Ok(());
    }
    let gone = Replacement { new: None, staged: None, overwrite: None };
    let entry = journal_entry(&owner, place, place.existing()?, gone, journal)?;
    journal.record(vec![entry]).map_err(|error| journal_error(journal, error))
}

fn unsynced(directory: &Path, dest: &Path) -> String {
    format!(
        "sync the directory {} after the removal of {} (a power cut may undo it)",
        directory.display(),
        dest.display()
    )
}
