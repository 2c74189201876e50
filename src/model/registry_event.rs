//! What a registry reports: the interface between `watch/` and `decide/`.
//!
//! An event states a fact about the registry. Absent, unreadable and empty are three different facts. Unreachable is a
//! fourth, which says nothing about the members.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::node_path::{NodePath, Subject};
use super::version::Versions;

/// The data of a node as stored.
pub type Bytes = Arc<[u8]>;

/// An existing node as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeContent {
    /// Its data.
    pub data: Bytes,
    /// What else decides whether it can be a member.
    pub kind: NodeKind,
}

/// The kinds of nodes. A directory registry has no ephemeral ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// It has no children, and is removed with the session of its writer or after a time.
    #[default]
    Ephemeral,
    /// It has no children, and stays until it is deleted.
    Persistent,
    /// It has children.
    Parent,
}

impl NodeKind {
    /// Whether it is ephemeral.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde requires it")]
    pub fn is_ephemeral(&self) -> bool {
        *self == Self::Ephemeral
    }
}

impl NodeContent {
    /// An ephemeral node. A node that was a member when it was saved is restored as one.
    pub fn ephemeral(data: impl Into<Bytes>) -> Self {
        Self { data: data.into(), kind: NodeKind::Ephemeral }
    }
}

/// An existing node, or why it cannot be read: an ACL, a file mode, a size.
pub type Reading = Result<NodeContent, Arc<str>>;

/// The children of one path by node name: its members, and nodes that are none.
pub type Members = BTreeMap<Arc<str>, Reading>;

/// The state of a node according to an answer of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen<T> {
    /// The node does not exist.
    Absent,
    /// The registry did not give the content, for this reason. The content is unknown, not empty.
    Unreadable(Arc<str>),
    /// The complete content at one moment.
    Present(T),
}

/// The complete content of a subject at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum View {
    /// The members of [`Subject::Members`].
    Members(Seen<Members>),
    /// The members of each key of [`Subject::Keyed`].
    Keyed(Seen<BTreeMap<Arc<str>, Seen<Members>>>),
    /// The data of [`Subject::Node`].
    Node(Seen<Bytes>),
    /// Of [`Subject::Mapped`].
    Mapped {
        /// The node that the host is to read; `None` if that is not known, for the reason that `data` has.
        mapping: Option<Mapping>,
        /// The data of that node.
        data: Seen<Bytes>,
    },
}

/// The node that a host is to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// Its path.
    pub path: NodePath,
    /// Whether `nodemaps` names it. Otherwise it is the one for all hosts that `nodemaps` does not name.
    pub is_listed: bool,
}

impl View {
    /// A subject that cannot be read, for this reason.
    pub fn unreadable(subject: &Subject, why: Arc<str>) -> Self {
        match subject {
            Subject::Members(_) => Self::Members(Seen::Unreadable(why)),
            Subject::Keyed { .. } => Self::Keyed(Seen::Unreadable(why)),
            Subject::Node(_) | Subject::Mapped { .. } => Self::of_node(subject, Seen::Unreadable(why)),
        }
    }

    /// The view of a subject of one node.
    pub fn of_node(subject: &Subject, data: Seen<Bytes>) -> Self {
        match subject {
            Subject::Mapped { .. } => Self::Mapped { mapping: None, data },
            Subject::Members(_) | Subject::Keyed { .. } | Subject::Node(_) => Self::Node(data),
        }
    }

    /// Applies one change. A change that does not fit the view is ignored: a `Reset` follows then.
    pub fn apply(&mut self, change: Change) {
        match (self, change) {
            (view, Change::Put { key, name, reading }) => {
                if let Some(members) = view.members_mut(key.as_deref()) {
                    members.insert(name, reading);
                }
            }
            (view, Change::Removed { key, name }) => {
                if let Some(members) = view.members_mut(key.as_deref()) {
                    members.remove(&name);
                }
            }
            (Self::Keyed(Seen::Present(keys)), Change::KeyPut { key, members }) => {
                keys.insert(key, members);
            }
            (Self::Keyed(Seen::Present(keys)), Change::KeyRemoved { key }) => {
                keys.remove(&key);
            }
            (_, Change::KeyPut { .. } | Change::KeyRemoved { .. }) => {}
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

/// One difference from the previous view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A node joined or changed.
    Put {
        /// Its key, in a keyed subject.
        key: Option<Arc<str>>,
        /// The name of its node.
        name: Arc<str>,
        /// The node now.
        reading: Reading,
    },
    /// A node left.
    Removed {
        /// Its key, in a keyed subject.
        key: Option<Arc<str>>,
        /// The name of its node.
        name: Arc<str>,
    },
    /// A key of a keyed subject was added, or its members are replaced as a whole.
    KeyPut {
        /// The name of the key.
        key: Arc<str>,
        /// Its members.
        members: Seen<Members>,
    },
    /// A key of a keyed subject was removed with all its members.
    KeyRemoved {
        /// The name of the key.
        key: Arc<str>,
    },
}

/// What a registry reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// The complete content of a subject: the first report, the first one after each connect, and whenever a list of
    /// differences does not suffice. It replaces everything reported of the subject before.
    Reset {
        /// The subject.
        subject: Subject,
        /// Its content.
        view: View,
        /// How recent the content is.
        versions: Versions,
    },
    /// The differences from the previous view, in order.
    Changed {
        /// The subject.
        subject: Subject,
        /// The differences.
        changes: Vec<Change>,
        /// How recent the paths are now, where that was read.
        versions: Versions,
    },
    /// The connection was lost and may return soon. Earlier events may be out of date, and must not be evaluated before
    /// the next `Reset`.
    Suspended,
    /// The registry cannot be reached. Every view of it is the last known one until its next `Reset`.
    Unreachable(Unreachable),
    /// The registry is reached again. Sent only if no subject is followed, whose `Reset` would say the same.
    Connected,
}

/// Why a registry cannot be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreachable {
    /// What was tried, and what failed.
    pub reason: String,
    /// A retry would fail in the same way until an operator changes the registry or the configuration. A command that
    /// reads once ends then; the agent retries all the same.
    pub is_final: bool,
}

impl From<String> for Unreachable {
    /// A failure that may pass.
    fn from(reason: String) -> Self {
        Self { reason, is_final: false }
    }
}

/// An update and its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryEvent {
    /// The name of the registry in the configuration.
    pub registry: Arc<str>,
    /// What it reports.
    pub update: Update,
}
