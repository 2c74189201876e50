//! Opens the directories of destinations safely.
//!
//! Symbolic links in a path, as `/var/run/x` may have them, are followed once, and the result is remembered. From then
//! on the directory is opened without following links, so nobody can make the agent write elsewhere by replacing a
//! directory with a link. As root, a link that another user could have made is not followed at all.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, open, openat, openat2, readlinkat};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, SFlag, fchmod, fchmodat, fstat, mkdirat};
use nix::sys::statvfs::{FsFlags, fstatvfs};
use nix::unistd::{Uid, fsync};

use crate::config::Trust;
use crate::error::Setback;

use crate::error::os::os_error;

/// The mode of directories that `make_dirs` makes.
const DIRECTORY_MODE: u32 = 0o755;

/// The most links in one path, as in the kernel (`path_resolution(7)`).
pub const MAX_LINKS: usize = 40;

/// An open directory.
#[derive(Debug)]
pub struct Directory {
    /// The descriptor, for reading and for the `*at` calls.
    pub handle: OwnedFd,
    /// Its state when it was opened.
    pub stat: FileStat,
    /// Its path without links.
    pub real: PathBuf,
}

/// The real paths of directories, by their paths in the configuration.
#[derive(Debug, Default)]
pub struct DirectoryCache {
    known: HashMap<PathBuf, PathBuf>,
    /// Directories that are used although other users may write to them.
    pub trust: Trust,
}

impl DirectoryCache {
    /// Forgets all of them: the next use follows the links as they are then.
    pub fn forget(&mut self) {
        self.known.clear();
    }

    /// Opens a directory; `None` if it does not exist.
    pub fn open(&mut self, path: &Path) -> Result<Option<Directory>, Setback> {
        let real = if let Some(real) = self.known.get(path) {
            verify_unchanged(path, real, &self.trust)?;
            real.clone()
        } else {
            let reached = walk(path, Links::Followed, &self.trust)?;
            if !reached.missing.is_empty() {
                return Ok(None);
            }
            self.known.insert(path.to_owned(), reached.real.clone());
            reached.real
        };
        open_without_links(&real, path, &self.trust)
    }

    /// Makes a directory and its missing parents, and syncs each parent.
    pub fn make(&mut self, path: &Path) -> Result<Directory, Setback> {
        // Once the real path is known, no other path is used.
        let (path, links) = match self.known.get(path) {
            Some(real) => (real.as_path(), Links::Refused),
            None => (path, Links::Followed),
        };
        let Walked { mut handle, real: mut made, missing } = walk(path, links, &self.trust)?;
        for name in missing {
            made.push(&name);
            let failed = |errno| os_error(format!("create the directory {}", made.display()), errno);
            let (above, flags) = (reopened(&handle).map_err(failed)?, directory_flags() | OFlag::O_NOFOLLOW);
            let is_new = match mkdirat(&above, name.as_os_str(), Mode::from_bits_truncate(DIRECTORY_MODE)) {
                Ok(()) => true,
                Err(Errno::EEXIST) => false,
                Err(errno) => return Err(failed(errno)),
            };
            if is_new {
                // A umask may forbid opening the new directory. If this call is not supported, the open fails and
                // reports it.
                let wanted = Mode::from_bits_truncate(DIRECTORY_MODE);
                let _ = fchmodat(&above, name.as_os_str(), wanted, FchmodatFlags::NoFollowSymlink);
            }
            handle = openat(&above, name.as_os_str(), flags, Mode::empty()).map_err(failed)?;
            if is_new {
                // Undoes the umask: with `UMask=0077` in a unit, the software could not enter its own directory.
                fchmod(&handle, Mode::from_bits_truncate(DIRECTORY_MODE)).map_err(failed)?;
                fsync(&above).map_err(failed)?;
            }
        }
        let handle = reopened(&handle).map_err(|errno| directory_error(path, errno))?;
        let stat = check_directory_mode(&handle, &made, &self.trust)?;
        Ok(Directory { handle, stat, real: made })
    }
}

/// Opens a directory by its real path; messages call it `path`. `None` if it does not exist.
pub fn open_without_links(real: &Path, path: &Path, trust: &Trust) -> Result<Option<Directory>, Setback> {
    let how = OpenHow::new().flags(directory_flags()).resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
    let handle = match openat2(AT_FDCWD, real, how) {
        Ok(handle) => handle,
        Err(Errno::ENOENT) => return Ok(None),
        // Without openat2 (Linux before 5.6, or a seccomp filter) each component is opened in turn. That also finds the
        // component that became a link or is no directory.
        Err(Errno::ENOSYS | Errno::EPERM | Errno::ELOOP | Errno::ENOTDIR) => {
            let reached = walk(real, Links::Refused, trust)?;
            if !reached.missing.is_empty() {
                return Ok(None);
            }
            reopened(&reached.handle).map_err(|errno| directory_error(path, errno))?
        }
        Err(errno) => return Err(directory_error(path, errno)),
    };
    let stat = check_directory_mode(&handle, real, trust)?;
    Ok(Some(Directory { handle, stat, real: real.to_owned() }))
}

/// What to do with links in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Links {
    Followed,
    Refused,
}

/// How far a path could be walked.
struct Walked {
    /// The last existing directory, opened with `O_PATH`.
    handle: OwnedFd,
    /// Its path without links.
    real: PathBuf,
    /// The components that do not exist.
    missing: Vec<OsString>,
}

