//! Overwrites a destination in place: one that is a mount point cannot be renamed over.
//!
//! A reader may see part of the new content, and an agent that is killed meanwhile leaves a part. So the staged file is
//! kept until all of it is on disk, and [`finish`] can repeat the overwrite.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, OFlag, fallocate, openat};
use nix::sys::stat::{FileStat, Mode, fchmod, fstat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, fsync, ftruncate, unlinkat};

use crate::config::{Method, TemplateConfig};
use crate::decide::Event;
use crate::error::Setback;
use crate::log::emit;
use crate::model::digest::digest_bytes;

use super::directory::DirectoryCache;
use super::file_state::FileState;
use super::place::{MODE_BITS, Place};
use crate::error::os::os_error;
use crate::state::journal::{ModeAndOwner, Overwrite};

#[cfg(test)]
mod tests;

/// The unit of `st_blocks` on every file system (stat(3type)).
const STAT_BLOCK: i64 = 512;

/// Whether an existing file is to be overwritten, and the mode and owner that it gets.
pub fn if_configured(template: &TemplateConfig, place: &Place, state: &mut FileState) -> Option<ModeAndOwner> {
    let configured = ModeAndOwner { mode: template.mode, owner: template.owner, group: template.group };
    match template.placing.write {
        Method::Atomic => None,
        Method::InPlace => Some(configured),
        Method::Auto => {
            let mounted = mounted_on(&place.real_path())?;
            if state.logged.insert(format!("{} is written in place", template.dest.display())) {
                let (template, dest) = (Arc::clone(&template.name), template.dest.clone());
                emit(Event::WrittenInPlace { template, dest, source: mounted });
            }
            Some(configured)
        }
    }
}

/// Overwrites a destination with a staged file of this digest that a killed agent left. Returns whether there was one:
/// without one, the overwrite is complete. Repeating the overwrite is harmless.
///
/// # Errors
/// If the staged file cannot be read or the destination cannot be written. The staged file stays then.
pub fn finish(over: &Overwrite, new: u64, place: &Place, directories: &mut DirectoryCache) -> Result<bool, Setback> {
    let staged = &over.staged;
    let Some(left) = Place::open(staged, directories)? else { return Ok(false) };
    let Some(mut file) = left.existing()? else { return Ok(false) };
    let bytes = file.read(staged)?;
    if digest_bytes(&bytes) != new {
        return Ok(false);
    }
    overwrite(place, &bytes, over.configured)?;
    unlinkat(&left.directory, left.name.as_os_str(), UnlinkatFlags::NoRemoveDir)
        .map_err(|errno| os_error(format!("remove {}", staged.display()), errno))?;
    Ok(true)
}

/// Overwrites a file through one descriptor. Reserves the space first, so that a full disk is noticed before a byte is
/// changed; then writes the bytes, sets the length and syncs. Returns the new state.
pub fn overwrite(place: &Place, bytes: &[u8], configured: ModeAndOwner) -> Result<FileStat, Setback> {
    let tried = |what: &str| format!("{what} {} in place", place.dest.display());
    let flags = OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = openat(&place.directory, place.name.as_os_str(), flags, Mode::empty());
    let file = File::from(file.map_err(|errno| os_error(tried("open"), errno))?);
    let stat = fstat(&file).map_err(|errno| os_error(tried("inspect"), errno))?;
    place.check_kind(&stat)?;
    let length = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
    reserve_space(&file, length, &stat).map_err(|errno| os_error(tried("reserve space for"), errno))?;
    let had = stat.st_mode & MODE_BITS;
    let mode = configured.mode.unwrap_or(had);
    let set_mode =
        |mode| fchmod(&file, Mode::from_bits_truncate(mode)).map_err(|errno| os_error(tried("set the mode of"), errno));
    // A reader that only the old mode or only the new owner allows sees neither the old bytes nor the new ones.
    if had & mode != had {
        set_mode(had & mode)?;
    }
    let differs = |wanted: Option<u32>, now: u32| wanted.filter(|wanted| *wanted != now);
    let (owner, group) = (differs(configured.owner, stat.st_uid), differs(configured.group, stat.st_gid));
    if owner.is_some() || group.is_some() {
        fchown(&file, owner.map(Uid::from_raw), group.map(Gid::from_raw))
            .map_err(|errno| os_error(tried("set the owner of"), errno))?;
    }
    (&file).write_all(bytes).map_err(|error| os_error(tried("write"), error))?;
    ftruncate(&file, length).map_err(|errno| os_error(tried("truncate"), errno))?;
    let look = || fstat(&file).map_err(|errno| os_error(tried("inspect"), errno));
    // Writing, and changing the owner, clears the set-id bits.
    if look()?.st_mode & MODE_BITS != mode {
        set_mode(mode)?;
    }
    fsync(&file).map_err(|errno| os_error(tried("sync"), errno))?;
    look()
}

/// Reserves space for this many bytes, also if the file is sparse. On failure the reserved space is released.
fn reserve_space(file: &File, length: i64, stat: &FileStat) -> nix::Result<()> {
    if length <= stat.st_size && length <= stat.st_blocks.saturating_mul(STAT_BLOCK) {
        return Ok(());
    }
    match fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, length) {
        // Not every file system can reserve space.
        Ok(()) | Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(()),
        Err(errno) => ftruncate(file, stat.st_size).and(Err(errno)),
    }
}

/// Describes what is mounted on a path without links; `None` if nothing is.
pub fn mounted_on(path: &Path) -> Option<String> {
    mount_on(&std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default(), path)
}

/// Describes what is mounted on a path, "/x/y of /dev/vda1", from the lines of `proc_pid_mountinfo(5)`.
fn mount_on(mounts: &str, path: &Path) -> Option<String> {
    mounts.lines().rev().find_map(|line| {
        let (about, kind) = line.split_once(" - ")?;
        let mut fields = about.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        let source = kind.split(' ').nth(1)?;
        (unescaped(point) == path).then(|| format!("{} of {}", unescaped(root).display(), unescaped(source).display()))
    })
}

/// Decodes the four escapes of mountinfo.
fn unescaped(text: &str) -> PathBuf {
    PathBuf::from(text.replace(r"\040", " ").replace(r"\011", "\t").replace(r"\012", "\n").replace(r"\134", "\\"))
}
