//! Reads all of a subject, or of one of its keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::try_join_all;

use crate::model::node_path::{NodePath, Subject};
use crate::model::registry_event::{Bytes, Members, Seen, View};
use crate::model::version::Zxid;
use crate::watch::cache::{Patch, ViewUpdate};
use crate::watch::dirty::MemberId;
use crate::watch::zookeeper::node_versions::{Parent, ReadResult};
use crate::watch::{MAX_KEYED_BYTES, MAX_PATH_BYTES, MAX_SUBJECT_NODES};
use crate::zk::NodeResult;

use super::{Listing, PIPELINE, ReadError, Reader, fact, reading, too_many, too_much};

/// Keys with their members: `None` where the key is not there.
type Keys = Vec<(Arc<str>, Option<Seen<Members>>)>;

impl Reader {
    /// Reads all of a subject.
    ///
    /// # Errors
    /// There is no answer: nothing is known of it.
    pub async fn whole(&self, subject: &Subject) -> Result<ReadResult, ReadError> {
        let mut part = PartialRead::default();
        let view = match subject {
            Subject::Node(path) => View::Node(self.node(path).await?),
            Subject::Members(path) => View::Members(match self.top(path, &mut part).await? {
                Seen::Absent => Seen::Absent,
                Seen::Unreadable(why) => Seen::Unreadable(why),
                Seen::Present(names) => self.members(path, names, &mut part).await?,
            }),
            Subject::Keyed { base, .. } => View::Keyed(match self.top(base, &mut part).await? {
                Seen::Absent => Seen::Absent,
                Seen::Unreadable(why) => Seen::Unreadable(why),
                Seen::Present(names) => self.keyed(subject, names, &mut part).await?,
            }),
        };
        Ok(ReadResult { reread: ViewUpdate::Full(view), parents: part.parents, changed: part.changed })
    }

    async fn node(&self, path: &NodePath) -> Result<Seen<Bytes>, ReadError> {
        // Watched for coming into being.
        if self.watches()
            && let Err(refusal) = self.said(self.connection.exists(path.as_str(), true).await)?.0
        {
            return Ok(Seen::Unreadable(fact(refusal)?));
        }
        let mut data = self.data(std::slice::from_ref(path), usize::MAX).await?.unwrap_or_default();
        match data.pop().map(reading).transpose()?.flatten() {
            None => {
                self.check_chroot().await?;
                Ok(Seen::Absent)
            }
            Some((Ok(bytes), _)) => Ok(Seen::Present(bytes)),
            Some((Err(why), _)) => Ok(Seen::Unreadable(why)),
        }
    }

    /// Lists the node at the top of a subject. Absent only counts where the chroot is there.
    async fn top(&self, path: &NodePath, part: &mut PartialRead) -> Result<Seen<Vec<String>>, ReadError> {
        Ok(match self.list(path).await? {
            Listing::Absent(zxid) => {
                self.check_chroot().await?;
                part.parents.push((Arc::default(), Parent::absent(zxid)));
                Seen::Absent
            }
            Listing::Unreadable(why) => Seen::Unreadable(why),
            Listing::Names(names, parent) => {
                part.parents.push((Arc::default(), parent));
                Seen::Present(names)
            }
        })
    }

    async fn members(
        &self,
        path: &NodePath,
        names: Vec<String>,
        part: &mut PartialRead,
    ) -> Result<Seen<Members>, ReadError> {
        let paths: Vec<NodePath> = names.iter().map(|name| path.child(name)).collect();
        let Some(data) = self.data(&paths, MAX_PATH_BYTES).await? else {
            return Ok(Seen::Unreadable(too_much(path, MAX_PATH_BYTES)));
        };
        part.collect(None, names, data).map(Seen::Present)
    }

    async fn keyed(
        &self,
        subject: &Subject,
        keys: Vec<String>,
        part: &mut PartialRead,
    ) -> Result<Seen<BTreeMap<Arc<str>, Seen<Members>>>, ReadError> {
        let keys = keys.into_iter().map(Arc::from).collect();
        let keys = self.keys(subject, keys, part).await?;
        let sizes = keys.iter().filter_map(|(_, seen)| match seen {
            Some(Seen::Present(members)) => Some(members),
            _ => None,
        });
        let (mut nodes, mut bytes) = (0, 0);
        for members in sizes {
            nodes += members.len();
            bytes += members.values().map(|reading| reading.as_ref().map_or(0, |data| data.len())).sum::<usize>();
        }
        if nodes > MAX_SUBJECT_NODES {
            return Ok(Seen::Unreadable(too_many()));
        }
        if bytes > MAX_KEYED_BYTES {
            return Ok(Seen::Unreadable(too_much(subject.top(), MAX_KEYED_BYTES)));
        }
        Ok(Seen::Present(keys.into_iter().filter_map(|(key, seen)| Some((key, seen?))).collect()))
    }

