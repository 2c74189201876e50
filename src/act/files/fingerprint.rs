//! Whether two stats describe the same, unchanged file.

use nix::sys::stat::FileStat;

/// Whether both describe the same file, unchanged in between.
pub fn is_same(a: &FileStat, b: &FileStat) -> bool {
    (a.st_dev, a.st_ino, a.st_size, a.st_mode, a.st_uid, a.st_gid, a.st_mtime, a.st_mtime_nsec)
        == (b.st_dev, b.st_ino, b.st_size, b.st_mode, b.st_uid, b.st_gid, b.st_mtime, b.st_mtime_nsec)
}
