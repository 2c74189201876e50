//! The registry of a directory tree on the local disk.
//!
//! A file is a node, a directory is a node whose own data is in `.data`. Names that begin with a dot or end in `~` are no
//! nodes, and a file is read when it is closed after writing or renamed into place: editors and `touch` do as they
//! are used to. Only what is looked at is watched, one directory at a time, and always before it is read.
//!
//! Links lead to files anywhere, and to directories within the root. That a link comes, goes or is flipped is seen at once;
//! what changes behind it is read every second or two, because a directory with two names cannot be watched under both.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::error::Setback;
use crate::model::node_path::{NodePath, Subject};
use crate::model::registry_event::RegistryEvent;

use super::cache::{CachedView, Diff};
use super::dirty::DirtySet;
use super::event_sender::EventSender;
use super::{BoxFuture, Node, RESYNC_INTERVAL, Registry, Subjects, changed};
use crate::zk::NodeEvent;

use inotify::{FsEvent, InotifyWatcher};
use tree::Tree;

mod budget;
mod inotify;
mod list;
#[cfg(test)]
mod tests;
mod tree;

/// How often the root is looked at by its name: no event says that another directory stands in its place.
const ROOT_EVERY: Duration = Duration::from_secs(2);

/// The same while it is missing, and after it was replaced in the middle of a reading.
const MISSING_EVERY: Duration = Duration::from_millis(250);

/// How long to wait after something broke that must not, so that what breaks each time costs little.
const BROKEN_PAUSE: Duration = Duration::from_secs(1);

/// The least time between two readings of what is behind links. Without other events it is [`ROOT_EVERY`].
const LINKS_EVERY: Duration = Duration::from_secs(1);

/// A directory tree.
#[derive(Debug)]
pub struct Directory {
    name: Arc<str>,
    root: PathBuf,
    /// The next reading panics.
    #[cfg(test)]
    breaks: std::sync::atomic::AtomicBool,
}

impl Directory {
    /// The tree below `root`, which need not exist yet, as the registry `name`.
    pub fn new(name: Arc<str>, root: PathBuf) -> Self {
        Self {
            name,
            root,
            #[cfg(test)]
            breaks: std::sync::atomic::AtomicBool::new(false),
        }
    }

    async fn run(&self, mut subjects: watch::Receiver<Subjects>, events: EventSender, stop: CancellationToken) {
        loop {
            let why = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = events.closed() => return,
                why = self.follow_on(&mut subjects, &events) => why,
            };
            let pausing = async {
                events.send_unreachable(why).await;
                sleep(BROKEN_PAUSE).await;
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = events.closed() => return,
                () = pausing => {}
            }
        }
    }

    /// Follows until something breaks that must not: what. All has to begin anew then.
    async fn follow_on(&self, subjects: &mut watch::Receiver<Subjects>, events: &EventSender) -> String {
        let (glances, mut seen) = mpsc::unbounded_channel();
        let mut state = State::new(Tree::new(self.root.clone()), InotifyWatcher::open(glances));
        let mut resync = Instant::now() + RESYNC_INTERVAL;
        loop {
            // Without inotify nobody speaks; with it, its thread has ended.
            if seen.is_closed() && !state.eyes.is_polling() {
                return format!("dir:{}: watching came to a sudden end, and begins anew", self.root.display());
            }
            let mut batch = Vec::new();
            while let Ok(event) = seen.try_recv() {
                batch.push(event);
            }
            let is_resync = Instant::now() >= resync;
            if is_resync {
                resync = Instant::now() + RESYNC_INTERVAL.mul_f64(fastrand::f64().mul_add(0.2, 0.9));
            }
            let wanted = subjects.borrow_and_update().clone();
            #[cfg(test)]
            let breaks = self.breaks.swap(false, std::sync::atomic::Ordering::Relaxed);
            let reading = tokio::task::spawn_blocking(move || {
                #[cfg(test)]
                assert!(!breaks, "this test wants it");
                let read = state.read(&wanted, batch, is_resync);
                (state, read)
            });
            let read;
            (state, read) = match reading.await {
                Ok(done) => done,
                Err(error) => {
                    let root = self.root.display();
                    return format!("dir:{root}: reading came to a sudden end, and begins anew: {error}");
                }
            };
            let every = if read.is_err() || state.is_unarmed { MISSING_EVERY } else { ROOT_EVERY };
            match read {
                Ok(news) => {
                    for (subject, told) in news {
                        events.send_diff(&subject, told).await;
                    }
                }
                Err(why) => events.send_unreachable(why).await,
            }
            let event = tokio::select! {
                Some(event) = seen.recv() => Some(event),
                () = changed(subjects) => None,
                () = sleep(every) => None,
                () = sleep_until(resync) => None,
            };
            state.pending.extend(event);
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
            let looked = tokio::task::spawn_blocking(move || {
                tree.check_root()?;
                tree.look(&path, if recursive { usize::MAX } else { 1 })
            });
            match looked.await {
                Ok(looked) => looked.map_err(|why: String| Setback::new(tried, why)),
                Err(error) => Err(Setback::new(tried, error)),
            }
        })
    }
}

