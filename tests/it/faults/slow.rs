//! Connections that are slow, silent, or end in the middle of a reply.

use std::time::{Duration, Instant};

use super::{AWAY, file_becomes, with_session};
use crate::ensemble::{becomes, list, member, site};
use crate::harness::site::PATIENCE;
use crate::support::proxy::Proxy;
use crate::support::wait::eventually;
use crate::support::zookeeper::ZooKeeper;

#[test]
fn a_delay_of_two_seconds_does_not_end_the_session() {
    let server = ZooKeeper::one();
    let client = server.client("");
    client.put(&member(1), b"");
    let others = server.sessions();
    let proxy = Proxy::to(&server.connect_string());
    let site = site(&with_session("6s"), &proxy.address());
    let agent = site.start();
    becomes(&agent, &site, [1]);
    let sessions = server.sessions();
    assert_eq!((&sessions - &others).len(), 1);
    proxy.delay(Duration::from_secs(2));
    let began = Instant::now();
    for last in 2..=3 {
        client.put(&member(last), b"");
        becomes(&agent, &site, 1..=last);
    }
    // Longer than the session timeout.
    eventually(PATIENCE, "the session timeout", || began.elapsed() > Duration::from_secs(8));
    client.remove(&member(3));
    becomes(&agent, &site, [1, 2]);
    assert_eq!((server.sessions(), agent.said(AWAY)), (sessions, 0), "{}", agent.log().join("\n"));
    // A new start is only slow, too.
    proxy.hang_up();
    client.put(&member(4), b"");
    becomes(&agent, &site, [1, 2, 4]);
    assert_eq!(site.reloads(), 5);
}

#[test]
fn a_silent_connection_is_replaced_within_the_session_timeout() {
    let server = ZooKeeper::one();
    let client = server.client("");
    client.put(&member(100), b"");
    let proxies = [(); 2].map(|()| Proxy::to(&server.connect_string()));
    let site = site(&with_session("4s"), &format!("{},{}", proxies[0].address(), proxies[1].address()));
    let agent = site.start();
    becomes(&agent, &site, [100]);
    for last in [102, 104] {
        // The server in use is the one that a change causes requests to.
        let asked = proxies.each_ref().map(Proxy::requests);
        client.put(&member(last - 1), b"");
        becomes(&agent, &site, 100..last);
        let deaf = proxies.iter().zip(asked).find(|(proxy, asked)| proxy.requests() > *asked).unwrap().0;
        deaf.swallow(true);
        client.put(&member(last), b"");
        let took = file_becomes(&agent, &site, "out/list", &list(100..=last));
        println!("taken up {took:?} after the connection went deaf");
        assert!(took < Duration::from_millis(6500), "within the session timeout and one or two attempts: {took:?}");
        becomes(&agent, &site, 100..=last);
        deaf.swallow(false);
    }
}

#[test]
fn nothing_is_published_from_a_truncated_reply() {
    let shared = ZooKeeper::shared();
    let chroot = shared.chroot();
    let client = shared.client(&chroot);
    let data = format!(r#"{{"note": "{}"}}"#, "x".repeat(500));
    let put = |numbers: std::ops::Range<usize>| {
        client.put("/services/x", b"");
        client.put_all(&numbers.map(|number| (member(number), data.clone().into_bytes())).collect::<Vec<_>>());
    };
    put(100..200);
    let proxy = Proxy::to(&shared.connect_string());
    // The names fit, and the data does not.
    proxy.tear_above(20_000);
    let site = site(&with_session("4s"), &format!("{}{chroot}", proxy.address()));
    site.file("out/list", "from before\n");
    let before = site.fingerprint("out/list");
    let agent = site.start();
    agent.until("several truncated replies", || proxy.torn() >= 3);
    assert_eq!((site.fingerprint("out/list"), site.reloads()), (before, 0), "{}", agent.log().join("\n"));
    proxy.tear_above(0);
    becomes(&agent, &site, 100..200);
    // The same with members to lose.
    let before = site.fingerprint("out/list");
    let torn = proxy.torn();
    proxy.tear_above(20_000);
    proxy.swallow(true);
    proxy.hang_up();
    client.remove(&member(100));
    put(200..250);
    proxy.swallow(false);
    agent.until("several truncated replies", || proxy.torn() >= torn + 2);
    assert_eq!((site.fingerprint("out/list"), site.reloads()), (before, 1), "{}", agent.log().join("\n"));
    proxy.tear_above(0);
    becomes(&agent, &site, 101..250);
    assert_eq!(site.reloads(), 2);
}
