//! Where a destination is, and what stands there now.
//!
//! The folder is opened once for a publication and everything is done through that descriptor, so that nobody who
//! swaps a folder for a link meanwhile makes the agent write elsewhere.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat, readlinkat};
use nix::libc::{dev_t, ino_t};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, fstatat, mkdirat};
use nix::unistd::{Uid, fsync};

use crate::config::TemplateConfig;
use crate::error::Setback;

use super::trouble::refused;

/// The permission bits of a mode, with set-id and sticky.
const PERMISSIONS: u32 = 0o7777;
/// The mode of folders that `make_dirs` makes.
const FOLDER_MODE: u32 = 0o755;

/// A destination's folder, held open, and its name in there.
#[derive(Debug)]
pub(super) struct Place {
    /// The folder.
    pub(super) folder: OwnedFd,
    /// Which folder that is, whatever it is called: device and inode.
    pub(super) id: (dev_t, ino_t),
    /// The folder as the configuration spells it.
    pub(super) folder_path: PathBuf,
    /// The destination's name in it.
    pub(super) name: OsString,
    /// The destination as the configuration spells it.
    pub(super) dest: PathBuf,
}

/// The file that is at a destination now: regular, and under this one name only.
#[derive(Debug)]
pub(super) struct Old {
    /// Open for reading.
    pub(super) file: File,
    /// As it was when it was opened.
    pub(super) stat: FileStat,
}

impl Place {
    /// Opens a destination's folder; `None` when it is missing and `make_dirs` would make it.
    pub(super) fn find(template: &TemplateConfig) -> Result<Option<Self>, Setback> {
        let (folder_path, name) = split(&template.dest)?;
        match open(folder_path, folder_flags(), Mode::empty()) {
            Ok(folder) => {
                let stat = refuse_open_folder(&folder, folder_path)?;
                Ok(Some(Self::new(folder, &stat, folder_path, name, &template.dest)))
            }
            Err(Errno::ENOENT) if template.make_dirs => Ok(None),
            Err(errno) => Err(folder_trouble(folder_path, errno)),
        }
    }

    /// Opens a destination's folder, which is made first where that is wanted and needed.
    pub(super) fn open(template: &TemplateConfig) -> Result<Self, Setback> {
        if let Some(place) = Self::find(template)? {
            return Ok(place);
        }
        let (folder_path, name) = split(&template.dest)?;
        let folder = make_folders(folder_path)?;
        let stat = fstat(&folder).map_err(|errno| folder_trouble(folder_path, errno))?;
        Ok(Self::new(folder, &stat, folder_path, name, &template.dest))
    }

    fn new(folder: OwnedFd, stat: &FileStat, folder_path: &Path, name: &OsStr, dest: &Path) -> Self {
        let id = (stat.st_dev, stat.st_ino);
        Self { folder, id, folder_path: folder_path.to_owned(), name: name.to_owned(), dest: dest.to_owned() }
    }

