//! Hears of events, and keeps which places they were about: never the events themselves, so that no storm of them takes
//! more memory than there are places.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::model::node_path::Subject;
use crate::watch::dirty::DirtySet;
use crate::zk::NodeEvent;

use crate::zk;

#[cfg(test)]
mod tests;

/// Stands for one subject for as long as it is subscription.
pub type Id = u64;

/// What one connection has told of.
#[derive(Debug, Default)]
pub struct DirtyTracker {
    heard: Mutex<TrackerState>,
    woken: Notify,
}

#[derive(Debug, Default)]
struct TrackerState {
    /// The subjects by the node at their top.
    tops: HashMap<Box<str>, Vec<Id>>,
    subjects: BTreeMap<Id, (Subject, DirtySet)>,
    /// Those that have become dirty since somebody last asked.
    woken: BTreeSet<Id>,
}

impl DirtyTracker {
    /// As a connection wants them.
    pub fn of(this: &Arc<Self>) -> zk::EventHandler {
        let this = Arc::clone(this);
        Arc::new(move |event, path| this.hear(event, path))
    }

    /// Listens for a subject from now on, of which this has to be read first.
    pub fn follow(&self, id: Id, subject: &Subject, first: DirtySet) {
        let mut heard = self.heard();
        heard.tops.entry(subject.top().as_str().into()).or_default().push(id);
        heard.subjects.insert(id, (subject.clone(), first));
        heard.woken.insert(id);
        self.woken.notify_one();
    }

    /// Listens no more.
    pub fn leave(&self, id: Id) {
        let mut heard = self.heard();
        if let Some((subject, _)) = heard.subjects.remove(&id)
            && let Some(ids) = heard.tops.get_mut(subject.top().as_str())
        {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                heard.tops.remove(subject.top().as_str());
            }
        }
        heard.woken.remove(&id);
    }

    /// Takes an event up. It costs one look for each segment of its path, however many subjects there are.
    pub fn hear(&self, event: NodeEvent, path: &str) {
        let mut heard = self.heard();
        let TrackerState { tops, subjects, woken } = &mut *heard;
        let above = path.match_indices('/').map(|(at, _)| if at == 0 { "/" } else { &path[..at] });
        let own = (path != "/").then_some(path);
        let mut is_news = false;
        for id in above.chain(own).filter_map(|top| tops.get(top)).flatten() {
            if let Some((subject, dirty)) = subjects.get_mut(id) {
                dirty.record(subject, event, path);
                is_news |= !dirty.is_empty() && woken.insert(*id);
            }
        }
        if is_news {
            self.woken.notify_one();
        }
    }

    /// What is to be read of a subject now; from here on it is clean.
    pub fn take(&self, id: Id) -> DirtySet {
        self.heard().subjects.get_mut(&id).map(|(_, dirty)| dirty.take()).unwrap_or_default()
    }

    /// Whether nothing is to be read of a subject.
    pub fn is_clean(&self, id: Id) -> bool {
        self.heard().subjects.get(&id).is_none_or(|(_, dirty)| dirty.is_empty())
    }

    /// More is to be read of a subject.
    pub fn add(&self, id: Id, more: DirtySet) {
        if more.is_empty() {
            return;
        }
        let mut heard = self.heard();
        if let Some((_, dirty)) = heard.subjects.get_mut(&id) {
            dirty.merge(more);
            heard.woken.insert(id);
            self.woken.notify_one();
        }
    }

    /// Waits until something has become dirty, and gives what has since this was last asked.
    pub async fn woken(&self) -> BTreeSet<Id> {
        loop {
            let woken = std::mem::take(&mut self.heard().woken);
            if !woken.is_empty() {
                return woken;
            }
            self.woken.notified().await;
        }
    }

    fn heard(&self) -> MutexGuard<'_, TrackerState> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
