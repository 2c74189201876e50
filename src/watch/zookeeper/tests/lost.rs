//! Connections that are lost, and the session that goes on or not.

use super::*;
use fake::{ADD_WATCH, CHILDREN, DATA, EXISTS, Fake, MULTI_READ, SYNC};

#[tokio::test]
async fn without_an_answer_to_sync_nothing_is_known() {
    let fake = Fake::start().await;
    fake.put("/s/a", "1");
    fake.state().mute.insert(SYNC);
    let mut listener = Listener::follow(&fake, &["/s"], |_| {});
    listener.until("it does not answer: nothing for 3s").await;
    assert_eq!(listener.words.len(), 1, "{:?}", listener.words);
    assert_eq!((fake.count(CHILDREN), fake.count(MULTI_READ)), (0, 0), "{:?}", fake.state().asked);
    fake.state().mute.clear();
    listener.becomes("/s", "a=1").await;
    // The same on a connection that follows one that was good.
    fake.cut(|state| {
        state.mute.insert(SYNC);
        state.remove("/s/a", false);
    });
    listener.until("suspended").await;
    let heard = listener.words.len();
    listener.until("nothing for 3s").await;
    sleep(Duration::from_millis(200)).await;
    assert_eq!(listener.line("/s"), "a=1", "{:?}", &listener.words[heard..]);
    fake.state().mute.clear();
    listener.becomes("/s", "").await;
}

#[tokio::test]
async fn a_session_that_survived_is_verified_with_one_read_a_path() {
    let fake = Fake::start().await;
    for path in ["/a", "/b", "/c"] {
        for number in 0..50 {
            fake.put(&format!("{path}/m{number:02}"), "x");
        }
    }
    let mut listener = Listener::follow(&fake, &["/a", "/b", "/c"], |_| {});
    for path in ["/a", "/b", "/c"] {
        listener.until(&format!("reset {path}")).await;
    }
    sleep(Duration::from_millis(50)).await;
    listener.words.clear();
    fake.cut(|_| {});
    while listener.words.len() < 4 {
        listener.hear().await;
    }
    assert_eq!(listener.words[0], "suspended");
    assert!(listener.words.iter().all(|word| !word.contains("away")), "{:?}", listener.words);
    // The names of each, and one look at the data of each.
    settles(&fake, MULTI_READ, 3).await;
    let counts = [ADD_WATCH, SYNC, CHILDREN, EXISTS].map(|op| fake.count(op));
    assert_eq!(counts, [3, 1, 3, 0], "{:?}", fake.state().asked);
    assert_eq!(fake.count(DATA), 1, "the ensemble's own servers: {:?}", fake.state().asked);
}

#[tokio::test]
async fn what_changed_while_the_connection_was_lost_is_found() {
    let fake = Fake::start().await;
    for name in ["a", "b", "c"] {
        fake.put(&format!("/s/{name}"), "1");
    }
    let mut listener = Listener::follow(&fake, &["/s"], |_| {});
    listener.becomes("/s", "a=1 b=1 c=1").await;
    sleep(Duration::from_millis(50)).await;
    fake.cut(|state| {
        state.remove("/s/a", false);
        state.put("/s/b", "2", false);
        state.put("/s/d", "1", false);
        // With another node in its place, and the same name.
        state.remove("/s/c", false);
        state.put("/s/c", "2", false);
    });
    listener.words.clear();
    listener.becomes("/s", "b=2 c=2 d=1").await;
    assert_eq!(listener.words, ["suspended", "reset /s", "update /s"], "the names at once, the data after that");
    fake.cut(|state| state.remove("/s", false));
    listener.until("absent").await;
    assert_eq!(listener.stamp("/s"), fake.state().zxid, "by the answer that said so");
}

#[tokio::test]
async fn the_session_goes_on_at_another_server_and_nobody_is_told_of_an_outage() {
    let one = Fake::start().await;
    let servers = [one.clone(), one.another().await, one.another().await];
    one.put("/s/a", "0");
    let addresses: Vec<String> = servers.iter().map(|server| server.address.clone()).collect();
    let url = RegistryUrl::ZooKeeper { servers: addresses, chroot: None, tls: false };
    let mut listener = Listener::follow(&one, &["/s"], |registry| registry.config.url = url);
    listener.becomes("/s", "a=0").await;
    for round in 1..=3 {
        let data = round.to_string();
        one.cut(|state| {
            state.down = [state.last.clone()].into();
            state.put("/s/a", &data, false);
        });
        listener.becomes("/s", &format!("a={round}")).await;
    }
    assert_eq!(one.state().sessions(), 1);
    assert!(listener.words.iter().all(|word| !word.contains("away")), "{:?}", listener.words);
}

