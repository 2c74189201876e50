//! Derives from events what has to be read again. Pure.
//!
//! An event says only that something happened to a node, and another one may follow before the first is handled. So the
//! nodes that may have changed are kept, not the events. Each node is read once, however many events name it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::node_path::Subject;
use crate::zk::NodeEvent;

#[cfg(test)]
mod tests;

/// The most entries of one set. A subject with more is read completely.
const MAX_ENTRIES: usize = 20_000;

/// A member within a subject.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemberId {
    /// Its key, in a keyed subject.
    pub key: Option<Arc<str>>,
    /// The name of its node.
    pub name: Arc<str>,
}

/// The parts of one subject that have to be read again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DirtySet {
    /// The complete subject.
    pub all: bool,
    /// Lists of names: a key stands for the list of its members, the empty string for the list at the top. The data of
    /// names that stay is not read again.
    pub lists: BTreeSet<Arc<str>>,
    /// Keys with all their members.
    pub keys: BTreeSet<Arc<str>>,
    /// Single members.
    pub members: BTreeSet<MemberId>,
}

impl DirtySet {
    /// The complete subject.
    pub fn all() -> Self {
        Self { all: true, ..Self::default() }
    }

    /// Whether nothing has to be read.
    pub fn is_empty(&self) -> bool {
        !self.all && self.lists.is_empty() && self.keys.is_empty() && self.members.is_empty()
    }

    /// Returns the set and leaves an empty one.
    #[must_use]
    pub fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// Adds everything in `other`.
    pub fn merge(&mut self, other: Self) {
        self.all |= other.all;
        self.lists.extend(other.lists);
        self.keys.extend(other.keys);
        self.members.extend(other.members);
    }

    /// Adds what an event at `path` may have changed.
    pub fn record(&mut self, subject: &Subject, event: NodeEvent, path: &str) {
        if self.all {
            return;
        }
        let Some(segments) = subject.top().segments_below(path) else {
            return;
        };
        match subject {
            Subject::Node(_) => self.all |= segments.is_empty(),
            Subject::Mapped { .. } => {}
            Subject::Members(_) => match segments.as_slice() {
                [] => self.record_top(event),
                [name] => self.record_member(None, name),
                [name, _] if event.changes_children() => self.record_member(None, name),
                _ => {}
            },
            Subject::Keyed { below, .. } => match segments.as_slice() {
                [] => self.record_top(event),
                [key, rest @ ..] if subject.is_key(key) => self.record_keyed(below, key, rest, event),
                _ => {}
            },
        }
        // An endless series of new names must not use unlimited memory.
        if self.members.len() + self.keys.len() + self.lists.len() > MAX_ENTRIES {
            *self = Self::all();
        }
    }

    /// An event at the top node, whose children are followed.
    fn record_top(&mut self, event: NodeEvent) {
        match event {
            NodeEvent::Created | NodeEvent::Deleted => *self = Self::all(),
            NodeEvent::ChildrenChanged => {
                self.lists.insert(Arc::from(""));
            }
            NodeEvent::DataChanged => {}
        }
    }

    /// An event at `key` or below it.
    fn record_keyed(&mut self, below: &[Arc<str>], key: &str, rest: &[&str], event: NodeEvent) {
        let is_on_path = rest.iter().zip(below).all(|(segment, wanted)| *segment == &**wanted);
        if !is_on_path {
            return;
        }
        match rest.len().checked_sub(below.len()) {
            // The node that holds the members, or one between it and the key.
            Some(0) if event == NodeEvent::ChildrenChanged => {
                self.lists.insert(Arc::from(key));
            }
            None | Some(0) => {
                if event != NodeEvent::DataChanged {
                    self.keys.insert(Arc::from(key));
                }
            }
            Some(1) => self.record_member(Some(key), rest[below.len()]),
            Some(2) if event.changes_children() => self.record_member(Some(key), rest[below.len()]),
            Some(_) => {}
        }
    }

    /// An event at a member, or at a child of it: a node with children is not a member.
    fn record_member(&mut self, key: Option<&str>, name: &str) {
        self.members.insert(MemberId { key: key.map(Arc::from), name: Arc::from(name) });
    }
}
