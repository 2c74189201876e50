use std::time::SystemTime;

use tokio::sync::Semaphore;

use super::super::event_feed::EventFeed;
use super::*;
use crate::decide::Event;

fn stream(feed: &EventFeed, after: Option<u64>) -> EventStream {
    let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
    let (ready, messages) = feed.subscribe(after);
    EventStream { ready, messages, end: Instant::now() + STREAM_LIFE, _permit: permit }
}

async fn next(stream: &mut EventStream) -> String {
    String::from_utf8(stream.next().await.unwrap().to_vec()).unwrap()
}

/// An event that is told from others by its user.
fn add(feed: &EventFeed, uid: u32) {
    feed.add(&Event::Resumed { uid }, SystemTime::UNIX_EPOCH);
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_loses_the_oldest_events_and_is_told_how_many() {
    let feed = EventFeed::new();
    let mut slow = stream(&feed, None);
    (0..300).for_each(|uid| add(&feed, uid));
    assert_eq!(next(&mut slow).await, "event: lost\ndata: {\"count\":44}\n\n");
    assert!(next(&mut slow).await.contains("\"uid\":44}\n\n"), "and continues with the oldest remaining event");
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_shows_that_it_is_alive_and_ends_after_its_life() {
    let feed = EventFeed::new();
    let mut quiet = stream(&feed, None);
    let began = Instant::now();
    while let Some(bytes) = quiet.next().await {
        assert_eq!(bytes, ": alive\n\n");
        assert!(began.elapsed() <= STREAM_LIFE);
    }
    assert_eq!(began.elapsed(), STREAM_LIFE);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_connects_again_gets_each_event_once() {
    let feed = EventFeed::new();
    (1..=3).for_each(|uid| add(&feed, uid));
    let mut first = stream(&feed, Some(0));
    let seen = next(&mut first).await;
    assert_eq!(
        seen,
        "id: 1\nevent: resumed\ndata: {\"timestamp\":\"1970-01-01T00:00:00.000Z\",\"level\":\"INFO\",\
         \"event\":\"resumed\",\"message\":\"file replacement resumed\",\"uid\":1}\n\n"
    );
    let mut again = stream(&feed, Some(1));
    add(&feed, 4);
    for uid in 2..=4 {
        assert!(next(&mut again).await.contains(&format!("\"uid\":{uid}}}")));
    }
}
