use super::*;
use crate::model::registry_event::{Seen, View};

#[tokio::test]
async fn an_event_that_was_not_queued_counts_as_not_sent() {
    let (out, mut events) = mpsc::channel(1);
    let sender = EventSender::new("r".into(), out);
    sender.send_unreachable("first".into()).await;
    assert!(!sender.is_unreachable_due(), "queued, though not received yet");
    let diff = Diff::Reset(View::Members(Seen::Absent));
    let subject = Subject::parse("/a").unwrap();
    let sending = sender.send_diff(&subject, diff);
    assert!(tokio::time::timeout(Duration::from_millis(1), sending).await.is_err(), "the queue is full");
    assert!(!sender.is_unreachable_due());
    sender.set_unreachable_sent(None);
    assert!(tokio::time::timeout(Duration::from_millis(1), sender.send_unreachable("second".into())).await.is_err());
    assert!(sender.is_unreachable_due(), "still due");
    assert!(events.recv().await.is_some());
    sender.send_unreachable("second".into()).await;
    assert!(matches!(events.recv().await.unwrap().update, Update::Unreachable { reason } if reason == "second"));
}
