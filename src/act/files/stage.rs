//! The new file, whole and safe on disk under a name of its own beside the destination.
//!
//! The order is what makes it safe: created 0600 or narrower, written, given its owner, *then* its mode (the other way
//! round a set-id bit is lost, or the old owner sees the new bytes), then what else the old file carried, then synced.
//! Until the rename, dropping it removes it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, PosixFadviseAdvice, openat, posix_fadvise};
use nix::sys::stat::{FileStat, Mode, fchmod, fstat, fstatat};
use nix::unistd::{Gid, Uid, fchown, fsync};

use crate::config::TemplateConfig;
use crate::error::Setback;
use crate::model::digest::digest_of;

use super::content::{BaseFile, Content};
use super::drift::{Expected, LastWritten};
use super::errors::os_error;
use super::fingerprint::is_same;
use super::leftovers::{Tag, remove_staged};
use super::place::{ExistingFile, Place};
use super::{attributes, leftovers, ownership};
use crate::state::journal::{ModeAndOwner, Owner};

/// The mode of a file that was not there, unless one is configured.
const NEW_MODE: u32 = 0o644;

/// The mode and owners that a destination is to have.
#[derive(Debug, Clone, Copy)]
pub struct Permissions {
    /// Permission bits.
    pub mode: u32,
    /// `None`: whoever makes the file.
    uid: Option<u32>,
    /// `None`: as the directory gives it.
    gid: Option<u32>,
}

impl Permissions {
    /// What is configured; else as the old file has it; else 0644 and the agent's own.
    pub fn new(template: &TemplateConfig, old: Option<&ExistingFile>) -> Self {
        Self {
            mode: template.mode.or_else(|| old.map(ExistingFile::mode)).unwrap_or(NEW_MODE),
            uid: template.owner.or_else(|| old.map(|old| old.stat.st_uid)),
            gid: template.group.or_else(|| old.map(|old| old.stat.st_gid)),
        }
    }

    /// As a file has it.
    pub fn from_file(old: &ExistingFile) -> Self {
        Self { mode: old.mode(), uid: Some(old.stat.st_uid), gid: Some(old.stat.st_gid) }
    }

    /// For a file that its check reads and nobody else: the agent's own, for its eyes alone. A directory may give it another
    /// group than the destination has, and an ACL.
    pub fn private(self) -> Self {
        Self { uid: None, gid: None, mode: self.mode & 0o700 }
    }

    /// What a file lacks of that, in words; `None` when nothing.
    pub fn describe_changes(&self, old: &ExistingFile) -> Option<String> {
        let (had, mut changes) = (&old.stat, Vec::new());
        if self.mode != old.mode() {
            changes.push(format!("mode {:04o} becomes {:04o}", old.mode(), self.mode));
        }
        for (what, had, wanted) in [("owner", had.st_uid, self.uid), ("group", had.st_gid, self.gid)] {
            if let Some(wanted) = wanted.filter(|wanted| *wanted != had) {
                changes.push(format!("{what} {had} becomes {wanted}"));
            }
        }
        (!changes.is_empty()).then(|| changes.join(", "))
    }

    fn apply_owner(&self, file: &File, path: &Path) -> Result<(), Setback> {
        fchown(file, self.uid.map(Uid::from_raw), self.gid.map(Gid::from_raw)).map_err(|errno| {
            let spell = |id: Option<u32>| id.map_or_else(|| "unchanged".to_owned(), |id| id.to_string());
            let (uid, gid) = (spell(self.uid), spell(self.gid));
            os_error(format!("set owner {uid} and group {gid} on {}", path.display()), errno)
        })
    }
}

/// A staged file, ready for its check and its rename.
#[derive(Debug)]
pub struct Staged {
    /// Where it is to go.
    pub place: Place,
    /// Its own name in the directory; `None` after the rename.
    name: Option<OsString>,
    /// As it was when it was synced.
    synced: Option<FileStat>,
    /// The directory that it is in, where that is not the destination's, and its path.
    elsewhere: Option<(OwnedFd, PathBuf)>,
    /// Where the destination is overwritten with it: what else that gets. `None`: it takes the destination's place.
    pub in_place: Option<ModeAndOwner>,
    /// How many previous files are kept.
    pub backup: u32,
    /// The file that it was made of, which must still be that when it is replaced.
    base: Option<BaseFile>,
    /// Whose it is, where it is journaled.
    owner: Option<Owner>,
    /// What its template expected with it.
    expected: Option<Expected>,
    /// Nothing stood at the destination when it took its place.
    pub is_new: bool,
    /// What stood at the destination when it took its place, as far as that is known and it may have to be taken back.
    pub before: Previous,
}

