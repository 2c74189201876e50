//! How recent a view of a path is, and whether it is older than an earlier one.
//!
//! An ensemble never forgets what it acknowledged, so the version of a path never falls. Where it does, the ensemble was
//! restored from a backup, another ensemble answers at the same name, or servers lost their disks.

use std::collections::BTreeMap;
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// The number of a ZooKeeper transaction: the order of everything that ever happened in one ensemble.
///
/// A higher epoch is a later one, so comparing the numbers gives the order ("ZooKeeper Internals", Guarantees).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Zxid(pub i64);

/// The version of each path of a subject: the zxid of the last change of its list of children (`pzxid`), or, for an
/// absent path, the zxid of the reply that said so.
///
/// The empty string stands for the path itself, or for the path above the keys of a keyed subject. The name of a key
/// stands for the path that holds its members. A registry without transactions gives no versions.
pub type Versions = BTreeMap<Arc<str>, Zxid>;

/// The version of the current view of one path, and the highest version seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VersionTracker {
    current: Option<Zxid>,
    highest: Option<Zxid>,
}

impl VersionTracker {
    /// A path without a view yet, whose highest version was saved by an earlier run.
    pub fn restored(highest: Option<Zxid>) -> Self {
        Self { current: None, highest }
    }

    /// Records the version of a new view, if the view has one.
    pub fn observe(&mut self, current: Option<Zxid>) {
        self.current = current;
        self.highest = self.highest.max(current);
    }

    /// Raises the highest version to that of `other`: the path of a key is not older than the path above it.
    pub fn raise(&mut self, other: Self) {
        self.highest = self.highest.max(other.highest);
    }

    /// The current and the highest version, if the current view is older than an earlier one.
    pub fn regression(self) -> Option<(Zxid, Zxid)> {
        self.current.zip(self.highest).filter(|(current, highest)| current < highest)
    }

    /// Accepts the current view, even an older one: later views are compared with it.
    pub fn accept(&mut self) {
        self.highest = self.current.or(self.highest);
    }

    /// The version of the current view, if it has one.
    pub fn current(self) -> Option<Zxid> {
        self.current
    }

    /// The version that the next view is compared with.
    pub fn highest(self) -> Option<Zxid> {
        self.highest
    }
}