    /// Reads keys with all their members.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn keys(
        &self,
        subject: &Subject,
        keys: Vec<Arc<str>>,
        part: &mut PartialRead,
    ) -> Result<Keys, ReadError> {
        let Subject::Keyed { base, below } = subject else {
            return Ok(Vec::new());
        };
        let paths: Vec<NodePath> = keys.iter().map(|key| subject.members_of(key)).collect();
        let mut listings = Vec::with_capacity(paths.len());
        for paths in paths.chunks(PIPELINE) {
            listings.extend(try_join_all(paths.iter().map(|path| self.list(path))).await?);
        }
        // One stream of data for all keys: many small keys cost no more than one large one.
        let wanted = listings.iter().zip(&paths).flat_map(|(listing, path)| match listing {
            Listing::Names(names, _) => names.iter().map(|name| path.child(name)).collect(),
            Listing::Absent(_) | Listing::Unreadable(_) => Vec::new(),
        });
        let data = self.data(&wanted.collect::<Vec<_>>(), MAX_KEYED_BYTES).await?;
        let mut data = data.map(Vec::into_iter);
        let mut read = Vec::with_capacity(keys.len());
        for (key, listing) in keys.into_iter().zip(listings) {
            let seen = match (listing, &mut data) {
                (Listing::Unreadable(why), _) => Some(Seen::Unreadable(why)),
                (Listing::Names(..), None) => Some(Seen::Unreadable(too_much(base, MAX_KEYED_BYTES))),
                (Listing::Names(names, parent), Some(data)) => {
                    let own = data.by_ref().take(names.len()).collect();
                    part.parents.push((Arc::clone(&key), parent));
                    Some(Seen::Present(part.collect(Some(&key), names, own)?))
                }
                // The key's own node may be there without the one that holds its members.
                (Listing::Absent(zxid), _) if !below.is_empty() && self.exists(&base.child(&key)).await? => {
                    part.parents.push((Arc::clone(&key), Parent::absent(zxid)));
                    Some(Seen::Absent)
                }
                (Listing::Absent(_), _) => None,
            };
            read.push((key, seen));
        }
        Ok(read)
    }

    async fn exists(&self, path: &NodePath) -> Result<bool, ReadError> {
        match self.said(self.connection.exists(path.as_str(), false).await)?.0 {
            Ok(stat) => Ok(stat.is_some()),
            Err(refusal) => fact(refusal).map(|_| true),
        }
    }
}

/// What was read of some of a subject.
#[derive(Debug, Default)]
pub struct PartialRead {
    pub patch: Patch,
    pub parents: Vec<(Arc<str>, Parent)>,
    /// It took several answers, between which more may have happened.
    pub is_split: bool,
    pub changed: Vec<(MemberId, Zxid)>,
}

impl PartialRead {
    /// Puts one member in.
    pub fn put(&mut self, place: MemberId, datum: NodeResult) -> Result<(), ReadError> {
        let read = reading(datum)?;
        if let Some((_, zxid)) = &read {
            self.changed.push((place.clone(), *zxid));
        }
        self.patch.members.push((place, read.map(|(reading, _)| reading)));
        Ok(())
    }

    /// The members of one key.
    pub fn collect(
        &mut self,
        key: Option<&Arc<str>>,
        names: Vec<String>,
        data: Vec<NodeResult>,
    ) -> Result<Members, ReadError> {
        let mut members = Members::new();
        for (name, datum) in names.into_iter().zip(data) {
            if let Some((reading, zxid)) = reading(datum)? {
                let name: Arc<str> = Arc::from(name);
                self.changed.push((MemberId { key: key.cloned(), name: Arc::clone(&name) }, zxid));
                members.insert(name, reading);
            }
        }
        Ok(members)
    }
}
