//! How soon the agent reconnects after its server restarts, and that its session survives.

use std::time::{Duration, Instant};

use super::{median, with_session};
use crate::ensemble::{becomes, list, member, site};
use crate::harness::site::PATIENCE;
use crate::support::proxy::Proxy;
use crate::support::wait::eventually;
use crate::support::zookeeper::ZooKeeper;

const DOWN: Duration = Duration::from_secs(5);

#[test]
fn after_five_seconds_of_outage_the_median_reconnect_takes_at_most_one() {
    let mut server = ZooKeeper::one();
    server.put_soon(&member(1), b"");
    // Several agents, because each retries at its own moments.
    let agents: Vec<_> = (0..3)
        .map(|_| {
            let site = site(&with_session("10s"), &server.connect_string());
            let agent = site.start();
            becomes(&agent, &site, [1]);
            (site, agent)
        })
        .collect();
    let mut back = Vec::new();
    for last in 2..2 + crate::support::random::count(3, 15) {
        server.stop(0);
        let stopped = Instant::now();
        eventually(PATIENCE, "five seconds down", || stopped.elapsed() >= DOWN);
        server.start(0);
        server.wait_ready();
        let ready = Instant::now();
        server.put_soon(&member(last), b"");
        let wanted = list(1..=last);
        let mut waiting: Vec<_> = agents.iter().collect();
        eventually(PATIENCE, "all are back", || {
            let before = waiting.len();
            waiting.retain(|(site, _)| site.read("out/list") != wanted);
            back.extend(vec![ready.elapsed(); before - waiting.len()]);
            waiting.is_empty()
        });
    }
    let median = median(back);
    assert!(median < Duration::from_secs(1), "{median:?}");
}

/// A suspended session is not a lost one.
#[test]
fn a_lost_connection_keeps_the_session_and_misses_nothing() {
    let server = ZooKeeper::one();
    server.put_soon(&member(1), b"");
    let client = server.client("");
    let others = server.sessions();
    let proxy = Proxy::to(&server.connect_string());
    let site = site(&with_session("20s"), &proxy.address());
    let agent = site.start();
    becomes(&agent, &site, [1]);
    let own = || &server.sessions() - &others;
    let session = own();
    assert_eq!(session.len(), 1, "{session:?}");
    for last in 2..=4 {
        // The change is made while the agent is disconnected, as far as possible.
        proxy.swallow(true);
        proxy.hang_up();
        client.put(&member(last), b"");
        proxy.swallow(false);
        becomes(&agent, &site, 1..=last);
    }
    // The server is down for longer than a connection attempt takes, but shorter than the session timeout.
    proxy.turn_to("127.0.0.1:1");
    agent.says(super::AWAY);
    let down = Instant::now();
    eventually(PATIENCE, "down for a while", || down.elapsed() >= DOWN);
    client.remove(&member(4));
    proxy.turn_to(&server.connect_string());
    becomes(&agent, &site, 1..=3);
    // Other sessions may have ended meanwhile.
    assert_eq!(own(), session, "the session is the same, and there is no other");
}
