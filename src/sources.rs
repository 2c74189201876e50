//! Notices that templates were edited.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{Event, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use crate::config::Config;

/// How long edits settle before templates are read again: an editor saves in several steps.
const QUIET: Duration = Duration::from_millis(100);

/// The longest that an edit waits for others.
const LONGEST: Duration = Duration::from_secs(2);

/// Follows the folders that templates come from.
#[derive(Debug)]
pub struct Sources {
    /// Dropped, it ends the watch.
    _watcher: Option<notify::RecommendedWatcher>,
    /// Ends with it.
    _settling: AbortOnDropHandle<()>,
    edited: Arc<Notify>,
}

impl Sources {
    /// Watches the template folder and the folders of templates outside of it: folders, because an editor replaces the
    /// file. Where the system has no more watches to give, templates are read again on HUP alone, and that is said.
    pub fn watch(config: &Config) -> Self {
        let touched = Arc::new(Notify::new());
        let tell = Arc::clone(&touched);
        let heard = move |event: notify::Result<Event>| {
            // What cannot be read is reason enough to look.
            if event.map_or(true, |event| is_edit(&event)) {
                tell.notify_one();
            }
        };
        let watcher = notify::recommended_watcher(heard).and_then(|mut watcher| {
            let dir = &config.agent.template_dir;
            if dir.is_dir() {
                watcher.watch(dir, RecursiveMode::Recursive)?;
            }
            for folder in outside(config) {
                watcher.watch(&folder, RecursiveMode::NonRecursive)?;
            }
            Ok(watcher)
        });
        let watcher = watcher.inspect_err(|why| {
            warn!(%why, "cannot watch the templates: edits are taken up on HUP");
        });
        // What was edited between the load and here is found by one look.
        touched.notify_one();
        let edited = Arc::new(Notify::new());
        let settling = tokio::spawn(settle(touched, Arc::clone(&edited)));
        Self { _watcher: watcher.ok(), _settling: AbortOnDropHandle::new(settling), edited }
    }

    /// Returns when something was edited, and the edits have settled. May be dropped and asked again without losing any.
    pub async fn edited(&self) {
        self.edited.notified().await;
    }
}

/// Passes on that something was edited once nothing more comes.
async fn settle(touched: Arc<Notify>, edited: Arc<Notify>) {
    loop {
        touched.notified().await;
        let settled = async { while tokio::time::timeout(QUIET, touched.notified()).await.is_ok() {} };
        // A folder that is never quiet, because something else is written below it, does not hide an edit for long.
        let _ = tokio::time::timeout(LONGEST, settled).await;
        edited.notify_one();
    }
}

/// Whether an event can have changed what a template says. Reading one is an event, too.
fn is_edit(event: &Event) -> bool {
    let ours = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".rosterd-"));
    // Without paths it says that events were lost.
    event.need_rescan() || (!event.kind.is_access() && !event.paths.iter().all(ours))
}

fn outside(config: &Config) -> BTreeSet<PathBuf> {
    let dir = &config.agent.template_dir;
    let sources = config.templates.iter().map(|template| dir.join(&template.src));
    sources.filter(|src| !src.starts_with(dir)).filter_map(|src| src.parent().map(Path::to_path_buf)).collect()
}
