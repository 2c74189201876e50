//! Reads only what is dirty of a subject.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::join_all;

use crate::model::node_path::{NodePath, Subject};
use crate::model::registry_event::Members;
use crate::watch::cache::ViewUpdate;
use crate::watch::dirty::{DirtySet, MemberId};
use crate::watch::zookeeper::node_versions::{CachedSubject, ReadResult};
use crate::watch::{MAX_PATH_BYTES, MAX_SUBJECT_NODES};
use crate::zk::ServerError;

use super::chunk::Chunks;
use super::collected::Collected;
use super::{PIPELINE, ReadError, Reader, SYSTEM_NODE, list_path, member_path, refused};

impl Reader {
    /// Reads what is dirty.
    ///
    /// # Errors
    /// The server refused, or there is no reply.
    pub async fn read_dirty(
        &self,
        subject: &Subject,
        cached: &CachedSubject,
        mut dirty: DirtySet,
    ) -> Result<ReadResult, ReadError> {
        if self.has_system_node(subject.top()) {
            dirty.keys.remove(SYSTEM_NODE);
            dirty.members.retain(|member| member.key.as_deref().unwrap_or(&member.name) != SYSTEM_NODE);
        }
        let mut collected = Collected::default();
        if dirty.all || !self.read_lists(subject, cached, &mut dirty, &mut collected).await? {
            return self.read_all(subject, false).await;
        }
        if !self.read_dirty_members(subject, cached, &mut dirty, &mut collected).await? {
            return self.read_all(subject, false).await;
        }
        if !dirty.keys.is_empty() {
            let keys = self.read_keys(subject, dirty.keys.into_iter().collect(), &mut collected).await?;
            collected.patch.keys.extend(keys);
        }
        // A node may be missing because the whole chroot is missing. Then nothing is known of the node. If its parent
        // was in the same reply, the chroot exists.
        let is_missing = collected.is_split && collected.patch.members.iter().any(|(_, reading)| reading.is_none());
        if is_missing || collected.patch.keys.iter().any(|(_, seen)| seen.is_none()) {
            self.check_chroot().await?;
        }
        let update = ViewUpdate::Partial(std::mem::take(&mut collected.patch));
        Ok(collected.result(update))
    }

    /// Lists dirty lists. New names become dirty members and keys, missing ones are removed in the patch. Returns
    /// whether the top could be listed.
    async fn read_lists(
        &self,
        subject: &Subject,
        cached: &CachedSubject,
        dirty: &mut DirtySet,
        collected: &mut Collected,
    ) -> Result<bool, ReadError> {
        let lists: Vec<Arc<str>> = std::mem::take(&mut dirty.lists).into_iter().collect();
        let paths: Vec<NodePath> = lists.iter().map(|key| list_path(subject, key)).collect();
        for (lists, paths) in lists.chunks(PIPELINE).zip(paths.chunks(PIPELINE)) {
            let requests = paths.iter().map(|path| self.connection.children(path.as_str(), self.watches_lists()));
            for ((key, path), reply) in lists.iter().zip(paths).zip(join_all(requests).await) {
                match self.unpack(reply)?.0 {
                    Ok((names, stat)) if names.len() <= MAX_SUBJECT_NODES => {
                        let (mut names, parent) = self.without_system_node(path, names, &stat);
                        if matches!(subject, Subject::Keyed { .. }) && key.is_empty() {
                            collected.retain_keys(subject, &mut names);
                            compare_keys(cached, &names, dirty, collected);
                        } else {
                            compare_members(cached, key, &names, dirty, collected);
                        }
                        collected.parents.push((Arc::clone(key), parent));
                    }
                    _ if key.is_empty() => return Ok(false),
                    _ => {
                        dirty.keys.insert(Arc::clone(key));
                    }
                }
            }
        }
        let (keys, removed) = (&dirty.keys, &collected.patch.keys);
        let is_replaced = |key: &Arc<str>| keys.contains(key) || removed.iter().any(|(removed, _)| removed == key);
        collected.parents.retain(|(key, _)| !is_replaced(key));
        collected.patch.members.retain(|(member, _)| !member.key.as_ref().is_some_and(is_replaced));
        dirty.members.retain(|member| !member.key.as_ref().is_some_and(is_replaced));
        Ok(true)
    }

