//! The registry of a directory tree on the local disk.
//!
//! A file is a node, a folder is a node whose own data is in `.data`. Names that begin with a dot or end in `~` are no
//! nodes, and a file is read when it is closed after writing or renamed into place: editors and `touch` do as they
//! are used to. Only what is looked at is watched, one folder at a time, and always before it is read.
//!
//! Links lead to files anywhere, and to folders within the root. That a link comes, goes or is flipped is seen at once;
//! what changes behind it is read every second or two, because a folder with two names cannot be watched under both.

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

use super::cache::{Known, Told};
use super::dirty::{Dirty, Event};
use super::event_sender::EventSender;
use super::{Boxed, Node, RESYNC, Registry, Wanted, changed};

use inotify::{Glance, InotifyWatcher};
use tree::Tree;

mod budget;
mod inotify;
mod list;
#[cfg(test)]
mod tests;
mod tree;

/// How often the root is looked at by its name: no event says that another folder stands in its place.
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

    async fn run(&self, mut subjects: watch::Receiver<Wanted>, teller: EventSender, stop: CancellationToken) {
        loop {
            let why = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = teller.closed() => return,
                why = self.follow_on(&mut subjects, &teller) => why,
            };
            let pausing = async {
                teller.away(why).await;
                sleep(BROKEN_PAUSE).await;
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = teller.closed() => return,
                () = pausing => {}
            }
        }
    }

    /// Follows until something breaks that must not: what. All has to begin anew then.
    async fn follow_on(&self, subjects: &mut watch::Receiver<Wanted>, teller: &EventSender) -> String {
        let (glances, mut seen) = mpsc::unbounded_channel();
        let mut state = State::new(Tree::new(self.root.clone()), InotifyWatcher::open(glances));
        let mut resync = Instant::now() + RESYNC;
        loop {
            // Without inotify nobody speaks; with it, its thread has ended.
            if seen.is_closed() && !state.eyes.is_polling() {
                return format!("dir:{}: watching came to a sudden end, and begins anew", self.root.display());
            }
            let mut batch = Vec::new();
            while let Ok(glance) = seen.try_recv() {
                batch.push(glance);
            }
            let is_resync = Instant::now() >= resync;
            if is_resync {
                resync = Instant::now() + RESYNC.mul_f64(fastrand::f64().mul_add(0.2, 0.9));
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
                        teller.told(&subject, told).await;
                    }
                }
                Err(why) => teller.away(why).await,
            }
            let glance = tokio::select! {
                Some(glance) = seen.recv() => Some(glance),
                () = changed(subjects) => None,
                () = sleep(every) => None,
                () = sleep_until(resync) => None,
            };
            state.pending.extend(glance);
        }
    }
}

impl Registry for Directory {
    fn follow(
        self: Arc<Self>,
        subjects: watch::Receiver<Wanted>,
        out: mpsc::Sender<RegistryEvent>,
        stop: CancellationToken,
    ) -> Boxed<'static, ()> {
        Box::pin(async move {
            let teller = EventSender::new(Arc::clone(&self.name), out);
            self.run(subjects, teller, stop).await;
        })
    }

    fn look(&self, path: NodePath, recursive: bool) -> Boxed<'_, Result<Option<Node>, Setback>> {
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
    followed: BTreeMap<Subject, Followed>,
    /// The root's device and inode while it is there.
    root: Option<(u64, u64)>,
    /// Folders that matter may be unwatched.
    is_unarmed: bool,
    /// When what is behind links was last read.
    polled: Option<Instant>,
    /// Seen, and not taken up yet.
    pending: Vec<Glance>,
}

/// One subject.
#[derive(Debug)]
struct Followed {
    /// Its number in [`Wanted`].
    number: u64,
    dirty: Dirty,
    known: Known,
    /// What is behind links.
    linked: Dirty,
}

impl State {
    fn new(tree: Tree, eyes: InotifyWatcher) -> Self {
        let (followed, pending) = (BTreeMap::new(), Vec::new());
        Self { tree, eyes, followed, root: None, is_unarmed: true, polled: None, pending }
    }

