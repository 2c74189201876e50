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
use super::errors::{refused, unwritten};
use super::file_state::FileState;
use super::inplace::{fill, mounted_on};
use super::place::{Old, Place};
use super::stage::{Earlier, Staged};
use crate::state::journal::{Before, Configured, Copies, Entry, Journal, Overwrite, Owner};

/// Whether the staged file and the destination are still what they were before the check ran. Where they are, the file
/// that is to be replaced is kept, if that is configured.
pub fn verify(staged: &Staged, desk: &FileState) -> Result<(), Failure> {
    staged.place.is_still_here().map_err(|setback| unwritten(&setback))?;
    staged.place.permits().map_err(|setback| unwritten(&setback))?;
    is_current(staged)?;
    if staged.is_untouched() {
        let torn = staged.owner().and_then(|owner| desk.torn(&owner.key(&staged.place.dest)));
        return backup::keep(&staged.place, staged.backup, torn, &desk.tag).map_err(|setback| unwritten(&setback));
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
pub struct Waits {
    /// Its digest; `None`: nothing.
    pub new: Option<u64>,
    /// Under which name, beside it.
    pub staged: Option<String>,
    /// Where, and what else it gets, when it is overwritten.
    pub over: Option<Overwrite>,
}

/// The journal's entry for a file that is about to be replaced or removed. What stands there now is kept, where its owner
/// wants that.
pub fn noted(
    owner: &Owner,
    place: &Place,
    old: Option<Old>,
    waits: Waits,
    journal: &Journal,
) -> Result<Entry, Setback> {
    let (dest, mut before) = (place.dest.clone(), None);
    if let Some(mut old) = old {
        let bytes = old.read(&dest)?;
        before = Some(Before { bytes, mode: old.mode(), uid: old.stat.st_uid, gid: old.stat.st_gid });
    }
    let mut copies = Copies::default();
    if owner.saves {
        let kept = journal.save(&owner.key(&dest), before.as_ref());
        copies = kept.map_err(|error| refused(format!("keep a copy of {}", dest.display()), error))?;
    }
    let old = before.map(|before| digest_of(&before.bytes));
    let Waits { new, staged, over } = waits;
    let Copies { saved, trial } = copies;
    let (follows, again) = (place.is_followed(), false);
    Ok(Entry { old, new, staged, over, follows, again, saved, trial, ..owner.clone().owes(dest) })
}

/// Nothing is replaced that could not be noted.
pub fn unnoted(journal: &Journal, error: io::Error) -> Setback {
    let tried = format!("note in {} what is written, and that a reload will be owed", journal.file().display());
    refused(tried, error)
}

/// Nobody else's change to a file that the staged one was made of may be lost with it.
fn is_current(staged: &Staged) -> Result<(), Failure> {
    if staged.is_current().map_err(|setback| unwritten(&setback))? {
        return Ok(());
    }
    let tried = format!("replace {}", staged.place.dest.display());
    let setback = Setback::new(tried, "somebody else changed it while its new text was made");
    Err(Failure { stage: Stage::Changed, message: setback.hint("it is made anew from what it is now").to_string() })
}

/// Puts a staged file in place.
pub fn swap(staged: &mut Staged, desk: &mut FileState) -> Result<(), Failure> {
    // Others of the round may have been renamed and the round noted since it was verified.
    is_current(staged)?;
    let placed = match staged.in_place {
        Some(configured) => overwrite(staged, configured).map(Some),
        None => rename(staged).map(|()| staged.synced()),
    };
    let stat = placed.map_err(|setback| unwritten(&setback))?;
    stands(staged, stat, desk);
    staged.is_placed();
    Ok(())
}

/// A file is in place, and is this there, as far as that is known. Until the folder is synced it may not last.
fn stands(staged: &Staged, stat: Option<FileStat>, desk: &mut FileState) {
    desk.unsettled.insert(staged.place.dest.clone());
    desk.left.extend(staged.leaves().zip(stat).map(|(leaves, stat)| leaves.at(&staged.place, &stat)));
}

/// Overwrites the destination with what is staged, which is removed then. Gives what the destination is by that.
fn overwrite(staged: &mut Staged, configured: Configured) -> Result<FileStat, Setback> {
    let bytes = staged.read()?;
    let stat = fill(&staged.place, &bytes, configured)?;
    staged.remove();
    Ok(stat)
}

fn rename(staged: &Staged) -> Result<(), Setback> {
    let place = &staged.place;
    let Some(name) = staged.name() else {
        return Err(Setback::new(format!("replace {}", place.dest.display()), "nothing is staged"));
    };
    renameat(staged.folder(), name.as_os_str(), &place.folder, place.name.as_os_str()).map_err(|errno| {
        let tried = format!("rename {} to {}", staged.path().display(), place.dest.display());
        if errno == Errno::EBUSY { busy(tried, place) } else { refused(tried, errno) }
    })
}

/// What stands at a destination, as far as it may have to be put back.
fn earlier(staged: &Staged, desk: &FileState) -> Result<Earlier, Setback> {
    let place = &staged.place;
    let mut old = if staged.in_place.is_some() { place.look()? } else { None };
    let bytes = old.as_mut().map(|old| Ok((old.read(&place.dest)?, old.mode_and_owner()))).transpose()?;
    let left = staged.owner().and_then(|owner| desk.left.get(&owner.template).cloned());
    Ok(Earlier { bytes, left })
}

/// The same for a file that may have to be taken back: what stood there takes the staged file's name, and goes with that
/// when it is dropped. Where nothing stands there, or the file system cannot exchange two files, it is a rename. One that
/// is overwritten is remembered.
pub fn exchange(staged: &mut Staged, desk: &mut FileState) -> Result<(), Failure> {
    staged.before = earlier(staged, desk).map_err(|setback| unwritten(&setback))?;
    if staged.in_place.is_some() {
        return swap(staged, desk).inspect_err(|_| overwrite_back(staged, desk));
    }
    let place = &staged.place;
    let Some(name) = staged.name() else { return swap(staged, desk) };
    is_current(staged)?;
    let flags = RenameFlags::RENAME_EXCHANGE;
    match renameat2(staged.folder(), name.as_os_str(), &place.folder, place.name.as_os_str(), flags) {
        Ok(()) => stands(staged, staged.synced(), desk),
        Err(errno) => {
            swap(staged, desk)?;
            staged.is_new = errno == Errno::ENOENT;
        }
    }
    Ok(())
}

/// Puts back what stood there before [`exchange`], the same file, and gives the staged one its name again: it goes when
/// it is dropped. A file that was made anew is removed.
pub fn take_back(mut staged: Staged, desk: &mut FileState) -> Staged {
    if staged.in_place.is_some() {
        overwrite_back(&mut staged, desk);
        return staged;
    }
    let place = &staged.place;
    let (folder, own) = (&place.folder, place.name.as_os_str());
    let undone = match staged.name() {
        Some(name) => renameat2(folder, name.as_os_str(), folder, own, RenameFlags::RENAME_EXCHANGE),
        None if staged.is_new => unlinkat(folder, own, UnlinkatFlags::NoRemoveDir),
        None => Err(Errno::EOPNOTSUPP),
    };
    // What stands there is the one from before again, as it was left.
    if let Some(owner) = staged.owner() {
        desk.left.remove(&owner.template);
        let left = staged.before.left.clone().filter(|_| undone.is_ok());
        desk.left.extend(left.map(|left| (Arc::clone(&owner.template), left)));
    }
    if let Err(errno) = undone.and_then(|()| sync_names(folder)) {
        emit(Event::RestoreFailed { dest: place.dest.clone(), reason: errno.to_string() });
    }
    staged
}

/// Overwrites a file with what it was. Where that fails too, it is finished with what it was overwritten with.
fn overwrite_back(staged: &mut Staged, desk: &mut FileState) {
    let Some((bytes, was)) = staged.before.bytes.take() else { return };
    if let Some(owner) = staged.owner() {
        desk.left.remove(&owner.template);
    }
    match fill(&staged.place, &bytes, was) {
        Ok(stat) => desk.left.extend(staged.leaves().map(|leaves| leaves.at(&staged.place, &stat))),
        Err(why) => {
            let dest = staged.place.dest.clone();
            emit(Event::RestoreFailed { dest, reason: format!("{why}; the file may be incomplete") });
            desk.unsettled.insert(staged.place.dest.clone());
        }
    }
}

/// Syncs the folder of all these places, which is one.
pub fn sync_folder<'a>(mut places: impl Iterator<Item = &'a Place>) -> nix::Result<()> {
    places.next().map_or(Ok(()), |place| sync_names(&place.folder))
}

/// Has all names in a folder last.
pub fn sync_names(folder: &OwnedFd) -> nix::Result<()> {
    match fsync(folder) {
        // Some network and FUSE file systems have no sync for folders and say so with EINVAL: all that can be done is.
        Err(Errno::EINVAL) => Ok(()),
        synced => synced,
    }
}

/// What the sync of its folder means for a file that was renamed. Where that failed the new file is in place already
/// and readers see it whole; but a power cut may bring the old one back, so it is no success: the destination stays in
/// `unsettled`, and the retry stages, renames and syncs a new file instead of believing a second sync of what the first
/// one may have dropped. A reload is then owed by the retry, so that none is lost.
pub fn settle(place: &Place, synced: nix::Result<()>, desk: &mut FileState) -> Result<(), Setback> {
    let Err(errno) = synced else {
        desk.unsettled.remove(&place.dest);
        return Ok(());
    };
    let tried = format!(
        "sync the folder {} after {} was put in place, which a power cut may therefore undo",
        place.folder_path.display(),
        place.dest.display()
    );
    Err(refused(tried, errno))
}

/// A destination that is a mount point cannot be renamed over.
fn busy(tried: String, place: &Place) -> Setback {
    match mounted_on(&place.real_path()) {
        Some(source) => {
            let dest = place.dest.display();
            let why = format!("{dest} is a mount point of its own: {source} is mounted on it");
            let hint = "mount the folder that it is in, not the single file, as a container or ReadWritePaths= does; \
                        or set write = \"auto\" on the template, and it is overwritten in place";
            Setback::new(tried, why).hint(hint)
        }
        None => Setback::new(tried, io::Error::from(Errno::EBUSY))
            .hint("see whether it is a mount point, a swap file or in use"),
    }
}