/// Everything that is kept between two readings. It lives on threads where reading may take its time.
#[derive(Debug)]
struct State {
    tree: Tree,
    eyes: InotifyWatcher,
    subscription: BTreeMap<Subject, Subscription>,
    /// The root's device and inode while it is there.
    root: Option<(u64, u64)>,
    /// Folders that matter may be unwatched.
    is_unarmed: bool,
    /// When what is behind links was last read.
    polled: Option<Instant>,
    /// Seen, and not taken up yet.
    pending: Vec<FsEvent>,
}

/// One subject.
#[derive(Debug)]
struct Subscription {
    /// Its number in [`Subjects`].
    number: u64,
    dirty: DirtySet,
    known: CachedView,
    /// What is behind links.
    linked: DirtySet,
}

impl State {
    fn new(tree: Tree, eyes: InotifyWatcher) -> Self {
        let (subscription, pending) = (BTreeMap::new(), Vec::new());
        Self { tree, eyes, subscription, root: None, is_unarmed: true, polled: None, pending }
    }

    /// Takes up what was seen, and reads again what may have changed.
    ///
    /// # Errors
    /// The root is not there: why nothing is known.
    fn read(
        &mut self,
        wanted: &Subjects,
        batch: Vec<FsEvent>,
        is_resync: bool,
    ) -> Result<Vec<(Subject, Diff)>, String> {
        self.subscription.retain(|subject, subscription| wanted.get(subject) == Some(&subscription.number));
        self.check_root()?;
        for (subject, number) in wanted {
            self.subscription.entry(subject.clone()).or_insert_with(|| {
                self.is_unarmed = true;
                let (dirty, known, linked) = (DirtySet::all(), CachedView::default(), DirtySet::default());
                Subscription { number: *number, dirty, known, linked }
            });
        }
        let pending = std::mem::take(&mut self.pending);
        for event in pending.into_iter().chain(batch) {
            self.is_unarmed |= self.take(event);
        }
        if is_resync || self.eyes.is_polling() {
            self.all_dirty();
        }
        // At a resync too: then no gap lasts longer than from one to the next.
        if std::mem::take(&mut self.is_unarmed) || is_resync {
            self.arm();
        }
        self.poll_links();
        let mut news = Vec::new();
        for (subject, Subscription { dirty, known, .. }) in &mut self.subscription {
            known.widen(dirty);
            if dirty.is_empty() {
                continue;
            }
            let mut told = known.apply(self.tree.reread(subject, &dirty.take()));
            if known.is_too_large() {
                told = known.apply(self.tree.reread(subject, &DirtySet::all()));
            }
            news.extend(told.map(|told| (subject.clone(), told)));
        }
        // What is missing counts only while the root is there: a vanished one says nothing of its nodes, and what was
        // read while another one took its place is of neither. The next round, soon, reads and says it all anew.
        if self.check_root()? {
            self.all_unknown();
            return Ok(Vec::new());
        }
        Ok(news)
    }

