//! How soon the agent is back after its server, and that its session came through.

use std::time::{Duration, Instant};

use super::{file_becomes, median, rounds, with_session};
use crate::ensemble::{becomes, list, member, site};
use crate::harness::proxy::Proxy;
use crate::harness::site::PATIENCE;
use crate::harness::wait::eventually;
use crate::harness::zookeeper::ZooKeeper;

const DOWN: Duration = Duration::from_secs(5);

#[test]
fn a_server_back_after_five_seconds_is_followed_again_within_one_at_the_median() {
    let mut server = ZooKeeper::one();
    server.put_soon(&member(1), b"");
    let site = site(&with_session("10s"), &server.connect_string());
    let agent = site.start();
    becomes(&agent, &site, [1]);
    let rounds = rounds(3, 15);
    let back = (2..2 + rounds).map(|last| {
        server.stop(0);
        let stopped = Instant::now();
        eventually(PATIENCE, "five seconds down", || stopped.elapsed() >= DOWN);
        server.start(0);
        server.wait_ready();
        let ready = Instant::now();
        server.put_soon(&member(last), b"");
        file_becomes(&agent, &site, "out/list", &list(1..=last));
        ready.elapsed()
    });
    let median = median(back.collect());
    assert!(median < Duration::from_secs(1), "{median:?}");
}

/// A suspended session is not a lost one.
#[test]
fn a_lost_connection_keeps_the_session_and_misses_nothing() {
    let server = ZooKeeper::one();
    server.put_soon(&member(1), b"");
    let others = server.sessions();
    let proxy = Proxy::to(&server.connect_string());
    let site = site(&with_session("20s"), &proxy.address());
    let agent = site.start();
    becomes(&agent, &site, [1]);
    let own = || &server.sessions() - &others;
    let session = own();
    assert_eq!(session.len(), 1, "{session:?}");
    let client = server.client("");
    let others = server.sessions();
    for last in 2..=4 {
        // The change is made while the agent has no connection, as far as that can be arranged.
        proxy.swallow(true);
        proxy.hang_up();
        client.put(&member(last), b"");
        proxy.swallow(false);
        becomes(&agent, &site, 1..=last);
    }
    // Away for longer than a try takes, and not for as long as the session lives.
    proxy.turn_to("127.0.0.1:1");
    agent.says(super::AWAY);
    let down = Instant::now();
    eventually(PATIENCE, "down for a while", || down.elapsed() >= DOWN);
    client.remove(&member(4));
    proxy.turn_to(&server.connect_string());
    becomes(&agent, &site, 1..=3);
    assert_eq!(server.sessions(), others, "the session of before is the session of now, and there is no other");
}
