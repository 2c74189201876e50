use super::*;
use crate::model::registry_event::{Seen, View};

#[tokio::test]
async fn an_event_that_was_not_queued_counts_as_not_sent() {
    let (out, mut events) = mpsc::channel(1);
    let sender = EventSender::new("r".into(), out);
    let is_due = |sender: &EventSender| sender.unreachable_sent().is_none();
    sender.send_unreachable("first".to_owned().into()).await;
    assert!(!is_due(&sender), "queued, though not received yet");
    let diff = Diff::Reset(View::Members(Seen::Absent));
    let subject = Subject::parse("/a").unwrap();
    let sending = sender.send_diff(&subject, diff);
    assert!(tokio::time::timeout(Duration::from_millis(1), sending).await.is_err(), "the queue is full");
    assert!(!is_due(&sender));
    *sender.unreachable_sent() = None;
    let sending = sender.send_unreachable("second".to_owned().into());
    assert!(tokio::time::timeout(Duration::from_millis(1), sending).await.is_err());
    assert!(is_due(&sender), "still due");
    assert!(events.recv().await.is_some());
    sender.send_unreachable("second".to_owned().into()).await;
    assert!(
        matches!(events.recv().await.unwrap().update, Update::Unreachable(Unreachable { reason, .. }) if reason == "second")
    );
}

#[tokio::test]
async fn a_failure_that_becomes_final_is_sent_at_once() {
    let (out, mut events) = mpsc::channel(8);
    let sender = EventSender::new("r".into(), out);
    for (reason, is_final) in
        [("refused", false), ("refused", false), ("no chroot", true), ("refused", false), ("no chroot", true)]
    {
        sender.send_unreachable(Unreachable { reason: reason.into(), is_final }).await;
    }
    drop(sender);
    let mut sent = Vec::new();
    while let Some(event) = events.recv().await {
        let Update::Unreachable(Unreachable { reason, is_final }) = event.update else { panic!("{event:?}") };
        sent.push((reason, is_final));
    }
    assert_eq!(sent, [("refused".to_owned(), false), ("no chroot".to_owned(), true)]);
}
