//! The registry of a directory tree on the local disk.
//!
//! A file is a node. A directory is a node whose own data is in `.data`. Names that begin with a dot or end in `~` are
//! not nodes. A file is read when it is closed after writing, or renamed into place, so editors and `touch` work as
//! usual. Only the directories that matter are watched, each one before it is read.
//!
//! Links may lead to files anywhere, and to directories within the root. A link that is created, removed or changed is
//! seen at once. What changes behind a link is read every second or two, because inotify cannot watch a directory under
//! two names.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::error::Setback;
use crate::model::node_path::NodePath;
use crate::model::registry_event::RegistryEvent;

use super::event_sender::EventSender;
use super::{BoxFuture, Node, RESYNC_INTERVAL, Registry, Subjects, changed};

use inotify::InotifyWatcher;
use state::State;
use tree::Tree;

mod budget;
mod inotify;
mod list;
mod state;
#[cfg(test)]
mod tests;
mod tree;

/// How often the root is looked up by name: no event reports that another directory took its place.
const ROOT_INTERVAL: Duration = Duration::from_secs(2);

/// The same while the root is missing, and after it was replaced during a read.
const MISSING_INTERVAL: Duration = Duration::from_millis(250);

/// The pause after an internal error, so that one that repeats costs little.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// A directory tree.
#[derive(Debug)]
pub struct Directory {
    name: Arc<str>,
    root: PathBuf,
    /// The next read panics.
    #[cfg(test)]
    panics: std::sync::atomic::AtomicBool,
}

impl Directory {
    /// The tree below `root`, which need not exist yet, as the registry `name`.
    pub fn new(name: Arc<str>, root: PathBuf) -> Self {
        Self {
            name,
            root,
            #[cfg(test)]
            panics: std::sync::atomic::AtomicBool::new(false),
        }
    }

    async fn run(&self, mut subjects: watch::Receiver<Subjects>, events: EventSender, stop: CancellationToken) {
        let following = async {
            loop {
                let reason = self.follow_until_error(&mut subjects, &events).await;
                events.send_unreachable(reason.into()).await;
                sleep(RESTART_PAUSE).await;
            }
        };
        events.until_stopped(&stop, following).await;
    }

    /// Follows until an internal error, and returns it. Everything has to start again then.
    async fn follow_until_error(&self, subjects: &mut watch::Receiver<Subjects>, events: &EventSender) -> String {
        let (sender, mut fs_events) = mpsc::unbounded_channel();
        let mut state = State::new(Tree::new(self.root.clone()), InotifyWatcher::new(sender));
        let mut resync = Instant::now() + RESYNC_INTERVAL;
        loop {
            // Without inotify there is no sender. With it, its thread has ended.
            if fs_events.is_closed() && !state.is_polling() {
                return format!("dir:{}: the inotify thread ended unexpectedly; restarting", self.root.display());
            }
            while let Ok(event) = fs_events.try_recv() {
                state.add_event(event);
            }
            let is_resync = Instant::now() >= resync;
            if is_resync {
                resync = Instant::now() + RESYNC_INTERVAL.mul_f64(fastrand::f64().mul_add(0.2, 0.9));
            }
            let wanted = subjects.borrow_and_update().clone();
            #[cfg(test)]
            let panics = self.panics.swap(false, std::sync::atomic::Ordering::Relaxed);
            let reading = tokio::task::spawn_blocking(move || {
                #[cfg(test)]
                assert!(!panics, "on purpose");
                let read = state.read(&wanted, is_resync);
                (state, read)
            });
            let read;
            (state, read) = match reading.await {
                Ok(done) => done,
                Err(error) => {
                    return format!("dir:{}: the read failed unexpectedly; restarting: {error}", self.root.display());
                }
            };
            let interval = if read.is_err() || state.needs_watches() { MISSING_INTERVAL } else { ROOT_INTERVAL };
            match read {
                Ok(diffs) => {
                    for (subject, diff) in diffs {
                        events.send_diff(&subject, diff).await;
                    }
                }
                Err(unreachable) => events.send_unreachable(unreachable).await,
            }
            tokio::select! {
                Some(event) = fs_events.recv() => state.add_event(event),
                () = changed(subjects) => {}
                () = sleep(interval) => {}
                () = sleep_until(resync) => {}
            }
        }
    }
}

impl Registry for Directory {
    fn follow(
        self: Arc<Self>,
        subjects: watch::Receiver<Subjects>,
        out: mpsc::Sender<RegistryEvent>,
        stop: CancellationToken,
    ) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let events = EventSender::new(Arc::clone(&self.name), out);
            self.run(subjects, events, stop).await;
        })
    }

    fn read(&self, path: NodePath, recursive: bool) -> BoxFuture<'_, Result<Option<Node>, Setback>> {
        Box::pin(async move {
            let tree = Tree::new(self.root.clone());
            let tried = format!("read {path} in {}", self.root.display());
            let reading = tokio::task::spawn_blocking(move || {
                tree.check_root().map_err(|unreachable| unreachable.reason)?;
                tree.read(&path, if recursive { usize::MAX } else { 1 })
            });
            match reading.await {
                Ok(node) => node.map_err(|reason: String| Setback::new(tried, reason)),
                Err(error) => Err(Setback::new(tried, error)),
            }
        })
    }
}
