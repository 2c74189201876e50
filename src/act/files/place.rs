//! Where a destination is, and what stands there now.
//!
//! The folder is opened once for a publication (`folder`) and everything is done through that descriptor, so that
//! nobody who swaps a folder for a link meanwhile makes the agent write elsewhere.

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

use crate::config::{Symlink, TemplateConfig};
use crate::error::Setback;
use crate::model::digest::digest_of;
use crate::state::journal::{Configured, Entry, Now};

use super::directory::{Folder, Folders, MOST_LINKS, folder_trouble, open_without_links, refuse_foreign_link};
use super::errors::refused;

/// The permission bits of a mode, with set-id and sticky.
pub const PERMISSIONS: u32 = 0o7777;

/// A destination's folder, held open, and its name in there.
#[derive(Debug)]
pub struct Place {
    /// The folder.
    pub folder: OwnedFd,
    /// Which folder that is, whatever it is called: device and inode.
    pub id: (dev_t, ino_t),
    /// The folder as the configuration spells it.
    pub folder_path: PathBuf,
    /// Its path without a link.
    real: PathBuf,
    /// The destination's name in it.
    pub name: OsString,
    /// The destination as the configuration spells it.
    pub dest: PathBuf,
    /// In a folder where everybody may make files: the users whose files may be replaced there.
    expected: Option<Vec<u32>>,
}

/// The file that is at a destination now: regular, and under this one name only.
#[derive(Debug)]
pub struct Old {
    /// Open for reading.
    pub file: File,
    /// As it was when it was opened.
    pub stat: FileStat,
}

impl Place {
    /// Opens a destination's folder, or that of the file which it leads to; `None` when it is missing and `make_dirs`
    /// would make it.
    pub fn find(template: &TemplateConfig, folders: &mut Folders) -> Result<Option<Self>, Setback> {
        Self::reach(template, folders).map(Result::ok)
    }

    /// The same, or the path of the file whose folder `make_dirs` would make.
    fn reach(template: &TemplateConfig, folders: &mut Folders) -> Result<Result<Self, PathBuf>, Setback> {
        let mut at = template.dest.clone();
        for _ in 0..=MOST_LINKS {
            let Some(place) = Self::of(&at, folders)? else {
                let folder = at.parent().unwrap_or(&at);
                return if template.make_dirs { Ok(Err(at)) } else { Err(folder_trouble(folder, Errno::ENOENT)) };
            };
            let follows = template.placing.symlink == Symlink::Follow;
            match if follows { place.link()? } else { None } {
                Some(target) => at = target,
                None => return Ok(Ok(place.of_template(template))),
            }
        }
        Err(refused(format!("follow {}", template.dest.display()), Errno::ELOOP))
    }

    fn of_template(mut self, template: &TemplateConfig) -> Self {
        if let Some(expected) = &mut self.expected {
            expected.extend(template.owner);
        }
        Self { dest: template.dest.clone(), ..self }
    }

    /// Opens the folder of a path; `None` when there is none.
    pub fn of(path: &Path, folders: &mut Folders) -> Result<Option<Self>, Setback> {
        let (folder_path, name) = split(path)?;
        Ok(folders.open(folder_path)?.map(|folder| Self::new(folder, folder_path, name, path)))
    }

    /// Opens a destination's folder, which is made first where that is wanted and needed.
    pub fn open(template: &TemplateConfig, folders: &mut Folders) -> Result<Self, Setback> {
        match Self::reach(template, folders)? {
            Ok(place) => Ok(place),
            Err(at) => {
                let (folder_path, name) = split(&at)?;
                Ok(Self::new(folders.make(folder_path)?, folder_path, name, &at).of_template(template))
            }
        }
    }

    /// Another file of the same folder.
    pub fn beside(&self, name: OsString) -> Result<Self, Setback> {
        let dest = self.folder_path.join(&name);
        let folder = self.folder.try_clone().map_err(|error| refused(format!("write {}", dest.display()), error))?;
        let (folder_path, real, expected) = (self.folder_path.clone(), self.real.clone(), self.expected.clone());
        Ok(Self { folder, folder_path, real, name, dest, expected, ..*self })
    }

    /// Where it leads, if it is a link.
    fn link(&self) -> Result<Option<PathBuf>, Setback> {
        let trouble = |errno| refused(format!("look at {}", self.dest.display()), errno);
        let own = match fstatat(&self.folder, self.name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(own) if SFlag::from_bits_truncate(own.st_mode) & SFlag::S_IFMT == SFlag::S_IFLNK => own,
            Ok(_) | Err(Errno::ENOENT) => return Ok(None),
            Err(errno) => return Err(trouble(errno)),
        };
        let target = readlinkat(&self.folder, self.name.as_os_str()).map_err(trouble)?;
        let folder = fstat(&self.folder).map_err(trouble)?;
        refuse_foreign_link(&self.dest, Path::new(&target), &folder, &own)?;
        Ok(Some(self.real.join(target)))
    }

    /// Whether it is the file that the destination leads to.
    pub fn is_followed(&self) -> bool {
        self.folder_path.join(&self.name) != self.dest
    }

    /// Its path, where no folder is a link.
    pub fn real_path(&self) -> PathBuf {
        self.real.join(&self.name)
    }

    fn new(folder: Folder, folder_path: &Path, name: &OsStr, dest: &Path) -> Self {
        let is_everybodys = folder.stat.st_mode & 0o002 != 0;
        Self {
            expected: is_everybodys.then(|| vec![0, Uid::effective().as_raw(), folder.stat.st_uid]),
            id: (folder.stat.st_dev, folder.stat.st_ino),
            folder: folder.handle,
            folder_path: folder_path.to_owned(),
            real: folder.real,
            name: name.to_owned(),
            dest: dest.to_owned(),
        }
    }

