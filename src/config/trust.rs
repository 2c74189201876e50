//! Who else may write to what the agent relies on: `[agent] trust`, read-only mounts and the volumes of Kubernetes.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::Uid;
use serde::Serialize;

use super::path::canonical;

/// The link in a volume of a `ConfigMap` or Secret through which the links to all files lead.
const VOLUME_DATA: &str = "..data";

/// Directories that are used although other users may write to them, with everything below.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Trust(Arc<[PathBuf]>);

impl Trust {
    /// Trusts these absolute paths.
    pub fn new(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        Self(paths.into_iter().map(|path| canonical(&path)).collect())
    }

    /// The directories, without links.
    pub fn directories(&self) -> &[PathBuf] {
        &self.0
    }

    /// Whether a path without links is in one of the directories.
    pub fn covers(&self, real: &Path) -> bool {
        self.0.iter().any(|directory| real.starts_with(directory))
    }

    /// Whether a path may be used although its mode lets every user write to it: it is trusted, or mounted read-only.
    pub fn excuses(&self, path: &Path) -> bool {
        self.covers(&canonical(path)) || statvfs(path).is_ok_and(|mount| mount.flags().contains(FsFlags::ST_RDONLY))
    }
}

/// The path whose mode says who can change what is in a directory. In a volume of a `ConfigMap` that is the directory
/// its `..data` leads to. A link that another user could have made does not count.
pub fn judged(path: &Path) -> PathBuf {
    let data = path.join(VOLUME_DATA);
    let own = |uid: u32| uid == 0 || uid == Uid::effective().as_raw();
    match fs::symlink_metadata(&data) {
        Ok(link) if link.is_symlink() && own(link.uid()) && data.is_dir() => data,
        _ => path.to_owned(),
    }
}
