//! Errors of system calls: what was tried, on what, why it failed, and what to do.

use std::io;

use nix::errno::Errno;
use nix::unistd::Uid;

use super::Setback;

/// The error of a failed call, with a hint for the errors that have the same remedy everywhere.
pub fn os_error(tried: impl Into<String>, error: impl Into<io::Error>) -> Setback {
    let error = error.into();
    let setback = Setback { errno: error.raw_os_error(), ..Setback::new(tried, &error) };
    match error.raw_os_error().map(Errno::from_raw).and_then(hint) {
        Some(hint) => setback.hint(hint),
        None => setback,
    }
}

/// The hint for a path that this process is not permitted to write; `way` names the key or option to set. `None` for
/// any other error.
pub fn unwritable(error: &io::Error, way: &str) -> Option<String> {
    let errno = Errno::from_raw(error.raw_os_error()?);
    let is_root = Uid::effective().is_root();
    let cause = match errno {
        Errno::EROFS => "the file system is read-only: remount it, or ".to_owned(),
        Errno::EACCES | Errno::EPERM if is_root => {
            "root is denied by an immutable flag (lsattr), a missing capability or a security module: ".to_owned()
        }
        Errno::EACCES | Errno::EPERM => format!("rosterd runs as uid {}: ", Uid::effective()),
        _ => return None,
    };
    Some(format!("{cause}{way}{}", unit_hint()))
}

/// What else to do under systemd, which sets this variable for every unit.
fn unit_hint() -> &'static str {
    match std::env::var_os("INVOCATION_ID") {
        Some(_) => ", or add the directory to ReadWritePaths= of the systemd unit",
        None => "",
    }
}

fn hint(errno: Errno) -> Option<String> {
    Some(match errno {
        Errno::ENOSPC => "the file system has no space or inodes left: delete files (see df and df -i)".to_owned(),
        Errno::EDQUOT => format!("the disk quota of uid {} is used up: delete files, or raise it", Uid::effective()),
        Errno::EROFS => format!("the file system is read-only: mount a writable one there{}", unit_hint()),
        Errno::EACCES | Errno::EPERM => format!(
            "the agent runs as uid {}: grant it permission or run it as root; if it is root, check for an \
             immutable flag (lsattr), a missing capability or a security module",
            Uid::effective()
        ),
        Errno::EIO => "the disk reported an error: see dmesg".to_owned(),
        Errno::EMFILE | Errno::ENFILE => "too many open files: raise LimitNOFILE= or fs.file-max".to_owned(),
        _ => return None,
    })
}
