//! The rename that makes the staged file the destination, and what makes it last: the steps of one file.

use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::renameat;
use nix::unistd::fsync;

use crate::decide::{Failure, Stage};
use crate::digest::digest_of;
use crate::error::Setback;

use super::journal::{Before, Entry, Journal, Owner};
use super::place::{Old, Place};
use super::stage::Staged;
use super::trouble::{refused, unwritten};
use super::writer::Desk;

/// Whether the staged file and the destination are still what they were before the check ran.
pub(super) fn verify(staged: &Staged) -> Result<(), Failure> {
    staged.place.is_still_here().map_err(|setback| unwritten(&setback))?;
    staged.place.permits().map_err(|setback| unwritten(&setback))?;
    if staged.is_untouched() {
        return Ok(());
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
pub(super) struct Waits {
    /// Its digest; `None`: nothing.
    pub(super) new: Option<u64>,
    /// Under which name.
    pub(super) staged: Option<String>,
}

/// The journal's entry for a file that is about to be replaced or removed. What stands there now is kept, where its owner
/// wants that.
pub(super) fn noted(
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
    let mut saved = None;
    if owner.saves {
        let kept = journal.save(&dest, before.as_ref());
        saved = kept.map_err(|error| refused(format!("keep a copy of {}", dest.display()), error))?;
    }
    let old = before.map(|before| digest_of(&before.bytes));
    let Waits { new, staged } = waits;
    Ok(Entry { dest, seq: 0, old, new, staged, again: false, owner: owner.clone(), saved })
}

/// Nothing is replaced that could not be noted.
pub(super) fn unnoted(journal: &Journal, error: io::Error) -> Setback {
    let tried = format!("note in {} that a reload will be owed", journal.file().display());
    refused(tried, error)
}

pub(super) fn swap(staged: &mut Staged, desk: &mut Desk) -> Result<(), Setback> {
    let place = &staged.place;
    let Some(name) = staged.name() else {
        return Err(Setback::new(format!("replace {}", place.dest.display()), "nothing is staged"));
    };
    if let Err(errno) = renameat(&place.folder, name.as_os_str(), &place.folder, place.name.as_os_str()) {
        let tried = format!("rename {} to {}", staged.path().display(), place.dest.display());
        return Err(match errno {
            Errno::EBUSY => busy(tried, &place.dest),
            _ => refused(tried, errno),
        });
    }
    // Until the folder is synced, the file is in place but may not last.
    desk.unsettled.insert(place.dest.clone());
    desk.left.extend(staged.left().map(|left| (place.dest.clone(), left)));
    staged.is_placed();
    Ok(())
}

/// Syncs the folder of all these places, which is one.
pub(super) fn sync_folder<'a>(mut places: impl Iterator<Item = &'a Place>) -> nix::Result<()> {
    match places.next().map_or(Ok(()), |place| fsync(&place.folder)) {
        // Some network and FUSE file systems have no sync for folders and say so with EINVAL: all that can be done is.
        Err(Errno::EINVAL) => Ok(()),
        synced => synced,
    }
}

/// What the sync of its folder means for a file that was renamed. Where that failed the new file is in place already
/// and readers see it whole; but a power cut may bring the old one back, so it is no success: the destination stays in
/// `unsettled`, and the retry stages, renames and syncs a new file instead of believing a second sync of what the first
/// one may have dropped. A reload is then owed by the retry, so that none is lost.
pub(super) fn settle(place: &Place, synced: nix::Result<()>, desk: &mut Desk) -> Result<(), Setback> {
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
fn busy(tried: String, dest: &Path) -> Setback {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let real = dest
        .parent()
        .and_then(|folder| folder.canonicalize().ok())
        .zip(dest.file_name())
        .map_or_else(|| dest.to_owned(), |(folder, name)| folder.join(name));
    match mount_on(&mounts, &real) {
        Some(source) => {
            Setback::new(tried, format!("{} is a mount point of its own: {source} is mounted on it", dest.display()))
                .hint("mount the folder that it is in, not the single file, as a container or ReadWritePaths= does")
        }
        None => Setback::new(tried, Errno::EBUSY).hint("see whether it is a mount point, a swap file or in use"),
    }
}

/// What is mounted on a path: "/x/y of /dev/vda1", of the lines of `proc_pid_mountinfo(5)`.
fn mount_on(mounts: &str, path: &Path) -> Option<String> {
    mounts.lines().rev().find_map(|line| {
        let (about, kind) = line.split_once(" - ")?;
        let mut fields = about.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        let source = kind.split(' ').nth(1)?;
        (unescaped(point) == path).then(|| format!("{} of {}", unescaped(root).display(), unescaped(source).display()))
    })
}

/// The four escapes of mountinfo.
fn unescaped(text: &str) -> PathBuf {
    PathBuf::from(text.replace(r"\040", " ").replace(r"\011", "\t").replace(r"\012", "\n").replace(r"\134", "\\"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_named_by_what_is_mounted() {
        let mounts = "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n\
                      90 22 254:0 /data/my\\040file /etc/a\\040b rw shared:7 master:1 - ext4 /dev/vda rw\n";
        assert_eq!(mount_on(mounts, Path::new("/etc/a b")).as_deref(), Some("/data/my file of /dev/vda"));
        assert_eq!(mount_on(mounts, Path::new("/etc/a")), None);
        assert_eq!(mount_on("nonsense\n- - -", Path::new("/")), None);
    }
}