impl Staged {
    /// Writes a new file beside the destination, all but its sync, which takes its place.
    pub fn write(
        place: Place,
        wanted: Permissions,
        content: Content,
        old: Option<&ExistingFile>,
        tag: &Tag,
    ) -> Result<Unsynced, Setback> {
        let (staged, file) = Self::create(place, wanted, None, tag)?;
        staged.write_content(file, wanted, content, old)
    }

    /// Writes a new file that the destination is overwritten with: beside it, or in `state_dir` where its directory takes none.
    pub fn write_for_copy(
        place: Place,
        wanted: Permissions,
        content: Content,
        configured: ModeAndOwner,
        state_dir: Option<(OwnedFd, PathBuf)>,
        tag: &Tag,
    ) -> Result<Unsynced, Setback> {
        let wanted = wanted.private();
        let (mut staged, file) = Self::create(place, wanted, state_dir, tag)?;
        staged.in_place = Some(configured);
        staged.write_content(file, wanted, content, None)
    }

    fn write_content(
        mut self,
        mut file: File,
        wanted: Permissions,
        content: Content,
        old: Option<&ExistingFile>,
    ) -> Result<Unsynced, Setback> {
        self.base = content.base;
        let staged = self;
        let path = staged.path();
        let tried = |what: &str| format!("{what} {}", path.display());
        file.write_all(&content.bytes).map_err(|error| os_error(tried("write"), error))?;
        wanted.apply_owner(&file, &path)?;
        if let Some(old) = old {
            attributes::drop_inherited(&file, &old.file).map_err(|error| os_error(tried("clear the ACL of"), error))?;
        }
        fchmod(&file, Mode::from_bits_truncate(wanted.mode))
            .map_err(|errno| os_error(tried(&format!("set mode {:04o} on", wanted.mode)), errno))?;
        if let Some(old) = old {
            attributes::copy(&old.file, &file, wanted.mode, &path)?;
        }
        Ok(Unsynced { staged, file })
    }

    /// A new file under a random name that ends in `.tmp`, so that no software includes it with its `*.cfg`. It is made
    /// in `state_dir` where the destination's directory may not be written.
    fn create(
        place: Place,
        wanted: Permissions,
        state_dir: Option<(OwnedFd, PathBuf)>,
        tag: &Tag,
    ) -> Result<(Self, File), Setback> {
        let mode = Mode::from_bits_truncate(wanted.mode & 0o600);
        let (created, elsewhere) = match (new_file(&place.directory, &place.directory_path, mode, tag), state_dir) {
            (Err(Errno::EROFS | Errno::EACCES | Errno::EPERM), Some((directory, path))) => {
                (new_file(&directory, &path, mode, tag), Some((directory, path)))
            }
            (created, _) => (created, None),
        };
        let path = elsewhere.as_ref().map_or(&place.directory_path, |(_, path)| path);
        let (file, name) = created.map_err(|errno| os_error(format!("make a file in {}", path.display()), errno))?;
        let mut staged = Self::new(place, name);
        staged.elsewhere = elsewhere;
        Ok((staged, file))
    }

    fn new(place: Place, name: OsString) -> Self {
        let name = Some(name);
        Self {
            place,
            name,
            synced: None,
            elsewhere: None,
            in_place: None,
            backup: 0,
            base: None,
            owner: None,
            expected: None,
            is_new: false,
            before: Previous::default(),
        }
    }

    /// The directory that it is in.
    pub fn directory(&self) -> &OwnedFd {
        self.elsewhere.as_ref().map_or(&self.place.directory, |(directory, _)| directory)
    }

    /// All that is in it.
    pub fn read(&self) -> Result<Vec<u8>, Setback> {
        let Some(name) = &self.name else {
            return Err(Setback::new(format!("replace {}", self.place.dest.display()), "nothing is staged"));
        };
        read(self.directory(), name, &self.path())
    }

    /// Removes it.
    pub fn remove(&mut self) {
        let Some(name) = self.name.take() else { return };
        let shown = self.elsewhere.as_ref().map_or(&self.place.directory_path, |(_, path)| path);
        remove_staged(self.directory(), &name, shown);
    }

    /// One that an agent before this one has left, by its name; an error where there is none.
    pub fn find(place: Place, name: &str) -> Result<Self, Setback> {
        let looked = fstatat(&place.directory, name, AtFlags::AT_SYMLINK_NOFOLLOW);
        looked.map_err(|errno| os_error(format!("look at {}", place.directory_path.join(name).display()), errno))?;
        Ok(Self::new(place, name.into()))
    }

    /// Whose it is, where it is journaled.
    pub fn owner(&self) -> Option<&Owner> {
        self.owner.as_ref()
    }

    /// The digest of what is in it.
    pub fn digest(&self) -> Result<u64, Setback> {
        self.read().map(|bytes| digest_of(&bytes))
    }

    /// Where it is now.
    pub fn path(&self) -> PathBuf {
        let directory = self.elsewhere.as_ref().map_or(&self.place.directory_path, |(_, path)| path);
        self.name.as_ref().map_or_else(|| self.place.dest.clone(), |name| directory.join(name))
    }