    /// Reads dirty members, and their parents in the same request. Returns whether the top exists and the data is not
    /// too large.
    async fn read_dirty_members(
        &self,
        subject: &Subject,
        cached: &CachedSubject,
        dirty: &mut DirtySet,
        collected: &mut Collected,
    ) -> Result<bool, ReadError> {
        let mut parents: Vec<Arc<str>> = Vec::new();
        let keys = dirty.members.iter().map(|member| member.key.clone().unwrap_or_default());
        let top = (!dirty.keys.is_empty() || !collected.patch.keys.is_empty()).then(Arc::default);
        for key in top.into_iter().chain(keys) {
            // Members are sorted by key.
            if parents.last() != Some(&key) && !collected.parents.iter().any(|(known, _)| *known == key) {
                parents.push(key);
            }
        }
        let (large, small): (Vec<_>, Vec<_>) =
            parents.into_iter().partition(|key| cached.parent(key).is_some_and(|parent| parent.has_large_data));
        let members: Vec<MemberId> = std::mem::take(&mut dirty.members).into_iter().collect();
        let mut paths: Vec<NodePath> = small.iter().map(|key| list_path(subject, key)).collect();
        paths.extend(members.iter().map(|member| member_path(subject, member)));
        let stats = join_all(large.iter().map(|key| async {
            (Arc::clone(key), self.connection.exists(list_path(subject, key).as_str(), false).await)
        }));
        collected.is_split = Chunks::default().next(&paths) < paths.len();
        // The members may still be too large together with the others; `CachedView::is_too_large` finds that.
        let (stats, data) = tokio::join!(stats, self.data(&paths, MAX_PATH_BYTES));
        let Some(mut data) = data? else {
            return Ok(false);
        };
        self.watch_children(&paths[small.len()..], &mut data[small.len()..]).await?;
        let mut data = data.into_iter();
        let mut seen = Vec::with_capacity(large.len() + small.len());
        for (key, reply) in stats {
            seen.push((key, self.unpack(reply)?.0));
        }
        seen.extend(small.into_iter().zip(&mut data).map(|(key, result)| (key, result.map(|(_, stat)| Some(stat)))));
        let mut unreadable = Vec::new();
        for (key, stat) in seen {
            match stat {
                Ok(Some(stat)) => {
                    let parent = self.parent(&list_path(subject, &key), &stat);
                    collected.parents.push((key, parent));
                }
                Ok(None) | Err(ServerError::NoNode | ServerError::NoAuth | ServerError::TooLarge { .. }) => {
                    unreadable.push(key);
                }
                Err(error) => return Err(refused(error)),
            }
        }
        if unreadable.iter().any(|key| key.is_empty()) {
            return Ok(false);
        }
        for (member, result) in members.into_iter().zip(data) {
            if !member.key.as_ref().is_some_and(|key| unreadable.contains(key)) {
                collected.add(member, result)?;
            }
        }
        dirty.keys.extend(unreadable);
        Ok(true)
    }
}

/// Compares the names under one parent with the cached ones: new members become dirty, missing ones are removed in the
/// patch.
fn compare_members(
    cached: &CachedSubject,
    key: &Arc<str>,
    names: &[String],
    dirty: &mut DirtySet,
    collected: &mut Collected,
) {
    let member_key = (!key.is_empty()).then(|| Arc::clone(key));
    let none = Members::new();
    let known = cached.view.members(key).unwrap_or(&none);
    let listed: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let member = |name: &str| MemberId { key: member_key.clone(), name: Arc::from(name) };
    dirty.members.retain(|member| member.key != member_key || listed.contains(&*member.name));
    dirty.members.extend(listed.iter().filter(|name| !known.contains_key(**name)).map(|name| member(name)));
    let removed = known.keys().filter(|name| !listed.contains(&***name));
    collected.patch.members.extend(removed.map(|name| (member(name), None)));
}

/// Compares the keys with the cached ones, in the same way.
fn compare_keys(cached: &CachedSubject, names: &[String], dirty: &mut DirtySet, collected: &mut Collected) {
    let none = BTreeMap::new();
    let known = cached.view.keys().unwrap_or(&none);
    let listed: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    dirty.keys.extend(listed.iter().filter(|name| !known.contains_key(**name)).map(|name| Arc::from(*name)));
    let removed = known.keys().filter(|name| !listed.contains(&***name));
    collected.patch.keys.extend(removed.map(|name| (Arc::clone(name), None)));
    dirty.keys.retain(|key| listed.contains(&**key));
}
