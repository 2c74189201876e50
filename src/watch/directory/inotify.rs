//! inotify, and what to do without it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RenameMode};
use notify::{ErrorKind, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use crate::decide;
use crate::log::emit;
use crate::zk::NodeEvent;

/// Something seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FsEvent {
    /// Something may have happened to a file or directory.
    At(PathBuf, NodeEvent),
    /// The mode or owner of a file or directory changed. What that means is found by opening it, which is nothing to do
    /// on the thread that all events come through.
    Mode(PathBuf),
    /// Too much happened to say what.
    Overflow,
}

/// The directories that are watched. Without inotify there are none, and everything is read every two seconds instead.
#[derive(Debug)]
pub struct InotifyWatcher {
    watcher: Option<RecommendedWatcher>,
    /// Each with the device and inode that it had.
    watched: BTreeMap<PathBuf, Option<(u64, u64)>>,
}

impl InotifyWatcher {
    /// Opens them; what they see goes to `glances`.
    pub fn open(glances: mpsc::UnboundedSender<FsEvent>) -> Self {
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            for event in event.map_or_else(|_| vec![FsEvent::Overflow], |event| interpret(&event)) {
                // Nobody listens any more when the registry is being left.
                let _ = glances.send(event);
            }
        });
        let watcher = watcher.inspect_err(warn_polling).ok();
        Self { watcher, watched: BTreeMap::new() }
    }

    /// Whether there is no inotify to be had.
    pub fn is_polling(&self) -> bool {
        self.watcher.is_none()
    }

    /// Watches a directory. Tells whether that is new.
    ///
    /// No directory may be watched under two names: inotify has one watch for it then, and its events one of the names.
    pub fn watch(&mut self, directory: &Path) -> bool {
        // Before it is watched: should it be replaced in between, it is watched once more the next time.
        let is = fs::metadata(directory).ok().map(|metadata| (metadata.dev(), metadata.ino()));
        match self.watched.get(directory) {
            Some(was) if *was == is => return false,
            Some(_) => {
                self.forget(directory);
            }
            None => {}
        }
        let Some(watcher) = &mut self.watcher else {
            return false;
        };
        match watcher.watch(directory, RecursiveMode::NonRecursive) {
            Ok(()) => {
                self.watched.insert(directory.to_owned(), is);
                true
            }
            Err(error) if is_limit(&error) => {
                warn_polling(&error);
                self.watcher = None;
                self.watched.clear();
                false
            }
            // It went away again, or may not be read, which the reading says.
            Err(error) => {
                tracing::debug!(directory = %directory.display(), %error, "directory not watched");
                false
            }
        }
    }

    /// Watches a directory and all below it no more: it is gone, or another one stands in its place. Tells whether it was
    /// watched.
    pub fn forget(&mut self, directory: &Path) -> bool {
        let gone: Vec<PathBuf> = self.watched.keys().filter(|path| path.starts_with(directory)).cloned().collect();
        let was_watched = !gone.is_empty();
        for path in gone {
            if let Some(watcher) = &mut self.watcher {
                // The kernel may have dropped it already.
                let _ = watcher.unwatch(&path);
            }
            self.watched.remove(&path);
        }
        was_watched
    }
}

/// Whether a limit of the system was reached: watches or instances a user, or open files a process.
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
    let reason =
        format!("{error}; reading it every 2 s (raise fs.inotify.max_user_watches or fs.inotify.max_user_instances)");
    emit(decide::Event::RegistryPolled { reason });
}

/// What an event says of nodes.
fn interpret(event: &notify::Event) -> Vec<FsEvent> {
    if event.need_rescan() {
        return vec![FsEvent::Overflow];
    }
    let each = |what: NodeEvent| event.paths.iter().map(|path| FsEvent::At(path.clone(), what)).collect();
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Create(CreateKind::Folder)
        | EventKind::Modify(ModifyKind::Name(RenameMode::To)) => each(NodeEvent::Created),
        // A new file is read when it is closed; a link to one was never opened, and neither was a pipe or its like.
        EventKind::Create(_) if event.paths.iter().any(|path| is_never_closed(path)) => each(NodeEvent::Created),
        EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)) => each(NodeEvent::Deleted),
        EventKind::Modify(ModifyKind::Metadata(_)) => event.paths.iter().cloned().map(FsEvent::Mode).collect(),
        _ => Vec::new(),
    }
}

/// Whether what was created is there as a whole already, so that it will not be closed after writing.
fn is_never_closed(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| !metadata.is_file() || metadata.nlink() > 1)
}
