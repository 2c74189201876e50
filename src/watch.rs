//! Live state in: a [`Registry`] turns what it follows into a stream of [`RegistryEvent`]s.
//!
//! A registry states facts. It never decides whether a view is good enough, and it never says less than it knows:
//! a path it could not read whole is [`Seen::Unreadable`](crate::model::registry_event::Seen), a registry it cannot reach is
//! [`News::Away`](crate::model::registry_event::News), and neither is ever an empty list.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::config::{RegistryConfig, RegistryUrl};
use crate::error::Setback;
use crate::model::node_path::{NodePath, Subject};
use crate::model::registry_event::{Reading, RegistryEvent};

mod cache;
pub mod directory;
pub mod dirty;
mod event_sender;
pub mod registries;
#[cfg(test)]
mod tests;
pub mod zookeeper;

pub use directory::Directory;
pub use zookeeper::ZooKeeper;

/// The most nodes that one subject may have. More is unreadable, so that a runaway writer costs no memory here.
pub(crate) const MAX_NODES: usize = 100_000;

/// The most bytes of data that one node, or the members of one path, may have in all.
pub(crate) const MAX_BYTES: usize = 16 * 1024 * 1024;

/// The most bytes of data that all keys of a subject may have together: one that is too large by itself, which is for
/// `decide/` to hold, leaves the others readable.
pub(crate) const MAX_KEYED_BYTES: usize = 4 * MAX_BYTES;

/// How often every subject is read again although nothing was heard of it: no event comes for a node that the session
/// may not read. The moment is jittered by a tenth, so that agents do not ask all at once.
pub(crate) const RESYNC: Duration = Duration::from_mins(5);

/// A boxed future, so that registries of both kinds stand behind one trait object.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a registry is to follow. The number of a subject changes when it was taken out and put in again: it is told
/// anew then, however short the time between.
pub type Wanted = BTreeMap<Subject, u64>;

/// Where a registry keeps what it has learnt of itself, for the next start: the state directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Keep {
    /// Nowhere.
    #[default]
    Nothing,
    /// What is there is used, and left as it is.
    Read(PathBuf),
    /// What is there is used and kept up to date.
    Write(PathBuf),
}

/// Returns when the subjects changed; never, once nobody can change them.
async fn changed(subjects: &mut watch::Receiver<Wanted>) {
    if subjects.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Where live state is: a ZooKeeper ensemble, or a directory tree of the same shape.
pub trait Registry: Send + Sync + 'static {
    /// Follows subjects until `stop`, then closes the session and returns.
    ///
    /// For each subject the first news is a `Reset`. A subject that is taken out of `subjects` is followed no more;
    /// one that stays keeps its session and its watch. While the registry is not reached it says `Away` once a
    /// minute at most, tries for ever, and begins anew with `Reset`s. Dropping the receiver of `out` ends it too.
    fn follow(
        self: Arc<Self>,
        subjects: watch::Receiver<Wanted>,
        out: mpsc::Sender<RegistryEvent>,
        stop: CancellationToken,
    ) -> Boxed<'static, ()>;

    /// Reads the node at `path` and its children, with the children's own when `recursive`; `None` when it is absent.
    ///
    /// # Errors
    /// The registry was not reached, or refused: what was tried, and why. The caller gives up by dropping the future.
    fn look(&self, path: NodePath, recursive: bool) -> Boxed<'_, Result<Option<Node>, Setback>>;
}

/// A node as `ls` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its own data.
    pub data: Reading,
    /// Its children by name, sorted bytewise; `Err` where they could not be listed. Deeper ones only when asked for.
    pub children: Result<Vec<(String, Node)>, Arc<str>>,
}

/// The registry that a configuration names. Nothing is contacted before it is followed or looked at.
pub fn open(config: &RegistryConfig, keep: &Keep) -> Arc<dyn Registry> {
    match &config.url {
        RegistryUrl::ZooKeeper { .. } => Arc::new(ZooKeeper::new(config.clone(), keep.clone())),
        RegistryUrl::Directory(root) => Arc::new(Directory::new(Arc::clone(&config.name), root.clone())),
    }
}
