//! `/events`: the events as server-sent events (HTML standard, section 9.2).

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use futures_util::stream;
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout, timeout_at};

use super::event_feed::{Message, lost_message};
use super::limits::{STREAM_HEARTBEAT, STREAM_LIFE};
use super::shared::Shared;
use crate::http_server::answers::{Body, text};

#[cfg(test)]
mod tests;

/// The first bytes of a stream: how many milliseconds a client waits before it connects again.
const BEGIN: &[u8] = b"retry: 2000\n\n";

/// A stream of one client.
struct EventStream {
    ready: VecDeque<Bytes>,
    messages: Receiver<Message>,
    end: Instant,
    _permit: OwnedSemaphorePermit,
}

/// The answer to `/events`.
pub fn answer(request: &Request<Incoming>, shared: &Shared) -> Response<Body> {
    let mut response = Response::new(Empty::new().boxed_unsync());
    if request.method() == Method::GET {
        let Ok(permit) = Arc::clone(&shared.streams).try_acquire_owned() else {
            return text(StatusCode::TOO_MANY_REQUESTS, "too many streams of events are open: retry later\n");
        };
        let (mut ready, messages) = shared.events.subscribe(last_seen(request));
        ready.push_front(Bytes::from_static(BEGIN));
        let stream = EventStream { ready, messages, end: Instant::now() + STREAM_LIFE, _permit: permit };
        let frames = stream::unfold(stream, |mut stream| async {
            let bytes = stream.next().await?;
            Some((Ok::<_, Infallible>(Frame::data(bytes)), stream))
        });
        *response.body_mut() = StreamBody::new(frames).boxed_unsync();
    }
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

/// The number of the last event that the client has seen: `Last-Event-ID`, or `after` in the query for the first time.
fn last_seen(request: &Request<Incoming>) -> Option<u64> {
    let header = request.headers().get("last-event-id").and_then(|id| id.to_str().ok());
    let mut query = request.uri().query().into_iter().flat_map(|query| query.split('&'));
    let after = query.find_map(|part| part.strip_prefix("after="));
    header.or(after).and_then(|id| id.parse().ok())
}

impl EventStream {
    /// What is to be sent next; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(bytes) = self.ready.pop_front() {
            return Some(bytes);
        }
        let message = timeout(STREAM_HEARTBEAT, self.messages.recv());
        match timeout_at(self.end, message).await.ok()? {
            Ok(Ok((_, text))) => Some(text),
            Ok(Err(RecvError::Lagged(count))) => Some(lost_message(None, Some(count))),
            Ok(Err(RecvError::Closed)) => None,
            Err(_) => Some(Bytes::from_static(b": alive\n\n")),
        }
    }
}
