//! The view of a subject as last sent, and how newer data differs from it. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::registry_event::{Change, Members, Reading, Seen, View};

use super::dirty::{DirtySet, MemberId};
use super::{MAX_KEYED_BYTES, MAX_PATH_BYTES, MAX_SUBJECT_NODES};

#[cfg(test)]
mod tests;

/// How a subject differs from what was last sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Diff {
    /// Send the complete view.
    Reset(View),
    /// Send these changes.
    Changes(Vec<Change>),
}

/// Parts of a subject that were read again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    /// Members; `None` if the node does not exist.
    pub members: Vec<(MemberId, Option<Reading>)>,
    /// Keys; `None` if the key does not exist.
    pub keys: Vec<(Arc<str>, Option<Seen<Members>>)>,
}

/// What was read of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewUpdate {
    /// All of it.
    Full(View),
    /// Parts of it.
    Partial(Patch),
}

/// The view of one subject as last read, and whether it was sent. Empty before the first read.
#[derive(Debug, Clone, Default)]
pub struct CachedView {
    view: Option<View>,
    /// The receiver has this view, and may still rely on it.
    is_sent: bool,
}

impl CachedView {
    /// Widens a dirty set to what can be applied to this view: a part of something absent or unreadable is meaningless
    /// alone.
    pub fn widen(&self, dirty: &mut DirtySet) {
        match &self.view {
            Some(View::Members(Seen::Present(_))) => {}
            Some(View::Keyed(Seen::Present(keys))) => {
                let is_known = |key: &Arc<str>| matches!(keys.get(key), Some(Seen::Present(_)));
                let of_members = dirty.members.iter().filter_map(|member| member.key.as_ref());
                let lists = dirty.lists.iter().filter(|key| !key.is_empty());
                let unknown: Vec<Arc<str>> = of_members.chain(lists).filter(|key| !is_known(key)).cloned().collect();
                dirty.keys.extend(unknown);
            }
            _ => dirty.all |= !dirty.is_empty(),
        }
        if dirty.all {
            *dirty = DirtySet::all();
        }
        let keys = &dirty.keys;
        dirty.lists.retain(|key| !keys.contains(key));
        dirty.members.retain(|member| member.key.as_ref().is_none_or(|key| !keys.contains(key)));
    }

    /// What has to be read to find every name that was added or removed.
    pub fn all_lists(&self) -> DirtySet {
        let mut dirty = DirtySet::default();
        match &self.view {
            Some(View::Members(Seen::Present(_))) => {
                dirty.lists.insert(Arc::from(""));
            }
            Some(View::Keyed(Seen::Present(keys))) => {
                dirty.lists.extend(std::iter::once(Arc::from("")).chain(keys.keys().cloned()));
            }
            _ => dirty.all = true,
        }
        self.widen(&mut dirty);
        dirty
    }

    /// The view, if there is one.
    pub fn view(&self) -> Option<&View> {
        self.view.as_ref()
    }

    /// The members of a key, or of the path itself for the empty string; `None` if they are not known.
    pub fn members(&self, key: &str) -> Option<&Members> {
        match &self.view {
            Some(View::Members(Seen::Present(members))) if key.is_empty() => Some(members),
            Some(View::Keyed(Seen::Present(keys))) => match keys.get(key) {
                Some(Seen::Present(members)) => Some(members),
                _ => None,
            },
            _ => None,
        }
    }

    /// The keys; `None` if they are not known, or the subject has none.
    pub fn keys(&self) -> Option<&BTreeMap<Arc<str>, Seen<Members>>> {
        match &self.view {
            Some(View::Keyed(Seen::Present(keys))) => Some(keys),
            _ => None,
        }
    }

    /// Marks the view as not sent: the next update is sent as a `Reset`.
    pub fn mark_unsent(&mut self) {
        self.is_sent = false;
    }

    /// Whether the subject could not be read last time. It is read less often then.
    pub fn is_unreadable(&self) -> bool {
        matches!(
            self.view,
            Some(
                View::Members(Seen::Unreadable(_)) | View::Keyed(Seen::Unreadable(_)) | View::Node(Seen::Unreadable(_))
            )
        )
    }

    /// Applies what was read, and returns what to send.
    pub fn apply(&mut self, update: ViewUpdate) -> Option<Diff> {
        let diff = match update {
            ViewUpdate::Full(view) => {
                let diff = self.view.as_ref().and_then(|old| diff_views(old, &view));
                self.view = Some(view);
                diff
            }
            ViewUpdate::Partial(patch) => {
                let changes = self.patch(patch);
                (!changes.is_empty()).then_some(Diff::Changes(changes))
            }
        };
        if self.is_sent {
            return diff;
        }
        self.is_sent = self.view.is_some();
        self.view.clone().map(Diff::Reset)
    }

