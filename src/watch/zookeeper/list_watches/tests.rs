use super::*;

#[test]
fn a_watch_is_set_once_for_all_events_of_half_a_second() {
    let (mut watches, began) = (ListWatches::default(), Instant::now());
    let list = |key: &str| (1, key.into());
    for millis in 0..500 {
        watches.fired(list("a"), began + Duration::from_millis(millis));
    }
    watches.fired(list("b"), began + Duration::from_millis(100));
    let due = began + DELAY;
    assert_eq!(watches.wake(), Some(due));
    assert_eq!(watches.take_due(due - Duration::from_millis(1)), None);
    assert_eq!(watches.take_due(due), Some(list("a")));
    assert_eq!(watches.take_due(due), None, "the other one is not due yet");
    assert!(!watches.done(&list("a")));
    assert_eq!(watches.take_due(due + DELAY), Some(list("b")));
    assert_eq!((watches.take_due(due + DELAY), watches.wake()), (None, None));
}

#[test]
fn an_event_before_the_reply_means_that_the_list_changed() {
    let (mut watches, began) = (ListWatches::default(), Instant::now());
    let list: List = (1, "a".into());
    watches.fired(list.clone(), began);
    assert_eq!(watches.take_due(began + DELAY), Some(list.clone()));
    watches.fired(list.clone(), began + DELAY);
    assert_eq!(watches.wake(), None, "the reply comes first");
    assert!(watches.done(&list));
    watches.fired(list.clone(), began + DELAY);
    assert_eq!(watches.wake(), Some(began + DELAY * 2));
}
