//! Lost connections and sessions.

use super::*;
use fake::{ADD_WATCH, CHILDREN, DATA, EXISTS, Fake, MULTI_READ, SYNC};

#[tokio::test]
async fn without_a_reply_to_sync_nothing_is_sent() {
    let fake = Fake::start().await;
    fake.put("/s/a", "1");
    fake.state().ignores.insert(SYNC);
    let mut subscriber = Subscriber::follow(&fake, &["/s"], |_| {});
    subscriber.receives("no reply to sync for 3s").await;
    assert_eq!(subscriber.log.len(), 1, "{:?}", subscriber.log);
    assert_eq!(fake.count(MULTI_READ), 0, "{:?}", fake.state().requests);
    fake.state().ignores.clear();
    subscriber.becomes("/s", "a=1").await;
    // The same after a useful connection.
    fake.cut(|state| {
        state.ignores.insert(SYNC);
        state.remove("/s/a", false);
    });
    subscriber.receives("suspended").await;
    let received = subscriber.log.len();
    subscriber.receives("no reply to sync for 3s").await;
    sleep(Duration::from_millis(200)).await;
    assert_eq!(subscriber.members("/s"), "a=1", "{:?}", &subscriber.log[received..]);
    fake.state().ignores.clear();
    subscriber.becomes("/s", "").await;
}

#[tokio::test]
async fn a_resumed_session_is_checked_with_one_read_per_path() {
    let fake = Fake::start().await;
    for path in ["/a", "/b", "/c"] {
        for number in 0..50 {
            fake.put(&format!("{path}/m{number:02}"), "x");
        }
    }
    let mut subscriber = Subscriber::follow(&fake, &["/a", "/b", "/c"], |_| {});
    for path in ["/a", "/b", "/c"] {
        subscriber.receives(&format!("reset {path}")).await;
    }
    sleep(Duration::from_millis(50)).await;
    subscriber.log.clear();
    fake.cut(|_| {});
    while subscriber.log.len() < 4 {
        subscriber.receive().await;
    }
    assert_eq!(subscriber.log[0], "suspended");
    assert!(subscriber.log.iter().all(|word| !word.contains("unreachable")), "{:?}", subscriber.log);
    // The names of each path, and one check of its data.
    stays_at(&fake, MULTI_READ, 3).await;
    let counts = [ADD_WATCH, SYNC, CHILDREN, EXISTS].map(|op| fake.count(op));
    assert_eq!(counts, [3, 1, 3, 0], "{:?}", fake.state().requests);
    assert_eq!(fake.count(DATA), 1, "the ensemble's servers: {:?}", fake.state().requests);
}

#[tokio::test]
async fn a_change_during_an_outage_is_found() {
    let fake = Fake::start().await;
    for name in ["a", "b", "c"] {
        fake.put(&format!("/s/{name}"), "1");
    }
    let mut subscriber = Subscriber::follow(&fake, &["/s"], |_| {});
    subscriber.becomes("/s", "a=1 b=1 c=1").await;
    sleep(Duration::from_millis(50)).await;
    fake.cut(|state| {
        state.remove("/s/a", false);
        state.put("/s/b", "2", false);
        state.put("/s/d", "1", false);
        // Another node of the same name.
        state.remove("/s/c", false);
        state.put("/s/c", "2", false);
    });
    subscriber.log.clear();
    subscriber.becomes("/s", "b=2 c=2 d=1").await;
    assert_eq!(subscriber.log, ["suspended", "reset /s", "update /s"], "names first, then data");
    fake.cut(|state| state.remove("/s", false));
    subscriber.receives("absent").await;
    assert_eq!(subscriber.version("/s"), fake.state().zxid, "the version of the reply");
}

#[tokio::test]
async fn another_server_resumes_the_session_without_a_report_of_an_outage() {
    let one = Fake::start().await;
    let servers = [one.clone(), one.another().await, one.another().await];
    one.put("/s/a", "0");
    let addresses: Vec<String> = servers.iter().map(|server| server.address.clone()).collect();
    let url = RegistryUrl::ZooKeeper { servers: addresses, chroot: None, tls: false };
    let mut subscriber = Subscriber::follow(&one, &["/s"], |registry| registry.config.url = url);
    subscriber.becomes("/s", "a=0").await;
    for round in 1..=3 {
        let data = round.to_string();
        one.cut(|state| {
            state.down = [state.last.clone()].into();
            state.put("/s/a", &data, false);
        });
        subscriber.becomes("/s", &format!("a={round}")).await;
    }
    assert_eq!(one.state().sessions(), 1);
    assert!(subscriber.log.iter().all(|word| !word.contains("unreachable")), "{:?}", subscriber.log);
}

