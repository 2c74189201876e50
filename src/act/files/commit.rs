//! The rename that makes the staged file the destination, and what makes it last: the steps of one file.

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
use crate::model::digest::digest_of;

use super::backup;
use super::errors::{os_error, write_failure};
use super::file_state::FileState;
use super::inplace::{mounted_on, overwrite};
use super::place::{ExistingFile, Place};
use super::stage::{Previous, Staged};
use crate::state::journal::{Entry, Journal, ModeAndOwner, NewCopies, Overwrite, Owner, PreviousFile};

/// Whether the staged file and the destination are still what they were before the check ran. Where they are, the file
/// that is to be replaced is kept, if that is configured.
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
    Err(Failure { stage: Stage::Check, message })
}

/// What is to take a destination's place.
pub struct Replacement {
    /// Its digest; `None`: nothing.
    pub new: Option<u64>,
    /// Under which name, beside it.
    pub staged: Option<String>,
    /// Where, and what else it gets, when it is overwritten.
    pub over: Option<Overwrite>,
}

/// The journal's entry for a file that is about to be replaced or removed. What stands there now is kept, where its owner
/// wants that.
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
    if owner.saves {
        let kept = journal.save(&owner.key(&dest), before.as_ref());
        copies = kept.map_err(|error| os_error(format!("keep a copy of {}", dest.display()), error))?;
    }
    let old = before.map(|before| digest_of(&before.bytes));
    let Replacement { new, staged, over } = waits;
    let NewCopies { saved, candidate } = copies;
    let (follows, again) = (place.is_followed(), false);
    Ok(Entry { old, new, staged, over, follows, again, saved, candidate, ..owner.clone().pending_entry(dest) })
}

/// Nothing is replaced that could not be noted.
pub fn journal_error(journal: &Journal, error: io::Error) -> Setback {
    let tried = format!("note in {} what is written, and that a reload will be owed", journal.file().display());
    os_error(tried, error)
}

/// Nobody else's change to a file that the staged one was made of may be lost with it.
fn is_current(staged: &Staged) -> Result<(), Failure> {
    if staged.is_current().map_err(|setback| write_failure(&setback))? {
        return Ok(());
    }
    let tried = format!("replace {}", staged.place.dest.display());
    let setback = Setback::new(tried, "somebody else changed it while its new text was made");
    Err(Failure { stage: Stage::Changed, message: setback.hint("it is made anew from what it is now").to_string() })
}

/// Puts a staged file in place.
pub fn replace(staged: &mut Staged, state: &mut FileState) -> Result<(), Failure> {
    // Others of the round may have been renamed and the round noted since it was verified.
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

/// A file is in place, and is this there, as far as that is known. Until the directory is synced it may not last.
fn record_placed(staged: &Staged, stat: Option<FileStat>, state: &mut FileState) {
    state.unsettled.insert(staged.place.dest.clone());
    state.last_written.extend(staged.expected().zip(stat).map(|(leaves, stat)| leaves.written(&staged.place, &stat)));
}

/// Overwrites the destination with what is staged, which is removed then. Gives what the destination is by that.
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

/// What stands at a destination, as far as it may have to be put back.
fn previous(staged: &Staged, state: &FileState) -> Result<Previous, Setback> {
    let place = &staged.place;
    let mut old = if staged.in_place.is_some() { place.existing()? } else { None };
    let bytes = old.as_mut().map(|old| Ok((old.read(&place.dest)?, old.mode_and_owner()))).transpose()?;
    let last_written = staged.owner().and_then(|owner| state.last_written.get(&owner.template).cloned());
    Ok(Previous { bytes, last_written })
}

/// The same for a file that may have to be taken back: what stood there takes the staged file's name, and goes with that
/// when it is dropped. Where nothing stands there, or the file system cannot replace_revertibly two files, it is a rename. One that
/// is overwritten is remembered.
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

/// Puts back what stood there before [`replace_revertibly`], the same file, and gives the staged one its name again: it goes when
/// it is dropped. A file that was made anew is removed.
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
    // What stands there is the one from before again, as it was left.
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

/// Overwrites a file with what it was. Where that fails too, it is finished with what it was overwritten with.
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

/// Syncs the directory of all these places, which is one.
pub fn sync_directory_of<'a>(mut places: impl Iterator<Item = &'a Place>) -> nix::Result<()> {
    places.next().map_or(Ok(()), |place| sync_directory(&place.directory))
}

/// Has all names in a directory last.
pub fn sync_directory(directory: &OwnedFd) -> nix::Result<()> {
    match fsync(directory) {
        // Some network and FUSE file systems have no sync for directories and say so with EINVAL: all that can be done is.
        Err(Errno::EINVAL) => Ok(()),
        synced => synced,
    }
}

/// What the sync of its directory means for a file that was renamed. Where that failed the new file is in place already
/// and readers see it whole; but a power cut may bring the old one back, so it is no success: the destination stays in
/// `unsettled`, and the retry stages, renames and syncs a new file instead of believing a second sync of what the first
/// one may have dropped. A reload is then owed by the retry, so that none is lost.
pub fn finish_sync(place: &Place, synced: nix::Result<()>, state: &mut FileState) -> Result<(), Setback> {
    let Err(errno) = synced else {
        state.unsettled.remove(&place.dest);
        return Ok(());
    };
    let tried = format!(
        "sync the directory {} after {} was put in place, which a power cut may therefore undo",
        place.directory_path.display(),
        place.dest.display()
    );
    Err(os_error(tried, errno))
}

/// A destination that is a mount point cannot be renamed over.
fn busy_error(tried: String, place: &Place) -> Setback {
    match mounted_on(&place.real_path()) {
        Some(source) => {
            let dest = place.dest.display();
            let why = format!("{dest} is a mount point of its own: {source} is mounted on it");
            let hint = "mount the directory that it is in, not the single file, as a container or ReadWritePaths= does; \
                        or set write = \"auto\" on the template, and it is overwritten in place";
            Setback::new(tried, why).hint(hint)
        }
        None => Setback::new(tried, io::Error::from(Errno::EBUSY))
            .hint("see whether it is a mount point, a swap file or in use"),
    }
}
