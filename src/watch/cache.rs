//! What was last said of a subject, and how a new reading differs from it. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::registry_event::{Change, Members, Reading, Seen, View};

use super::dirty::{Dirty, Place};
use super::{MAX_BYTES, MAX_KEYED_BYTES, MAX_NODES};

#[cfg(test)]
mod tests;

/// What to say of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The whole of it.
    Reset(View),
    /// What changed.
    Update(Vec<Change>),
}

/// Some places of a subject, read again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    /// Members; `None` where the node is not there.
    pub members: Vec<(Place, Option<Reading>)>,
    /// Keys; `None` where the key is not there.
    pub keys: Vec<(Arc<str>, Option<Seen<Members>>)>,
}

/// What was read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reread {
    /// All of it.
    Content(View),
    /// Some of it.
    Some(Patch),
}

/// What was last read of one subject, and whether it was said; nothing at first.
#[derive(Debug, Clone, Default)]
pub struct Known {
    view: Option<View>,
    /// Whoever listens has been told the view, and still believes it.
    is_said: bool,
}

impl Known {
    /// Widens what is to be read to what can be made use of: a place within something that is not there, or was not
    /// readable, says nothing by itself.
    pub fn widen(&self, dirty: &mut Dirty) {
        match &self.view {
            Some(View::Members(Seen::Present(_))) => {}
            Some(View::Keyed(Seen::Present(keys))) => {
                let lost =
                    |place: &Place| place.key.clone().filter(|key| !matches!(keys.get(key), Some(Seen::Present(_))));
                dirty.keys.extend(dirty.members.iter().filter_map(lost));
                let lost = |key: &&Arc<str>| !key.is_empty() && !matches!(keys.get(*key), Some(Seen::Present(_)));
                dirty.keys.extend(dirty.lists.iter().filter(lost).cloned());
            }
            _ => dirty.whole |= !dirty.is_clean(),
        }
        if dirty.whole {
            *dirty = Dirty::whole();
        }
        let keys = &dirty.keys;
        dirty.lists.retain(|key| !keys.contains(key));
        dirty.members.retain(|place| place.key.as_ref().is_none_or(|key| !keys.contains(key)));
    }

    /// What has to be read so that no name is missed and none is kept that is gone.
    pub fn lists(&self) -> Dirty {
        let mut dirty = Dirty::default();
        match &self.view {
            Some(View::Members(Seen::Present(_))) => {
                dirty.lists.insert(Arc::from(""));
            }
            Some(View::Keyed(Seen::Present(keys))) => {
                dirty.lists.extend(std::iter::once(Arc::from("")).chain(keys.keys().cloned()));
            }
            _ => dirty.whole = true,
        }
        self.widen(&mut dirty);
        dirty
    }

    /// The view.
    pub fn view(&self) -> Option<&View> {
        self.view.as_ref()
    }

    /// The members under one key, or under the path itself where that is the empty string; `None` where they are not
    /// known.
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

    /// The keys; `None` where they are not known, or there can be none.
    pub fn keys(&self) -> Option<&BTreeMap<Arc<str>, Seen<Members>>> {
        match &self.view {
            Some(View::Keyed(Seen::Present(keys))) => Some(keys),
            _ => None,
        }
    }

    /// Nobody believes any more what was said: all of it is said again with the next reading.
    pub fn unsay(&mut self) {
        self.is_said = false;
    }

    /// Whether the last reading of it failed. It is not tried again as quickly.
    pub fn is_unreadable(&self) -> bool {
        matches!(
            self.view,
            Some(
                View::Members(Seen::Unreadable(_)) | View::Keyed(Seen::Unreadable(_)) | View::Node(Seen::Unreadable(_))
            )
        )
    }

    /// Takes a reading up, and gives what is new in it.
    pub fn take(&mut self, reread: Reread) -> Option<Told> {
        let told = match reread {
            Reread::Content(view) => {
                let told = self.view.as_ref().and_then(|old| differ(old, &view));
                self.view = Some(view);
                told
            }
            Reread::Some(patch) => {
                let changes = self.patch(patch);
                (!changes.is_empty()).then_some(Told::Update(changes))
            }
        };
        if self.is_said {
            return told;
        }
        self.is_said = self.view.is_some();
        self.view.clone().map(Told::Reset)
    }

