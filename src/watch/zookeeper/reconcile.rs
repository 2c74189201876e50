//! Looks whether a subject is still as it was read: what lies behind a lost connection, and what no event tells of, is
//! found by this. What is the same costs a comparison of numbers and nothing else.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::future::join_all;

use crate::model::node_path::Subject;
use crate::model::registry_event::{Seen, View};
use crate::model::version::Zxid;
use crate::watch::dirty::{DirtySet, MemberId};

use super::node_versions::{CachedSubject, Parent};
use super::reader::{ReadError, Reader, list_path, member_path};
use crate::zk::ServerError;

#[cfg(test)]
mod tests;

/// The most nodes that are looked at in one request, and the most bytes of data.
const NODES: usize = 500;
const BYTES: usize = 256 * 1024;

/// One node to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// The node above the members of a key, or at the top.
    Parent(Arc<str>),
    /// A member.
    Member(MemberId),
}

/// What the server says of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A node above.
    Parent(Arc<str>, Option<Parent>),
    /// A member, and the transaction that last changed its data; `Err` when it may not be read.
    Member(MemberId, Option<Result<Zxid, ()>>),
}

/// One subject that is being looked through.
#[derive(Debug)]
pub struct Reconciliation {
    items: VecDeque<Item>,
}

impl Reconciliation {
    /// All of what is known of a subject; `None` where nothing is known but by reading it.
    pub fn of(cached: &CachedSubject) -> Option<Self> {
        let mut items = VecDeque::new();
        let members = |key: Option<&Arc<str>>, items: &mut VecDeque<Item>| {
            items.push_back(Item::Parent(key.cloned().unwrap_or_default()));
            let members =
                cached.known.members(key.map_or("", |key| key)).into_iter().flat_map(|members| members.keys());
            items.extend(members.map(|name| Item::Member(MemberId { key: key.cloned(), name: Arc::clone(name) })));
        };
        match cached.known.view() {
            Some(View::Members(Seen::Present(_))) => members(None, &mut items),
            Some(View::Keyed(Seen::Present(keys))) => {
                items.push_back(Item::Parent(Arc::default()));
                for (key, seen) in keys {
                    match seen {
                        Seen::Present(_) => members(Some(key), &mut items),
                        Seen::Absent | Seen::Unreadable(_) => items.push_back(Item::Parent(Arc::clone(key))),
                    }
                }
            }
            _ => return None,
        }
        Some(Self { items })
    }

    /// What to look at next, and what of it is heavy: nothing at the end.
    pub fn next(&mut self, cached: &CachedSubject) -> Vec<(Item, bool)> {
        let (mut chunk, mut bytes) = (Vec::new(), 0);
        while chunk.len() < NODES && bytes < BYTES {
            let Some(item) = self.items.pop_front() else { break };
            if let Item::Member(MemberId { key, name }) = &item {
                // One that has left meanwhile was seen to leave.
                let members = cached.known.members(key.as_deref().unwrap_or_default());
                let Some(reading) = members.and_then(|members| members.get(name)) else { continue };
                bytes += reading.as_ref().map_or(0, |data| data.len());
            }
            let is_heavy =
                matches!(&item, Item::Parent(key) if cached.parent(key).is_none_or(|parent| parent.is_heavy));
            chunk.push((item, is_heavy));
        }
        chunk
    }
}

/// Looks at nodes in one request, and one more for each that is heavy.
///
/// # Errors
/// There is no answer.
pub async fn look(reader: &Reader, subject: &Subject, items: Vec<(Item, bool)>) -> Result<Vec<Found>, ReadError> {
    let (heavy, light): (Vec<_>, Vec<_>) = items.into_iter().partition(|(_, is_heavy)| *is_heavy);
    let path = |(item, _): &(Item, bool)| match item {
        Item::Parent(key) => list_path(subject, key),
        Item::Member(place) => member_path(subject, place),
    };
    let paths: Vec<_> = light.iter().map(path).collect();
    let stats = join_all(heavy.iter().map(|item| reader.stat(path(item))));
    let (stats, data) = tokio::join!(stats, reader.data_at_once(&paths));
    let mut found = Vec::with_capacity(heavy.len() + light.len());
    for ((item, _), stat) in heavy.into_iter().zip(stats) {
        let stat = stat?;
        found.push(match item {
            Item::Parent(key) => {
                let path = list_path(subject, &key);
                Found::Parent(key, stat.ok().map(|stat| reader.parent(&path, &stat)))
            }
            Item::Member(place) => Found::Member(place, stat.ok().map(|stat| Ok(stat.mzxid))),
        });
    }
    for ((item, _), datum) in light.into_iter().zip(data?) {
        found.push(match (item, datum) {
            (Item::Parent(key), Ok((_, stat))) => {
                let parent = reader.parent(&list_path(subject, &key), &stat);
                Found::Parent(key, Some(parent))
            }
            (Item::Parent(key), Err(_)) => Found::Parent(key, None),
            (Item::Member(place), Ok((_, stat))) => Found::Member(place, Some(Ok(stat.mzxid))),
            (Item::Member(place), Err(ServerError::NoAuth)) => Found::Member(place, Some(Err(()))),
            (Item::Member(place), Err(_)) => Found::Member(place, None),
        });
    }
    Ok(found)
}

/// What has to be read again, because it is not as it was.
pub fn differs(cached: &CachedSubject, found: Vec<Found>) -> DirtySet {
    let mut dirty = DirtySet::default();
    for found in found {
        match found {
            Found::Parent(key, Some(parent)) if cached.is_same(&key, &parent) => {}
            Found::Parent(key, None) if cached.parent(&key).is_some_and(|parent| parent.children.is_none()) => {}
            Found::Parent(key, _) => {
                dirty.lists.insert(key);
            }
            Found::Member(place, Some(Ok(zxid))) if cached.is_unchanged(&place, zxid) => {}
            Found::Member(place, Some(Err(()))) if cached.is_unchanged(&place, Zxid::default()) => {}
            Found::Member(place, _) => {
                dirty.members.insert(place);
            }
        }
    }
    dirty
}
