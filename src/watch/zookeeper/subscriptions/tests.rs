use super::*;

#[test]
fn what_stays_is_kept_and_what_comes_again_is_new() {
    let wanted = |list: &[(&str, u64)]| -> Subjects {
        list.iter().map(|(path, number)| (Subject::roster(path).unwrap(), *number)).collect()
    };
    let mut subscriptions = Subscriptions::default();
    assert_eq!(subscriptions.adopt(&wanted(&[("/a", 0), ("/b", 0)])), (vec![], vec![1, 2]));
    assert_eq!(subscriptions.adopt(&wanted(&[("/a", 0), ("/b", 1), ("/c", 1)])), (vec![2], vec![3, 4]));
    assert_eq!(subscriptions.adopt(&wanted(&[])), (vec![1, 3, 4], vec![]));
}

#[test]
fn what_is_heard_often_stands_in_the_agenda_once() {
    let mut subscriptions = Subscriptions::default();
    subscriptions.adopt(&[(Subject::roster("/a").unwrap(), 0)].into());
    let subscription = subscriptions.get(1).unwrap();
    assert!(subscription.due().is_some() && subscription.due().is_none());
    subscription.begin();
    subscription.is_reading = true;
    assert!(subscription.due().is_none(), "it is looked at when that is done");
    subscription.is_reading = false;
    assert!(subscription.due().is_some());
    // The agenda ends with the connection.
    subscriptions.doubt();
    assert!(subscriptions.get(1).unwrap().due().is_some());
}

#[test]
fn what_one_server_refused_is_asked_of_the_next_one_at_once() {
    let mut subscriptions = Subscriptions::default();
    subscriptions.adopt(&[(Subject::roster("/a").unwrap(), 0)].into());
    let subscription = subscriptions.get(1).unwrap();
    for _ in 0..10 {
        subscription.refuse(1, "no", &DirtyTracker::default());
    }
    assert!(subscription.due().is_some_and(|at| at > Instant::now() + REFUSED.pause(10) / 4));
    subscriptions.doubt();
    assert!(subscriptions.get(1).unwrap().due().is_some_and(|at| at <= Instant::now()));
}
