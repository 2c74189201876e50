use super::*;

#[test]
fn what_stays_is_kept_and_what_comes_again_is_new() {
    let wanted = |list: &[(&str, u64)]| -> Wanted {
        list.iter().map(|(path, number)| (Subject::roster(path).unwrap(), *number)).collect()
    };
    let mut desk = Desk::default();
    assert_eq!(desk.adopt(&wanted(&[("/a", 0), ("/b", 0)])), (vec![], vec![1, 2]));
    assert_eq!(desk.adopt(&wanted(&[("/a", 0), ("/b", 1), ("/c", 1)])), (vec![2], vec![3, 4]));
    assert_eq!(desk.adopt(&wanted(&[])), (vec![1, 3, 4], vec![]));
}

#[test]
fn what_is_heard_often_stands_in_the_agenda_once() {
    let mut desk = Desk::default();
    desk.adopt(&[(Subject::roster("/a").unwrap(), 0)].into());
    let followed = desk.get(1).unwrap();
    assert!(followed.due().is_some() && followed.due().is_none());
    followed.begin();
    followed.is_reading = true;
    assert!(followed.due().is_none(), "it is looked at when that is done");
    followed.is_reading = false;
    assert!(followed.due().is_some());
    // The agenda ends with the connection.
    desk.doubt();
    assert!(desk.get(1).unwrap().due().is_some());
}

#[test]
fn what_one_server_refused_is_asked_of_the_next_one_at_once() {
    let mut desk = Desk::default();
    desk.adopt(&[(Subject::roster("/a").unwrap(), 0)].into());
    let followed = desk.get(1).unwrap();
    for _ in 0..10 {
        followed.refuse(1, "no", &Ears::default());
    }
    assert!(followed.due().is_some_and(|at| at > Instant::now() + REFUSED.pause(10) / 4));
    desk.doubt();
    assert!(desk.get(1).unwrap().due().is_some_and(|at| at <= Instant::now()));
}