    /// Looks whether the root is there, and the one that it was. Tells whether it is another one: then nothing in it
    /// is watched yet.
    fn check_root(&mut self) -> Result<bool, String> {
        let root = self.tree.check_root().map(|metadata| (metadata.dev(), metadata.ino()));
        if root.as_ref().is_ok_and(|root| Some(root) == self.root.as_ref()) {
            return Ok(false);
        }
        self.eyes.forget(self.tree.root());
        if root.is_err() {
            self.all_unknown();
        }
        self.all_dirty();
        self.is_unarmed = true;
        self.root = root.as_ref().ok().copied();
        root.map(|_| true)
    }

    fn all_unknown(&mut self) {
        for subscription in self.subscription.values_mut() {
            (subscription.dirty, subscription.known) = (DirtySet::all(), CachedView::default());
        }
    }

    fn all_dirty(&mut self) {
        for subscription in self.subscription.values_mut() {
            subscription.dirty.all = true;
        }
    }

    /// Takes up one thing seen. Tells whether directories may have come or gone.
    fn take(&mut self, event: FsEvent) -> bool {
        let (path, mut event) = match event {
            FsEvent::Overflow => {
                self.all_dirty();
                return true;
            }
            FsEvent::At(path, event) => (path, event),
            FsEvent::Mode(path) if tree::is_mode_news(&path) => (path, NodeEvent::Created),
            FsEvent::Mode(_) => return false,
        };
        // A link may have come or gone as well, and what was behind it.
        let is_folder =
            if event == NodeEvent::Deleted { self.eyes.forget(&path) } else { path.is_dir() || path.is_symlink() };
        if tree::is_own_data(&path) {
            event = NodeEvent::DataChanged;
        }
        if let Some(place) = self.tree.node_path(&path) {
            self.note(event, &place);
        }
        is_folder
    }

    /// Marks what an event at `place` may have changed. What comes or goes above a subject's top takes the top along.
    fn note(&mut self, event: NodeEvent, place: &str) {
        let node = NodePath::parse(place).ok();
        for (subject, Subscription { dirty, .. }) in &mut self.subscription {
            let above = node.as_ref().and_then(|node| node.segments_below(subject.top().as_str()));
            if above.is_some_and(|segments| !segments.is_empty()) {
                dirty.all |= event != NodeEvent::DataChanged;
            } else {
                dirty.record(subject, event, place);
            }
        }
    }

    /// Reads again what is behind links: events say nothing of it.
    fn poll_links(&mut self) {
        if self.polled.is_some_and(|polled| polled.elapsed() < LINKS_EVERY) {
            return;
        }
        self.polled = Some(Instant::now());
        for Subscription { dirty, linked, .. } in self.subscription.values_mut() {
            dirty.all |= linked.all;
            dirty.keys.extend(linked.keys.iter().cloned());
            dirty.members.extend(linked.members.iter().cloned());
        }
    }

    /// Watches every directory that matters and is not watched yet. What it holds may have changed before that.
    fn arm(&mut self) {
        loop {
            let mut new = Vec::new();
            for (subject, Subscription { linked, .. }) in &mut self.subscription {
                *linked = DirtySet::default();
                for directory in self.tree.directories(subject, linked) {
                    if self.eyes.watch(&directory) {
                        new.push(directory);
                    }
                }
            }
            if new.is_empty() {
                return;
            }
            for directory in new {
                if let Some(place) = self.tree.node_path(&directory) {
                    self.note(NodeEvent::Created, &place);
                }
            }
        }
    }
}
