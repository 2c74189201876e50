//! Reads a complete subject, or complete keys of one.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::try_join_all;

use crate::model::node_path::{NodePath, Subject};
use crate::model::registry_event::{Bytes, Members, Seen, View};
use crate::watch::cache::ViewUpdate;
use crate::watch::zookeeper::node_versions::{Parent, ReadResult};
use crate::watch::{MAX_KEYED_BYTES, MAX_PATH_BYTES, MAX_SUBJECT_NODES, mapped_view};

use super::collected::Collected;
use super::{Listing, PIPELINE, ReadError, Reader, node_error, reading, too_many_bytes, too_many_nodes};

/// Keys with their members; `None` if the key does not exist.
type Keys = Vec<(Arc<str>, Option<Seen<Members>>)>;

impl Reader {
    /// Reads a complete subject. If it is new, it probably does not have too many nodes, and its list is read in one
    /// request instead of two.
    ///
    /// # Errors
    /// The server refused, or there is no reply.
    pub async fn read_all(&self, subject: &Subject, is_new: bool) -> Result<ReadResult, ReadError> {
        let mut collected = Collected::default();
        let view = match subject {
            Subject::Node(path) => View::Node(self.read_node(path).await?),
            Subject::Mapped { .. } => mapped_view(subject),
            Subject::Members(path) => View::Members(match self.list_top(path, is_new, &mut collected).await? {
                Seen::Absent => Seen::Absent,
                Seen::Unreadable(reason) => Seen::Unreadable(reason),
                Seen::Present(names) => self.read_members(path, names, &mut collected).await?,
            }),
            Subject::Keyed { base, .. } => View::Keyed(match self.list_top(base, is_new, &mut collected).await? {
                Seen::Absent => Seen::Absent,
                Seen::Unreadable(reason) => Seen::Unreadable(reason),
                Seen::Present(mut names) => {
                    collected.retain_keys(subject, &mut names);
                    self.read_keyed(subject, names, &mut collected).await?
                }
            }),
        };
        Ok(collected.result(ViewUpdate::Full(view)))
    }

    async fn read_node(&self, path: &NodePath) -> Result<Seen<Bytes>, ReadError> {
        // Only this watch reports when an absent node is created.
        if self.sets_watches()
            && let Err(error) = self.unpack(self.connection.exists(path.as_str(), true).await)?.0
        {
            return Ok(Seen::Unreadable(node_error(error)?));
        }
        let mut data = self.data(std::slice::from_ref(path), usize::MAX).await?.unwrap_or_default();
        match data.pop().map(reading).transpose()?.flatten() {
            None => {
                self.check_chroot().await?;
                Ok(Seen::Absent)
            }
            Some((Ok(node), _)) => Ok(Seen::Present(node.data)),
            Some((Err(reason), _)) => Ok(Seen::Unreadable(reason)),
        }
    }

    /// Lists the top node of a subject. It counts as absent only if the chroot exists.
    async fn list_top(
        &self,
        path: &NodePath,
        is_new: bool,
        collected: &mut Collected,
    ) -> Result<Seen<Vec<String>>, ReadError> {
        let at_once = is_new && !self.sets_watches();
        let listing = if at_once { self.list_at_once(path).await? } else { self.list(path).await? };
        Ok(match listing {
            Listing::Absent(zxid) => {
                self.check_chroot().await?;
                collected.parents.push((Arc::default(), Parent::absent(zxid)));
                Seen::Absent
            }
            Listing::Unreadable(reason) => Seen::Unreadable(reason),
            Listing::Names(names, parent) => {
                collected.parents.push((Arc::default(), parent));
                Seen::Present(names)
            }
        })
    }

    async fn read_members(
        &self,
        path: &NodePath,
        names: Vec<String>,
        collected: &mut Collected,
    ) -> Result<Seen<Members>, ReadError> {
        let paths: Vec<NodePath> = names.iter().map(|name| path.child(name)).collect();
        let Some(mut data) = self.data(&paths, MAX_PATH_BYTES).await? else {
            return Ok(Seen::Unreadable(too_many_bytes(path, MAX_PATH_BYTES)));
        };
        self.watch_children(&paths, &mut data).await?;
        collected.members(None, names, data).map(Seen::Present)
    }

