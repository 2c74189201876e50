//! Changes, the requests they lead to, and limits.

use super::*;
use crate::model::version::Zxid;
use fake::{ADD_WATCH, CHILDREN, EXISTS, Fake, MULTI_READ, SET_WATCHES, SYNC};

#[tokio::test]
async fn one_change_among_a_thousand_is_one_request() {
    let fake = Fake::start().await;
    for number in 0..1000 {
        fake.put(&format!("/s/m{number:03}"), "x");
    }
    let mut subscriber = Subscriber::follow(&fake, &["/s"], |_| {});
    subscriber.receives("reset").await;
    assert_eq!(subscriber.version("/s"), fake.state().zxid);
    sleep(Duration::from_millis(50)).await;
    for round in 0..3 {
        fake.state().requests.clear();
        match round {
            0 => fake.put("/s/m500", "y"),
            1 => fake.put("/s/new", "1"),
            _ => fake.remove("/s/new"),
        }
        let received = subscriber.log.len();
        subscriber.receive().await;
        assert_eq!(subscriber.log[received..], ["update /s"]);
        sleep(Duration::from_millis(50)).await;
        // The parent, whose number of children and pzxid show that nothing was missed, and the changed member.
        let mut requests = fake.state().requests.clone();
        requests.retain(|(op, _)| *op != SET_WATCHES);
        assert_eq!(requests, [(MULTI_READ, "2".to_owned())]);
    }
    let zxid = fake.state().zxid;
    assert_eq!(subscriber.version("/s"), zxid, "the version of the last change of the names");
    fake.put("/s/m500", "z");
    subscriber.receive().await;
    assert_eq!(subscriber.version("/s"), zxid, "a change of data keeps the version");
    // A parent with large data is not read for it.
    fake.put("/s", &"x".repeat(5000));
    fake.put("/s/m500", "1");
    subscriber.receive().await;
    sleep(Duration::from_millis(50)).await;
    fake.state().requests.clear();
    fake.put("/s/m500", "2");
    subscriber.receive().await;
    let mut requests = fake.state().requests.clone();
    requests.retain(|(op, _)| *op != SET_WATCHES);
    requests.sort();
    assert_eq!(requests, [(EXISTS, "/s".to_owned()), (MULTI_READ, "1".to_owned())]);
}

#[tokio::test]
async fn a_refused_sync_does_not_end_the_connection() {
    let fake = Fake::start().await;
    fake.put("/s/a", "1");
    let mut subscriber = Subscriber::follow(&fake, &["/s"], |_| {});
    subscriber.becomes("/s", "a=1").await;
    fake.put("/t/a", "1");
    // Throttled, once.
    fake.state().refuses.insert((SYNC, "/".into()), (-127, 1));
    subscriber.add("/t");
    subscriber.receives("unreadable").await;
    assert!(subscriber.log.last().is_some_and(|word| word.contains("overloaded")), "{:?}", subscriber.log);
    subscriber.becomes("/t", "a=1").await;
    assert_eq!(fake.state().connections, 1, "{:?}", subscriber.log);
}

#[tokio::test]
async fn the_only_path_is_read_behind_the_sync_and_counts_only_with_it() {
    let fake = Fake::start().await;
    fake.put("/s/a", "1");
    fake.state().refuses.insert((SYNC, "/".into()), (-127, 1));
    let mut subscriber = Subscriber::follow(&fake, &["/s"], |_| {});
    subscriber.receives("reset /s").await;
    assert_eq!((fake.state().connections, subscriber.members("/s").as_str()), (2, "a=1"), "{:?}", subscriber.log);
    let first = fake.state().requests[..3].to_vec();
    assert_eq!(first, [(ADD_WATCH, "/s".to_owned()), (SYNC, "/".to_owned()), (CHILDREN, "/s".to_owned())]);
}

#[tokio::test]
async fn the_only_path_is_read_again_if_it_could_not_be_watched() {
    let fake = Fake::start().await;
    fake.put("/s/a", "1");
    fake.state().refuses.insert((ADD_WATCH, "/s".into()), (-127, 1));
    let mut subscriber = Subscriber::follow(&fake, &["/s"], |_| {});
    subscriber.receives("reset /s").await;
    assert_eq!((fake.count(ADD_WATCH), subscriber.members("/s").as_str()), (2, "a=1"), "{:?}", subscriber.log);
}

#[tokio::test]
async fn an_unexpected_number_of_children_leads_to_a_new_listing() {
    let fake = Fake::start().await;
    fake.put("/s/a", "1");
    fake.put("/s/b", "1");
    let mut subscriber = Subscriber::follow(&fake, &["/s"], |_| {});
    subscriber.becomes("/s", "a=1 b=1").await;
    sleep(Duration::from_millis(50)).await;
    fake.put_without_event("/s/hidden", "1");
    let before = subscriber.version("/s");
    fake.put("/s/a", "2");
    subscriber.becomes("/s", "a=2 b=1").await;
    assert_eq!(subscriber.version("/s"), before, "not the version of a list that was not read");
    subscriber.becomes("/s", "a=2 b=1 hidden=1").await;
    assert_eq!(subscriber.version("/s"), fake.state().zxid - 1);
    fake.remove_without_event("/s/b");
    fake.put("/s/a", "3");
    subscriber.becomes("/s", "a=3 hidden=1").await;
    sleep(Duration::from_millis(50)).await;
    fake.state().requests.clear();
    fake.put("/s/a", "4");
    stays_at(&fake, MULTI_READ, 1).await;
    assert_eq!(fake.count(CHILDREN), 0);
}

