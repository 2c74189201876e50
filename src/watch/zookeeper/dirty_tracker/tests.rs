use super::*;

#[tokio::test]
async fn an_event_concerns_only_the_subjects_at_and_above_its_path() {
    let tracker = DirtyTracker::default();
    let subjects = ["/", "/a", "/a/b", "/a/*", "/ab", "/*"].map(|text| Subject::parse(text).unwrap());
    for (id, subject) in (0..).zip(&subjects) {
        tracker.track(id, subject, DirtySet::default());
    }
    assert_eq!(tracker.changed().await.len(), 6);
    let dirty = |event, path| {
        tracker.record(event, path);
        (0..6).filter(|id| !tracker.take(*id).is_empty()).collect::<Vec<Id>>()
    };
    assert_eq!(dirty(NodeEvent::Created, "/a/b/c"), [1, 2, 3, 5]);
    assert_eq!(dirty(NodeEvent::DataChanged, "/a/b/c"), [2, 3]);
    assert_eq!(dirty(NodeEvent::DataChanged, "/a/b"), [1, 5]);
    assert_eq!(dirty(NodeEvent::Created, "/ab"), [0, 4, 5]);
    assert_eq!(dirty(NodeEvent::ChildrenChanged, "/"), [0, 5]);
    assert_eq!(dirty(NodeEvent::Created, "/abc"), [0, 5]);
    tracker.untrack(2);
    assert_eq!(dirty(NodeEvent::DataChanged, "/a/b/c"), [3]);
}

#[tokio::test]
async fn a_burst_of_events_wakes_once_and_marks_each_member_once() {
    let tracker = DirtyTracker::default();
    tracker.track(7, &Subject::parse("/a").unwrap(), DirtySet::default());
    assert_eq!(tracker.changed().await, [7].into());
    for number in 0..10_000 {
        tracker.record(NodeEvent::DataChanged, &format!("/a/m{}", number % 10));
    }
    assert_eq!(tracker.changed().await, [7].into());
    assert_eq!(tracker.take(7).members.len(), 10);
    assert!(tracker.is_clean(7));
    tracker.add(7, DirtySet::all());
    assert_eq!(tracker.changed().await, [7].into());
    assert!(!tracker.is_clean(7));
}

#[test]
fn a_watch_that_fires_names_its_list_and_makes_nothing_dirty() {
    let tracker = DirtyTracker::default();
    tracker.keep_lists_apart();
    for (id, text) in (0..).zip(["/a", "/a/*", "/a/*/in"]) {
        tracker.track(id, &Subject::parse(text).unwrap(), DirtySet::default());
    }
    let fired = |path| {
        tracker.record(NodeEvent::ChildrenChanged, path);
        tracker.take_fired().into_iter().map(|(id, key)| format!("{id}{key}")).collect::<Vec<_>>()
    };
    assert_eq!(fired("/a"), ["0", "1", "2"]);
    assert_eq!(fired("/a/b"), ["1b"]);
    assert_eq!(fired("/a/b/in"), ["2b"]);
    assert!((0..3).all(|id| tracker.is_clean(id)));
    tracker.record(NodeEvent::Deleted, "/a");
    assert!((0..3).all(|id| !tracker.is_clean(id)));
}
