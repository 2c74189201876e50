//! Live state: a [`Registry`] turns the subjects it follows into a stream of [`RegistryEvent`]s.
//!
//! A registry reports facts and never judges whether a view is good enough. A path that cannot be read completely is
//! [`Seen::Unreadable`](crate::model::registry_event::Seen). A registry that cannot be reached is
//! [`Update::Unreachable`](crate::model::registry_event::Update). Neither is ever an empty list.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::config::{RegistryConfig, RegistryUrl};
use crate::error::Setback;
use crate::model::node_path::{NodePath, Subject};
use crate::model::registry_event::{Reading, RegistryEvent, View};
use crate::zk::Connection;

mod cache;
pub mod directory;
mod dirty;
mod event_sender;
mod jones;
pub mod lock;
pub mod own_nodes;
pub mod registries;
pub mod saved;
pub mod session_counters;
#[cfg(test)]
mod tests;
pub mod web;
pub mod zookeeper;

pub use directory::Directory;
use jones::Jones;
use own_nodes::OwnNodes;
use session_counters::SessionCounters;
pub use web::Web;
pub use zookeeper::ZooKeeper;

/// The most nodes in one subject. A subject with more is unreadable, which bounds the memory that a runaway writer can
/// cost. The limit of nodes that a roster accepts is lower and belongs to `decide/`.
pub(crate) const MAX_SUBJECT_NODES: usize = 100_000;

/// The most bytes of data in one node, and in all members of one path.
pub(crate) const MAX_PATH_BYTES: usize = 16 * 1024 * 1024;

/// The most bytes of data in all keys of a subject. It is larger than the limit of one path, so that a single key that
/// is too large leaves the others readable; `decide/` holds that key.
pub(crate) const MAX_KEYED_BYTES: usize = 4 * MAX_PATH_BYTES;

/// How often every subject is read again without an event: no event comes for a node that the session may not read.
/// Each interval is jittered by a tenth, so that agents do not ask at the same time.
pub(crate) const RESYNC_INTERVAL: Duration = Duration::from_mins(5);

/// A boxed future: it makes [`Registry`] usable as a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The subjects to follow. The number of a subject changes when the subject was removed and added again: it is reported
/// from the start then, however short the time between.
pub type Subjects = BTreeMap<Subject, u64>;

/// How a registry may use the state directory, where it saves the servers that it learned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum StateAccess {
    /// Not at all.
    #[default]
    None,
    /// It reads this directory and changes nothing in it.
    ReadOnly(PathBuf),
    /// It reads this directory and updates it.
    ReadWrite(PathBuf),
}

/// Returns when the subjects changed; never, if the sender is gone.
async fn changed(subjects: &mut watch::Receiver<Subjects>) {
    if subjects.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// A source of live state: a ZooKeeper ensemble, or a directory tree or a web object of the same shape.
pub trait Registry: Send + Sync + 'static {
    /// Follows subjects until `stop`, then closes the session and returns.
    ///
    /// The first update of each subject is a `Reset`. A subject that is removed from `subjects` is no longer followed;
    /// one that stays keeps its session and its watch. While the registry cannot be reached, it reports `Unreachable`
    /// at most once a minute, retries without end, and then starts again with a `Reset` of each subject. Dropping the
    /// receiver of `out` ends it too.
    fn follow(
        self: Arc<Self>,
        subjects: watch::Receiver<Subjects>,
        out: mpsc::Sender<RegistryEvent>,
        stop: CancellationToken,
    ) -> BoxFuture<'static, ()>;

    /// Reads the node at `path` and its children, with all descendants if `recursive`; `None` if it does not exist.
    /// Dropping the future cancels the read.
    ///
    /// # Errors
    /// The registry cannot be reached, or refuses: what was tried, and why it failed.
    fn read(&self, path: NodePath, recursive: bool) -> BoxFuture<'_, Result<Option<Node>, Setback>>;
}

/// A node as `ls` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The node itself.
    pub reading: Reading,
    /// Its children by name, sorted bytewise, or why they cannot be listed. Descendants of children are present only
    /// after a recursive read.
    pub children: Result<Vec<(String, Node)>, Arc<str>>,
}

/// The session of a registry, in which nodes can be registered.
#[derive(Debug, Clone)]
pub struct Link {
    /// The current connection.
    pub connection: watch::Receiver<Option<Connection>>,
    /// Records which of the registered nodes were changed.
    pub own_nodes: Arc<OwnNodes>,
    /// When the registry is no longer followed, its session is left alive.
    pub keeps_session: Arc<AtomicBool>,
    /// What the session has done.
    pub counters: Arc<SessionCounters>,
}

/// The registry of a configuration, with its session. With `continues`, that is the one that an earlier process saved.
pub fn open_with_session(
    config: &RegistryConfig,
    state: &StateAccess,
    continues: bool,
) -> (Arc<dyn Registry>, Option<Link>) {
    match &config.url {
        RegistryUrl::ZooKeeper { .. } => {
            let registry = ZooKeeper::new(config.clone(), state.clone());
            let registry = if continues { registry.continuing_session() } else { registry };
            let link = registry.link();
            (Jones::wrap(Arc::new(registry)), Some(link))
        }
        RegistryUrl::Directory(_) | RegistryUrl::Web(_) => (open(config, state), None),
    }
}

/// The registry of a configuration. It contacts nothing before it is followed or read.
pub fn open(config: &RegistryConfig, state: &StateAccess) -> Arc<dyn Registry> {
    Jones::wrap(match &config.url {
        RegistryUrl::ZooKeeper { .. } => Arc::new(ZooKeeper::new(config.clone(), state.clone())),
        RegistryUrl::Directory(root) => Arc::new(Directory::new(Arc::clone(&config.name), root.clone())),
        RegistryUrl::Web(url) => Arc::new(Web::new(config.clone(), url.clone())),
    })
}

/// The view of a [`Subject::Mapped`] by a registry that does not follow any: [`Jones`] follows its nodes instead.
fn mapped_view(subject: &Subject) -> View {
    View::unreadable(subject, "this registry does not follow what hosts are mapped to".into())
}
