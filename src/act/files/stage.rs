//! The new file, complete and on disk under its own name beside the destination.
//!
//! The order of steps makes it safe: it is created with mode 0600 or less, written, given its owner, then its mode (the
//! other way round would clear set-id bits, or show the new bytes to the old owner), then the other attributes of the
//! old file, then synced. Until the rename, dropping it removes the file.

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
use crate::model::digest::digest_bytes;

use super::content::{BaseFile, Content};
use super::drift::{Expected, LastWritten};
use super::fingerprint::is_same;
use super::leftovers::{Tag, remove_staged};
use super::place::{ExistingFile, Place};
use super::{attributes, leftovers, ownership};
use crate::error::os::{os_error, unwritable};
use crate::state::journal::{ModeAndOwner, Owner};

/// The mode of a new file if none is configured.
const NEW_MODE: u32 = 0o644;

/// The mode and owner that a destination should have.
#[derive(Debug, Clone, Copy)]
pub struct Permissions {
    /// Permission bits.
    pub mode: u32,
    /// `None`: the agent's own.
    uid: Option<u32>,
    /// `None`: as the directory gives it.
    gid: Option<u32>,
}

impl Permissions {
    /// The configured ones, else those of the old file, else 0644 and the agent's own.
    pub fn new(template: &TemplateConfig, old: Option<&ExistingFile>) -> Self {
        Self {
            mode: template.mode.or_else(|| old.map(ExistingFile::mode)).unwrap_or(NEW_MODE),
            uid: template.owner.or_else(|| old.map(|old| old.stat.st_uid)),
            gid: template.group.or_else(|| old.map(|old| old.stat.st_gid)),
        }
    }

    /// Those of a file.
    pub fn from_file(old: &ExistingFile) -> Self {
        Self { mode: old.mode(), uid: Some(old.stat.st_uid), gid: Some(old.stat.st_gid) }
    }

    /// For a staged file that only its check reads: owned by the agent, and readable only by the agent. The directory
    /// may add another group and an ACL.
    pub fn private(self) -> Self {
        Self { uid: None, gid: None, mode: self.mode & 0o700 }
    }

    /// Whether users may read a file with these who may not read one that `had` those.
    pub fn opens(&self, had: ModeAndOwner) -> bool {
        let is_other = |wanted: Option<u32>, had: Option<u32>| wanted.is_some() && wanted != had;
        let is_wider = self.mode & !had.mode.unwrap_or_default() & 0o044 != 0;
        is_wider || is_other(self.uid, had.owner) || is_other(self.gid, had.group)
    }

    /// Describes what a file lacks; `None` if nothing.
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
            let setback = os_error(format!("set owner {uid} and group {gid} on {}", path.display()), errno);
            let (own_uid, own_gid) = (Uid::effective(), Gid::effective());
            if errno != Errno::EPERM || own_uid.is_root() {
                return setback;
            }
            setback.hint(format!(
                "only root can give a file to another user: set owner = {own_uid} and group = {own_gid} on the template, \
                 so that rosterd's user owns the file, or run rosterd as root"
            ))
        })
    }
}

/// A staged file, ready for its check and its rename.
#[derive(Debug)]
pub struct Staged {
    /// The destination.
    pub place: Place,
    /// Its name in the directory; `None` after the rename.
    name: Option<OsString>,
    /// Its state when it was synced.
    synced: Option<FileStat>,
    /// The directory that it is in and its path, if that is not the destination's.
    elsewhere: Option<(OwnedFd, PathBuf)>,
    /// If the destination is overwritten with it, the mode and owner that the destination gets. `None`: it is renamed.
    pub in_place: Option<ModeAndOwner>,
    /// The number of backups to keep.
    pub backup: u32,
    /// The file that it was made from, which must be unchanged when it is replaced.
    base: Option<BaseFile>,
    /// On whose behalf it is recorded in the journal.
    owner: Option<Owner>,
    /// What its template expects at the destination.
    expected: Option<Expected>,
    /// The destination did not exist when this took its place.
    pub is_new: bool,
    /// The parts of the destination that may have to be restored, as they were when this took its place.
    pub before: Previous,
}

impl Staged {
    /// Writes a new file beside the destination; the sync follows.
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

    /// Writes a new file that the destination will be overwritten with, in `state_dir` if the destination's directory
    /// is not writable.
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