    /// Opens what is there now; `None` when nothing is.
    pub(super) fn look(&self) -> Result<Option<Old>, Setback> {
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
    pub(super) fn permits(&self) -> Result<bool, Setback> {
        match fstatat(&self.folder, self.name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => self.refuse(&stat).map(|()| true),
            Err(Errno::ENOENT) => Ok(false),
            Err(errno) => Err(refused(format!("look at {}", self.dest.display()), errno)),
        }
    }

    /// Refuses what a rename would turn into something else, or tear from its other names.
    fn refuse(&self, stat: &FileStat) -> Result<(), Setback> {
        let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
        let (why, hint) = match kind {
            SFlag::S_IFREG if stat.st_nlink <= 1 => return Ok(()),
            SFlag::S_IFREG => (
                format!("it has {} hard links, and its other names would keep the old bytes", stat.st_nlink),
                format!("part it from them with: cp -p {0} {0}.one && mv {0}.one {0}", self.dest.display()),
            ),
            SFlag::S_IFLNK => match readlinkat(&self.folder, self.name.as_os_str()) {
                Ok(target) => (
                    format!("it is a symbolic link to {}", Path::new(&target).display()),
                    "give the file that it points to as dest, or remove the link".to_owned(),
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

    /// Whether the path of the folder still leads to the folder that is open.
    pub(super) fn is_still_here(&self) -> Result<(), Setback> {
        let tried = || format!("replace {}", self.dest.display());
        let named =
            nix::sys::stat::stat(&self.folder_path).map_err(|errno| folder_trouble(&self.folder_path, errno))?;
        if self.id == (named.st_dev, named.st_ino) {
            return Ok(());
        }
        let why = format!("the folder {} was replaced by another one meanwhile", self.folder_path.display());
        Err(Setback::new(tried(), why))
    }
}

impl Old {
    /// Its permission bits.
    pub(super) fn mode(&self) -> u32 {
        self.stat.st_mode & PERMISSIONS
    }

    /// All that is in it.
    pub(super) fn read(&mut self, dest: &Path) -> Result<Vec<u8>, Setback> {
        let mut bytes = Vec::new();
        match self.file.read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(error) => Err(refused(format!("read {}", dest.display()), error)),
        }
    }

    /// Whether exactly these bytes are in it; a file of another size is not read at all.
    pub(super) fn holds(&mut self, bytes: &[u8], dest: &Path) -> Result<bool, Setback> {
        if u64::try_from(self.stat.st_size).ok() != u64::try_from(bytes.len()).ok() {
            return Ok(false);
        }
        Ok(self.read(dest)? == bytes)
    }
}

fn folder_flags() -> OFlag {
    OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC
}

fn split(dest: &Path) -> Result<(&Path, &OsStr), Setback> {
    match (dest.parent(), dest.file_name()) {
        (Some(folder), Some(name)) if dest.is_absolute() => Ok((folder, name)),
        _ => Err(Setback::new(format!("replace {}", dest.display()), "it is no absolute path of a file")),
    }
}

fn folder_trouble(folder: &Path, errno: Errno) -> Setback {
    let tried = format!("open the folder {}", folder.display());
    match errno {
        Errno::ENOENT => Setback::new(tried, "it does not exist")
            .hint(format!("mkdir -p {}, or set make_dirs = true on the template", folder.display())),
        Errno::ENOTDIR => Setback::new(tried, "it, or a part of its path, is no folder"),
        _ => refused(tried, errno),
    }
}

/// As root, refuses a folder in which anybody may swap files: they could put their own in place of the staged one
/// between the check and the rename. With the sticky bit, as on `/tmp`, they cannot. Gives what it saw.
fn refuse_open_folder(folder: &OwnedFd, path: &Path) -> Result<FileStat, Setback> {
    let tried = || format!("write in the folder {}", path.display());
    let stat = fstat(folder).map_err(|errno| refused(tried(), errno))?;
    let open_to_all = stat.st_mode & 0o002 != 0 && stat.st_mode & 0o1000 == 0;
    if open_to_all && Uid::effective().is_root() {
        let why = "everybody may write there, and could swap the file under the agent, which runs as root";
        return Err(Setback::new(tried(), why).hint(format!("chmod o-w {}", path.display())));
    }
    Ok(stat)
}

/// Makes a folder and the missing ones above it, and keeps each in its parent through a power cut.
fn make_folders(path: &Path) -> Result<OwnedFd, Setback> {
    let (mut folder, base) = nearest(path)?;
    refuse_open_folder(&folder, base)?;
    let mut made = base.to_owned();
    for name in path.strip_prefix(base).unwrap_or(Path::new("")) {
        made.push(name);
        let trouble = |errno| refused(format!("make the folder {}", made.display()), errno);
        match mkdirat(&folder, name, Mode::from_bits_truncate(FOLDER_MODE)) {
            Ok(()) => {}
            Err(Errno::EEXIST) => {
                folder = openat(&folder, name, folder_flags(), Mode::empty()).map_err(trouble)?;
                refuse_open_folder(&folder, &made)?;
                continue;
            }
            Err(errno) => return Err(trouble(errno)),
        }
        let inner = openat(&folder, name, folder_flags() | OFlag::O_NOFOLLOW, Mode::empty()).map_err(trouble)?;
        // Whatever the umask took away: under a unit's UMask=0077 the software could not enter its own folder.
        fchmod(&inner, Mode::from_bits_truncate(FOLDER_MODE)).map_err(trouble)?;
        fsync(&folder).map_err(trouble)?;
        folder = inner;
    }
    Ok(folder)
}

/// The nearest folder above that is there.
fn nearest(path: &Path) -> Result<(OwnedFd, &Path), Setback> {
    for above in path.ancestors() {
        match open(above, folder_flags(), Mode::empty()) {
            Ok(folder) => return Ok((folder, above)),
            Err(Errno::ENOENT) => {}
            Err(errno) => return Err(folder_trouble(above, errno)),
        }
    }
    Err(folder_trouble(path, Errno::ENOENT))
}