    /// Opens what is there now; `None` when nothing is.
    pub fn look(&self) -> Result<Option<Old>, Setback> {
        let read = || format!("read {}", self.dest.display());
        // What it is comes first: the mere opening of a device can rewind a tape.
        if !self.permits()? {
            return Ok(None);
        }
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = match openat(&self.folder, self.name.as_os_str(), flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::ENOENT) => return Ok(None),
            Err(errno) => return Err(refused(read(), errno)),
        };
        let stat = fstat(&file).map_err(|errno| refused(read(), errno))?;
        self.refuse(&stat)?;
        Ok(Some(Old { file: File::from(file), stat }))
    }

    /// Whether a file is there now; an error where one is that must not be replaced.
    pub fn permits(&self) -> Result<bool, Setback> {
        match fstatat(&self.folder, self.name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => self.refuse(&stat).map(|()| true),
            Err(Errno::ENOENT) => Ok(false),
            Err(errno) => Err(refused(format!("look at {}", self.dest.display()), errno)),
        }
    }

    /// Refuses what a rename would turn into something else, or tear from its other names.
    pub fn refuse(&self, stat: &FileStat) -> Result<(), Setback> {
        let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
        let (why, hint) = match kind {
            SFlag::S_IFREG if stat.st_nlink > 1 => (
                format!("it has {} hard links, and its other names would keep the old bytes", stat.st_nlink),
                format!("part it from them with: cp -p {0} {0}.one && mv {0}.one {0}", self.dest.display()),
            ),
            SFlag::S_IFREG if self.is_expected(stat.st_uid) => return Ok(()),
            SFlag::S_IFREG => (
                format!("it belongs to user {}, and everybody may make files in its folder", stat.st_uid),
                "remove it; or set `owner` on the template, if it is to be that user's".to_owned(),
            ),
            SFlag::S_IFLNK => match readlinkat(&self.folder, self.name.as_os_str()) {
                Ok(target) => (
                    format!("it is a symbolic link to {}", Path::new(&target).display()),
                    "give the file that it points to as dest, set symlink = \"follow\", or remove the link".to_owned(),
                ),
                Err(_) => ("it is a symbolic link".to_owned(), "remove the link".to_owned()),
            },
            SFlag::S_IFDIR => ("it is a folder".to_owned(), "dest is the file itself: add its name".to_owned()),
            _ => {
                let what = match kind {
                    SFlag::S_IFIFO => "a named pipe",
                    SFlag::S_IFSOCK => "a socket",
                    _ => "a device",
                };
                (format!("it is {what}, no regular file"), "give another dest, or remove it".to_owned())
            }
        };
        Err(Setback::new(format!("replace {}", self.dest.display()), why).hint(hint))
    }

    /// Whether a file of this user may stand there. Where everybody may make files, somebody could have been first, to
    /// own what is written.
    fn is_expected(&self, uid: u32) -> bool {
        self.expected.as_ref().is_none_or(|expected| expected.contains(&uid))
    }

    /// Whether anything has its name.
    pub fn exists(&self) -> bool {
        fstatat(&self.folder, self.name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW).is_ok()
    }

    /// Whether the path of the folder still leads to the folder that is open.
    pub fn is_still_here(&self) -> Result<(), Setback> {
        let named = open_without_links(&self.real, &self.folder_path)?
            .ok_or_else(|| folder_trouble(&self.folder_path, Errno::ENOENT))?;
        if self.id == (named.stat.st_dev, named.stat.st_ino) {
            return Ok(());
        }
        let why = format!("the folder {} was replaced by another one meanwhile", self.folder_path.display());
        Err(Setback::new(format!("replace {}", self.dest.display()), why))
    }
}

impl Old {
    /// Its permission bits.
    pub fn mode(&self) -> u32 {
        self.stat.st_mode & PERMISSIONS
    }

    /// Its mode and owners.
    pub fn mode_and_owner(&self) -> Configured {
        Configured { mode: Some(self.mode()), owner: Some(self.stat.st_uid), group: Some(self.stat.st_gid) }
    }

    /// All that is in it.
    pub fn read(&mut self, dest: &Path) -> Result<Vec<u8>, Setback> {
        let mut bytes = Vec::new();
        match self.file.read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(error) => Err(refused(format!("read {}", dest.display()), error)),
        }
    }

    /// Whether exactly these bytes are in it; a file of another size is not read at all.
    pub fn holds(&mut self, bytes: &[u8], dest: &Path) -> Result<bool, Setback> {
        if u64::try_from(self.stat.st_size).ok() != u64::try_from(bytes.len()).ok() {
            return Ok(false);
        }
        Ok(self.read(dest)? == bytes)
    }
}

/// What stands at a noted destination.
pub fn on_disk(entry: &Entry, folders: &mut Folders) -> Now {
    if entry.dest.parent().is_some_and(|folder| !folder.exists()) {
        return Now::Nothing;
    }
    let found = Place::find(&entry.plain(), folders).and_then(|place| place.map(|place| place.look()).transpose());
    match found.map(Option::flatten) {
        Ok(None) => Now::Nothing,
        Ok(Some(mut old)) => old.read(&entry.dest).map_or(Now::Unknown, |bytes| Now::Bytes(digest_of(&bytes))),
        Err(_) => Now::Unknown,
    }
}

fn split(dest: &Path) -> Result<(&Path, &OsStr), Setback> {
    match (dest.parent(), dest.file_name()) {
        (Some(folder), Some(name)) if dest.is_absolute() => Ok((folder, name)),
        _ => Err(Setback::new(format!("replace {}", dest.display()), "it is no absolute path of a file")),
    }
}