#[tokio::test]
async fn a_change_without_an_event_is_found_by_a_check_of_one_request() {
    let fake = Fake::start().await;
    for number in 0..300 {
        fake.put(&format!("/s/m{number:03}"), "1");
    }
    let mut subscriber = Subscriber::follow(&fake, &["/s"], |registry| {
        registry.check_interval = Duration::from_millis(300);
        // A busy machine does not end it.
        registry.config.session_timeout = Duration::from_secs(10);
    });
    subscriber.receives("reset").await;
    sleep(Duration::from_millis(400)).await;
    fake.state().requests.clear();
    sleep(Duration::from_secs(1)).await;
    let requests = fake.state().requests.clone();
    assert!(
        (2..=5).contains(&requests.len()) && requests.iter().all(|asked| *asked == (MULTI_READ, "301".to_owned())),
        "{requests:?}"
    );
    assert_eq!(subscriber.log, ["reset /s"]);
    fake.put_without_event("/s/m007", "2");
    subscriber.receives("update").await;
    assert!(subscriber.members("/s").contains("m007=2"));
    fake.remove_without_event("/s/m007");
    fake.put_without_event("/s/new", "1");
    while !subscriber.members("/s").ends_with("new=1") || subscriber.members("/s").contains("m007") {
        subscriber.receive().await;
    }
    fake.remove_without_event("/s");
    subscriber.receives("absent").await;
}

#[tokio::test]
async fn a_burst_of_events_is_read_by_member_and_not_by_event() {
    let fake = Fake::start().await;
    for number in 0..10 {
        fake.put(&format!("/s/m{number}"), "0");
    }
    let mut subscriber = Subscriber::follow(&fake, &["/s"], |_| {});
    subscriber.receives("reset").await;
    fake.state().requests.clear();
    let began = Instant::now();
    for change in 1..=10_000 {
        fake.put(&format!("/s/m{}", change % 10), &change.to_string());
        if change % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let wanted: Vec<String> = (0..10).map(|n| format!("m{n}={}", if n == 0 { 10_000 } else { 9990 + n })).collect();
    subscriber.becomes("/s", &wanted.join(" ")).await;
    // A read takes at most two requests, and there is at most one every 10 ms.
    let most = 2 * usize::try_from(began.elapsed().as_millis() / 10).unwrap() + 4;
    assert!(fake.count(MULTI_READ) <= most, "{} in {:?}", fake.count(MULTI_READ), began.elapsed());
}

#[tokio::test]
async fn a_node_with_too_many_children_is_not_listed() {
    let fake = Fake::start().await;
    fake.put("/s/a", "1");
    fake.put("/t/a", "1");
    fake.state().claimed_children.insert("/s".into(), 100_001);
    let mut subscriber = Subscriber::follow(&fake, &["/s", "/t"], |_| {});
    subscriber.receives("unreadable: too large: more than 100000 nodes").await;
    subscriber.becomes("/t", "a=1").await;
    assert!(!fake.state().requests.contains(&(CHILDREN, "/s".to_owned())), "{:?}", fake.state().requests);
    assert_eq!(fake.state().connections, 1);
}

#[tokio::test]
async fn the_only_path_with_too_many_children_is_listed_once() {
    let fake = Fake::start().await;
    fake.put("/s/a", "1");
    fake.state().claimed_children.insert("/s".into(), 100_001);
    let mut subscriber = Subscriber::follow(&fake, &["/s"], |_| {});
    subscriber.receives("unreadable: too large: more than 100000 nodes").await;
    fake.put("/s/b", "1");
    stays_at(&fake, EXISTS, 1).await;
    assert_eq!(fake.count(CHILDREN), 1, "{:?}", fake.state().requests);
}

#[tokio::test]
async fn a_version_never_falls() {
    let mut random = crate::support::random::rng();
    let fake = Fake::start().await;
    let mut subscriber = Subscriber::follow(&fake, &["/s"], |_| {});
    subscriber.receives("absent").await;
    let mut last = subscriber.version("/s");
    assert_eq!(last, fake.state().zxid);
    for round in 0..200 {
        let name = format!("/s/m{}", random.u8(..5));
        if random.bool() {
            fake.put(&name, &round.to_string());
        } else if round % 50 == 0 {
            fake.cut(|_| {});
        } else if fake.state().has(&name) {
            fake.remove(if random.u8(..10) == 0 { "/s" } else { &name });
        }
        if random.u8(..4) == 0 {
            let _ = timeout(Duration::from_millis(20), subscriber.receive()).await;
            let now = subscriber.version("/s");
            assert!(Zxid(now) >= Zxid(last), "{now} after {last}: {:?}", subscriber.log);
            last = now;
        }
    }
}
