//! A destination that is overwritten rather than replaced: one that is mounted on its own cannot be renamed over.
//!
//! A reader can see a part of it, and an agent that is killed in the middle leaves a part. The staged file therefore
//! stays until the whole is on disk, so that [`finish`] can do it again.

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
use crate::model::digest::digest_of;

use super::directory::DirectoryCache;
use super::errors::os_error;
use super::file_state::FileState;
use super::place::{MODE_BITS, Place};
use crate::state::journal::{ModeAndOwner, Overwrite};

#[cfg(test)]
mod tests;

/// The unit of `st_blocks`, whatever the file system's own blocks have (stat(3type)).
const STAT_BLOCK: i64 = 512;

/// Whether a file that is there is to be overwritten, and what it is to get beside its bytes.
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

/// Overwrites a destination with a staged file of this digest that an agent which was killed has left; whether there is
/// one. Where there is none, that was done; doing it twice does no harm.
///
/// # Errors
/// The staged file cannot be read, or the destination not written; the staged file is then still there.
pub fn finish(over: &Overwrite, new: u64, place: &Place, directories: &mut DirectoryCache) -> Result<bool, Setback> {
    let staged = &over.staged;
    let Some(left) = Place::open(staged, directories)? else { return Ok(false) };
    let Some(mut file) = left.existing()? else { return Ok(false) };
    let bytes = file.read(staged)?;
    if digest_of(&bytes) != new {
        return Ok(false);
    }
    overwrite(place, &bytes, over.configured)?;
    unlinkat(&left.directory, left.name.as_os_str(), UnlinkatFlags::NoRemoveDir)
        .map_err(|errno| os_error(format!("remove {}", staged.display()), errno))?;
    Ok(true)
}

/// Overwrites a file through one descriptor: its room first, so that a full disk is met before a byte is changed; then
/// all bytes, its length, and its sync. Gives what it is then.
pub fn overwrite(place: &Place, bytes: &[u8], configured: ModeAndOwner) -> Result<FileStat, Setback> {
    let tried = |what: &str| format!("{what} {} in place", place.dest.display());
    let flags = OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = openat(&place.directory, place.name.as_os_str(), flags, Mode::empty());
    let file = File::from(file.map_err(|errno| os_error(tried("open"), errno))?);
    let stat = fstat(&file).map_err(|errno| os_error(tried("look at"), errno))?;
    place.check_kind(&stat)?;
    let length = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
    reserve_space(&file, length, &stat).map_err(|errno| os_error(tried("make room for"), errno))?;
    let had = stat.st_mode & MODE_BITS;
    let mode = configured.mode.unwrap_or(had);
    let set_mode =
        |mode| fchmod(&file, Mode::from_bits_truncate(mode)).map_err(|errno| os_error(tried("set the mode of"), errno));
    // Who may read it only by the old mode, or only by the new owner, gets at neither the old bytes nor the new ones.
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
    ftruncate(&file, length).map_err(|errno| os_error(tried("cut the length of"), errno))?;
    let look = || fstat(&file).map_err(|errno| os_error(tried("look at"), errno));
    // A write, and a change of the owner, take the set-id bits away.
    if look()?.st_mode & MODE_BITS != mode {
        set_mode(mode)?;
    }
    fsync(&file).map_err(|errno| os_error(tried("sync"), errno))?;
    look()
}

/// Takes the room for that many bytes, also where the file has holes. What was taken of too little is given back.
fn reserve_space(file: &File, length: i64, stat: &FileStat) -> nix::Result<()> {
    if length <= stat.st_size && length <= stat.st_blocks.saturating_mul(STAT_BLOCK) {
        return Ok(());
    }
    match fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, length) {
        // Not every file system can say beforehand.
        Ok(()) | Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(()),
        Err(errno) => ftruncate(file, stat.st_size).and(Err(errno)),
    }
}

/// What is mounted on a path without links, in words; `None` where nothing is.
pub fn mounted_on(path: &Path) -> Option<String> {
    mount_on(&std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default(), path)
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
