//! Where a destination is, and which file is there now.
//!
//! The directory is opened once for a publication, and every step uses that descriptor. Replacing a directory
//! with a link meanwhile cannot make the agent write elsewhere.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::libc::{dev_t, ino_t};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use nix::unistd::Uid;

use crate::config::{Symlink, TemplateConfig, Trust};
use crate::error::Setback;
use crate::model::digest::digest_bytes;
use crate::state::journal::{Entry, ModeAndOwner, OnDisk};

use super::directory::{Directory, DirectoryCache, MAX_LINKS, check_link_owner, directory_error, open_without_links};
use crate::error::os::os_error;

/// The permission bits of a mode, including set-id and sticky.
pub const MODE_BITS: u32 = 0o7777;

/// A destination: its open directory and its name in it.
#[derive(Debug)]
pub struct Place {
    /// The directory.
    pub directory: OwnedFd,
    /// The directory's device and inode.
    pub id: (dev_t, ino_t),
    /// The directory's path in the configuration.
    pub directory_path: PathBuf,
    /// The directory's path without links.
    real: PathBuf,
    /// The destination's name in the directory.
    pub name: OsString,
    /// The destination's path in the configuration.
    pub dest: PathBuf,
    /// In a world-writable directory, the users whose files may be replaced.
    allowed_owners: Option<Vec<u32>>,
    /// Directories that are used although other users may write to them.
    trust: Trust,
}

/// The current file at a destination: regular, with one name.
#[derive(Debug)]
pub struct ExistingFile {
    /// Open for reading.
    pub file: File,
    /// Its state when it was opened.
    pub stat: FileStat,
}

impl Place {
    /// Opens the directory of a destination, or of the file that it leads to. `None` if the directory is missing and
    /// `make_dirs` would make it.
    pub fn find(template: &TemplateConfig, directories: &mut DirectoryCache) -> Result<Option<Self>, Setback> {
        Self::resolve(template, directories).map(Result::ok)
    }

    /// Like [`Self::find`], but returns the path of the file whose directory `make_dirs` would make.
    fn resolve(template: &TemplateConfig, directories: &mut DirectoryCache) -> Result<Result<Self, PathBuf>, Setback> {
        let mut path_now = template.dest.clone();
        for _ in 0..=MAX_LINKS {
            let Some(place) = Self::open(&path_now, directories)? else {
                let directory = path_now.parent().unwrap_or(&path_now);
                return if template.make_dirs {
                    Ok(Err(path_now))
                } else {
                    Err(directory_error(directory, Errno::ENOENT))
                };
            };
            let follows = template.placing.symlink == Symlink::Follow;
            match if follows { place.link()? } else { None } {
                Some(target) => path_now = target,
                None => return Ok(Ok(place.for_template(template))),
            }
        }
        Err(os_error(format!("resolve {}", template.dest.display()), Errno::ELOOP))
    }

    fn for_template(mut self, template: &TemplateConfig) -> Self {
        if let Some(allowed_owners) = &mut self.allowed_owners {
            allowed_owners.extend(template.owner);
        }
        Self { dest: template.dest.clone(), ..self }
    }

    /// Opens the directory of a path; `None` if it does not exist.
    pub fn open(path: &Path, directories: &mut DirectoryCache) -> Result<Option<Self>, Setback> {
        let (directory_path, name) = split(path)?;
        Ok(directories
            .open(directory_path)?
            .map(|directory| Self::new(directory, directory_path, name, path, &directories.trust)))
    }

    /// Opens a destination's directory, and makes it first if it is missing and `make_dirs` is set.
    pub fn open_or_create(template: &TemplateConfig, directories: &mut DirectoryCache) -> Result<Self, Setback> {
        match Self::resolve(template, directories)? {
            Ok(place) => Ok(place),
            Err(path_now) => {
                let (directory_path, name) = split(&path_now)?;
                let directory = directories.make(directory_path)?;
                Ok(Self::new(directory, directory_path, name, &path_now, &directories.trust).for_template(template))
            }
        }
    }

