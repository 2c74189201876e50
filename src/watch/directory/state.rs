//! What is known of a directory tree between two reads. Its methods block, so they run on threads for blocking work.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::node_path::{NodePath, Subject};
use crate::model::registry_event::Unreachable;
use crate::watch::Subjects;
use crate::watch::cache::{CachedView, Diff};
use crate::watch::dirty::DirtySet;
use crate::zk::NodeEvent;

use super::inotify::{FsEvent, InotifyWatcher};
use super::tree;
use super::tree::Tree;

/// The least time between two reads of what is behind links.
const LINK_INTERVAL: Duration = Duration::from_secs(1);

/// The subjects, their cached views, and the watched directories.
#[derive(Debug)]
pub struct State {
    tree: Tree,
    watcher: InotifyWatcher,
    subscriptions: BTreeMap<Subject, Subscription>,
    /// The device and inode of the root while it exists.
    root: Option<(u64, u64)>,
    /// Directories that matter may be unwatched.
    needs_watches: bool,
    /// When what is behind links was last read.
    links_read: Option<Instant>,
    /// Events that are not handled yet.
    pending: Vec<FsEvent>,
}

/// One subject that is followed.
#[derive(Debug)]
struct Subscription {
    /// Its number in [`Subjects`].
    number: u64,
    dirty: DirtySet,
    cached: CachedView,
    /// The parts that are behind links.
    linked: DirtySet,
}

impl State {
    /// Nothing is known yet.
    pub fn new(tree: Tree, watcher: InotifyWatcher) -> Self {
        let (subscriptions, pending) = (BTreeMap::new(), Vec::new());
        Self { tree, watcher, subscriptions, root: None, needs_watches: true, links_read: None, pending }
    }

    /// Whether inotify is unavailable.
    pub fn is_polling(&self) -> bool {
        self.watcher.is_polling()
    }

    /// Whether directories that matter may be unwatched.
    pub fn needs_watches(&self) -> bool {
        self.needs_watches
    }

    /// Queues an event for the next read.
    pub fn add_event(&mut self, event: FsEvent) {
        self.pending.push(event);
    }

    /// Handles the queued events, reads what is dirty, and returns what to send.
    ///
    /// # Errors
    /// The root does not exist, or the process cannot read. Nothing is known of any node.
    pub fn read(&mut self, wanted: &Subjects, is_resync: bool) -> Result<Vec<(Subject, Diff)>, Unreachable> {
        self.subscriptions.retain(|subject, subscription| wanted.get(subject) == Some(&subscription.number));
        self.check_root()?;
        for (subject, number) in wanted {
            self.subscriptions.entry(subject.clone()).or_insert_with(|| {
                self.needs_watches = true;
                let (dirty, cached, linked) = (DirtySet::all(), CachedView::default(), DirtySet::default());
                Subscription { number: *number, dirty, cached, linked }
            });
        }
        for event in std::mem::take(&mut self.pending) {
            self.needs_watches |= self.handle(event);
        }
        if is_resync || self.watcher.is_polling() {
            self.mark_all_dirty();
        }
        // At a resync too, so that no missing watch lasts longer than that.
        if std::mem::take(&mut self.needs_watches) || is_resync {
            self.watch_directories();
        }
        self.mark_links_dirty();
        let mut diffs = Vec::new();
        for (subject, Subscription { dirty, cached, .. }) in &mut self.subscriptions {
            cached.widen(dirty);
            if dirty.is_empty() {
                continue;
            }
            let mut diff = cached.apply(self.tree.read_dirty(subject, &dirty.take()));
            if cached.is_too_large() {
                diff = cached.apply(self.tree.read_dirty(subject, &DirtySet::all()));
            }
            diffs.extend(diff.map(|diff| (subject.clone(), diff)));
        }
        if let Some(reason) = self.tree.take_failure() {
            self.forget_all();
            self.needs_watches = true;
            return Err(format!("dir:{}: {reason}", self.tree.root().display()).into());
        }
        // A missing node counts as absent only if the root exists. What was read while another directory took the
        // root's place belongs to neither of them. The next read, soon, sends everything again.
        if self.check_root()? {
            self.forget_all();
            return Ok(Vec::new());
        }
        Ok(diffs)
    }

    /// Looks up the root. Returns whether it is another directory than before, of which nothing is watched yet.
    fn check_root(&mut self) -> Result<bool, Unreachable> {
        let root = self.tree.check_root().map(|metadata| (metadata.dev(), metadata.ino()));
        if root.as_ref().is_ok_and(|root| Some(root) == self.root.as_ref()) {
            return Ok(false);
        }
        self.watcher.unwatch(self.tree.root());
        if root.is_err() {
            self.forget_all();
        }
        self.mark_all_dirty();
        self.needs_watches = true;
        self.root = root.as_ref().ok().copied();
        root.map(|_| true)
    }

    fn forget_all(&mut self) {
        for subscription in self.subscriptions.values_mut() {
            (subscription.dirty, subscription.cached) = (DirtySet::all(), CachedView::default());
        }
    }

    fn mark_all_dirty(&mut self) {
        for subscription in self.subscriptions.values_mut() {
            subscription.dirty.all = true;
        }
    }

    /// Handles one event. Returns whether directories may have been added or removed.
    fn handle(&mut self, event: FsEvent) -> bool {
        let (path, mut event) = match event {
            FsEvent::Overflow => {
                self.mark_all_dirty();
                return true;
            }
            FsEvent::Node(path, event) => (path, event),
            FsEvent::Attributes(path) if tree::attributes_matter(&path) => (path, NodeEvent::Created),
            FsEvent::Attributes(_) => return false,
        };
        // A link may have come or gone, too, with a directory behind it.
        let is_directory =
            if event == NodeEvent::Deleted { self.watcher.unwatch(&path) } else { path.is_dir() || path.is_symlink() };
        if tree::is_own_data(&path) {
            event = NodeEvent::DataChanged;
        }
        if let Some(node) = self.tree.node_path(&path) {
            self.mark_dirty(event, &node);
        }
        is_directory
    }

    /// Marks what an event at a node may have changed. An event above the top of a subject concerns all of it.
    fn mark_dirty(&mut self, event: NodeEvent, node: &str) {
        let path = NodePath::parse(node).ok();
        for (subject, Subscription { dirty, .. }) in &mut self.subscriptions {
            let to_top = path.as_ref().and_then(|path| path.segments_below(subject.top().as_str()));
            if to_top.is_some_and(|segments| !segments.is_empty()) {
                dirty.all |= event != NodeEvent::DataChanged;
            } else {
                dirty.record(subject, event, node);
            }
        }
    }

    /// Marks what is behind links, which no event reports.
    fn mark_links_dirty(&mut self) {
        if self.links_read.is_some_and(|at| at.elapsed() < LINK_INTERVAL) {
            return;
        }
        self.links_read = Some(Instant::now());
        for Subscription { dirty, linked, .. } in self.subscriptions.values_mut() {
            dirty.merge(linked.clone());
        }
    }

    /// Watches every directory that matters. What is in a directory may have changed before it was watched.
    fn watch_directories(&mut self) {
        loop {
            let mut new = Vec::new();
            for (subject, Subscription { linked, .. }) in &mut self.subscriptions {
                *linked = DirtySet::default();
                for directory in self.tree.directories(subject, linked) {
                    if self.watcher.watch(&directory) {
                        new.push(directory);
                    }
                }
            }
            if new.is_empty() {
                return;
            }
            for directory in new {
                if let Some(node) = self.tree.node_path(&directory) {
                    self.mark_dirty(NodeEvent::Created, &node);
                }
            }
        }
    }
}