#[tokio::test]
async fn an_address_that_never_answers_does_not_use_up_the_session() {
    let fake = Fake::start().await;
    fake.put("/s/a", "1");
    // It accepts connections and never sends anything.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let servers = vec![silent.local_addr().unwrap().to_string(), fake.address.clone()];
    let url = RegistryUrl::ZooKeeper { servers, chroot: None, tls: false };
    let mut subscriber = Subscriber::follow(&fake, &["/s"], |registry| {
        registry.config.url = url;
        registry.config.session_timeout = Duration::from_secs(10);
    });
    subscriber.becomes("/s", "a=1").await;
    for round in 0..3 {
        fake.cut(|state| state.put("/s/a", &round.to_string(), false));
        let began = Instant::now();
        subscriber.becomes("/s", &format!("a={round}")).await;
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    }
    assert_eq!(fake.state().sessions(), 1);
}

#[tokio::test]
async fn an_expired_session_is_reported_and_everything_is_read() {
    let fake = Fake::start().await;
    fake.put("/s/a", "1");
    let mut subscriber = Subscriber::follow(&fake, &["/s"], |_| {});
    subscriber.becomes("/s", "a=1").await;
    fake.cut(|state| {
        state.expire();
        state.put("/s/a", "2", false);
    });
    subscriber.log.clear();
    subscriber.becomes("/s", "a=2").await;
    assert_eq!(subscriber.log.len(), 3, "{:?}", subscriber.log);
    assert_eq!((&*subscriber.log[0], &*subscriber.log[2]), ("suspended", "reset /s"));
    assert!(
        subscriber.log[1].ends_with(&format!("connection closed by the server; {}: the session expired", fake.address)),
        "{:?}",
        subscriber.log
    );
}

#[tokio::test]
async fn an_absent_path_is_read_once_after_a_reconnect() {
    let fake = Fake::start().await;
    let mut subscriber = Subscriber::follow(&fake, &["/s"], |_| {});
    subscriber.receives("absent").await;
    sleep(Duration::from_millis(50)).await;
    subscriber.log.clear();
    fake.cut(|_| {});
    subscriber.receives("absent").await;
    stays_at(&fake, EXISTS, 1).await;
}

#[tokio::test]
async fn what_was_read_under_another_session_is_not_sent() {
    let fake = Fake::start().await;
    fake.put("/s/a", "old");
    let mut subscriber = Subscriber::follow(&fake, &["/s"], |_| {});
    subscriber.becomes("/s", "a=old").await;
    fake.cut(|state| {
        state.expire();
        state.put("/s/a", "new", false);
        state.disconnects_on.insert(MULTI_READ);
    });
    // The first connection of the new session breaks before anything is read.
    while fake.count(MULTI_READ) == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    fake.state().disconnects_on.clear();
    let received = subscriber.log.len();
    subscriber.receives("suspended").await;
    while !subscriber.log[received..].contains(&"reset /s".to_owned()) {
        subscriber.receive().await;
    }
    assert_eq!(subscriber.members("/s"), "a=new", "{:?}", subscriber.log);
    assert_eq!(fake.state().sessions(), 2);
}

#[tokio::test]
async fn a_path_that_grew_too_large_during_an_outage_is_not_read() {
    let fake = Fake::start().await;
    fake.put("/s/a", "1");
    let mut subscriber = Subscriber::follow(&fake, &["/s"], |_| {});
    subscriber.becomes("/s", "a=1").await;
    let large = "x".repeat(1_000_000);
    fake.cut(|state| (0..60).for_each(|number| state.put(&format!("/s/m{number}"), &large, false)));
    subscriber.log.clear();
    while !subscriber.log.contains(&"reset /s".to_owned()) {
        subscriber.receive().await;
    }
    assert!(subscriber.log.last().is_some_and(|word| word.contains("too large")), "{:?}", subscriber.log);
    let nodes: usize = {
        let state = fake.state();
        state
            .requests
            .iter()
            .filter(|(op, _)| *op == MULTI_READ)
            .map(|(_, count)| count.parse::<usize>().unwrap())
            .sum()
    };
    assert!(nodes < 60, "{nodes}");
}

