//! Watches directories with inotify, or reads everything regularly if inotify is unavailable.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RenameMode};
use notify::{ErrorKind, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use crate::decide::Event;
use crate::log::emit;
use crate::zk::NodeEvent;

/// An event of the file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FsEvent {
    /// Something may have happened to a file or directory.
    Node(PathBuf, NodeEvent),
    /// The mode or owner of a file or directory changed. Only opening the path shows whether that matters, and the
    /// thread that receives events must not open it.
    Attributes(PathBuf),
    /// Events were lost: anything may have changed.
    Overflow,
}

/// The watched directories. Without inotify there are none, and everything is read every two seconds instead.
#[derive(Debug)]
pub struct InotifyWatcher {
    watcher: Option<RecommendedWatcher>,
    /// The device and inode of each directory when it was watched.
    watched: BTreeMap<PathBuf, Option<(u64, u64)>>,
}

impl InotifyWatcher {
    /// A watcher that sends its events to `out`.
    pub fn new(out: mpsc::UnboundedSender<FsEvent>) -> Self {
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            for event in event.map_or_else(|_| vec![FsEvent::Overflow], |event| convert(&event)) {
                // The receiver is gone when the registry is closed.
                let _ = out.send(event);
            }
        });
        let watcher = watcher.inspect_err(warn_polling).ok();
        Self { watcher, watched: BTreeMap::new() }
    }

    /// Whether inotify is unavailable.
    pub fn is_polling(&self) -> bool {
        self.watcher.is_none()
    }

    /// Watches a directory. Returns whether it was not watched before.
    ///
    /// A directory must not be watched under two names: inotify would report its events under one of them.
    pub fn watch(&mut self, directory: &Path) -> bool {
        // Before it is watched: if it is replaced in between, it is watched again the next time.
        let inode = fs::metadata(directory).ok().map(|metadata| (metadata.dev(), metadata.ino()));
        match self.watched.get(directory) {
            Some(watched) if *watched == inode => return false,
            Some(_) => {
                self.unwatch(directory);
            }
            None => {}
        }
        let Some(watcher) = &mut self.watcher else {
            return false;
        };
        match watcher.watch(directory, RecursiveMode::NonRecursive) {
            Ok(()) => {
                self.watched.insert(directory.to_owned(), inode);
                true
            }
            Err(error) if is_limit(&error) => {
                warn_polling(&error);
                self.watcher = None;
                self.watched.clear();
                false
            }
            // It was removed meanwhile, or cannot be read. The next read reports that.
            Err(error) => {
                tracing::debug!(directory = %directory.display(), %error, "directory not watched");
                false
            }
        }
    }

    /// Stops watching a removed or replaced directory, and everything below it. Returns whether it was watched.
    pub fn unwatch(&mut self, directory: &Path) -> bool {
        let gone: Vec<PathBuf> = self.watched.keys().filter(|path| path.starts_with(directory)).cloned().collect();
        let was_watched = !gone.is_empty();
        for path in gone {
            if let Some(watcher) = &mut self.watcher {
                // The kernel may have removed the watch already.
                let _ = watcher.unwatch(&path);
            }
            self.watched.remove(&path);
        }
        was_watched
    }
}

/// Whether an error is a limit of the system: of watches or instances per user, or of open files per process.
fn is_limit(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::MaxFilesWatch => true,
        ErrorKind::Io(error) => matches!(
            error.raw_os_error().map(nix::errno::Errno::from_raw),
            Some(nix::errno::Errno::EMFILE | nix::errno::Errno::ENFILE | nix::errno::Errno::ENOMEM)
        ),
        _ => false,
    }
}

fn warn_polling(error: &notify::Error) {
    let reason = format!(
        "{error}; reading the tree every 2 s (raise fs.inotify.max_user_watches or fs.inotify.max_user_instances)"
    );
    emit(Event::RegistryPolled { reason });
}

/// What a raw event means for nodes.
fn convert(event: &notify::Event) -> Vec<FsEvent> {
    if event.need_rescan() {
        return vec![FsEvent::Overflow];
    }
    let nodes = |kind: NodeEvent| event.paths.iter().map(|path| FsEvent::Node(path.clone(), kind)).collect();
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Create(CreateKind::Folder)
        | EventKind::Modify(ModifyKind::Name(RenameMode::To)) => nodes(NodeEvent::Created),
        // A new file is read when it is closed. A hard link, a pipe and the like are complete at once.
        EventKind::Create(_) if event.paths.iter().any(|path| is_never_closed(path)) => nodes(NodeEvent::Created),
        EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)) => nodes(NodeEvent::Deleted),
        EventKind::Modify(ModifyKind::Metadata(_)) => event.paths.iter().cloned().map(FsEvent::Attributes).collect(),
        _ => Vec::new(),
    }
}

/// Whether a created file is complete already, so that no close after writing follows.
fn is_never_closed(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| !metadata.is_file() || metadata.nlink() > 1)
}
