//! The steps of one file that put the staged file in place and make that durable.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{RenameFlags, renameat, renameat2};
use nix::sys::stat::FileStat;
use nix::unistd::{UnlinkatFlags, fsync, unlinkat};

use crate::decide::{Event, Failure, Stage};
use crate::error::Setback;
use crate::log::emit;
use crate::model::digest::digest_bytes;

use super::answer::write_failure;
use super::backup;
use super::file_state::FileState;
use super::inplace::{mounted_on, overwrite};
use super::place::{ExistingFile, Place};
use super::stage::{Previous, Staged};
use crate::error::os::os_error;
use crate::state::journal::{Entry, Journal, ModeAndOwner, NewCopies, Overwrite, Owner, PreviousFile};

/// Checks that the staged file and the destination are unchanged since the check ran. If so, makes the backup, if one
/// is configured.
pub fn verify(staged: &Staged, state: &FileState) -> Result<(), Failure> {
    staged.place.verify_directory().map_err(|setback| write_failure(&setback))?;
    staged.place.check().map_err(|setback| write_failure(&setback))?;
    is_current(staged)?;
    if staged.is_untouched() {
        let partial = staged.owner().and_then(|owner| state.partial_digest(&owner.key(&staged.place.dest)));
        return backup::save(&staged.place, staged.backup, partial, &state.tag)
            .map_err(|setback| write_failure(&setback));
    }
    let message = Setback::new(
        format!("replace {}", staged.place.dest.display()),
        format!("the staged file {} was changed after it was written", staged.path().display()),
    )
    .hint("a check_cmd must only read its file")
    .to_string();
    Err(Failure::new(Stage::Check, message))
}

/// What is to replace a destination.
pub struct Replacement {
    /// Its digest; `None` if the file is removed.
    pub new: Option<u64>,
    /// Its name in the destination's directory.
    pub staged: Option<String>,
    /// If the destination is overwritten, where the new bytes are, and which mode and owner it gets.
    pub overwrite: Option<Overwrite>,
}

/// The journal entry for a file that is about to be replaced or removed. Saves a copy of the current file if the owner
/// rolls back.
pub fn journal_entry(
    owner: &Owner,
    place: &Place,
    old: Option<ExistingFile>,
    waits: Replacement,
    journal: &Journal,
) -> Result<Entry, Setback> {
    let (dest, mut before) = (place.dest.clone(), None);
    if let Some(mut old) = old {
        let bytes = old.read(&dest)?;
        before = Some(PreviousFile { bytes, mode: old.mode(), uid: old.stat.st_uid, gid: old.stat.st_gid });
    }
    let mut copies = NewCopies::default();
    if owner.saves_copy {
        let kept = journal.save(&owner.key(&dest), before.as_ref());
        copies = kept.map_err(|error| os_error(format!("save a copy of {}", dest.display()), error))?;
    }
    let old = before.map(|before| digest_bytes(&before.bytes));
    let Replacement { new, staged, overwrite } = waits;
    let NewCopies { saved, candidate } = copies;
    let follows_link = place.is_followed();
    Ok(Entry {
        old,
        new,
        staged,
        overwrite,
        follows_link,
        earlier_pending: false,
        saved,
        candidate,
        ..owner.clone().pending_entry(dest)
    })
}

/// The error if the journal cannot be written: a file that cannot be recorded is not replaced.
pub fn journal_error(journal: &Journal, error: io::Error) -> Setback {
    let tried = format!("record the replacement and its reload in {}", journal.file().display());
    os_error(tried, error)
}

/// Fails if another process changed the file that the staged one was made from: its change must not be lost.
fn is_current(staged: &Staged) -> Result<(), Failure> {
    if staged.is_current().map_err(|setback| write_failure(&setback))? {
        return Ok(());
    }
    let tried = format!("replace {}", staged.place.dest.display());
    let setback = Setback::new(tried, "another process changed it in the meantime");
    Err(Failure::new(Stage::Changed, setback.hint("it is rebuilt from its current content").to_string()))
}

/// Puts a staged file in place.
pub fn replace(staged: &mut Staged, state: &mut FileState) -> Result<(), Failure> {
    // Other files of the batch may have been renamed, and the journal written, since `verify`.
    is_current(staged)?;
    let placed = match staged.in_place {
        Some(configured) => overwrite_with(staged, configured).map(Some),
        None => rename(staged).map(|()| staged.synced()),
    };
    let stat = placed.map_err(|setback| write_failure(&setback))?;
    record_placed(staged, stat, state);
    staged.mark_placed();
    Ok(())
}

/// Records that a file is in place, with its state if it is known. Until the directory is synced this may not last.
fn record_placed(staged: &Staged, stat: Option<FileStat>, state: &mut FileState) {
    state.unsettled.insert(staged.place.dest.clone());
    state.last_written.extend(staged.expected().zip(stat).map(|(leaves, stat)| leaves.written(&staged.place, &stat)));
}

/// Overwrites the destination with the staged file and removes that. Returns the state of the destination.
fn overwrite_with(staged: &mut Staged, configured: ModeAndOwner) -> Result<FileStat, Setback> {
    let bytes = staged.read()?;
    let stat = overwrite(&staged.place, &bytes, configured)?;
    staged.remove();
    Ok(stat)
}

fn rename(staged: &Staged) -> Result<(), Setback> {
    let place = &staged.place;
    let Some(name) = staged.name() else {
        return Err(Setback::new(format!("replace {}", place.dest.display()), "nothing is staged"));
    };
    renameat(staged.directory(), name.as_os_str(), &place.directory, place.name.as_os_str()).map_err(|errno| {
        let tried = format!("rename {} to {}", staged.path().display(), place.dest.display());
        if errno == Errno::EBUSY { busy_error(tried, place) } else { os_error(tried, errno) }
    })
}

