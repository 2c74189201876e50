use super::*;

#[tokio::test]
async fn an_event_is_heard_by_the_subjects_above_it_and_by_no_other() {
    let ears = Ears::default();
    let subjects = ["/", "/a", "/a/b", "/a/*", "/ab", "/*"].map(|text| Subject::roster(text).unwrap());
    for (id, subject) in (0..).zip(&subjects) {
        ears.follow(id, subject, Dirty::default());
    }
    assert_eq!(ears.woken().await.len(), 6);
    let dirty = |event, path| {
        ears.hear(event, path);
        (0..6).filter(|id| !ears.take(*id).is_clean()).collect::<Vec<Id>>()
    };
    assert_eq!(dirty(Event::Came, "/a/b/c"), [2, 3]);
    assert_eq!(dirty(Event::Data, "/a/b"), [1, 5]);
    assert_eq!(dirty(Event::Came, "/ab"), [0, 4, 5]);
    assert_eq!(dirty(Event::Children, "/"), [0, 5]);
    assert_eq!(dirty(Event::Came, "/abc"), [0, 5]);
    ears.leave(2);
    assert_eq!(dirty(Event::Came, "/a/b/c"), [3]);
}

#[tokio::test]
async fn a_storm_wakes_once_and_keeps_a_place_once() {
    let ears = Ears::default();
    ears.follow(7, &Subject::roster("/a").unwrap(), Dirty::default());
    assert_eq!(ears.woken().await, [7].into());
    for number in 0..10_000 {
        ears.hear(Event::Data, &format!("/a/m{}", number % 10));
    }
    assert_eq!(ears.woken().await, [7].into());
    assert_eq!(ears.take(7).members.len(), 10);
    assert!(ears.is_clean(7));
    ears.add(7, Dirty::whole());
    assert_eq!(ears.woken().await, [7].into());
    assert!(!ears.is_clean(7));
}