    /// Whether it has grown over what a subject may have, so that all of it has to be read to say so.
    pub fn is_too_large(&self) -> bool {
        fn size<'a>(groups: impl Iterator<Item = &'a Members>) -> (usize, usize) {
            groups.fold((0, 0), |(nodes, bytes), members| {
                let data: usize = members.values().map(|reading| reading.as_ref().map_or(0, |data| data.len())).sum();
                (nodes + members.len(), bytes + data)
            })
        }
        let ((nodes, bytes), most) = match &self.view {
            Some(View::Members(Seen::Present(members))) => (size(std::iter::once(members)), MAX_BYTES),
            Some(View::Keyed(Seen::Present(keys))) => {
                let members = keys.values().filter_map(|seen| match seen {
                    Seen::Present(members) => Some(members),
                    Seen::Absent | Seen::Unreadable(_) => None,
                });
                (size(members), MAX_KEYED_BYTES)
            }
            _ => return false,
        };
        nodes > MAX_NODES || bytes > most
    }

    fn patch(&mut self, patch: Patch) -> Vec<Change> {
        let mut changes = Vec::new();
        match &mut self.view {
            Some(View::Members(Seen::Present(members))) => {
                for (place, reading) in patch.members {
                    changes.extend(put(members, place, reading));
                }
            }
            Some(View::Keyed(Seen::Present(keys))) => {
                for (key, seen) in patch.keys {
                    changes.extend(put_key(keys, key, seen));
                }
                for (place, reading) in patch.members {
                    if let Some(Seen::Present(members)) = place.key.as_ref().and_then(|key| keys.get_mut(key)) {
                        changes.extend(put(members, place, reading));
                    }
                }
            }
            _ => {}
        }
        changes
    }
}

/// Puts one member in its place.
fn put(members: &mut Members, place: Place, reading: Option<Reading>) -> Option<Change> {
    let Place { key, name } = place;
    match reading {
        None => members.remove(&name).map(|_| Change::Left { key, name }),
        Some(reading) if members.get(&name) == Some(&reading) => None,
        Some(reading) => {
            members.insert(Arc::clone(&name), reading.clone());
            Some(Change::Put { key, name, reading })
        }
    }
}

/// Puts one key in its place.
fn put_key(keys: &mut BTreeMap<Arc<str>, Seen<Members>>, key: Arc<str>, seen: Option<Seen<Members>>) -> Vec<Change> {
    let Some(new) = seen else {
        return keys.remove(&key).map(|_| Change::KeyLeft { key }).into_iter().collect();
    };
    let changes = key_changes(&key, keys.get(&key), &new);
    keys.insert(key, new);
    changes
}

fn key_changes(key: &Arc<str>, old: Option<&Seen<Members>>, new: &Seen<Members>) -> Vec<Change> {
    match (old, new) {
        (Some(old), new) if old == new => Vec::new(),
        (Some(Seen::Present(old)), Seen::Present(new)) => member_changes(Some(key), old, new),
        _ => vec![Change::Key { key: Arc::clone(key), members: new.clone() }],
    }
}

fn member_changes(key: Option<&Arc<str>>, old: &Members, new: &Members) -> Vec<Change> {
    let left = old.keys().filter(|name| !new.contains_key(*name));
    let put = new.iter().filter(|(name, reading)| old.get(*name) != Some(*reading));
    left.map(|name| Change::Left { key: key.cloned(), name: Arc::clone(name) })
        .chain(put.map(|(name, reading)| Change::Put {
            key: key.cloned(),
            name: Arc::clone(name),
            reading: reading.clone(),
        }))
        .collect()
}

/// How a whole reading differs from what was said: in its members, or altogether.
fn differ(old: &View, new: &View) -> Option<Told> {
    if old == new {
        return None;
    }
    match (old, new) {
        (View::Members(Seen::Present(old)), View::Members(Seen::Present(new))) => {
            Some(Told::Update(member_changes(None, old, new)))
        }
        (View::Keyed(Seen::Present(old)), View::Keyed(Seen::Present(new))) => {
            let left = old.keys().filter(|key| !new.contains_key(*key));
            let left = left.map(|key| Change::KeyLeft { key: Arc::clone(key) });
            let put = new.iter().flat_map(|(key, seen)| key_changes(key, old.get(key), seen));
            Some(Told::Update(left.chain(put).collect()))
        }
        _ => Some(Told::Reset(new.clone())),
    }
}
