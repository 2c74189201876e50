//! What servers say of nodes beside their data, as it was when they were last read: by it one small answer shows
//! whether anything has changed. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::node_path::Subject;
use crate::model::registry_event::{Seen, View};
use crate::model::version::{Versions, Zxid};
use crate::watch::cache::{CachedView, Diff, ViewUpdate};
use crate::watch::dirty::MemberId;

use crate::zk::Stat;

/// More bytes of its own than this and a node is not read for what its children are.
const HEAVY: usize = 4096;

/// A node whose children are members or keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// How late its children are seen: see [`Versions`].
    pub stamp: Zxid,
    /// How many there are; `None` where it is not there.
    pub children: Option<usize>,
    /// Its own data is large.
    pub is_heavy: bool,
}

impl Parent {
    /// One that is there, with so many children that are subscription.
    pub fn present(stat: &Stat, children: usize) -> Self {
        Self { stamp: stat.pzxid, children: Some(children), is_heavy: stat.data_length > HEAVY }
    }

    /// One that is not there, by an answer of this moment.
    pub fn absent(stamp: Zxid) -> Self {
        Self { stamp, children: None, is_heavy: false }
    }
}

/// What a reading of a subject came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadResult {
    /// What it holds.
    pub reread: ViewUpdate,
    /// The nodes above, by key; the empty string for the one at the top.
    pub parents: Vec<(Arc<str>, Parent)>,
    /// The transactions that last changed the members' data.
    pub changed: Vec<(MemberId, Zxid)>,
}

/// What is known of one subject.
#[derive(Debug, Clone, Default)]
pub struct CachedSubject {
    /// Its content, as it was said.
    pub known: CachedView,
    parents: BTreeMap<Arc<str>, Parent>,
    /// By key and name.
    changed: BTreeMap<Option<Arc<str>>, BTreeMap<Arc<str>, Zxid>>,
    short: BTreeSet<Arc<str>>,
}

impl CachedSubject {
    /// Takes a reading up, and gives what is new in it with how late it is.
    pub fn take(&mut self, result: ReadResult) -> Option<(Diff, Versions)> {
        let ReadResult { reread, parents, changed } = result;
        self.forget(&reread);
        for (MemberId { key, name }, zxid) in changed {
            self.changed.entry(key).or_default().insert(name, zxid);
        }
        let told = self.known.apply(reread);
        let mut versions = Versions::new();
        for (key, mut parent) in parents {
            let is_whole = parent.children.is_none() || self.is_whole(&key, parent.children);
            if is_whole {
                self.short.remove(&key);
            } else {
                // More has happened there than was read yet: it is not seen as late as that.
                parent.stamp = self.parent(&key).map_or(parent.stamp, |known| known.stamp);
                self.short.insert(Arc::clone(&key));
            }
            versions.insert(Arc::clone(&key), parent.stamp);
            self.parents.insert(key, parent);
        }
        let told = told?;
        if matches!(told, Diff::Reset(_)) {
            versions = self.parents.iter().map(|(key, parent)| (Arc::clone(key), parent.stamp)).collect();
        }
        Some((told, versions))
    }

    /// What was marked at places that are read anew, or are gone, counts no more.
    fn forget(&mut self, reread: &ViewUpdate) {
        let ViewUpdate::Partial(patch) = reread else {
            self.parents.clear();
            self.changed.clear();
            self.short.clear();
            return;
        };
        for (key, _) in &patch.keys {
            self.parents.remove(key);
            self.short.remove(key);
            self.changed.remove(&Some(Arc::clone(key)));
        }
        for (MemberId { key, name }, _) in patch.members.iter().filter(|(_, reading)| reading.is_none()) {
            if let Some(names) = self.changed.get_mut(key) {
                names.remove(name);
            }
        }
    }

    /// The nodes above that had more or fewer children when they were last read than are known. Where nothing else is
    /// to be read any more, an event is missing, and they have to be listed again.
    pub fn take_short(&mut self) -> BTreeSet<Arc<str>> {
        std::mem::take(&mut self.short)
    }

    /// Takes up that the subject cannot be read: why.
    pub fn refused(&mut self, subject: &Subject, why: &str) -> Option<(Diff, Versions)> {
        let view = match subject {
            Subject::Members(_) => View::Members(Seen::Unreadable(why.into())),
            Subject::Keyed { .. } => View::Keyed(Seen::Unreadable(why.into())),
            Subject::Node(_) => View::Node(Seen::Unreadable(why.into())),
        };
        self.take(ReadResult { reread: ViewUpdate::Full(view), parents: Vec::new(), changed: Vec::new() })
    }

    /// The node above the members of a key, or above the keys.
    pub fn parent(&self, key: &str) -> Option<&Parent> {
        self.parents.get(key)
    }

    /// Whether the node above has these children and was as late as this when it was last read: then the names that are
    /// known are those that there are.
    pub fn is_same(&self, key: &str, parent: &Parent) -> bool {
        self.parent(key).is_some_and(|known| known.stamp == parent.stamp) && self.is_whole(key, parent.children)
    }

    /// Whether as many names are known as there are children.
    pub fn is_whole(&self, key: &str, children: Option<usize>) -> bool {
        let keys = || self.known.keys().filter(|_| key.is_empty()).map(BTreeMap::len);
        self.known.members(key).map(BTreeMap::len).or_else(keys) == children
    }

    /// Whether a member's data was last changed by this transaction when it was read.
    pub fn is_unchanged(&self, place: &MemberId, changed: Zxid) -> bool {
        self.changed.get(&place.key).and_then(|names| names.get(&place.name)) == Some(&changed)
    }
}
