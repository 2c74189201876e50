//! Reads subjects, whole or in part.
//!
//! Nothing here is taken for granted between two requests: a node that is listed and then not there has left.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::try_join_all;
use zookeeper_client::{Client, Error, MultiReadResult};

use crate::node::{NodePath, Subject};
use crate::sighting::{Bytes, Members, Reading, Seen, View};
use crate::watch::dirty::{Dirty, Place};
use crate::watch::known::{Patch, Reread};
use crate::watch::{MAX_BYTES, MAX_NODES};

use super::fact::{fact, reading, refused};
use super::oneshot::{On, Oneshots};
use super::session::{Session, Trouble};

/// How many requests are under way at once.
const PIPELINE: usize = 200;

/// The most nodes in one multi-read; a server takes 10 to 15 ms for it.
const CHUNK: usize = 1000;

/// How many bytes of data a multi-read aims at. There is no cap on an answer's size in the protocol, and a large one
/// can cost a small server its life. So the first chunk is small, and what was read says how many nodes the next may
/// have.
const CHUNK_BYTES: usize = 1024 * 1024;

/// The first chunk, and how much larger than the last one a chunk may be.
const FIRST_CHUNK: usize = 4;
const GROWTH: usize = 8;

/// Servers refuse requests over 1 MiB (`jute.maxbuffer`).
const REQUEST_BYTES: usize = 512 * 1024;

/// The node at the root of every ensemble in which it keeps its own things: nobody's member.
const OWN: &str = "zookeeper";

/// A node's list of children.
pub enum Listing {
    /// There is no such node.
    Absent,
    /// It could not be read: why.
    Unreadable(Arc<str>),
    /// Their names, unsorted.
    Names(Vec<String>),
}

/// The data of several nodes in the order asked for, `None` where there is no such node.
pub type Data = Vec<Option<Reading>>;

/// Reads through a session, and sets one-shot watches where there are no others.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    session: &'a Session,
    oneshots: Option<&'a Oneshots>,
}

impl<'a> Reader<'a> {
    /// Reads with a recursive watch set, or with one-shot watches to set.
    pub fn new(session: &'a Session, oneshots: Option<&'a Oneshots>) -> Self {
        Self { session, oneshots }
    }

    /// Reads again what is dirty.
    ///
    /// # Errors
    /// There is no answer: nothing is known of the subject.
    pub async fn reread(&self, subject: &Subject, mut dirty: Dirty) -> Result<Reread, Trouble> {
        if self.session.is_at_root() && subject.top().is_root() {
            dirty.keys.remove(OWN);
            dirty.members.retain(|place| place.key.as_deref().unwrap_or(&place.name) != OWN);
        }
        if dirty.whole {
            return Ok(Reread::Whole(self.whole(subject).await?));
        }
        let mut patch = Patch::default();
        if !dirty.keys.is_empty() {
            patch.keys = self.keys(subject, dirty.keys.into_iter().collect()).await?;
        }
        let places: Vec<Place> = dirty.members.into_iter().collect();
        let paths = places.iter().map(|place| member_path(subject, place)).collect();
        // A place's node may be too much only together with all others; that is looked at when it is taken up.
        let data = self.data(paths, usize::MAX).await?.unwrap_or_default();
        patch.members = places.into_iter().zip(data).collect();
        // What is gone may be gone with everything else: then nothing is known of it.
        let is_gone = patch.members.iter().any(|(_, reading)| reading.is_none());
        if is_gone || patch.keys.iter().any(|(_, seen)| seen.is_none()) {
            self.session.check_chroot().await?;
        }
        Ok(Reread::Some(patch))
    }

    async fn whole(&self, subject: &Subject) -> Result<View, Trouble> {
        Ok(match subject {
            Subject::Node(path) => View::Node(self.node(path).await?),
            Subject::Members(path) => View::Members(match self.top(path).await? {
                Listing::Absent => Seen::Absent,
                Listing::Unreadable(why) => Seen::Unreadable(why),
                Listing::Names(names) => self.members(path, names).await?,
            }),
            Subject::Keyed { base, .. } => View::Keyed(match self.top(base).await? {
                Listing::Absent => Seen::Absent,
                Listing::Unreadable(why) => Seen::Unreadable(why),
                Listing::Names(names) => self.keyed(subject, names).await?,
            }),
        })
    }

    async fn node(&self, path: &NodePath) -> Result<Seen<Bytes>, Trouble> {
        if let Some(oneshots) = self.oneshots
            && let Err(error) = self.watch_existence(oneshots, path).await?
        {
            return Ok(Seen::Unreadable(fact(&error)?));
        }
        let mut data = self.data(vec![path.clone()], usize::MAX).await?.unwrap_or_default();
        match data.pop().flatten() {
            None => {
                self.session.check_chroot().await?;
                Ok(Seen::Absent)
            }
            Some(Ok(bytes)) => Ok(Seen::Present(bytes)),
            Some(Err(why)) => Ok(Seen::Unreadable(why)),
        }
    }

