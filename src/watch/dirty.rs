//! Events → what to read again. Pure.
//!
//! An event says only that something happened to a node, and a second one may follow before the first is looked at: so
//! what is kept is not the events but the places that may have changed, and however many events come, a place is read
//! once.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::node_path::Subject;

#[cfg(test)]
mod tests;

/// What happened to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It came into being.
    Came,
    /// It was deleted.
    Went,
    /// Its data changed.
    Data,
    /// Its list of children changed; one-shot watches say no more than that.
    Children,
}

/// How many places of one subject are kept apart; with more, all of it is read.
const MAX_PLACES: usize = 20_000;

/// A member's place within its subject.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Its key, in a keyed subject.
    pub key: Option<Arc<str>>,
    /// Its name.
    pub name: Arc<str>,
}

/// The places of one subject that have to be read again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dirty {
    /// All of it.
    pub whole: bool,
    /// Which names there are under these: a key stands for the node that holds its members, the empty string for the
    /// node at the top. What was read of the names that stay still stands.
    pub lists: BTreeSet<Arc<str>>,
    /// These keys with all their members.
    pub keys: BTreeSet<Arc<str>>,
    /// These members.
    pub members: BTreeSet<Place>,
}

impl Dirty {
    /// Everything has to be read.
    pub fn whole() -> Self {
        Self { whole: true, ..Self::default() }
    }

    /// Whether there is nothing to read.
    pub fn is_clean(&self) -> bool {
        !self.whole && self.lists.is_empty() && self.keys.is_empty() && self.members.is_empty()
    }

    /// Hands over what is to be read, and begins anew.
    #[must_use]
    pub fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// Takes up more that is to be read.
    pub fn add(&mut self, more: Self) {
        self.whole |= more.whole;
        self.lists.extend(more.lists);
        self.keys.extend(more.keys);
        self.members.extend(more.members);
    }

    /// Takes up an event at `path`.
    pub fn note(&mut self, subject: &Subject, event: Event, path: &str) {
        // What is read whole is read with every place in it.
        if self.whole {
            return;
        }
        let Some(segments) = subject.top().segments_below(path) else {
            return;
        };
        match subject {
            Subject::Node(_) => self.whole |= segments.is_empty(),
            Subject::Members(_) => match segments.as_slice() {
                [] => self.top(event),
                [name] => self.member(None, name, event),
                _ => {}
            },
            Subject::Keyed { below, .. } => match segments.as_slice() {
                [] => self.top(event),
                [key, rest @ ..] => self.keyed(below, key, rest, event),
            },
        }
        // Names that come and go without end must not take memory without end.
        if self.members.len() + self.keys.len() + self.lists.len() > MAX_PLACES {
            *self = Self::whole();
        }
    }

    /// An event at the node whose children are followed.
    fn top(&mut self, event: Event) {
        match event {
            Event::Came | Event::Went => *self = Self::whole(),
            Event::Children => {
                self.lists.insert(Arc::from(""));
            }
            Event::Data => {}
        }
    }

    /// An event at `key` or under it.
    fn keyed(&mut self, below: &[Arc<str>], key: &str, rest: &[&str], event: Event) {
        let shared = rest.iter().zip(below).all(|(segment, wanted)| *segment == &**wanted);
        if !shared {
            return;
        }
        match rest.len().checked_sub(below.len()) {
            // Between the key and its members, or the node that holds them.
            Some(0) if event == Event::Children => {
                self.lists.insert(Arc::from(key));
            }
            None | Some(0) => {
                if event != Event::Data {
                    self.keys.insert(Arc::from(key));
                }
            }
            Some(1) => self.member(Some(key), rest[below.len()], event),
            Some(_) => {}
        }
    }

    /// An event at a member; what its own children do is no concern.
    fn member(&mut self, key: Option<&str>, name: &str, event: Event) {
        if event == Event::Children {
            return;
        }
        self.members.insert(Place { key: key.map(Arc::from), name: Arc::from(name) });
    }
}
