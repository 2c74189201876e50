//! What a registry says it has seen: the words in which `watch/` speaks to `decide/`.
//!
//! A sighting is a fact about the registry, never a judgement: absent, unreadable and empty are three things, and
//! "not reached" is a fourth that says nothing at all about the members.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::node_path::Subject;

/// A node's data as it is stored.
pub type Bytes = Arc<[u8]>;

/// One node's data, or why it could not be read although the node is there (an ACL, a file's mode, a size).
pub type Reading = Result<Bytes, Arc<str>>;

/// The members of one path by node name.
pub type Members = BTreeMap<Arc<str>, Reading>;

/// What is known of a place in the registry after an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen<T> {
    /// The registry answered: there is no such node.
    Absent,
    /// The registry answered, and refused or could not give the content: unknown, never empty.
    Unreadable(Arc<str>),
    /// It is there, and this is the whole of it at one moment.
    Present(T),
}

/// The whole of a subject at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum View {
    /// Of [`Subject::Members`].
    Members(Seen<Members>),
    /// Of [`Subject::Keyed`]: what each key holds.
    Keyed(Seen<BTreeMap<Arc<str>, Seen<Members>>>),
    /// Of [`Subject::Node`].
    Node(Seen<Bytes>),
}

impl View {
    /// Applies one change. A change that does not fit the view is ignored: a `Reset` follows then.
    pub fn apply(&mut self, change: Change) {
        match (self, change) {
            (view, Change::Put { key, name, reading }) => {
                if let Some(members) = view.members_mut(key.as_deref()) {
                    members.insert(name, reading);
                }
            }
            (view, Change::Left { key, name }) => {
                if let Some(members) = view.members_mut(key.as_deref()) {
                    members.remove(&name);
                }
            }
            (Self::Keyed(Seen::Present(keys)), Change::Key { key, members }) => {
                keys.insert(key, members);
            }
            (Self::Keyed(Seen::Present(keys)), Change::KeyLeft { key }) => {
                keys.remove(&key);
            }
            (_, Change::Key { .. } | Change::KeyLeft { .. }) => {}
        }
    }

    /// The members of the path itself, or of a key; `None` where they are not known.
    fn members_mut(&mut self, key: Option<&str>) -> Option<&mut Members> {
        let members = match (self, key) {
            (Self::Members(members), None) => members,
            (Self::Keyed(Seen::Present(keys)), Some(key)) => keys.get_mut(key)?,
            _ => return None,
        };
        if let Seen::Present(members) = members { Some(members) } else { None }
    }
}

/// A ZooKeeper transaction's number: the order of everything that ever happened in one ensemble.
///
/// A higher epoch is a later one, so plain comparison gives the order ("ZooKeeper Internals", Guarantees).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Zxid(pub i64);

/// How late each path of a subject is seen: the zxid of the last change of its list of children (`pzxid`); for a path
/// that is absent, the zxid of the answer that said so. As long as an ensemble keeps what it has acknowledged, a path's
/// never falls.
///
/// The empty string stands for the path itself, and for the one above the keys of a keyed subject; a key's name for the
/// path that holds its members. A registry without transactions gives none.
pub type Versions = BTreeMap<Arc<str>, Zxid>;

/// One difference from the view before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A member joined or changed its data.
    Put {
        /// Its key, in a keyed subject.
        key: Option<Arc<str>>,
        /// The node's name.
        name: Arc<str>,
        /// Its data now.
        reading: Reading,
    },
    /// A member left.
    Left {
        /// Its key, in a keyed subject.
        key: Option<Arc<str>>,
        /// The node's name.
        name: Arc<str>,
    },
    /// A key of a keyed subject came, or has to be taken anew as a whole.
    Key {
        /// Its name.
        key: Arc<str>,
        /// What it holds.
        members: Seen<Members>,
    },
    /// A key of a keyed subject is gone with all its members.
    KeyLeft {
        /// Its name.
        key: Arc<str>,
    },
}

/// News from one registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The whole of a subject: at the start, after each connect, and whenever a difference would not do. Everything
    /// said of the subject before is void.
    Reset {
        /// What was read.
        subject: Subject,
        /// What it holds.
        view: View,
        /// How late that is.
        stamps: Versions,
    },
    /// Differences from the last view, in order.
    Update {
        /// What changed.
        subject: Subject,
        /// How.
        changes: Vec<Change>,
        /// How late it is now, where that was seen.
        stamps: Versions,
    },
    /// The connection is lost, and may be back in a moment: what was said may be out of date. Nothing of it is to be
    /// judged until the next `Reset` of it.
    Suspended,
    /// The registry is not reached: every view of it is the last known one from here until the next `Reset` of it.
    Away {
        /// What was tried, and what came of it.
        why: String,
    },
}

/// News, and the registry that it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryEvent {
    /// The registry's name in the configuration.
    pub registry: Arc<str>,
    /// What it says.
    pub news: News,
}