    /// Lists the node at the top of a subject, without the ensemble's own child. Absent only counts where the chroot is there.
    async fn top(&self, path: &NodePath) -> Result<Listing, Trouble> {
        let mut listing = self.list(path).await?;
        match &mut listing {
            Listing::Absent => self.session.check_chroot().await?,
            Listing::Names(names) if self.session.is_at_root() && path.is_root() => names.retain(|name| name != OWN),
            Listing::Names(_) | Listing::Unreadable(_) => {}
        }
        Ok(listing)
    }

    async fn members(&self, path: &NodePath, names: Vec<String>) -> Result<Seen<Members>, Trouble> {
        let paths = names.iter().map(|name| path.child(name)).collect();
        let Some(data) = self.data(paths, MAX_BYTES).await? else {
            return Ok(Seen::Unreadable(too_much(path)));
        };
        Ok(Seen::Present(collect(names, data)))
    }

    async fn keyed(
        &self,
        subject: &Subject,
        keys: Vec<String>,
    ) -> Result<Seen<BTreeMap<Arc<str>, Seen<Members>>>, Trouble> {
        let keys = keys.into_iter().map(Arc::from).collect();
        let keys = self.keys(subject, keys).await?;
        let sizes = keys.iter().filter_map(|(_, seen)| match seen {
            Some(Seen::Present(members)) => Some(members),
            _ => None,
        });
        let (mut nodes, mut bytes) = (0, 0);
        for members in sizes {
            nodes += members.len();
            bytes += members.values().map(|reading| reading.as_ref().map_or(0, |data| data.len())).sum::<usize>();
        }
        if nodes > MAX_NODES {
            return Ok(Seen::Unreadable(too_many(nodes)));
        }
        if bytes > MAX_BYTES {
            return Ok(Seen::Unreadable(too_much(subject.top())));
        }
        Ok(Seen::Present(keys.into_iter().filter_map(|(key, seen)| Some((key, seen?))).collect()))
    }

    /// Reads keys with all their members: `None` where the key is not there.
    async fn keys(
        &self,
        subject: &Subject,
        keys: Vec<Arc<str>>,
    ) -> Result<Vec<(Arc<str>, Option<Seen<Members>>)>, Trouble> {
        let Subject::Keyed { base, below } = subject else {
            return Ok(Vec::new());
        };
        let paths: Vec<NodePath> = keys.iter().map(|key| subject.members_of(key)).collect();
        let mut listings = Vec::with_capacity(paths.len());
        for paths in paths.chunks(PIPELINE) {
            listings.extend(try_join_all(paths.iter().map(|path| self.list(path))).await?);
        }
        let mut read = Vec::with_capacity(keys.len());
        // One stream of data for all keys: many small keys cost no more than one large one.
        let wanted = listings.iter().zip(&paths).flat_map(|(listing, path)| match listing {
            Listing::Names(names) => names.iter().map(|name| path.child(name)).collect(),
            Listing::Absent | Listing::Unreadable(_) => Vec::new(),
        });
        let data = self.data(wanted.collect(), MAX_BYTES).await?;
        let mut data = data.map(Vec::into_iter);
        for (key, listing) in keys.into_iter().zip(listings) {
            let seen = match (listing, &mut data) {
                (Listing::Unreadable(why), _) => Some(Seen::Unreadable(why)),
                (Listing::Names(_), None) => Some(Seen::Unreadable(too_much(base))),
                (Listing::Names(names), Some(data)) => {
                    let own = data.by_ref().take(names.len()).collect();
                    Some(Seen::Present(collect(names, own)))
                }
                // The key's own node may be there without the one that holds its members.
                (Listing::Absent, _) if !below.is_empty() && self.exists(&base.child(&key)).await? => {
                    Some(Seen::Absent)
                }
                (Listing::Absent, _) => None,
            };
            read.push((key, seen));
        }
        Ok(read)
    }

    async fn exists(&self, path: &NodePath) -> Result<bool, Trouble> {
        match self.session.ask(self.client().check_stat(path.as_str())).await? {
            Ok(stat) => Ok(stat.is_some()),
            Err(error) => fact(&error).map(|_| true),
        }
    }

