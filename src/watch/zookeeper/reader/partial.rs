//! Reads again what is dirty of a subject, and nothing else.

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
use super::full::PartialRead;
use super::{OWN, PIPELINE, ReadError, Reader, list_path, member_path, refused};

impl Reader {
    /// Reads again what is dirty.
    ///
    /// # Errors
    /// There is no answer: nothing is known of the subject.
    pub async fn reread(
        &self,
        subject: &Subject,
        cached: &CachedSubject,
        mut dirty: DirtySet,
    ) -> Result<ReadResult, ReadError> {
        if self.connection.is_at_root() && subject.top().is_root() {
            dirty.keys.remove(OWN);
            dirty.members.retain(|place| place.key.as_deref().unwrap_or(&place.name) != OWN);
        }
        let mut part = PartialRead::default();
        if dirty.all || !self.relist(subject, cached, &mut dirty, &mut part).await? {
            return self.whole(subject).await;
        }
        if !self.places(subject, cached, &mut dirty, &mut part).await? {
            return self.whole(subject).await;
        }
        if !dirty.keys.is_empty() {
            let keys = self.keys(subject, dirty.keys.into_iter().collect(), &mut part).await?;
            part.patch.keys.extend(keys);
        }
        // What is gone may be gone with everything else: then nothing is known of it. Where the node above was there in
        // the same answer, it is not.
        let is_gone = part.is_split && part.patch.members.iter().any(|(_, reading)| reading.is_none());
        if is_gone || part.patch.keys.iter().any(|(_, seen)| seen.is_none()) {
            self.check_chroot().await?;
        }
        Ok(ReadResult { reread: ViewUpdate::Partial(part.patch), parents: part.parents, changed: part.changed })
    }

    /// Lists what is to be listed again. What is new is to be read with the rest; what is gone is gone. Tells whether the
    /// top could be listed.
    async fn relist(
        &self,
        subject: &Subject,
        cached: &CachedSubject,
        dirty: &mut DirtySet,
        part: &mut PartialRead,
    ) -> Result<bool, ReadError> {
        let lists: Vec<Arc<str>> = std::mem::take(&mut dirty.lists).into_iter().collect();
        let paths: Vec<NodePath> = lists.iter().map(|key| list_path(subject, key)).collect();
        for (lists, paths) in lists.chunks(PIPELINE).zip(paths.chunks(PIPELINE)) {
            let answers =
                join_all(paths.iter().map(|path| self.connection.children(path.as_str(), self.watches()))).await;
            for ((key, path), answer) in lists.iter().zip(paths).zip(answers) {
                match self.said(answer)?.0 {
                    Ok((names, stat)) if names.len() <= MAX_SUBJECT_NODES => {
                        let (names, parent) = self.without_own(path, names, &stat);
                        if matches!(subject, Subject::Keyed { .. }) && key.is_empty() {
                            differ_keys(cached, &names, dirty, part);
                        } else {
                            differ_members(cached, key, &names, dirty, part);
                        }
                        part.parents.push((Arc::clone(key), parent));
                    }
                    _ if key.is_empty() => return Ok(false),
                    _ => {
                        dirty.keys.insert(Arc::clone(key));
                    }
                }
            }
        }
        let (keys, gone) = (&dirty.keys, &part.patch.keys);
        let is_over = |key: &Arc<str>| keys.contains(key) || gone.iter().any(|(gone, _)| gone == key);
        part.parents.retain(|(key, _)| !is_over(key));
        part.patch.members.retain(|(place, _)| !place.key.as_ref().is_some_and(is_over));
        dirty.members.retain(|place| !place.key.as_ref().is_some_and(is_over));
        Ok(true)
    }