    /// Whether the view exceeds the limits of a subject. A full read then reports it as unreadable.
    pub fn is_too_large(&self) -> bool {
        fn size<'a>(groups: impl Iterator<Item = &'a Members>) -> (usize, usize) {
            groups.fold((0, 0), |(nodes, bytes), members| {
                let data: usize =
                    members.values().map(|reading| reading.as_ref().map_or(0, |node| node.data.len())).sum();
                (nodes + members.len(), bytes + data)
            })
        }
        let ((nodes, bytes), max_bytes) = match &self.view {
            Some(View::Members(Seen::Present(members))) => (size(std::iter::once(members)), MAX_PATH_BYTES),
            Some(View::Keyed(Seen::Present(keys))) => {
                let members = keys.values().filter_map(|seen| match seen {
                    Seen::Present(members) => Some(members),
                    Seen::Absent | Seen::Unreadable(_) => None,
                });
                (size(members), MAX_KEYED_BYTES)
            }
            _ => return false,
        };
        nodes > MAX_SUBJECT_NODES || bytes > max_bytes
    }

    fn patch(&mut self, patch: Patch) -> Vec<Change> {
        let mut changes = Vec::new();
        match &mut self.view {
            Some(View::Members(Seen::Present(members))) => {
                for (member, reading) in patch.members {
                    changes.extend(put(members, member, reading));
                }
            }
            Some(View::Keyed(Seen::Present(keys))) => {
                for (key, seen) in patch.keys {
                    changes.extend(put_key(keys, key, seen));
                }
                for (member, reading) in patch.members {
                    if let Some(Seen::Present(members)) = member.key.as_ref().and_then(|key| keys.get_mut(key)) {
                        changes.extend(put(members, member, reading));
                    }
                }
            }
            _ => {}
        }
        changes
    }
}

/// Sets or removes one member.
fn put(members: &mut Members, member: MemberId, reading: Option<Reading>) -> Option<Change> {
    let MemberId { key, name } = member;
    match reading {
        None => members.remove(&name).map(|_| Change::Removed { key, name }),
        Some(reading) if members.get(&name) == Some(&reading) => None,
        Some(reading) => {
            members.insert(Arc::clone(&name), reading.clone());
            Some(Change::Put { key, name, reading })
        }
    }
}

/// Sets or removes one key.
fn put_key(keys: &mut BTreeMap<Arc<str>, Seen<Members>>, key: Arc<str>, seen: Option<Seen<Members>>) -> Vec<Change> {
    let Some(new) = seen else {
        return keys.remove(&key).map(|_| Change::KeyRemoved { key }).into_iter().collect();
    };
    let changes = key_changes(&key, keys.get(&key), &new);
    keys.insert(key, new);
    changes
}

fn key_changes(key: &Arc<str>, old: Option<&Seen<Members>>, new: &Seen<Members>) -> Vec<Change> {
    match (old, new) {
        (Some(old), new) if old == new => Vec::new(),
        (Some(Seen::Present(old)), Seen::Present(new)) => member_changes(Some(key), old, new),
        _ => vec![Change::KeyPut { key: Arc::clone(key), members: new.clone() }],
    }
}

fn member_changes(key: Option<&Arc<str>>, old: &Members, new: &Members) -> Vec<Change> {
    let removed = old.keys().filter(|name| !new.contains_key(*name));
    let put = new.iter().filter(|(name, reading)| old.get(*name) != Some(*reading));
    removed
        .map(|name| Change::Removed { key: key.cloned(), name: Arc::clone(name) })
        .chain(put.map(|(name, reading)| Change::Put {
            key: key.cloned(),
            name: Arc::clone(name),
            reading: reading.clone(),
        }))
        .collect()
}

/// The changes between two views; a `Reset` if they differ in more than members and keys.
fn diff_views(old: &View, new: &View) -> Option<Diff> {
    if old == new {
        return None;
    }
    match (old, new) {
        (View::Members(Seen::Present(old)), View::Members(Seen::Present(new))) => {
            Some(Diff::Changes(member_changes(None, old, new)))
        }
        (View::Keyed(Seen::Present(old)), View::Keyed(Seen::Present(new))) => {
            let removed = old.keys().filter(|key| !new.contains_key(*key));
            let removed = removed.map(|key| Change::KeyRemoved { key: Arc::clone(key) });
            let put = new.iter().flat_map(|(key, seen)| key_changes(key, old.get(key), seen));
            Some(Diff::Changes(removed.chain(put).collect()))
        }
        _ => Some(Diff::Reset(new.clone())),
    }
}
