//! Sets the one-shot watches of lists again: see [`list_watches`](crate::watch::zookeeper::list_watches).

use tokio::time::Instant;

use crate::watch::dirty::DirtySet;
use crate::watch::zookeeper::dirty_tracker::List;
use crate::watch::zookeeper::reader::{ReadError, list_path};
use crate::zk::RequestResult;

use super::{Completed, Follower};

impl Follower<'_> {
    /// Queues the watches that fired.
    pub(super) fn record_fired(&mut self) {
        let now = Instant::now();
        for list in self.tracker.take_fired() {
            self.list_watches.fired(list, now);
        }
    }

    /// Sets the watches that are due.
    pub(super) fn set_list_watches(&mut self) {
        while let Some(list) = self.list_watches.take_due(Instant::now()) {
            let subscription = self.context.subscriptions.get(list.0);
            let known = subscription.and_then(|subscription| {
                let since = subscription.cached.names_version(&list.1)?;
                Some((list_path(&subscription.subject, &list.1), since))
            });
            let Some((path, since)) = known else {
                // The read of a list sets its watch, too.
                self.list_watches.done(&list);
                continue;
            };
            let connection = self.connection.clone();
            self.requests.push(Box::pin(async move {
                let reply = connection.watch_children(path.as_str(), since).await;
                Completed::ListWatch(list, reply)
            }));
        }
    }

    /// A watch was set, or the server reported a newer version of its list.
    pub(super) fn list_watch_set(&mut self, list: &List, reply: RequestResult<()>) -> Result<(), ReadError> {
        // An event that came before the reply is recorded by now, but perhaps was not handled yet.
        self.record_fired();
        let is_newer = self.list_watches.done(list);
        if reply?.value.is_err() {
            self.list_watches.fired(list.clone(), Instant::now());
        } else if is_newer {
            let (id, key) = list.clone();
            self.tracker.add(id, DirtySet { lists: [key].into(), ..DirtySet::default() });
        }
        Ok(())
    }
}