    /// Takes up what was seen, and reads again what may have changed.
    ///
    /// # Errors
    /// The root is not there: why nothing is known.
    fn read(&mut self, wanted: &Wanted, batch: Vec<Glance>, is_resync: bool) -> Result<Vec<(Subject, Told)>, String> {
        self.followed.retain(|subject, followed| wanted.get(subject) == Some(&followed.number));
        self.check_root()?;
        for (subject, number) in wanted {
            self.followed.entry(subject.clone()).or_insert_with(|| {
                self.is_unarmed = true;
                let (dirty, known, linked) = (Dirty::whole(), Known::default(), Dirty::default());
                Followed { number: *number, dirty, known, linked }
            });
        }
        let pending = std::mem::take(&mut self.pending);
        for glance in pending.into_iter().chain(batch) {
            self.is_unarmed |= self.take(glance);
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
        for (subject, Followed { dirty, known, .. }) in &mut self.followed {
            known.widen(dirty);
            if dirty.is_clean() {
                continue;
            }
            let mut told = known.take(self.tree.reread(subject, &dirty.take()));
            if known.is_too_large() {
                told = known.take(self.tree.reread(subject, &Dirty::whole()));
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
        for followed in self.followed.values_mut() {
            (followed.dirty, followed.known) = (Dirty::whole(), Known::default());
        }
    }

    fn all_dirty(&mut self) {
        for followed in self.followed.values_mut() {
            followed.dirty.whole = true;
        }
    }

    /// Takes up one thing seen. Tells whether folders may have come or gone.
    fn take(&mut self, glance: Glance) -> bool {
        let (path, mut event) = match glance {
            Glance::Lost => {
                self.all_dirty();
                return true;
            }
            Glance::At(path, event) => (path, event),
            Glance::Mode(path) if tree::is_mode_news(&path) => (path, Event::Came),
            Glance::Mode(_) => return false,
        };
        // A link may have come or gone as well, and what was behind it.
        let is_folder = if event == Event::Went { self.eyes.forget(&path) } else { path.is_dir() || path.is_symlink() };
        if tree::is_own_data(&path) {
            event = Event::Data;
        }
        if let Some(place) = self.tree.node_path(&path) {
            self.note(event, &place);
        }
        is_folder
    }

    /// Marks what an event at `place` may have changed. What comes or goes above a subject's top takes the top along.
    fn note(&mut self, event: Event, place: &str) {
        let node = NodePath::parse(place).ok();
        for (subject, Followed { dirty, .. }) in &mut self.followed {
            let above = node.as_ref().and_then(|node| node.segments_below(subject.top().as_str()));
            if above.is_some_and(|segments| !segments.is_empty()) {
                dirty.whole |= event != Event::Data;
            } else {
                dirty.note(subject, event, place);
            }
        }
    }

    /// Reads again what is behind links: events say nothing of it.
    fn poll_links(&mut self) {
        if self.polled.is_some_and(|polled| polled.elapsed() < LINKS_EVERY) {
            return;
        }
        self.polled = Some(Instant::now());
        for Followed { dirty, linked, .. } in self.followed.values_mut() {
            dirty.whole |= linked.whole;
            dirty.keys.extend(linked.keys.iter().cloned());
            dirty.members.extend(linked.members.iter().cloned());
        }
    }

    /// Watches every folder that matters and is not watched yet. What it holds may have changed before that.
    fn arm(&mut self) {
        loop {
            let mut new = Vec::new();
            for (subject, Followed { linked, .. }) in &mut self.followed {
                *linked = Dirty::default();
                for folder in self.tree.folders(subject, linked) {
                    if self.eyes.watch(&folder) {
                        new.push(folder);
                    }
                }
            }
            if new.is_empty() {
                return;
            }
            for folder in new {
                if let Some(place) = self.tree.node_path(&folder) {
                    self.note(Event::Came, &place);
                }
            }
        }
    }
}