    /// Its own name in the directory, while it has one.
    pub fn name(&self) -> Option<&OsString> {
        self.name.as_ref()
    }

    /// Whether the staged name still leads to the bytes that were synced. A check that edits its file, or swaps it,
    /// would else put something in place that nobody rendered and that no sync has seen.
    pub fn is_untouched(&self) -> bool {
        let (Some(name), Some(synced)) = (&self.name, &self.synced) else {
            return false;
        };
        let now = fstatat(self.directory(), name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW);
        now.is_ok_and(|now| is_same(&now, synced))
    }

    /// Its own state, as it was synced.
    pub fn synced(&self) -> Option<FileStat> {
        self.synced
    }

    /// What its template expected with it; `None` of one that an agent before this one has left.
    pub fn expected(&self) -> Option<&Expected> {
        self.expected.as_ref()
    }

    /// Whether the file that it was made of is still the same.
    pub fn is_current(&self) -> Result<bool, Setback> {
        self.base.as_ref().map_or(Ok(true), |base| base.is_current(&self.place))
    }

    /// It is kept for the next agent, to finish with it what this one cannot.
    pub fn keep_for_recovery(&mut self) {
        self.name = None;
    }

    /// After the rename: there is nothing to remove any more.
    pub fn mark_placed(&mut self) {
        self.name = None;
    }
}

/// A file that is written and not synced yet.
#[derive(Debug)]
pub struct Unsynced {
    staged: Staged,
    file: File,
}

impl Unsynced {
    /// Whose it is, and how many previous files that keeps.
    pub fn for_template(mut self, template: &TemplateConfig, expected: Expected) -> Self {
        self.staged.backup = template.placing.backup;
        self.staged.owner = Some(Owner::new(template));
        self.staged.expected = Some(expected);
        self
    }

    /// Expected the agent's mark in it.
    pub fn mark_owner(self, tag: &Tag) -> Result<Self, Setback> {
        ownership::mark(&self.file, &self.staged.place, tag).map(|()| self)
    }

    /// It becomes what it was before its reload failed.
    pub fn for_rollback(mut self) -> Self {
        self.staged.owner = self.staged.owner.take().map(|owner| Owner { back: true, ..owner });
        self
    }

    /// Has the system begin to put it on disk, where several are to be synced: the sync of the first then finds all of
    /// them under way, and one commit of the journal covers them. That is all that the advice does to bytes which are
    /// not on disk yet (`posix_fadvise(2)`), and a system that does not take it only takes longer.
    pub fn begin_sync(&self) {
        let _ = posix_fadvise(&self.file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    }

    /// Makes it last. It is closed by that, before its check: a script that is open for writing could not be executed.
    pub fn sync(self) -> Result<Staged, Setback> {
        let Self { mut staged, file } = self;
        let tried = |what: &str| format!("{what} {}", staged.path().display());
        // After a failed sync the kernel may call the lost pages clean, so that a second one would succeed without
        // them: the file is dropped instead, and a later try begins with a new one.
        fsync(&file).map_err(|errno| os_error(tried("sync"), errno))?;
        staged.synced = Some(fstat(&file).map_err(|errno| os_error(tried("look at"), errno))?);
        Ok(staged)
    }
}

/// What a file may have to be put back to.
#[derive(Debug, Default)]
pub struct Previous {
    /// Of one that is overwritten: its bytes, mode and owners.
    pub bytes: Option<(Vec<u8>, ModeAndOwner)>,
    /// What the agent had left there.
    pub last_written: Option<LastWritten>,
}

impl Drop for Staged {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Makes a file under a random name in a directory.
fn new_file(directory: &OwnedFd, path: &Path, mode: Mode, tag: &Tag) -> nix::Result<(File, OsString)> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let created = tempfile::Builder::new()
        .prefix(tag.prefix())
        .suffix(leftovers::SUFFIX)
        .rand_bytes(12)
        // It would remove by path; `Drop` above removes through the open directory.
        .disable_cleanup(true)
        .make_in(path, |path| {
            let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
            openat(directory.as_fd(), name, flags, mode)
                .map(|file| (File::from(file), name.to_owned()))
                .map_err(io::Error::from)
        });
    match created {
        Ok(temp) => Ok(temp.into_parts().0),
        Err(error) => Err(error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)),
    }
}

/// All that is in a staged file.
fn read(directory: &OwnedFd, name: &OsStr, path: &Path) -> Result<Vec<u8>, Setback> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let tried = || format!("read {}", path.display());
    let file = openat(directory, name, flags, Mode::empty()).map_err(|errno| os_error(tried(), errno))?;
    let mut bytes = Vec::new();
    File::from(file).read_to_end(&mut bytes).map_err(|error| os_error(tried(), error))?;
    Ok(bytes)
}
