//! Errors of system calls: what was tried, on what, why it failed, and what to do.

use std::io;

use nix::errno::Errno;
use nix::unistd::Uid;

use super::Setback;

/// The error of a failed call, with a hint for the errors that have the same remedy everywhere.
pub fn os_error(tried: impl Into<String>, error: impl Into<io::Error>) -> Setback {
    let error = error.into();
    let setback = Setback::new(tried, &error);
    match error.raw_os_error().map(Errno::from_raw).and_then(hint) {
        Some(hint) => setback.hint(hint),
        None => setback,
    }
}

fn hint(errno: Errno) -> Option<String> {
    Some(match errno {
        Errno::ENOSPC => "the file system has no space or inodes left: delete files (see df and df -i)".to_owned(),
        Errno::EDQUOT => format!("the disk quota of uid {} is used up: delete files, or raise it", Uid::effective()),
        Errno::EROFS => {
            "the file system is read-only: remount it, or add the directory to ReadWritePaths= of the systemd unit"
                .to_owned()
        }
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
