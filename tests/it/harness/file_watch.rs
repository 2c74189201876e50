//! Reports changes of files without delay.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

/// A watch on renames into a directory.
pub struct FileWatch {
    folder: PathBuf,
    inotify: Inotify,
}

impl FileWatch {
    /// Starts to watch a directory.
    pub fn on(folder: &Path) -> Self {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).unwrap();
        inotify.add_watch(folder, AddWatchFlags::IN_MOVED_TO).unwrap();
        Self { folder: folder.to_owned(), inotify }
    }

    /// Waits until each of these files has exactly these bytes. Returns when that was seen for the last one, or `None`
    /// if it does not happen within `limit`.
    pub fn sees(&self, names: &[String], bytes: &[u8], limit: Duration) -> Option<Instant> {
        let end = Instant::now() + limit;
        let is_right = |name: &str| fs::read(self.folder.join(name)).is_ok_and(|read| read == bytes);
        let mut missing: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        // All files are read once, and afterwards only renamed ones.
        missing.retain(|name| !is_right(name));
        while !missing.is_empty() {
            let left = end.checked_duration_since(Instant::now())?;
            let mut ready = [PollFd::new(self.inotify.as_fd(), PollFlags::POLLIN)];
            poll(&mut ready, PollTimeout::try_from(left).unwrap()).unwrap();
            for event in self.inotify.read_events().unwrap_or_default() {
                let name = event.name.unwrap_or_default();
                missing.retain(|missing| *missing != name || !is_right(missing));
            }
        }
        Some(Instant::now())
    }
}
