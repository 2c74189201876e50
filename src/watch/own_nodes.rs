//! The nodes that this agent registers, and which of them were changed in the registry.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;

use crate::model::registration::NodeId;

/// Records the events of these nodes. Events of others cost one lookup.
#[derive(Debug, Default)]
pub struct OwnNodes {
    state: Mutex<State>,
    notify: Notify,
}

#[derive(Debug, Default)]
struct State {
    nodes: HashMap<String, NodeId>,
    others: Vec<Weak<OwnNodes>>,
    changed: BTreeSet<NodeId>,
}

impl OwnNodes {
    /// Records events of this path from now on.
    pub fn watch(&self, path: &str, id: &NodeId) {
        self.state().nodes.insert(path.to_owned(), id.clone());
    }

    /// Passes every event on to another record for as long as that exists.
    pub fn attach(&self, other: &Arc<Self>) {
        let mut state = self.state();
        state.others.retain(|known| known.strong_count() > 0);
        state.others.push(Arc::downgrade(other));
    }

    /// Records no more events of this node.
    pub fn forget(&self, id: &NodeId) {
        self.state().nodes.retain(|_, known| known != id);
    }

    /// Records an event.
    pub fn record(&self, path: &str) {
        let mut state = self.state();
        for other in state.others.iter().filter_map(Weak::upgrade) {
            other.record(path);
        }
        if let Some(id) = state.nodes.get(path).cloned() {
            state.changed.insert(id);
            self.notify.notify_one();
        }
    }

    /// Waits until nodes were changed, and returns them.
    pub async fn changed(&self) -> BTreeSet<NodeId> {
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