    /// Reads members again, and in the same request the nodes above them. Tells whether the one at the top is there, and
    /// all of it could be taken.
    async fn places(
        &self,
        subject: &Subject,
        cached: &CachedSubject,
        dirty: &mut DirtySet,
        part: &mut PartialRead,
    ) -> Result<bool, ReadError> {
        let mut above: Vec<Arc<str>> = Vec::new();
        let keys = dirty.members.iter().map(|place| place.key.clone().unwrap_or_default());
        let top = (!dirty.keys.is_empty() || !part.patch.keys.is_empty()).then(Arc::default);
        for key in top.into_iter().chain(keys) {
            // The places are in the order of their keys.
            if above.last() != Some(&key) && !part.parents.iter().any(|(known, _)| *known == key) {
                above.push(key);
            }
        }
        let (heavy, light): (Vec<_>, Vec<_>) =
            above.into_iter().partition(|key| cached.parent(key).is_some_and(|parent| parent.is_heavy));
        let places: Vec<MemberId> = std::mem::take(&mut dirty.members).into_iter().collect();
        let mut paths: Vec<NodePath> = light.iter().map(|key| list_path(subject, key)).collect();
        paths.extend(places.iter().map(|place| member_path(subject, place)));
        let parents = join_all(heavy.iter().map(|key| async {
            (Arc::clone(key), self.connection.exists(list_path(subject, key).as_str(), false).await)
        }));
        part.is_split = Chunks::default().next(&paths) < paths.len();
        // Places may also be too much only together with all others; that is looked at when they are taken up.
        let (parents, data) = tokio::join!(parents, self.data(&paths, MAX_PATH_BYTES));
        let Some(data) = data? else {
            return Ok(false);
        };
        let mut data = data.into_iter();
        let mut seen = Vec::with_capacity(heavy.len() + light.len());
        for (key, answer) in parents {
            seen.push((key, self.said(answer)?.0));
        }
        seen.extend(light.into_iter().zip(&mut data).map(|(key, datum)| (key, datum.map(|(_, stat)| Some(stat)))));
        let mut lost = Vec::new();
        for (key, stat) in seen {
            match stat {
                Ok(Some(stat)) => {
                    let parent = self.parent(&list_path(subject, &key), &stat);
                    part.parents.push((key, parent));
                }
                Ok(None) | Err(ServerError::NoNode | ServerError::NoAuth | ServerError::TooLarge { .. }) => {
                    lost.push(key)
                }
                Err(refusal) => return Err(refused(refusal)),
            }
        }
        if lost.iter().any(|key| key.is_empty()) {
            return Ok(false);
        }
        for (place, datum) in places.into_iter().zip(data) {
            if !place.key.as_ref().is_some_and(|key| lost.contains(key)) {
                part.put(place, datum)?;
            }
        }
        dirty.keys.extend(lost);
        Ok(true)
    }
}

/// Takes up which names there are under one node: those that are gone, and those that have to be read.
fn differ_members(
    cached: &CachedSubject,
    key: &Arc<str>,
    names: &[String],
    dirty: &mut DirtySet,
    part: &mut PartialRead,
) {
    let of = (!key.is_empty()).then(|| Arc::clone(key));
    let none = Members::new();
    let known = cached.known.members(key).unwrap_or(&none);
    let listed: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let place = |name: &str| MemberId { key: of.clone(), name: Arc::from(name) };
    dirty.members.retain(|place| place.key != of || listed.contains(&*place.name));
    dirty.members.extend(listed.iter().filter(|name| !known.contains_key(**name)).map(|name| place(name)));
    let gone = known.keys().filter(|name| !listed.contains(&***name));
    part.patch.members.extend(gone.map(|name| (place(name), None)));
}

/// Takes up which keys there are.
fn differ_keys(cached: &CachedSubject, names: &[String], dirty: &mut DirtySet, part: &mut PartialRead) {
    let none = BTreeMap::new();
    let known = cached.known.keys().unwrap_or(&none);
    let listed: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    dirty.keys.extend(listed.iter().filter(|name| !known.contains_key(**name)).map(|name| Arc::from(*name)));
    let gone = known.keys().filter(|name| !listed.contains(&***name));
    part.patch.keys.extend(gone.map(|name| (Arc::clone(name), None)));
    dirty.keys.retain(|key| listed.contains(&**key));
}
