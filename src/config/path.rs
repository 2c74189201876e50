//! Paths without links and without `.` and `..`.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// Resolves links in the part of the path that exists; the rest is normalized.
pub fn canonical(path: &Path) -> PathBuf {
    let reached = path.ancestors().find_map(|there| {
        let rest = path.strip_prefix(there).ok()?;
        Some(normalized(&fs::canonicalize(there).ok()?.join(rest)))
    });
    reached.unwrap_or_else(|| normalized(path))
}

/// Removes `.` and `..` without reading the file system.
pub fn normalized(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    out
}
