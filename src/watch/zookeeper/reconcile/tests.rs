use super::*;
use crate::model::registry_event::Members;
use crate::watch::cache::ViewUpdate;
use crate::watch::zookeeper::node_versions::ReadResult;

fn place(name: &str) -> MemberId {
    MemberId { key: None, name: Arc::from(name) }
}

/// Two members, `a` changed last by 5 and `b` not readable, under a node whose names changed last by 7.
fn cached() -> CachedSubject {
    let members: Members = [(Arc::from("a"), Ok(Arc::from(&b"1"[..]))), (Arc::from("b"), Err(Arc::from("no")))].into();
    let parent = Parent { stamp: Zxid(7), children: Some(2), is_heavy: false };
    let mut cached = CachedSubject::default();
    let told = cached.take(ReadResult {
        reread: ViewUpdate::Full(View::Members(Seen::Present(members))),
        parents: vec![(Arc::default(), parent)],
        changed: vec![(place("a"), Zxid(5)), (place("b"), Zxid::default())],
    });
    assert_eq!(told.unwrap().1, [(Arc::default(), Zxid(7))].into());
    cached
}

#[test]
fn only_what_is_not_as_it_was_is_read_again() {
    let cached = cached();
    let parent = |stamp, children| {
        Found::Parent(Arc::default(), Some(Parent { stamp: Zxid(stamp), children: Some(children), is_heavy: false }))
    };
    let member = |name, found| Found::Member(place(name), found);
    let cases = [
        (parent(7, 2), ""),
        (parent(8, 2), "list"),
        (parent(7, 3), "list"),
        (Found::Parent(Arc::default(), None), "list"),
        (member("a", Some(Ok(Zxid(5)))), ""),
        (member("a", Some(Ok(Zxid(6)))), "a"),
        (member("a", Some(Err(()))), "a"),
        (member("a", None), "a"),
        (member("b", Some(Err(()))), ""),
        (member("b", Some(Ok(Zxid(5)))), "b"),
        (member("c", Some(Ok(Zxid(5)))), "c"),
    ];
    for (found, wanted) in cases {
        let dirty = differs(&cached, vec![found.clone()]);
        let lists = dirty.lists.iter().map(|_| "list");
        let words: Vec<&str> = lists.chain(dirty.members.iter().map(|place| &*place.name)).collect();
        assert_eq!(words.join(" "), wanted, "{found:?}");
    }
}

#[test]
fn everything_is_looked_at_once_and_in_small_portions() {
    let cached = cached();
    let mut review = Reconciliation::of(&cached).unwrap();
    let items: Vec<Item> = review.next(&cached).into_iter().map(|(item, _)| item).collect();
    assert_eq!(items, [Item::Parent(Arc::default()), Item::Member(place("a")), Item::Member(place("b"))]);
    assert!(review.next(&cached).is_empty());
    assert!(Reconciliation::of(&CachedSubject::default()).is_none());
    let mut large = CachedSubject::default();
    let data: Arc<[u8]> = vec![0; BYTES / 2].into();
    let members: Members = (0..5).map(|n| (n.to_string().into(), Ok(Arc::clone(&data)))).collect();
    let view = View::Members(Seen::Present(members));
    large.take(ReadResult { reread: ViewUpdate::Full(view), parents: vec![], changed: vec![] });
    let mut review = Reconciliation::of(&large).unwrap();
    let portions = std::iter::from_fn(|| Some(review.next(&large).len()).filter(|count| *count > 0));
    assert_eq!(portions.collect::<Vec<_>>(), [3, 2, 1]);
}