    /// Lists a node's children, unless there are too many to take.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn list(&self, path: &NodePath) -> Result<Listing, Trouble> {
        let stat = match self.oneshots {
            Some(oneshots) => self.watch_existence(oneshots, path).await?,
            None => self.session.ask(self.client().check_stat(path.as_str())).await?,
        };
        match stat {
            Err(error) => return Ok(Listing::Unreadable(fact(&error)?)),
            Ok(None) => return Ok(Listing::Absent),
            Ok(Some(stat)) => {
                let children = usize::try_from(stat.num_children).unwrap_or(0);
                if children > MAX_NODES {
                    return Ok(Listing::Unreadable(too_many(children)));
                }
            }
        }
        let text = path.as_str();
        let unwatched = self.oneshots.filter(|oneshots| !oneshots.is_set(On::Children, text));
        let names = if let Some(oneshots) = unwatched {
            let answer = self.session.ask(self.client().list_and_watch_children(text)).await?;
            answer.map(|(names, watcher)| {
                oneshots.keep(On::Children, text, watcher);
                names
            })
        } else {
            self.session.ask(self.client().list_children(text)).await?
        };
        Ok(match names {
            Ok(names) => Listing::Names(names),
            Err(Error::NoNode) => Listing::Absent,
            Err(error) => Listing::Unreadable(fact(&error)?),
        })
    }

    /// Looks whether a node exists, and has a watch on that.
    async fn watch_existence(
        &self,
        oneshots: &Oneshots,
        path: &NodePath,
    ) -> Result<Result<Option<zookeeper_client::Stat>, Error>, Trouble> {
        let text = path.as_str();
        if oneshots.is_set(On::Existence, text) {
            return self.session.ask(self.client().check_stat(text)).await;
        }
        let answer = self.session.ask(self.client().check_and_watch_stat(text)).await?;
        Ok(answer.map(|(stat, watcher)| {
            oneshots.keep(On::Existence, text, watcher);
            stat
        }))
    }

    /// Reads the data of nodes; `None` when it is more than `budget` bytes in all.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn data(&self, paths: Vec<NodePath>, budget: usize) -> Result<Option<Data>, Trouble> {
        let mut all: Data = Vec::with_capacity(paths.len());
        let (mut bytes, mut chunk) = (0_usize, FIRST_CHUNK);
        let mut rest = paths.as_slice();
        while !rest.is_empty() {
            let mut request = 0;
            let fits = rest.iter().take(chunk).take_while(|path| {
                request += path.as_str().len() + 32;
                request < REQUEST_BYTES
            });
            let (now, later) = rest.split_at(fits.count().max(1));
            let read = match self.oneshots {
                Some(oneshots) => self.data_watched(oneshots, now).await?,
                None => self.data_multi(now).await?,
            };
            bytes += read.iter().flatten().map(|reading| reading.as_ref().map_or(0, |data| data.len())).sum::<usize>();
            if bytes > budget {
                return Ok(None);
            }
            all.extend(read);
            let average = (bytes / all.len().max(1)).max(1);
            chunk = (CHUNK_BYTES / average).clamp(1, CHUNK.min(chunk * GROWTH));
            rest = later;
        }
        Ok(Some(all))
    }

    async fn data_multi(&self, paths: &[NodePath]) -> Result<Data, Trouble> {
        let mut reader = self.client().new_multi_reader();
        // A name that the client itself refuses is not sent, so answers are matched to what was.
        let asked: Vec<Result<(), Error>> = paths.iter().map(|path| reader.add_get_data(path.as_str())).collect();
        let answers = self.session.ask(reader.commit()).await?.map_err(|error| refused(&error))?;
        let mut answers = answers.into_iter();
        let readings = asked.into_iter().map(|asked| match asked {
            Err(error) => reading(Err(error)),
            Ok(()) => match answers.next() {
                Some(MultiReadResult::Data { data, .. }) => reading(Ok(data)),
                Some(MultiReadResult::Error { err }) => reading(Err(err)),
                _ => Err(Trouble::Refused("the server gave fewer answers than it was asked for".into())),
            },
        });
        readings.collect()
    }

    async fn data_watched(&self, oneshots: &Oneshots, paths: &[NodePath]) -> Result<Data, Trouble> {
        let mut all = Vec::with_capacity(paths.len());
        for paths in paths.chunks(PIPELINE) {
            all.extend(try_join_all(paths.iter().map(|path| self.datum_watched(oneshots, path.as_str()))).await?);
        }
        Ok(all)
    }

    async fn datum_watched(&self, oneshots: &Oneshots, path: &str) -> Result<Option<Reading>, Trouble> {
        let answer = if oneshots.is_set(On::Data, path) {
            self.session.ask(self.client().get_data(path)).await?.map(|(data, _)| data)
        } else {
            let answer = self.session.ask(self.client().get_and_watch_data(path)).await?;
            answer.map(|(data, _, watcher)| {
                oneshots.keep(On::Data, path, watcher);
                data
            })
        };
        reading(answer)
    }

    fn client(&self) -> &'a Client {
        self.session.client()
    }
}

fn member_path(subject: &Subject, place: &Place) -> NodePath {
    subject.members_of(place.key.as_deref().unwrap_or_default()).child(&place.name)
}

fn collect(names: Vec<String>, data: Data) -> Members {
    names.into_iter().zip(data).filter_map(|(name, reading)| Some((Arc::from(name), reading?))).collect()
}

fn too_many(children: usize) -> Arc<str> {
    format!("too large: {children} children, and {MAX_NODES} are the most that are read").into()
}

fn too_much(path: &NodePath) -> Arc<str> {
    format!("too large: the data of the nodes under {path} is over {} MiB", MAX_BYTES / 1024 / 1024).into()
}