#[tokio::test]
async fn an_address_that_swallows_everything_does_not_eat_the_session() {
    let fake = Fake::start().await;
    fake.put("/s/a", "1");
    // It takes connections, and never says a word.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let servers = vec![silent.local_addr().unwrap().to_string(), fake.address.clone()];
    let url = RegistryUrl::ZooKeeper { servers, chroot: None, tls: false };
    let mut listener = Listener::follow(&fake, &["/s"], |registry| {
        registry.config.url = url;
        registry.config.session_timeout = Duration::from_secs(10);
    });
    listener.becomes("/s", "a=1").await;
    for round in 0..3 {
        fake.cut(|state| state.put("/s/a", &round.to_string(), false));
        let began = Instant::now();
        listener.becomes("/s", &format!("a={round}")).await;
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    }
    assert_eq!(fake.state().sessions(), 1);
}

#[tokio::test]
async fn a_session_that_is_over_is_said_and_everything_is_read() {
    let fake = Fake::start().await;
    fake.put("/s/a", "1");
    let mut listener = Listener::follow(&fake, &["/s"], |_| {});
    listener.becomes("/s", "a=1").await;
    fake.cut(|state| {
        state.expire();
        state.put("/s/a", "2", false);
    });
    listener.words.clear();
    listener.becomes("/s", "a=2").await;
    assert_eq!(listener.words.len(), 3, "{:?}", listener.words);
    assert_eq!((&*listener.words[0], &*listener.words[2]), ("suspended", "reset /s"));
    assert!(listener.words[1].ends_with("it closed the connection; the session expired"), "{:?}", listener.words);
}

#[tokio::test]
async fn a_path_that_is_not_there_is_looked_for_once_after_a_reconnect() {
    let fake = Fake::start().await;
    let mut listener = Listener::follow(&fake, &["/s"], |_| {});
    listener.until("absent").await;
    sleep(Duration::from_millis(50)).await;
    listener.words.clear();
    fake.cut(|_| {});
    listener.until("absent").await;
    settles(&fake, EXISTS, 1).await;
}

#[tokio::test]
async fn what_was_read_under_another_session_is_never_told_again() {
    let fake = Fake::start().await;
    fake.put("/s/a", "old");
    let mut listener = Listener::follow(&fake, &["/s"], |_| {});
    listener.becomes("/s", "a=old").await;
    fake.cut(|state| {
        state.expire();
        state.put("/s/a", "new", false);
        state.hangs_up.insert(MULTI_READ);
    });
    // A new session is had, and its first connection breaks before anything is read.
    while fake.count(MULTI_READ) == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    fake.state().hangs_up.clear();
    let heard = listener.words.len();
    listener.until("suspended").await;
    while !listener.words[heard..].contains(&"reset /s".to_owned()) {
        listener.hear().await;
    }
    assert_eq!(listener.line("/s"), "a=new", "{:?}", listener.words);
    assert_eq!(fake.state().sessions(), 2);
}

#[tokio::test]
async fn what_has_grown_too_large_unheard_is_neither_read_nor_told() {
    let fake = Fake::start().await;
    fake.put("/s/a", "1");
    let mut listener = Listener::follow(&fake, &["/s"], |_| {});
    listener.becomes("/s", "a=1").await;
    let large = "x".repeat(1_000_000);
    fake.cut(|state| (0..60).for_each(|number| state.put(&format!("/s/m{number}"), &large, false)));
    listener.words.clear();
    while !listener.words.contains(&"reset /s".to_owned()) {
        listener.hear().await;
    }
    assert!(listener.words.last().is_some_and(|word| word.contains("too large")), "{:?}", listener.words);
    let nodes: usize = {
        let state = fake.state();
        state.asked.iter().filter(|(op, _)| *op == MULTI_READ).map(|(_, count)| count.parse::<usize>().unwrap()).sum()
    };
    assert!(nodes < 60, "{nodes}");
}

#[tokio::test]
async fn with_one_shot_watches_a_session_that_survived_is_read_once() {
    let fake = Fake::start().await;
    fake.put("/s/a", "1");
    let mut listener = Listener::follow(&fake, &["/s"], |registry| registry.config.watches = Watches::Oneshot);
    listener.becomes("/s", "a=1").await;
    sleep(Duration::from_millis(50)).await;
    fake.cut(|state| state.put("/s/a", "2", false));
    listener.becomes("/s", "a=2").await;
    settles(&fake, CHILDREN, 1).await;
}

#[tokio::test]
async fn a_server_that_hangs_up_on_a_reading_is_not_stormed() {
    let fake = Fake::start().await;
    fake.put("/s/a", "1");
    fake.state().hangs_up.insert(MULTI_READ);
    let mut listener = Listener::follow(&fake, &["/s"], |_| {});
    listener.until("away").await;
    sleep(Duration::from_secs(2)).await;
    let connections = fake.state().connections;
    assert!((3..=6).contains(&connections), "{connections}");
    fake.state().hangs_up.clear();
    listener.becomes("/s", "a=1").await;
}
