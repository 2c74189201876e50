//! The events as messages for streams, with the last ones kept for clients that connect later.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use hyper::body::Bytes;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{self, Receiver};

use crate::decide::Event;
use crate::log::json_line;

#[cfg(test)]
mod tests;

/// The maximum size of the kept messages together, in bytes.
const MAX_KEPT: usize = 1024 * 1024;

/// How many messages a stream may be behind. Beyond that it loses the oldest, and is told so.
const BACKLOG: usize = 256;

/// A message of a stream: its number, and its text.
pub type Message = (u64, Bytes);

/// The messages.
#[derive(Debug)]
pub struct EventFeed {
    kept: Mutex<Kept>,
    sender: broadcast::Sender<Message>,
}

#[derive(Debug, Default)]
struct Kept {
    messages: VecDeque<Message>,
    size: usize,
    /// The number of the last message that is no longer kept.
    forgotten: u64,
    /// The number of the last message.
    last: u64,
}

impl EventFeed {
    /// Without messages.
    pub fn new() -> Self {
        Self { kept: Mutex::default(), sender: broadcast::Sender::new(BACKLOG) }
    }

    /// Adds every event, until there will be none.
    pub async fn collect(&self, mut events: Receiver<Arc<Event>>) {
        loop {
            match events.recv().await {
                Ok(event) => self.add(&event, SystemTime::now()),
                Err(RecvError::Lagged(lost)) => self.push(SystemTime::now(), |id| lost_message(Some(id), Some(lost))),
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Adds an event that happened at this time.
    pub fn add(&self, event: &Event, time: SystemTime) {
        let (name, line) = (event.kind().name, json_line(event, time));
        self.push(time, |id| format!("id: {id}\nevent: {name}\ndata: {line}\n\n").into());
    }

    fn push(&self, time: SystemTime, message: impl FnOnce(u64) -> Bytes) {
        let mut kept = self.lock();
        // The time as the number: it is larger after a restart of the agent too.
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let id = u64::try_from(since.as_micros()).unwrap_or(u64::MAX).max(kept.last.saturating_add(1));
        let text = message(id);
        kept.last = id;
        kept.size += text.len();
        kept.messages.push_back((id, text.clone()));
        while kept.size > MAX_KEPT
            && let Some((id, text)) = kept.messages.pop_front()
        {
            kept.size -= text.len();
            kept.forgotten = id;
        }
        // Under the lock, so that a new stream gets each message once. Without a stream there is nobody to send it to.
        let _ = self.sender.send((id, text));
    }

    /// The kept messages after the number `after`, if given, and all later ones.
    pub fn subscribe(&self, after: Option<u64>) -> (VecDeque<Bytes>, Receiver<Message>) {
        let kept = self.lock();
        let mut messages = VecDeque::new();
        if let Some(after) = after {
            messages.extend((after < kept.forgotten).then(|| lost_message(None, None)));
            messages.extend(kept.messages.iter().filter(|(id, _)| *id > after).map(|(_, text)| text.clone()));
        }
        (messages, self.sender.subscribe())
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells a client that events are missing, and how many, if that is known.
pub fn lost_message(id: Option<u64>, count: Option<u64>) -> Bytes {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    let count = count.map_or_else(|| "null".to_owned(), |count| count.to_string());
    format!("{id}event: lost\ndata: {{\"count\":{count}}}\n\n").into()
}
