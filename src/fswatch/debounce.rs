//! Reports edited files once the edits have settled.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

/// How long no edit may follow before edits have settled: an editor saves in several steps.
const QUIET: Duration = Duration::from_millis(100);

/// The longest time that an edit waits for others.
const LONGEST: Duration = Duration::from_secs(2);

/// Watches directories, not files, because an editor replaces files.
#[derive(Debug)]
pub struct Debounce {
    /// Ends the watch when it is dropped; `None` if the system has no watches left.
    watcher: Option<RecommendedWatcher>,
    /// The task that waits until edits have settled.
    _settling: AbortOnDropHandle<()>,
    settled: Arc<Notify>,
}

impl Debounce {
    /// Watches nothing yet. `concerns` selects the paths whose events count. Also returns why there is no watcher.
    pub fn new(mut concerns: impl FnMut(&Path) -> bool + Send + 'static) -> (Self, Option<notify::Error>) {
        let touched = Arc::new(Notify::new());
        let tell = Arc::clone(&touched);
        let on_event = move |event: notify::Result<Event>| {
            // An error may hide an edit.
            if event.map_or(true, |event| is_edit(&event, &mut concerns)) {
                tell.notify_one();
            }
        };
        let watcher = notify::recommended_watcher(on_event);
        // Edits from before the watch are found by one check.
        touched.notify_one();
        let settled = Arc::new(Notify::new());
        let settling = AbortOnDropHandle::new(tokio::spawn(settle(touched, Arc::clone(&settled))));
        let (watcher, why) = match watcher {
            Ok(watcher) => (Some(watcher), None),
            Err(why) => (None, Some(why)),
        };
        (Self { watcher, _settling: settling, settled }, why)
    }

    /// Watches one more directory.
    ///
    /// # Errors
    /// The directory does not exist, or the system has no watches left.
    pub fn follow(&mut self, directory: &Path, mode: RecursiveMode) -> notify::Result<()> {
        self.watcher.as_mut().map_or(Ok(()), |watcher| watcher.watch(directory, mode))
    }

    /// Stops watching a directory.
    pub fn forget(&mut self, directory: &Path) {
        if let Some(watcher) = &mut self.watcher {
            // The watch of a removed directory has ended already.
            let _ = watcher.unwatch(directory);
        }
    }

    /// Returns when edits have settled. May be dropped and called again without losing an edit.
    pub async fn settled(&self) {
        self.settled.notified().await;
    }

    /// Notified when files have changed and the changes have settled.
    pub fn notifier(&self) -> Arc<Notify> {
        Arc::clone(&self.settled)
    }
}

/// Notifies `settled` when no more edits follow.
async fn settle(touched: Arc<Notify>, settled: Arc<Notify>) {
    loop {
        touched.notified().await;
        let quiet = async { while tokio::time::timeout(QUIET, touched.notified()).await.is_ok() {} };
        // A directory with constant writes must not hide an edit for long.
        let _ = tokio::time::timeout(LONGEST, quiet).await;
        settled.notify_one();
    }
}

/// Whether an event may mean changed content. Reading a file and writing a staged file are events too.
fn is_edit(event: &Event, concerns: &mut impl FnMut(&Path) -> bool) -> bool {
    let ours = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".rosterd-"));
    let mut counts = |path: &PathBuf| !ours(path) && concerns(path);
    // An event without paths means that events were lost.
    event.need_rescan() || event.paths.is_empty() || (!event.kind.is_access() && event.paths.iter().any(&mut counts))
}