/// Walks a path from the root, opening each component relative to the one before.
fn walk(path: &Path, links: Links, trust: &Trust) -> Result<Walked, Setback> {
    let failed = |errno| directory_error(path, errno);
    let root = || open("/", OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()).map_err(failed);
    let (mut handle, mut real, mut followed) = (root()?, PathBuf::from("/"), 0);
    let mut stat = check_directory_mode(&handle, &real, trust)?;
    let mut ahead = parts(path);
    while let Some(name) = ahead.pop() {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let next = match openat(&handle, name.as_os_str(), flags, Mode::empty()) {
            Ok(next) => next,
            Err(Errno::ENOENT) => {
                ahead.push(name);
                ahead.reverse();
                return Ok(Walked { handle, real, missing: ahead });
            }
            Err(errno) => return Err(failed(errno)),
        };
        let there = fstat(&next).map_err(failed)?;
        match SFlag::from_bits_truncate(there.st_mode) & SFlag::S_IFMT {
            SFlag::S_IFDIR if name == ".." => _ = real.pop(),
            SFlag::S_IFDIR => real.push(&name),
            SFlag::S_IFLNK => {
                let target = readlinkat(&next, "").map_err(failed)?;
                let (link, target) = (real.join(&name), Path::new(&target));
                if links == Links::Refused {
                    return Err(link_error(&link, target));
                }
                check_link_owner(&link, target, &stat, &there, trust)?;
                followed += 1;
                if followed > MAX_LINKS {
                    return Err(failed(Errno::ELOOP));
                }
                ahead.extend(parts(target));
                if target.is_absolute() {
                    (handle, real) = (root()?, PathBuf::from("/"));
                    stat = fstat(&handle).map_err(failed)?;
                }
                continue;
            }
            _ => return Err(failed(Errno::ENOTDIR)),
        }
        handle = next;
        stat = check_directory_mode(&handle, &real, trust)?;
    }
    Ok(Walked { handle, real, missing: ahead })
}

/// Fails if a path with links now resolves elsewhere: the file would be written where it is not expected, and a changed
/// link is not followed without consent.
fn verify_unchanged(path: &Path, real: &Path, trust: &Trust) -> Result<(), Setback> {
    if path == real {
        return Ok(());
    }
    let Walked { real: mut now, missing, .. } = walk(path, Links::Followed, trust)?;
    now.extend(missing);
    if now == real {
        return Ok(());
    }
    let why = format!("{} resolved to {} and now resolves to {}", path.display(), real.display(), now.display());
    Err(Setback::new("resolve the path of a destination", why).hint(MOVED_HINT))
}

/// The components of a path, the first one last.
fn parts(path: &Path) -> Vec<OsString> {
    let parts = path.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    parts.rev().map(|part| part.as_os_str().to_owned()).collect()
}

/// Reopens an `O_PATH` descriptor for reading and syncing.
fn reopened(handle: &OwnedFd) -> nix::Result<OwnedFd> {
    openat(handle, ".", directory_flags(), Mode::empty())
}

fn directory_flags() -> OFlag {
    OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC
}

/// The error for a directory that cannot be opened.
pub fn directory_error(directory: &Path, errno: Errno) -> Setback {
    let tried = format!("open the directory {}", directory.display());
    match errno {
        Errno::ENOENT => Setback::new(tried, "it does not exist")
            .hint(format!("mkdir -p {}, or set make_dirs = true on the template", directory.display())),
        Errno::ENOTDIR => Setback::new(tried, "it, or part of its path, is not a directory"),
        _ => os_error(tried, errno),
    }
}

/// The hint for a path that changed.
const MOVED_HINT: &str = "restore the directory; if the link is intended, send HUP to follow it";

fn link_error(link: &Path, target: &Path) -> Setback {
    let why = format!("{} has become a symbolic link to {}", link.display(), target.display());
    Setback::new("resolve the path of a destination", why).hint(MOVED_HINT)
}

/// As root, refuses a link that another user made or can replace: it may lead to where that user must not write. In a
/// sticky directory such as `/tmp`, other users can only make links that they own. `link` has no other links in it.
pub fn check_link_owner(
    link: &Path,
    target: &Path,
    directory: &FileStat,
    own: &FileStat,
    trust: &Trust,
) -> Result<(), Setback> {
    let me = Uid::effective();
    let is_ours = |stat: &FileStat| stat.st_uid == 0 || stat.st_uid == me.as_raw();
    let is_shared = directory.st_mode & 0o022 != 0 && directory.st_mode & 0o1000 == 0;
    if !me.is_root() || is_ours(own) && is_ours(directory) && !is_shared || trust.covers(link) {
        return Ok(());
    }
    let why = format!(
        "{} is a symbolic link to {}, and users other than root can change it",
        link.display(),
        target.display()
    );
    Err(Setback::new("resolve the path of a destination as root", why)
        .hint("use the path without the link as dest, or make root the owner of the link and its directory, mode 0755"))
}

/// As root, refuses a directory in which every user may replace files: they could replace the staged file between its
/// check and the rename. The sticky bit, as on `/tmp`, prevents that, and so does a read-only mount. Returns the state of
/// the directory. `path` has no links.
fn check_directory_mode(directory: &OwnedFd, path: &Path, trust: &Trust) -> Result<FileStat, Setback> {
    let tried = || format!("write to the directory {}", path.display());
    let stat = fstat(directory).map_err(|errno| os_error(tried(), errno))?;
    let open_to_all = stat.st_mode & 0o002 != 0 && stat.st_mode & 0o1000 == 0;
    let is_read_only = || fstatvfs(directory).is_ok_and(|mount| mount.flags().contains(FsFlags::ST_RDONLY));
    if open_to_all && Uid::effective().is_root() && !trust.covers(path) && !is_read_only() {
        let why = "it is world-writable: any user could replace the file, and the agent runs as root";
        return Err(
            Setback::new(tried(), why).hint(format!("chmod o-w {0}, or add {0} to `trust` in [agent]", path.display()))
        );
    }
    Ok(stat)
}
