//! Records events as dirty sets of the subjects they concern. The events themselves are not kept, so a burst of events
//! needs no more memory than there are nodes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::model::node_path::Subject;
use crate::watch::dirty::DirtySet;
use crate::zk::{EventHandler, NodeEvent};

#[cfg(test)]
mod tests;

/// Identifies a subject for as long as it is followed.
pub type Id = u64;

/// A list of names within a subject, as in [`DirtySet::lists`].
pub type List = (Id, Arc<str>);

/// The dirty sets of the subjects that are followed through one connection.
#[derive(Debug, Default)]
pub struct DirtyTracker {
    state: Mutex<State>,
    notify: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The subjects by the path of their top node.
    by_top: HashMap<Box<str>, Vec<Id>>,
    subjects: BTreeMap<Id, (Subject, DirtySet)>,
    /// Subjects that became dirty since the last call of [`DirtyTracker::changed`].
    changed: BTreeSet<Id>,
    /// See [`DirtyTracker::keep_lists_apart`].
    keeps_lists_apart: bool,
    /// Lists whose one-shot watch fired since the last call of [`DirtyTracker::take_fired`].
    fired: BTreeSet<List>,
}

impl DirtyTracker {
    /// A handler that records the events of a connection here.
    pub fn event_handler(this: &Arc<Self>) -> EventHandler {
        let this = Arc::clone(this);
        Arc::new(move |event, path| this.record(event, path))
    }

    /// From now on, a list whose one-shot watch fires is not dirty, because a recursive watch reports what changed in
    /// it. [`take_fired`](Self::take_fired) returns it.
    pub fn keep_lists_apart(&self) {
        self.state().keeps_lists_apart = true;
    }

    /// Returns the lists whose one-shot watch fired since the last call.
    pub fn take_fired(&self) -> BTreeSet<List> {
        std::mem::take(&mut self.state().fired)
    }

    /// Starts tracking a subject, of which `first` has to be read first.
    pub fn track(&self, id: Id, subject: &Subject, first: DirtySet) {
        let mut state = self.state();
        state.by_top.entry(subject.top().as_str().into()).or_default().push(id);
        state.subjects.insert(id, (subject.clone(), first));
        state.changed.insert(id);
        self.notify.notify_one();
    }

    /// Stops tracking a subject.
    pub fn untrack(&self, id: Id) {
        let mut state = self.state();
        if let Some((subject, _)) = state.subjects.remove(&id)
            && let Some(ids) = state.by_top.get_mut(subject.top().as_str())
        {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                state.by_top.remove(subject.top().as_str());
            }
        }
        state.changed.remove(&id);
    }

    /// Records an event. This takes one lookup for each segment of its path, however many subjects there are.
    pub fn record(&self, event: NodeEvent, path: &str) {
        let mut state = self.state();
        let State { by_top, subjects, changed, keeps_lists_apart, fired } = &mut *state;
        let ancestors = path.match_indices('/').map(|(at, _)| if at == 0 { "/" } else { &path[..at] });
        let own = (path != "/").then_some(path);
        let mut is_new = false;
        for id in ancestors.chain(own).filter_map(|top| by_top.get(top)).flatten() {
            let Some((subject, dirty)) = subjects.get_mut(id) else { continue };
            if *keeps_lists_apart && event == NodeEvent::ChildrenChanged {
                let mut concerned = DirtySet::default();
                concerned.record(subject, event, path);
                fired.extend(concerned.lists.into_iter().map(|list| (*id, list)));
                is_new |= changed.insert(*id);
            } else {
                dirty.record(subject, event, path);
                is_new |= !dirty.is_empty() && changed.insert(*id);
            }
        }
        if is_new {
            self.notify.notify_one();
        }
    }

    /// Returns what has to be read of a subject, and marks the subject as clean.
    pub fn take(&self, id: Id) -> DirtySet {
        self.state().subjects.get_mut(&id).map(|(_, dirty)| dirty.take()).unwrap_or_default()
    }

    /// Whether nothing has to be read of a subject.
    pub fn is_clean(&self, id: Id) -> bool {
        self.state().subjects.get(&id).is_none_or(|(_, dirty)| dirty.is_empty())
    }

    /// Adds to what has to be read of a subject.
    pub fn add(&self, id: Id, more: DirtySet) {
        if more.is_empty() {
            return;
        }
        let mut state = self.state();
        if let Some((_, dirty)) = state.subjects.get_mut(&id) {
            dirty.merge(more);
            state.changed.insert(id);
            self.notify.notify_one();
        }
    }

    /// Waits until a subject becomes dirty, or the watch of a list fires. Returns all such subjects since the last call.
    pub async fn changed(&self) -> BTreeSet<Id> {
        loop {
            let changed = std::mem::take(&mut self.state().changed);
            if !changed.is_empty() {
                return changed;
            }
            self.notify.notified().await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
