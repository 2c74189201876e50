//! Nodes that the session may not read: the server sends no events of them.

use super::*;
use fake::{CHILDREN, DATA, EXISTS, Fake, MULTI_READ, SET_WATCHES};

/// A member that may not be read.
const CLOSED: &str = "not authorized: the node's ACL does not allow this agent's credentials to read it";

/// A server with a path of these members, and a subscriber that knows them.
async fn with_members(names: &[&str], watches: Watches) -> (Fake, Subscriber) {
    let fake = Fake::start().await;
    for name in names {
        fake.put(&format!("/s/{name}"), "1");
    }
    let mut subscriber = Subscriber::follow(&fake, &["/s"], |registry| registry.config.watches = watches);
    let members: Vec<String> = names.iter().map(|name| format!("{name}=1")).collect();
    subscriber.becomes("/s", &members.join(" ")).await;
    fake.state().requests.clear();
    (fake, subscriber)
}

fn close(fake: &Fake, path: &str) {
    fake.state().closed.insert(path.into());
}

#[tokio::test]
async fn a_closed_member_that_is_deleted_or_created_is_found_within_two_seconds() {
    let (fake, mut subscriber) = with_members(&["a", "b"], Watches::Recursive).await;
    for round in 1..=2 {
        fake.state().requests.clear();
        close(&fake, "/s/b");
        let began = Instant::now();
        fake.remove("/s/b");
        subscriber.becomes("/s", "a=1").await;
        fake.put("/s/b", "1");
        subscriber.becomes("/s", &format!("a=1 b={CLOSED}")).await;
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
        // For each change, the watch is set once, and reports that the list is newer. Reading the list sets it, too.
        assert_eq!((fake.count(SET_WATCHES), fake.count(CHILDREN)), (2, 2), "round {round}");
    }
}

#[tokio::test]
async fn closed_members_are_found_beside_a_visible_change() {
    let (fake, mut subscriber) = with_members(&["a", "b"], Watches::Recursive).await;
    close(&fake, "/s/b");
    close(&fake, "/s/c");
    // As many names as before, and one event.
    fake.remove("/s/b");
    fake.put("/s/c", "1");
    fake.put("/s/d", "1");
    subscriber.becomes("/s", "a=1 b=1 d=1").await;
    subscriber.becomes("/s", &format!("a=1 c={CLOSED} d=1")).await;
    assert_eq!(fake.count(CHILDREN), 1, "{:?}", fake.state().requests);
}

#[tokio::test]
async fn visible_changes_lead_to_no_listing() {
    let (fake, mut subscriber) = with_members(&["a"], Watches::Recursive).await;
    for round in 1..=3 {
        fake.put("/s/b", "1");
        subscriber.becomes("/s", "a=1 b=1").await;
        fake.put("/s/b", "2");
        subscriber.becomes("/s", "a=1 b=2").await;
        fake.remove("/s/b");
        subscriber.becomes("/s", "a=1").await;
        // One for all changes of half a second.
        stays_at(&fake, SET_WATCHES, round).await;
        assert_eq!(fake.count(CHILDREN), 0, "{:?}", fake.state().requests);
    }
    let joins: Vec<String> = (0..200).map(|number| format!("/s/m{number:03}")).collect();
    for path in &joins {
        fake.put(path, "1");
    }
    while subscriber.members("/s").split(' ').count() < 201 {
        subscriber.receive().await;
    }
    stays_at(&fake, SET_WATCHES, 4).await;
    assert_eq!(fake.count(CHILDREN), 0, "{:?}", fake.state().requests);
}

#[tokio::test]
async fn a_refused_watch_is_set_again() {
    let (fake, mut subscriber) = with_members(&["a", "b"], Watches::Recursive).await;
    close(&fake, "/s/b");
    // Throttled, once.
    fake.state().refuses.insert((SET_WATCHES, "/s".into()), (-127, 1));
    fake.remove("/s/b");
    subscriber.becomes("/s", "a=1").await;
    assert_eq!((fake.count(SET_WATCHES), fake.state().connections), (2, 1), "{:?}", fake.state().requests);
}

#[tokio::test]
async fn with_one_shot_watches_a_member_that_is_opened_and_set_is_read() {
    let fake = Fake::start().await;
    fake.put("/s/a", "1");
    fake.put("/s/b", "1");
    close(&fake, "/s/b");
    let mut subscriber = Subscriber::follow(&fake, &["/s"], |registry| registry.config.watches = Watches::Oneshot);
    subscriber.becomes("/s", &format!("a=1 b={CLOSED}")).await;
    // Nothing but `exists` sets a watch on it.
    let of_the_node = |op| fake.state().requests.iter().filter(|asked| **asked == (op, "/s/b".to_owned())).count();
    assert_eq!([DATA, EXISTS].map(of_the_node), [2, 1]);
    fake.state().closed.clear();
    fake.put("/s/b", "2");
    subscriber.becomes("/s", "a=1 b=2").await;
    close(&fake, "/s/b");
    fake.remove("/s/b");
    subscriber.becomes("/s", "a=1").await;
    assert_eq!(fake.count(MULTI_READ), 0);
}

/// As from ZooKeeper 3.9.3 on (ZOOKEEPER-2590).
#[tokio::test]
async fn an_exists_that_needs_the_right_to_read_refuses_only_its_node() {
    let fake = Fake::start().await;
    fake.put("/s/a", "1");
    fake.put("/s/b", "1");
    close(&fake, "/s/b");
    fake.state().refuses.insert((EXISTS, "/s/b".into()), (-102, usize::MAX));
    let mut subscriber = Subscriber::follow(&fake, &["/s"], |registry| registry.config.watches = Watches::Oneshot);
    subscriber.becomes("/s", &format!("a=1 b={CLOSED}")).await;
}
