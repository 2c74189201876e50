//! Live state in: a [`Registry`] turns what it follows into a stream of [`Sighting`]s.
//!
//! A registry states facts. It never decides whether a view is good enough, and it never says less than it knows:
//! a path it could not read whole is [`Seen::Unreadable`](crate::sighting::Seen), a registry it cannot reach is
//! [`News::Away`](crate::sighting::News), and neither is ever an empty list.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::error::Setback;
use crate::node::{NodePath, Subject};
use crate::sighting::{Reading, Sighting};

/// A boxed future, so that registries of both kinds stand behind one trait object.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where live state is: a ZooKeeper ensemble, or a directory tree of the same shape.
pub trait Registry: Send + Sync + 'static {
    /// Follows subjects until `stop`, then closes the session and returns.
    ///
    /// For each subject the first news is a `Reset`. A subject that is taken out of `subjects` is followed no more;
    /// one that stays keeps its session and its watch. While the registry is not reached it says `Away` once a
    /// minute at most, tries for ever, and begins anew with `Reset`s. Dropping the receiver of `out` ends it too.
    fn follow(
        self: Arc<Self>,
        subjects: watch::Receiver<BTreeSet<Subject>>,
        out: mpsc::Sender<Sighting>,
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