    /// Another file in the same directory.
    pub fn sibling(&self, name: OsString) -> Result<Self, Setback> {
        let dest = self.directory_path.join(&name);
        let directory =
            self.directory.try_clone().map_err(|error| os_error(format!("write {}", dest.display()), error))?;
        let (directory_path, real) = (self.directory_path.clone(), self.real.clone());
        let (allowed_owners, trust) = (self.allowed_owners.clone(), self.trust.clone());
        Ok(Self { directory, directory_path, real, name, dest, allowed_owners, trust, ..*self })
    }

    /// The target of the destination, if it is a link.
    fn link(&self) -> Result<Option<PathBuf>, Setback> {
        let failed = |errno| os_error(format!("inspect {}", self.dest.display()), errno);
        let own = match fstatat(&self.directory, self.name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(own) if SFlag::from_bits_truncate(own.st_mode) & SFlag::S_IFMT == SFlag::S_IFLNK => own,
            Ok(_) | Err(Errno::ENOENT) => return Ok(None),
            Err(errno) => return Err(failed(errno)),
        };
        let target = readlinkat(&self.directory, self.name.as_os_str()).map_err(failed)?;
        let directory = fstat(&self.directory).map_err(failed)?;
        check_link_owner(&self.real_path(), Path::new(&target), &directory, &own, &self.trust)?;
        Ok(Some(self.real.join(target)))
    }

    /// Whether the destination is a link that leads here.
    pub fn is_followed(&self) -> bool {
        self.directory_path.join(&self.name) != self.dest
    }

    /// The path without links.
    pub fn real_path(&self) -> PathBuf {
        self.real.join(&self.name)
    }

    fn new(directory: Directory, directory_path: &Path, name: &OsStr, dest: &Path, trust: &Trust) -> Self {
        let is_world_writable = directory.stat.st_mode & 0o002 != 0 && !trust.covers(&directory.real);
        Self {
            allowed_owners: is_world_writable.then(|| vec![0, Uid::effective().as_raw(), directory.stat.st_uid]),
            id: (directory.stat.st_dev, directory.stat.st_ino),
            directory: directory.handle,
            directory_path: directory_path.to_owned(),
            real: directory.real,
            name: name.to_owned(),
            dest: dest.to_owned(),
            trust: trust.clone(),
        }
    }

