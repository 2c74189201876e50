use super::*;

#[tokio::test]
async fn what_was_given_up_was_not_said() {
    let (out, mut news) = mpsc::channel(1);
    let teller = EventSender::new("r".into(), out);
    teller.away("first".into()).await;
    assert!(!teller.is_away_due(), "said, though not heard yet");
    let told = Told::Reset(crate::model::registry_event::View::Members(crate::model::registry_event::Seen::Absent));
    let subject = Subject::roster("/a").unwrap();
    let telling = teller.told(&subject, told);
    assert!(tokio::time::timeout(Duration::from_millis(1), telling).await.is_err(), "no room");
    assert!(!teller.is_away_due());
    teller.set_away(None);
    assert!(tokio::time::timeout(Duration::from_millis(1), teller.away("second".into())).await.is_err());
    assert!(teller.is_away_due(), "it is still to be said");
    assert!(news.recv().await.is_some());
    teller.away("second".into()).await;
    assert!(matches!(news.recv().await.unwrap().news, News::Away { why } if why == "second"));
}
