//! Notices that somebody has edited files, once the edits have settled.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

/// How long edits settle: an editor saves in several steps.
const QUIET: Duration = Duration::from_millis(100);

/// The longest that an edit waits for others.
const LONGEST: Duration = Duration::from_secs(2);

/// Follows directories: not files, because an editor replaces them.
#[derive(Debug)]
pub struct Debounce {
    /// Dropped, it ends the watch; `None` where the system has no more to give.
    watcher: Option<RecommendedWatcher>,
    /// Ends with it.
    _settling: AbortOnDropHandle<()>,
    settled: Arc<Notify>,
}

impl Debounce {
    /// Follows nothing yet. What happens to a path counts where `concerns` says so. The second is why there is no watch.
    pub fn new(mut concerns: impl FnMut(&Path) -> bool + Send + 'static) -> (Self, Option<notify::Error>) {
        let touched = Arc::new(Notify::new());
        let tell = Arc::clone(&touched);
        let on_event = move |event: notify::Result<Event>| {
            // What cannot be read is reason enough to look.
            if event.map_or(true, |event| is_edit(&event, &mut concerns)) {
                tell.notify_one();
            }
        };
        let watcher = notify::recommended_watcher(on_event);
        // What was edited before the watch is found by one look.
        touched.notify_one();
        let settled = Arc::new(Notify::new());
        let settling = AbortOnDropHandle::new(tokio::spawn(settle(touched, Arc::clone(&settled))));
        let (watcher, why) = match watcher {
            Ok(watcher) => (Some(watcher), None),
            Err(why) => (None, Some(why)),
        };
        (Self { watcher, _settling: settling, settled }, why)
    }

    /// Follows a directory, too.
    ///
    /// # Errors
    /// It is not there, or the system has no more watches to give.
    pub fn follow(&mut self, directory: &Path, mode: RecursiveMode) -> notify::Result<()> {
        self.watcher.as_mut().map_or(Ok(()), |watcher| watcher.watch(directory, mode))
    }

    /// Follows a directory no more.
    pub fn forget(&mut self, directory: &Path) {
        if let Some(watcher) = &mut self.watcher {
            // One that was removed is followed no more anyway.
            let _ = watcher.unwatch(directory);
        }
    }

    /// Returns when something was edited, and the edits have settled. May be dropped and asked again without losing any.
    pub async fn settled(&self) {
        self.settled.notified().await;
    }

    /// Notified when files have changed and the changes have settled.
    pub fn notifier(&self) -> Arc<Notify> {
        Arc::clone(&self.settled)
    }
}

/// Passes on that something was edited once nothing more comes.
async fn settle(touched: Arc<Notify>, settled: Arc<Notify>) {
    loop {
        touched.notified().await;
        let quiet = async { while tokio::time::timeout(QUIET, touched.notified()).await.is_ok() {} };
        // A directory that is never quiet, because something else is written below it, does not hide an edit for long.
        let _ = tokio::time::timeout(LONGEST, quiet).await;
        settled.notify_one();
    }
}

/// Whether an event can have changed what a file says. Reading one is an event, too, and so is a staged file.
fn is_edit(event: &Event, concerns: &mut impl FnMut(&Path) -> bool) -> bool {
    let ours = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".rosterd-"));
    let mut counts = |path: &PathBuf| !ours(path) && concerns(path);
    // Without paths it says that events were lost.
    event.need_rescan() || event.paths.is_empty() || (!event.kind.is_access() && event.paths.iter().any(&mut counts))
}
