use super::*;
use crate::model::registry_event::{Members, NodeContent};
use crate::watch::cache::ViewUpdate;
use crate::watch::zookeeper::node_versions::ReadResult;
use crate::zk::Stat;

fn member(name: &str) -> MemberId {
    MemberId { key: None, name: Arc::from(name) }
}

/// Two members: `a`, last changed by 5, and `b`, not readable. The list of their parent last changed by 7.
fn cached() -> CachedSubject {
    let members: Members =
        [(Arc::from("a"), Ok(NodeContent::ephemeral(&b"1"[..]))), (Arc::from("b"), Err(Arc::from("no")))].into();
    let parent = Parent::listed(&Stat { pzxid: Zxid(7), ..Stat::default() }, 2);
    let mut cached = CachedSubject::default();
    let sent = cached.apply(ReadResult {
        update: ViewUpdate::Full(View::Members(Seen::Present(members))),
        parents: vec![(Arc::default(), parent)],
        changed: vec![(member("a"), Zxid(5)), (member("b"), Zxid::default())],
        other_children: None,
    });
    assert_eq!(sent.unwrap().1, [(Arc::default(), Zxid(7))].into());
    cached
}

#[test]
fn only_changed_nodes_are_read_again() {
    let cached = cached();
    let parent = |version, children| {
        ServerState::Parent(
            Arc::default(),
            Some(Parent::present(&Stat { pzxid: Zxid(version), ..Stat::default() }, children)),
        )
    };
    let member_state = |name, found| ServerState::Member(member(name), found);
    let cases = [
        (parent(7, 2), ""),
        (parent(8, 2), "list"),
        (parent(7, 3), "list"),
        (ServerState::Parent(Arc::default(), None), "list"),
        (member_state("a", Some(Ok(Zxid(5)))), ""),
        (member_state("a", Some(Ok(Zxid(6)))), "a"),
        (member_state("a", Some(Err(()))), "a"),
        (member_state("a", None), "a"),
        (member_state("b", Some(Err(()))), ""),
        (member_state("b", Some(Ok(Zxid(5)))), "b"),
        (member_state("c", Some(Ok(Zxid(5)))), "c"),
    ];
    for (state, wanted) in cases {
        let dirty = differences(&cached, vec![state.clone()]);
        let lists = dirty.lists.iter().map(|_| "list");
        let words: Vec<&str> = lists.chain(dirty.members.iter().map(|member| &*member.name)).collect();
        assert_eq!(words.join(" "), wanted, "{state:?}");
    }
}

#[test]
fn each_node_is_checked_once_in_small_chunks() {
    let cached = cached();
    let mut check = Reconciliation::new(&cached).unwrap();
    let items: Vec<Item> = check.next(&cached).into_iter().map(|(item, _)| item).collect();
    assert_eq!(items, [Item::Parent(Arc::default()), Item::Member(member("a")), Item::Member(member("b"))]);
    assert!(check.next(&cached).is_empty());
    assert!(Reconciliation::new(&CachedSubject::default()).is_none());
    let mut large = CachedSubject::default();
    let data: Arc<[u8]> = vec![0; MAX_CHUNK_BYTES / 2].into();
    let members: Members =
        (0..5).map(|n| (n.to_string().into(), Ok(NodeContent::ephemeral(Arc::clone(&data))))).collect();
    let view = View::Members(Seen::Present(members));
    large.apply(ReadResult { update: ViewUpdate::Full(view), parents: vec![], changed: vec![], other_children: None });
    let mut check = Reconciliation::new(&large).unwrap();
    let chunks = std::iter::from_fn(|| Some(check.next(&large).len()).filter(|count| *count > 0));
    assert_eq!(chunks.collect::<Vec<_>>(), [3, 2, 1]);
}
