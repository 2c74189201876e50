//! One-shot watches, for servers before 3.6.
//!
//! A read sets the watch and takes the data in one request, so nothing falls between the two. A watch that is set is
//! not set again, and is never taken back: a server before 3.5 hangs up on the request for that. Each is left with a
//! task of its own until it fires, or the session ends, which fires them all.

use std::collections::HashSet;
use std::future::Future;
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

/// What became of a watch: its event, or `None` when it came to a sudden end and will not fire any more.
pub type Fired = Option<WatchedEvent>;

/// The watches that are set for one subject.
#[derive(Debug, Clone)]
pub struct Oneshots {
    set: Arc<Mutex<HashSet<(On, String)>>>,
    fired: mpsc::UnboundedSender<Fired>,
}

impl Oneshots {
    /// None yet; the receiver hears of each that fires, and of the session's end.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Fired>) {
        let (fired, events) = mpsc::unbounded_channel();
        (Self { set: Arc::default(), fired }, events)
    }

    /// Whether a watch is set.
    pub fn is_set(&self, on: On, path: &str) -> bool {
        self.set().contains(&(on, path.to_owned()))
    }

    /// Takes up a watch that was set with a read.
    pub fn keep(&self, on: On, path: &str, watcher: OneshotWatcher) {
        self.keep_until(on, path, watcher.changed());
    }

    fn keep_until(&self, on: On, path: &str, fires: impl Future<Output = WatchedEvent> + Send + 'static) {
        let place = (on, path.to_owned());
        self.set().insert(place.clone());
        let kept = Kept { all: self.clone(), place, event: None };
        tokio::spawn(async move {
            let mut kept = kept;
            kept.event = Some(fires.await);
            drop(kept);
        });
    }

    fn set(&self) -> MutexGuard<'_, HashSet<(On, String)>> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A watch that is set. However its task ends, that is said: a watch that is thought to be set is not set again.
struct Kept {
    all: Oneshots,
    place: (On, String),
    event: Fired,
}

impl Drop for Kept {
    fn drop(&mut self) {
        // First out of the set, then said: a read in between sets it again, and hears of it twice at worst.
        self.all.set().remove(&self.place);
        // Nobody listens any more when the subject is being left.
        let _ = self.all.fired.send(self.event.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_watch_that_breaks_is_heard_of() {
        let (oneshots, mut fired) = Oneshots::new();
        oneshots.keep_until(On::Data, "/a", async { panic!("this test wants it") });
        assert!(oneshots.is_set(On::Data, "/a"));
        assert_eq!(fired.recv().await, Some(None));
        assert!(!oneshots.is_set(On::Data, "/a"), "the next reading sets it again");
    }
}