    /// Opens the current file; `None` if there is none.
    pub fn existing(&self) -> Result<Option<ExistingFile>, Setback> {
        let read = || format!("read {}", self.dest.display());
        // The kind is checked before opening: opening a device can have effects, such as rewinding a tape.
        if !self.check()? {
            return Ok(None);
        }
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = match openat(&self.directory, self.name.as_os_str(), flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::ENOENT) => return Ok(None),
            Err(errno) => return Err(os_error(read(), errno)),
        };
        let stat = fstat(&file).map_err(|errno| os_error(read(), errno))?;
        self.check_kind(&stat)?;
        Ok(Some(ExistingFile { file: File::from(file), stat }))
    }

    /// Whether a file exists; an error if it must not be replaced.
    pub fn check(&self) -> Result<bool, Setback> {
        match fstatat(&self.directory, self.name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => self.check_kind(&stat).map(|()| true),
            Err(Errno::ENOENT) => Ok(false),
            Err(errno) => Err(os_error(format!("inspect {}", self.dest.display()), errno)),
        }
    }

    /// Fails for what a rename would turn into something else, or separate from its other names.
    pub fn check_kind(&self, stat: &FileStat) -> Result<(), Setback> {
        let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
        let (why, hint) = match kind {
            SFlag::S_IFREG if stat.st_nlink > 1 => (
                format!("it has {} hard links, and the others would keep the old content", stat.st_nlink),
                format!("break the link with: cp -p {0} {0}.one && mv {0}.one {0}", self.dest.display()),
            ),
            SFlag::S_IFREG if self.is_allowed_owner(stat.st_uid) => return Ok(()),
            SFlag::S_IFREG => (
                format!("it belongs to user {}, and its directory is world-writable", stat.st_uid),
                "remove it, or set `owner` on the template if that user should own it".to_owned(),
            ),
            SFlag::S_IFLNK => match readlinkat(&self.directory, self.name.as_os_str()) {
                Ok(target) => (
                    format!("it is a symbolic link to {}", Path::new(&target).display()),
                    "use its target as dest, set symlink = \"follow\", or remove the link".to_owned(),
                ),
                Err(_) => ("it is a symbolic link".to_owned(), "remove the link".to_owned()),
            },
            SFlag::S_IFDIR => ("it is a directory".to_owned(), "dest must be a file: add its name".to_owned()),
            _ => {
                let what = match kind {
                    SFlag::S_IFIFO => "a named pipe",
                    SFlag::S_IFSOCK => "a socket",
                    _ => "a device",
                };
                (format!("it is {what}, not a regular file"), "use another dest, or remove it".to_owned())
            }
        };
        Err(Setback::new(format!("replace {}", self.dest.display()), why).hint(hint))
    }

    /// Whether a file of this user may be replaced. In a world-writable directory another user could have made the file
    /// first, to own what is written.
    fn is_allowed_owner(&self, uid: u32) -> bool {
        self.allowed_owners.as_ref().is_none_or(|allowed_owners| allowed_owners.contains(&uid))
    }

    /// Whether anything exists under this name.
    pub fn exists(&self) -> bool {
        fstatat(&self.directory, self.name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW).is_ok()
    }

    /// Fails if the directory's path no longer leads to the open directory.
    pub fn verify_directory(&self) -> Result<(), Setback> {
        let named = open_without_links(&self.real, &self.directory_path, &self.trust)?
            .ok_or_else(|| directory_error(&self.directory_path, Errno::ENOENT))?;
        if self.id == (named.stat.st_dev, named.stat.st_ino) {
            return Ok(());
        }
        let why =
            format!("the directory {} was replaced by another one in the meantime", self.directory_path.display());
        Err(Setback::new(format!("replace {}", self.dest.display()), why))
    }
}

impl ExistingFile {
    /// Its permission bits.
    pub fn mode(&self) -> u32 {
        self.stat.st_mode & MODE_BITS
    }

    /// Its mode, owner and group.
    pub fn mode_and_owner(&self) -> ModeAndOwner {
        ModeAndOwner { mode: Some(self.mode()), owner: Some(self.stat.st_uid), group: Some(self.stat.st_gid) }
    }

    /// All its bytes.
    pub fn read(&mut self, dest: &Path) -> Result<Vec<u8>, Setback> {
        let mut bytes = Vec::new();
        match self.file.read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(error) => Err(os_error(format!("read {}", dest.display()), error)),
        }
    }

    /// Whether it has exactly these bytes. A file of another size is not read.
    pub fn has_content(&mut self, bytes: &[u8], dest: &Path) -> Result<bool, Setback> {
        if u64::try_from(self.stat.st_size).ok() != u64::try_from(bytes.len()).ok() {
            return Ok(false);
        }
        Ok(self.read(dest)? == bytes)
    }
}

/// What is at the destination of a journal entry.
pub fn on_disk(entry: &Entry, directories: &mut DirectoryCache) -> OnDisk {
    if entry.dest.parent().is_some_and(|directory| !directory.exists()) {
        return OnDisk::Missing;
    }
    let found = Place::find(&entry.bare_template(), directories)
        .and_then(|place| place.map(|place| place.existing()).transpose());
    match found.map(Option::flatten) {
        Ok(None) => OnDisk::Missing,
        Ok(Some(mut old)) => {
            old.read(&entry.dest).map_or(OnDisk::Unreadable, |bytes| OnDisk::File(digest_bytes(&bytes)))
        }
        Err(_) => OnDisk::Unreadable,
    }
}

fn split(dest: &Path) -> Result<(&Path, &OsStr), Setback> {
    match (dest.parent(), dest.file_name()) {
        (Some(directory), Some(name)) if dest.is_absolute() => Ok((directory, name)),
        _ => Err(Setback::new(format!("replace {}", dest.display()), "it is not an absolute file path")),
    }
}
