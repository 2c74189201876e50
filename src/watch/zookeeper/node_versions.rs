//! The node versions of a subject as last read. Comparing them with the server's shows whether anything changed,
//! without reading the data again. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::node_path::Subject;
use crate::model::registry_event::View;
use crate::model::version::{Versions, Zxid};
use crate::watch::cache::{CachedView, Diff, ViewUpdate};
use crate::watch::dirty::MemberId;
use crate::zk::Stat;

/// A parent with more bytes of data than this is not read just for its stat.
const LARGE_DATA: usize = 4096;

/// A node whose children are members or keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// How recent the list of its children is: see [`Versions`].
    pub version: Zxid,
    /// How often that list has changed.
    pub changes: i32,
    /// The number of its children; `None` if it does not exist.
    pub children: Option<usize>,
    /// Its own data is large.
    pub has_large_data: bool,
    /// The last version of the list whose names are known without doubt, and how many of its changes are known.
    pub names: Option<(Zxid, i32)>,
}

impl Parent {
    /// An existing node with this many followed children, which were not listed.
    pub fn present(stat: &Stat, children: usize) -> Self {
        Self {
            version: stat.pzxid,
            changes: stat.cversion,
            children: Some(children),
            has_large_data: stat.data_length > LARGE_DATA,
            names: None,
        }
    }

    /// An existing node of which this many followed children were listed.
    pub fn listed(stat: &Stat, children: usize) -> Self {
        Self { names: Some((stat.pzxid, stat.cversion)), ..Self::present(stat, children) }
    }

    /// A node that does not exist, according to a reply of this version.
    pub fn absent(version: Zxid) -> Self {
        Self { version, changes: 0, children: None, has_large_data: false, names: None }
    }
}

/// The result of reading a subject or parts of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadResult {
    /// The content.
    pub update: ViewUpdate,
    /// The parents that were read, by key; the empty string is the one at the top.
    pub parents: Vec<(Arc<str>, Parent)>,
    /// For each member read, the transaction that last changed it.
    pub changed: Vec<(MemberId, Zxid)>,
    /// How many children of the top are not keys; `None` if they were not listed.
    pub other_children: Option<usize>,
}

/// The content and the node versions of one subject.
#[derive(Debug, Clone, Default)]
pub struct CachedSubject {
    /// The content.
    pub view: CachedView,
    parents: BTreeMap<Arc<str>, Parent>,
    /// The last change of each member, by key and name.
    changed: BTreeMap<Option<Arc<str>>, BTreeMap<Arc<str>, Zxid>>,
    /// Parents whose number of children differs from the number of known names.
    incomplete: BTreeSet<Arc<str>>,
    /// How many children of the top were not keys when they were last listed.
    other_children: usize,
}

impl CachedSubject {
    /// Applies what was read, and returns what to send with its versions.
    pub fn apply(&mut self, result: ReadResult) -> Option<(Diff, Versions)> {
        let ReadResult { update, parents, changed, other_children } = result;
        self.other_children = other_children.unwrap_or(self.other_children);
        let differences = self.count_differences(&update);
        self.forget_replaced(&update);
        for (MemberId { key, name }, zxid) in changed {
            self.changed.entry(key).or_default().insert(name, zxid);
        }
        let diff = self.view.apply(update);
        let mut versions = Versions::new();
        for (key, mut parent) in parents {
            parent.names = parent.names.or_else(|| self.known_names(&key, &parent, &differences));
            if parent.children.is_none() || self.is_complete(&key, parent.children) {
                self.incomplete.remove(&key);
            } else {
                // The node changed after its names were read, so the view is older than the node.
                parent.version = self.parent(&key).map_or(parent.version, |known| known.version);
                self.incomplete.insert(Arc::clone(&key));
            }
            versions.insert(Arc::clone(&key), parent.version);
            self.parents.insert(key, parent);
        }
        let diff = diff?;
        if matches!(diff, Diff::Reset(_)) {
            versions = self.parents.iter().map(|(key, parent)| (Arc::clone(key), parent.version)).collect();
        }
        Some((diff, versions))
    }