    /// Writes it, with its owner, mode and attributes.
    pub fn write_content(
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

    /// Creates a file with a random name that ends in `.tmp`, so that no `*.cfg` include matches it; in `state_dir` if
    /// the destination's directory is not writable.
    pub fn create(
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
        let (file, name) = created.map_err(|errno| {
            let setback = os_error(format!("create a file in {}", path.display()), errno);
            let way = "let rosterd write to the directory, or, if it may write the file itself, set write = \"inplace\" on \
                       the template";
            match unwritable(&errno.into(), way) {
                Some(hint) => setback.hint(hint),
                None => setback,
            }
        })?;
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

    /// All its bytes.
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

    /// A staged file that an earlier agent left, by its name.
    ///
    /// # Errors
    /// If there is none.
    pub fn find(place: Place, name: &str) -> Result<Self, Setback> {
        let looked = fstatat(&place.directory, name, AtFlags::AT_SYMLINK_NOFOLLOW);
        looked.map_err(|errno| os_error(format!("inspect {}", place.directory_path.join(name).display()), errno))?;
        Ok(Self::new(place, name.into()))
    }

    /// On whose behalf it is recorded in the journal.
    pub fn owner(&self) -> Option<&Owner> {
        self.owner.as_ref()
    }

    /// The digest of its bytes.
    pub fn digest(&self) -> Result<u64, Setback> {
        self.read().map(|bytes| digest_bytes(&bytes))
    }

    /// Its current path.
    pub fn path(&self) -> PathBuf {
        let directory = self.elsewhere.as_ref().map_or(&self.place.directory_path, |(_, path)| path);
        self.name.as_ref().map_or_else(|| self.place.dest.clone(), |name| directory.join(name))
    }

    /// Its name in the directory, while it has one.
    pub fn name(&self) -> Option<&OsString> {
        self.name.as_ref()
    }

    /// Whether the name still leads to the bytes that were synced. A check that edits or replaces its file would
    /// otherwise put bytes in place that were not rendered and that no sync covers.
    pub fn is_untouched(&self) -> bool {
        let (Some(name), Some(synced)) = (&self.name, &self.synced) else {
            return false;
        };
        let now = fstatat(self.directory(), name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW);
        now.is_ok_and(|now| is_same(&now, synced))
    }

    /// Its state when it was synced.
    pub fn synced(&self) -> Option<FileStat> {
        self.synced
    }

    /// What its template expects at the destination; `None` for one that an earlier agent left.
    pub fn expected(&self) -> Option<&Expected> {
        self.expected.as_ref()
    }

    /// Whether the file that it was made from is unchanged.
    pub fn is_current(&self) -> Result<bool, Setback> {
        self.base.as_ref().map_or(Ok(true), |base| base.is_current(&self.place))
    }

    /// Keeps the file when this is dropped, for a later attempt to finish.
    pub fn keep_for_recovery(&mut self) {
        self.name = None;
    }

    /// After the rename there is nothing to remove.
    pub fn mark_placed(&mut self) {
        self.name = None;
    }
}

/// A file that is written but not yet synced.
#[derive(Debug)]
pub struct Unsynced {
    staged: Staged,
    file: File,
}

impl Unsynced {
    /// Sets on whose behalf it is written, and how many backups to keep.
    pub fn for_template(mut self, template: &TemplateConfig, expected: Expected) -> Self {
        self.staged.backup = template.placing.backup;
        self.staged.owner = Some(Owner::new(template));
        self.staged.expected = Some(expected);
        self
    }

    /// Records in the file that this agent wrote it.
    pub fn mark_owner(self, tag: &Tag) -> Result<Self, Setback> {
        ownership::mark(&self.file, &self.staged.place, tag).map(|()| self)
    }

    /// Marks it as a rollback.
    pub fn for_rollback(mut self) -> Self {
        self.staged.owner = self.staged.owner.take().map(|owner| Owner { is_rollback: true, ..owner });
        self
    }

    /// Starts writing the file to disk. If several files are to be synced, all are then being written at the first
    /// sync, and one commit of the file system's journal covers them. This advice has no other effect on dirty pages
    /// (`posix_fadvise(2)`). A system that ignores the advice only takes longer.
    pub fn begin_sync(&self) {
        let _ = posix_fadvise(&self.file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    }

    /// Makes it durable. It is closed before its check: a script that is open for writing cannot be executed.
    pub fn sync(self) -> Result<Staged, Setback> {
        let Self { mut staged, file } = self;
        let tried = |what: &str| format!("{what} {}", staged.path().display());
        // After a failed sync the kernel may mark the lost pages clean, and a second sync would succeed without them.
        // So the file is dropped, and the retry begins with a new one.
        fsync(&file).map_err(|errno| os_error(tried("sync"), errno))?;
        staged.synced = Some(fstat(&file).map_err(|errno| os_error(tried("inspect"), errno))?);
        Ok(staged)
    }
}

/// The state to restore at a destination if its replacement is reverted.
#[derive(Debug, Default)]
pub struct Previous {
    /// For an overwritten file, its bytes, mode and owner.
    pub bytes: Option<(Vec<u8>, ModeAndOwner)>,
    /// What the agent had last written there.
    pub last_written: Option<LastWritten>,
}

impl Drop for Staged {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Creates a file with a random name in a directory.
fn new_file(directory: &OwnedFd, path: &Path, mode: Mode, tag: &Tag) -> nix::Result<(File, OsString)> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let created = tempfile::Builder::new()
        .prefix(tag.prefix())
        .suffix(leftovers::SUFFIX)
        .rand_bytes(12)
        // `tempfile` would remove by path; `Drop` removes through the open directory.
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

/// All bytes of a staged file.
fn read(directory: &OwnedFd, name: &OsStr, path: &Path) -> Result<Vec<u8>, Setback> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let tried = || format!("read {}", path.display());
    let file = openat(directory, name, flags, Mode::empty()).map_err(|errno| os_error(tried(), errno))?;
    let mut bytes = Vec::new();
    File::from(file).read_to_end(&mut bytes).map_err(|error| os_error(tried(), error))?;
    Ok(bytes)
}
