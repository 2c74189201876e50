use std::time::Duration;

use super::*;

fn ids(feed: &EventFeed, after: u64) -> Vec<u64> {
    let id = |text: &Bytes| {
        let text = String::from_utf8_lossy(text).into_owned();
        text.strip_prefix("id: ").and_then(|text| text.lines().next()?.parse().ok()).unwrap_or_default()
    };
    feed.subscribe(Some(after)).0.iter().map(id).collect()
}

#[test]
fn numbers_grow_even_if_the_clock_is_set_back() {
    let feed = EventFeed::new();
    for micros in [1000, 5, 2000, 2000] {
        feed.add(&Event::TemplatesChanged {}, SystemTime::UNIX_EPOCH + Duration::from_micros(micros));
    }
    assert_eq!(ids(&feed, 0), [1000, 1001, 2000, 2001]);
    assert_eq!(ids(&feed, 1001), [2000, 2001]);
    assert!(feed.subscribe(None).0.is_empty(), "only what is asked for is repeated");
}

#[test]
fn the_kept_messages_are_limited_and_a_gap_is_shown() {
    let feed = EventFeed::new();
    let reason = "x".repeat(100_000);
    for _ in 0..20 {
        feed.add(&Event::ConfigRefused { reason: reason.clone() }, SystemTime::UNIX_EPOCH);
    }
    let kept = ids(&feed, 0);
    assert_eq!((kept[0], kept[1], kept.len()), (0, 11, 11), "a message that some are lost, and the last ten");
    assert!(feed.lock().size <= MAX_KEPT);
    assert_eq!(ids(&feed, 10).len(), 10, "nothing is missing after the tenth");
}

#[tokio::test]
async fn events_that_the_feed_itself_missed_are_counted() {
    let feed = EventFeed::new();
    let (sender, events) = broadcast::channel(2);
    for uid in 0..5 {
        sender.send(Arc::new(Event::Resumed { uid })).unwrap();
    }
    drop(sender);
    feed.collect(events).await;
    let messages = feed.subscribe(Some(0)).0;
    assert!(String::from_utf8_lossy(&messages[0]).ends_with("event: lost\ndata: {\"count\":3}\n\n"));
    assert_eq!(messages.len(), 3);
}
