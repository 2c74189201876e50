//! When to set the one-shot watches of lists again, beside recursive watches. Pure.
//!
//! A server sends no event of a node to a session that may not read it. So a recursive watch does not report that such a
//! node was created or deleted. The one-shot watch on the list of its parent does, but it also fires for each change that
//! the recursive watch reports. So it is set again some time after it fired, for the version of the list that is known
//! then. If there is a newer version, the server reports that at once, and the list has to be read.

use std::collections::VecDeque;
use std::collections::btree_map::{BTreeMap, Entry};
use std::time::Duration;

use tokio::time::Instant;

use super::dirty_tracker::List;

#[cfg(test)]
mod tests;

/// The time between an event of a watch and the request that sets it again. It limits the cost of many changes to two
/// requests a second for each list.
const DELAY: Duration = Duration::from_millis(500);

/// The watches that have to be set again.
#[derive(Debug, Default)]
pub struct ListWatches {
    /// In the order of time, because the delay is always the same.
    queue: VecDeque<(Instant, List)>,
    states: BTreeMap<List, State>,
}

#[derive(Debug)]
enum State {
    Queued,
    /// The request that sets the watch is under way.
    InFlight {
        has_fired: bool,
    },
}

impl ListWatches {
    /// Records that the watch of a list fired.
    pub fn fired(&mut self, list: List, now: Instant) {
        match self.states.entry(list) {
            Entry::Vacant(entry) => {
                self.queue.push_back((now + DELAY, entry.key().clone()));
                entry.insert(State::Queued);
            }
            Entry::Occupied(mut entry) => {
                if let State::InFlight { has_fired } = entry.get_mut() {
                    *has_fired = true;
                }
            }
        }
    }

    /// When the next watch is due.
    pub fn wake(&self) -> Option<Instant> {
        self.queue.front().map(|(at, _)| *at)
    }

    /// Takes the next list whose watch is due. Call [`done`](Self::done) when the request has its reply.
    pub fn take_due(&mut self, now: Instant) -> Option<List> {
        self.wake().filter(|at| *at <= now)?;
        let (_, list) = self.queue.pop_front()?;
        self.states.insert(list.clone(), State::InFlight { has_fired: false });
        Some(list)
    }

    /// Records that the request has its reply, or is not needed. Returns whether the watch fired meanwhile: then the list
    /// is newer than it was known to be.
    pub fn done(&mut self, list: &List) -> bool {
        matches!(self.states.remove(list), Some(State::InFlight { has_fired: true }))
    }
}