    async fn read_keyed(
        &self,
        subject: &Subject,
        keys: Vec<String>,
        collected: &mut Collected,
    ) -> Result<Seen<BTreeMap<Arc<str>, Seen<Members>>>, ReadError> {
        let keys = keys.into_iter().map(Arc::from).collect();
        let keys = self.read_keys(subject, keys, collected).await?;
        let groups = keys.iter().filter_map(|(_, seen)| match seen {
            Some(Seen::Present(members)) => Some(members),
            _ => None,
        });
        let (mut nodes, mut bytes) = (0, 0);
        for members in groups {
            nodes += members.len();
            bytes += members.values().map(|reading| reading.as_ref().map_or(0, |node| node.data.len())).sum::<usize>();
        }
        if nodes > MAX_SUBJECT_NODES {
            return Ok(Seen::Unreadable(too_many_nodes()));
        }
        if bytes > MAX_KEYED_BYTES {
            return Ok(Seen::Unreadable(too_many_bytes(subject.top(), MAX_KEYED_BYTES)));
        }
        Ok(Seen::Present(keys.into_iter().filter_map(|(key, seen)| Some((key, seen?))).collect()))
    }

    /// Reads keys with all their members.
    ///
    /// # Errors
    /// The server refused, or there is no reply.
    pub async fn read_keys(
        &self,
        subject: &Subject,
        keys: Vec<Arc<str>>,
        collected: &mut Collected,
    ) -> Result<Keys, ReadError> {
        let Subject::Keyed { base, below, .. } = subject else {
            return Ok(Vec::new());
        };
        let paths: Vec<NodePath> = keys.iter().map(|key| subject.members_of(key)).collect();
        let mut listings = Vec::with_capacity(paths.len());
        for paths in paths.chunks(PIPELINE) {
            listings.extend(try_join_all(paths.iter().map(|path| self.list(path))).await?);
        }
        // The members of all keys in one stream of chunks: many small keys cost no more than one large key.
        let wanted = listings.iter().zip(&paths).flat_map(|(listing, path)| match listing {
            Listing::Names(names, _) => names.iter().map(|name| path.child(name)).collect(),
            Listing::Absent(_) | Listing::Unreadable(_) => Vec::new(),
        });
        let wanted: Vec<NodePath> = wanted.collect();
        let mut data = self.data(&wanted, MAX_KEYED_BYTES).await?;
        if let Some(data) = &mut data {
            self.watch_children(&wanted, data).await?;
        }
        let mut data = data.map(Vec::into_iter);
        let mut read = Vec::with_capacity(keys.len());
        for (key, listing) in keys.into_iter().zip(listings) {
            let seen = match (listing, &mut data) {
                (Listing::Unreadable(reason), _) => Some(Seen::Unreadable(reason)),
                (Listing::Names(..), None) => Some(Seen::Unreadable(too_many_bytes(base, MAX_KEYED_BYTES))),
                (Listing::Names(names, parent), Some(data)) => {
                    let own = data.by_ref().take(names.len()).collect();
                    collected.parents.push((Arc::clone(&key), parent));
                    Some(Seen::Present(collected.members(Some(&key), names, own)?))
                }
                // The node of the key may exist without the one that holds its members.
                (Listing::Absent(zxid), _) if !below.is_empty() && self.exists(&base.child(&key)).await? => {
                    collected.parents.push((Arc::clone(&key), Parent::absent(zxid)));
                    Some(Seen::Absent)
                }
                (Listing::Absent(_), _) => None,
            };
            read.push((key, seen));
        }
        Ok(read)
    }

    async fn exists(&self, path: &NodePath) -> Result<bool, ReadError> {
        match self.unpack(self.connection.exists(path.as_str(), false).await)?.0 {
            Ok(stat) => Ok(stat.is_some()),
            Err(error) => node_error(error).map(|_| true),
        }
    }
}