    /// How many names an update adds to each list or removes from it.
    fn count_differences(&self, update: &ViewUpdate) -> BTreeMap<Arc<str>, i32> {
        let mut differences = BTreeMap::new();
        if let ViewUpdate::Partial(patch) = update {
            for (MemberId { key, name }, reading) in &patch.members {
                let key = key.clone().unwrap_or_default();
                let is_known = self.view.members(&key).is_some_and(|members| members.contains_key(name));
                *differences.entry(key).or_default() += i32::from(is_known != reading.is_some());
            }
            for (key, seen) in &patch.keys {
                let is_known = self.view.keys().is_some_and(|keys| keys.contains_key(key));
                *differences.entry(Arc::default()).or_default() += i32::from(is_known != seen.is_some());
            }
        }
        differences
    }

    /// The version of the names of a list that was not read. If the list changed as often as the known names, every
    /// change is known. Otherwise there are changes of which no event came, or not yet.
    fn known_names(&self, key: &str, parent: &Parent, differences: &BTreeMap<Arc<str>, i32>) -> Option<(Zxid, i32)> {
        let (zxid, changes) = self.parent(key)?.names?;
        let changes = changes.wrapping_add(differences.get(key).copied().unwrap_or(0));
        Some((if changes == parent.changes { parent.version } else { zxid }, changes))
    }

    /// Drops the versions of everything that the update replaces or removes.
    fn forget_replaced(&mut self, update: &ViewUpdate) {
        let ViewUpdate::Partial(patch) = update else {
            self.parents.clear();
            self.changed.clear();
            self.incomplete.clear();
            return;
        };
        for (key, _) in &patch.keys {
            self.parents.remove(key);
            self.incomplete.remove(key);
            self.changed.remove(&Some(Arc::clone(key)));
        }
        for (MemberId { key, name }, _) in patch.members.iter().filter(|(_, reading)| reading.is_none()) {
            if let Some(names) = self.changed.get_mut(key) {
                names.remove(name);
            }
        }
    }

    /// The parents that had more or fewer children when last read than there are known names. If nothing else is dirty,
    /// an event is missing, and these have to be listed again.
    pub fn take_incomplete(&mut self) -> BTreeSet<Arc<str>> {
        std::mem::take(&mut self.incomplete)
    }

    /// Records that the subject cannot be read, and returns what to send.
    pub fn set_unreadable(&mut self, subject: &Subject, reason: &str) -> Option<(Diff, Versions)> {
        let update = ViewUpdate::Full(View::unreadable(subject, reason.into()));
        self.apply(ReadResult { update, parents: Vec::new(), changed: Vec::new(), other_children: None })
    }

    /// The parent of a key's members; for the empty string the one at the top.
    pub fn parent(&self, key: &str) -> Option<&Parent> {
        self.parents.get(key)
    }

    /// Whether a parent is as it was when last read. Then the known names are the names of its children.
    pub fn is_same(&self, key: &str, parent: &Parent) -> bool {
        self.names_version(key) == Some(parent.version) && self.is_complete(key, parent.children)
    }

    /// The last version of a list whose names are known without doubt; `None` if its parent is not known to exist.
    pub fn names_version(&self, key: &str) -> Option<Zxid> {
        let parent = self.parent(key).filter(|parent| parent.children.is_some())?;
        Some(parent.names.map_or(Zxid::default(), |(zxid, _)| zxid))
    }

    /// Whether as many names are known as the parent has children. Those that are not keys are known only by number: if
    /// one came or went since, the children are listed once more.
    fn is_complete(&self, key: &str, children: Option<usize>) -> bool {
        let keys = || self.view.keys().filter(|_| key.is_empty()).map(|keys| keys.len() + self.other_children);
        self.view.members(key).map(BTreeMap::len).or_else(keys) == children
    }

    /// Whether this transaction was the last one to change a member when it was read.
    pub fn is_unchanged(&self, member: &MemberId, changed: Zxid) -> bool {
        self.changed.get(&member.key).and_then(|names| names.get(&member.name)) == Some(&changed)
    }
}