#[tokio::test]
async fn with_one_shot_watches_a_resumed_session_is_read_once() {
    let fake = Fake::start().await;
    fake.put("/s/a", "1");
    let mut subscriber = Subscriber::follow(&fake, &["/s"], |registry| registry.config.watches = Watches::Oneshot);
    subscriber.becomes("/s", "a=1").await;
    sleep(Duration::from_millis(50)).await;
    fake.cut(|state| state.put("/s/a", "2", false));
    subscriber.becomes("/s", "a=2").await;
    // Those of the path, and of its only member.
    stays_at(&fake, CHILDREN, 2).await;
}

#[tokio::test]
async fn a_server_that_disconnects_on_a_read_is_retried_with_pauses() {
    let fake = Fake::start().await;
    fake.put("/s/a", "1");
    fake.state().disconnects_on.insert(MULTI_READ);
    let mut subscriber = Subscriber::follow(&fake, &["/s"], |_| {});
    subscriber.receives("unreachable").await;
    let (first, began) = (fake.state().connections, Instant::now());
    while fake.state().connections < first + 3 {
        sleep(Duration::from_millis(10)).await;
    }
    // Between three connections there are two pauses, of half a second at least.
    assert!(began.elapsed() >= Duration::from_millis(950), "{:?}", began.elapsed());
    fake.state().disconnects_on.clear();
    subscriber.becomes("/s", "a=1").await;
}

#[tokio::test]
async fn a_failure_is_final_if_credentials_are_refused_or_no_server_is_the_right_one() {
    let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let wrong = other.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = other.accept().await.unwrap();
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let fake = Fake::start().await;
    fake.state().ping_code = -124;
    let down = format!("127.0.0.1:{}", crate::support::zookeeper::free_port());
    for (servers, is_final) in
        [(vec![&wrong], true), (vec![&wrong, &down], false), (vec![&down], false), (vec![&fake.address, &down], true)]
    {
        let servers: Vec<String> = servers.into_iter().cloned().collect();
        let url = RegistryUrl::ZooKeeper { servers: servers.clone(), chroot: None, tls: false };
        let mut subscriber = Subscriber::follow(&fake, &["/s"], |registry| registry.config.url = url);
        subscriber.receive().await;
        let report = subscriber.log.remove(0);
        assert_eq!(report.starts_with("finally unreachable: "), is_final, "{report}");
        assert!(servers.iter().all(|server| report.contains(&format!("; {server}: "))), "{report}");
    }
    // All the same it is tried again.
    let mut subscriber = Subscriber::follow(&fake, &["/s"], |_| {});
    subscriber.receives("requires authentication, and the registry has no auth").await;
    fake.state().ping_code = 0;
    subscriber.receives("absent").await;
}

#[tokio::test]
async fn what_each_server_answered_is_reported_with_an_expired_session() {
    let fake = Fake::start().await;
    fake.put("/s/a", "1");
    // It accepts connections and never sends anything.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let url = RegistryUrl::ZooKeeper { servers: vec![address.clone(), fake.address.clone()], chroot: None, tls: false };
    let mut subscriber = Subscriber::follow(&fake, &["/s"], |registry| {
        registry.config.url = url;
        registry.config.session_timeout = Duration::from_millis(1200);
    });
    subscriber.becomes("/s", "a=1").await;
    fake.cut(|_| {});
    // The lost server is tried last, after the pause that a short connection leads to, and then it is too late.
    subscriber.receives("the session expired").await;
    let report = subscriber.log.last().unwrap();
    let (lost, rest) = report.split_once("connection closed by the server; ").unwrap();
    assert!(lost.ends_with(&format!("connection lost: {}: ", fake.address)), "{report}");
    let answer = format!("{address}: connected, but no session within ");
    let expired = "; the session expired, because no server continued it within 1.2s";
    assert!(rest.starts_with(&answer) && rest.ends_with(expired), "{report}");
    subscriber.becomes("/s", "a=1").await;
}
