use super::*;

#[test]
fn a_subject_that_stays_keeps_its_id_and_one_added_again_gets_a_new_one() {
    let wanted = |list: &[(&str, u64)]| -> Subjects {
        list.iter().map(|(path, number)| (Subject::parse(path).unwrap(), *number)).collect()
    };
    let mut subscriptions = Subscriptions::default();
    assert_eq!(subscriptions.set_wanted(&wanted(&[("/a", 0), ("/b", 0)])), (vec![], vec![1, 2]));
    assert_eq!(subscriptions.set_wanted(&wanted(&[("/a", 0), ("/b", 1), ("/c", 1)])), (vec![2], vec![3, 4]));
    assert_eq!(subscriptions.set_wanted(&wanted(&[])), (vec![1, 3, 4], vec![]));
}

fn one() -> Subscriptions {
    let mut subscriptions = Subscriptions::default();
    subscriptions.set_wanted(&[(Subject::parse("/a").unwrap(), 0)].into());
    subscriptions
}

#[test]
fn a_subject_is_queued_once_however_many_events_come() {
    let mut subscriptions = one();
    let subscription = subscriptions.get(1).unwrap();
    assert!(subscription.queue_read().is_some() && subscription.queue_read().is_none());
    subscription.dequeue(true);
    assert!(subscription.queue_read().is_none(), "the read under way comes first");
    subscription.refuse(1, "no", &DirtyTracker::default());
    assert!(subscription.queue_read().is_some());
    subscription.dequeue(false);
    assert!(subscription.queue_read().is_some());
    // The queue ends with the connection.
    subscriptions.connection_lost();
    assert!(subscriptions.get(1).unwrap().queue_read().is_some());
}

#[test]
fn the_pause_after_a_refusal_ends_with_the_connection() {
    let mut subscriptions = one();
    let subscription = subscriptions.get(1).unwrap();
    for _ in 0..10 {
        subscription.refuse(1, "no", &DirtyTracker::default());
    }
    assert!(subscription.queue_read().is_some_and(|at| at > Instant::now() + REFUSED.pause(10) / 4));
    subscriptions.connection_lost();
    assert!(subscriptions.get(1).unwrap().queue_read().is_some_and(|at| at <= Instant::now()));
}
