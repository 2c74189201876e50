//! Compares the cached versions of a subject with the server's. This finds what changed while the connection was lost,
//! and what no event reports. Unchanged nodes cost only the comparison.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::future::join_all;

use crate::model::node_path::Subject;
use crate::model::registry_event::{Seen, View};
use crate::model::version::Zxid;
use crate::watch::dirty::{DirtySet, MemberId};
use crate::zk::ServerError;

use super::node_versions::{CachedSubject, Parent};
use super::reader::{ReadError, Reader, last_change, list_path, member_path};

#[cfg(test)]
mod tests;

/// The most nodes, and the most bytes of data, in one request.
const MAX_CHUNK_NODES: usize = 500;
const MAX_CHUNK_BYTES: usize = 256 * 1024;

/// A node to check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// The parent of a key's members; for the empty string the one at the top.
    Parent(Arc<str>),
    /// A member.
    Member(MemberId),
}

/// The state of a node on the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerState {
    /// A parent; `None` if it cannot be read.
    Parent(Arc<str>, Option<Parent>),
    /// A member, and the transaction that last changed it; `Err` if it may not be read, `None` if it does not
    /// exist.
    Member(MemberId, Option<Result<Zxid, ()>>),
}

/// The check of one subject, in several requests.
#[derive(Debug)]
pub struct Reconciliation {
    items: VecDeque<Item>,
}

impl Reconciliation {
    /// A check of every cached node; `None` if there is nothing to compare with, and the subject has to be read.
    pub fn new(cached: &CachedSubject) -> Option<Self> {
        let mut items = VecDeque::new();
        let members = |key: Option<&Arc<str>>, items: &mut VecDeque<Item>| {
            items.push_back(Item::Parent(key.cloned().unwrap_or_default()));
            let members = cached.view.members(key.map_or("", |key| key)).into_iter().flat_map(|members| members.keys());
            items.extend(members.map(|name| Item::Member(MemberId { key: key.cloned(), name: Arc::clone(name) })));
        };
        match cached.view.view() {
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

    /// The next nodes to check, each with whether its data is large; empty at the end.
    pub fn next(&mut self, cached: &CachedSubject) -> Vec<(Item, bool)> {
        let (mut chunk, mut bytes) = (Vec::new(), 0);
        while chunk.len() < MAX_CHUNK_NODES && bytes < MAX_CHUNK_BYTES {
            let Some(item) = self.items.pop_front() else { break };
            if let Item::Member(MemberId { key, name }) = &item {
                // A member that left meanwhile needs no check.
                let members = cached.view.members(key.as_deref().unwrap_or_default());
                let Some(reading) = members.and_then(|members| members.get(name)) else { continue };
                bytes += reading.as_ref().map_or(0, |node| node.data.len());
            }
            let is_large =
                matches!(&item, Item::Parent(key) if cached.parent(key).is_none_or(|parent| parent.has_large_data));
            chunk.push((item, is_large));
        }
        chunk
    }
}

/// Reads the state of nodes in one request, plus one for each node with large data.
///
/// # Errors
/// The server refused, or the connection is lost.
pub async fn check(
    reader: &Reader,
    subject: &Subject,
    items: Vec<(Item, bool)>,
) -> Result<Vec<ServerState>, ReadError> {
    let (large, small): (Vec<_>, Vec<_>) = items.into_iter().partition(|(_, is_large)| *is_large);
    let path = |(item, _): &(Item, bool)| match item {
        Item::Parent(key) => list_path(subject, key),
        Item::Member(member) => member_path(subject, member),
    };
    let paths: Vec<_> = small.iter().map(path).collect();
    let stats = join_all(large.iter().map(|item| reader.stat(path(item))));
    let (stats, data) = tokio::join!(stats, reader.data_at_once(&paths));
    let mut states = Vec::with_capacity(large.len() + small.len());
    for ((item, _), stat) in large.into_iter().zip(stats) {
        let stat = stat?;
        states.push(match item {
            Item::Parent(key) => {
                let path = list_path(subject, &key);
                ServerState::Parent(key, stat.ok().map(|stat| reader.parent(&path, &stat)))
            }
            Item::Member(member) => ServerState::Member(member, stat.ok().map(|stat| Ok(last_change(&stat)))),
        });
    }
    for ((item, _), result) in small.into_iter().zip(data?) {
        states.push(match (item, result) {
            (Item::Parent(key), Ok((_, stat))) => {
                let parent = reader.parent(&list_path(subject, &key), &stat);
                ServerState::Parent(key, Some(parent))
            }
            (Item::Parent(key), Err(_)) => ServerState::Parent(key, None),
            (Item::Member(member), Ok((_, stat))) => ServerState::Member(member, Some(Ok(last_change(&stat)))),
            (Item::Member(member), Err(ServerError::NoAuth)) => ServerState::Member(member, Some(Err(()))),
            (Item::Member(member), Err(_)) => ServerState::Member(member, None),
        });
    }
    Ok(states)
}

/// What has to be read again, because the server has another version.
pub fn differences(cached: &CachedSubject, states: Vec<ServerState>) -> DirtySet {
    let mut dirty = DirtySet::default();
    for state in states {
        match state {
            ServerState::Parent(key, Some(parent)) if cached.is_same(&key, &parent) => {}
            ServerState::Parent(key, None) if cached.parent(&key).is_some_and(|parent| parent.children.is_none()) => {}
            ServerState::Parent(key, _) => {
                dirty.lists.insert(key);
            }
            ServerState::Member(member, Some(Ok(zxid))) if cached.is_unchanged(&member, zxid) => {}
            ServerState::Member(member, Some(Err(()))) if cached.is_unchanged(&member, Zxid::default()) => {}
            ServerState::Member(member, _) => {
                dirty.members.insert(member);
            }
        }
    }
    dirty
}