/// The state to restore at a destination if this replacement is reverted.
fn previous(staged: &Staged, state: &FileState) -> Result<Previous, Setback> {
    let place = &staged.place;
    let mut old = if staged.in_place.is_some() { place.existing()? } else { None };
    let bytes = old.as_mut().map(|old| Ok((old.read(&place.dest)?, old.mode_and_owner()))).transpose()?;
    let last_written = staged.owner().and_then(|owner| state.last_written.get(&owner.template).cloned());
    Ok(Previous { bytes, last_written })
}

/// Like [`replace`], for a file that may have to be restored: the old file takes the name of the staged one and is
/// removed when that is dropped. If there is no old file, or the file system cannot exchange two files, this is a plain
/// rename. The content of a file that is overwritten is kept in memory.
pub fn replace_revertibly(staged: &mut Staged, state: &mut FileState) -> Result<(), Failure> {
    staged.before = previous(staged, state).map_err(|setback| write_failure(&setback))?;
    if staged.in_place.is_some() {
        return replace(staged, state).inspect_err(|_| revert_overwrite(staged, state));
    }
    let place = &staged.place;
    let Some(name) = staged.name() else { return replace(staged, state) };
    is_current(staged)?;
    let flags = RenameFlags::RENAME_EXCHANGE;
    match renameat2(staged.directory(), name.as_os_str(), &place.directory, place.name.as_os_str(), flags) {
        Ok(()) => record_placed(staged, staged.synced(), state),
        Err(errno) => {
            replace(staged, state)?;
            staged.is_new = errno == Errno::ENOENT;
        }
    }
    Ok(())
}

/// Restores what [`replace_revertibly`] replaced, the same inode, and gives the staged file its name again, so that it
/// is removed when dropped. A file that did not exist before is removed.
pub fn revert(mut staged: Staged, state: &mut FileState) -> Staged {
    if staged.in_place.is_some() {
        revert_overwrite(&mut staged, state);
        return staged;
    }
    let place = &staged.place;
    let (directory, own) = (&place.directory, place.name.as_os_str());
    let undone = match staged.name() {
        Some(name) => renameat2(directory, name.as_os_str(), directory, own, RenameFlags::RENAME_EXCHANGE),
        None if staged.is_new => unlinkat(directory, own, UnlinkatFlags::NoRemoveDir),
        None => Err(Errno::EOPNOTSUPP),
    };
    // The destination is again as the agent left it before.
    if let Some(owner) = staged.owner() {
        state.last_written.remove(&owner.template);
        let last_written = staged.before.last_written.clone().filter(|_| undone.is_ok());
        state.last_written.extend(last_written.map(|last| (Arc::clone(&owner.template), last)));
    }
    if let Err(errno) = undone.and_then(|()| sync_directory(directory)) {
        emit(Event::RestoreFailed { dest: place.dest.clone(), reason: errno.to_string() });
    }
    staged
}

/// Overwrites a file with its earlier content. If that fails too, the new content is written again later.
fn revert_overwrite(staged: &mut Staged, state: &mut FileState) {
    let Some((bytes, was)) = staged.before.bytes.take() else { return };
    if let Some(owner) = staged.owner() {
        state.last_written.remove(&owner.template);
    }
    match overwrite(&staged.place, &bytes, was) {
        Ok(stat) => state.last_written.extend(staged.expected().map(|expected| expected.written(&staged.place, &stat))),
        Err(why) => {
            let dest = staged.place.dest.clone();
            emit(Event::RestoreFailed { dest, reason: format!("{why}; the file may be incomplete") });
            state.unsettled.insert(staged.place.dest.clone());
        }
    }
}

/// Syncs the directory of these places, which they share.
pub fn sync_directory_of<'a>(mut places: impl Iterator<Item = &'a Place>) -> nix::Result<()> {
    places.next().map_or(Ok(()), |place| sync_directory(&place.directory))
}

/// Makes the names in a directory durable.
pub fn sync_directory(directory: &OwnedFd) -> nix::Result<()> {
    match fsync(directory) {
        // Some network and FUSE file systems cannot sync directories and return EINVAL.
        Err(Errno::EINVAL) => Ok(()),
        synced => synced,
    }
}

/// Evaluates the directory sync after a rename. If it failed, readers see the new file, but a power cut may bring the
/// old one back, so this is an error. The destination stays in `unsettled`, and the retry stages, renames and syncs a
/// new file rather than trust a second sync of what the first may have dropped. The retry also makes the reload
/// pending.
pub fn finish_sync(place: &Place, synced: nix::Result<()>, state: &mut FileState) -> Result<(), Setback> {
    let Err(errno) = synced else {
        state.unsettled.remove(&place.dest);
        return Ok(());
    };
    let tried = format!(
        "sync the directory {} after the replacement of {} (a power cut may undo it)",
        place.directory_path.display(),
        place.dest.display()
    );
    Err(os_error(tried, errno))
}

/// The error for a destination that cannot be renamed over, such as a mount point.
fn busy_error(tried: String, place: &Place) -> Setback {
    match mounted_on(&place.real_path()) {
        Some(source) => {
            let dest = place.dest.display();
            let why = format!("{dest} is a mount point: {source} is mounted on it");
            let hint = "mount the directory that it is in, not the single file; or set write = \"auto\" on the template to \
                        overwrite it in place";
            Setback::new(tried, why).hint(hint)
        }
        None => Setback::new(tried, io::Error::from(Errno::EBUSY))
            .hint("check whether it is a mount point, a swap file or in use"),
    }
}
