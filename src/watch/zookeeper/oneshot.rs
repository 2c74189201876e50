//! One-shot watches, for servers before 3.6.
//!
//! A read sets the watch and takes the data in one request, so nothing falls between the two. A watch that is set is
//! not set again, and is never taken back: a server before 3.5 hangs up on the request for that. Each is left with a
//! task of its own until it fires, or the session ends, which fires them all.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;
use zookeeper_client::{OneshotWatcher, WatchedEvent};

/// What a one-shot watch is set on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum On {
    /// Whether a node exists.
    Existence,
    /// A node's children.
    Children,
    /// A node's data.
    Data,
}

/// The watches that are set for one subject.
#[derive(Debug, Clone)]
pub struct Oneshots {
    set: Arc<Mutex<HashSet<(On, String)>>>,
    fired: mpsc::UnboundedSender<WatchedEvent>,
}

impl Oneshots {
    /// None yet; the receiver hears of each that fires, and of the session's end.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<WatchedEvent>) {
        let (fired, events) = mpsc::unbounded_channel();
        (Self { set: Arc::default(), fired }, events)
    }

    /// Whether a watch is set.
    pub fn is_set(&self, on: On, path: &str) -> bool {
        self.set().contains(&(on, path.to_owned()))
    }

    /// Takes up a watch that was set with a read.
    pub fn keep(&self, on: On, path: &str, watcher: OneshotWatcher) {
        let place = (on, path.to_owned());
        self.set().insert(place.clone());
        let this = self.clone();
        tokio::spawn(async move {
            let event = watcher.changed().await;
            // First out of the set, then said: a read in between sets it again, and hears of it twice at worst.
            this.set().remove(&place);
            let _ = this.fired.send(event);
        });
    }

    fn set(&self) -> MutexGuard<'_, HashSet<(On, String)>> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
