//! Backups: the last versions of a destination, kept beside it under hidden names that no include pattern matches.

use std::ffi::{OsStr, OsString};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, renameat};
use nix::sys::stat::fstatat;
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::config::MAX_BACKUPS;
use crate::error::Setback;
use crate::model::digest::digest_bytes;

use super::content::Content;
use super::leftovers::Tag;
use super::place::Place;
use super::stage::{Permissions, Staged};
use crate::error::os::os_error;

/// Copies the file that is about to be replaced to `.NAME.rosterd-1.bak`, after renaming each earlier backup to the
/// next number and removing those over `count`. The copy has the old file's mode and owner, and is never more
/// permissive. The directory sync that makes the replacement durable covers the copy's name.
///
/// A copy that a failed replacement has already made is not made again. The partial file that it left, of digest
/// `partial`, is not copied.
pub fn save(place: &Place, count: u32, partial: Option<u64>, tag: &Tag) -> Result<(), Setback> {
    if count == 0 {
        return Ok(());
    }
    let Some(mut old) = place.existing()? else { return Ok(()) };
    let bytes = old.read(&place.dest)?;
    if partial == Some(digest_bytes(&bytes)) {
        return Ok(());
    }
    let newest = place.sibling(backup_name(&place.name, 1))?;
    let kept = newest.existing().ok().flatten();
    let wanted = Permissions::from_file(&old);
    if let Some(mut kept) = kept
        && wanted.describe_changes(&kept).is_none()
        && kept.has_content(&bytes, &newest.dest)?
    {
        return Ok(());
    }
    let mut copy = Staged::write(newest, wanted, Content { bytes, base: None }, Some(&old), tag)?.sync()?;
    for number in (1..first_free(place, count)).rev() {
        shift(place, &backup_name(&place.name, number), &backup_name(&place.name, number + 1))
            .map_err(|errno| os_error(format!("rename the backups of {}", place.dest.display()), errno))?;
    }
    if let Some(own) = copy.name() {
        shift(place, own, &backup_name(&place.name, 1))
            .map_err(|errno| os_error(format!("back up {}", place.dest.display()), errno))?;
    }
    copy.mark_placed();
    let gone =
        |number| unlinkat(&place.directory, backup_name(&place.name, number).as_os_str(), UnlinkatFlags::NoRemoveDir);
    // More exist if `backup` was larger before.
    let _ = (count + 1..=MAX_BACKUPS).take_while(|number| gone(*number).is_ok()).count();
    Ok(())
}

/// The first number without a backup, or `count`, whose file is removed. If an agent was killed while it renamed
/// backups, a number is free and those above it are already right.
fn first_free(place: &Place, count: u32) -> u32 {
    let is_free = |number: &u32| {
        let own = backup_name(&place.name, *number);
        fstatat(&place.directory, own.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW) == Err(Errno::ENOENT)
    };
    (1..count).find(is_free).unwrap_or(count)
}

fn backup_name(of: &OsStr, number: u32) -> OsString {
    let mut name = OsString::from(".");
    name.push(of);
    name.push(format!(".rosterd-{number}.bak"));
    name
}

fn shift(place: &Place, from: &OsStr, to: &OsStr) -> nix::Result<()> {
    renameat(&place.directory, from, &place.directory, to)
}
