//! ZooKeeper servers that stop, freeze and restart.

use std::time::{Duration, Instant};

use crate::config::{RegistryConfig, Watches};
use zookeeper_client::CreateMode;

use super::{LONG, Mirror, config, zookeeper_url};
use crate::support::network::{ip, is_inside};
use crate::support::wait::eventually;
use crate::support::zookeeper::ZooKeeper;

/// The configuration of a single server, without a chroot.
fn own(server: &ZooKeeper) -> RegistryConfig {
    config(zookeeper_url(server.servers(), ""))
}

#[test]
fn changes_during_and_after_an_outage_are_seen() {
    for watches in [Watches::Auto, Watches::Oneshot] {
        let mut server = ZooKeeper::one();
        let client = server.client("");
        client.put("/svc/a", b"1");
        let config = RegistryConfig { watches, ..own(&server) };
        let mirror = Mirror::follow(&config, &["/svc", "/svc/*", "node /svc/a"]);
        mirror.becomes("/svc", "a=1");
        let resets = mirror.received(|received| received.resets);
        for round in 0..2 {
            server.stop(0);
            let reason = mirror.becomes_unreachable();
            assert!(reason.contains("connection lost") || reason.contains("could not establish a session"), "{reason}");
            assert!(reason.contains(&format!("; {}: ", server.servers()[0])), "{reason}");
            assert_eq!(mirror.line("/svc"), if round == 0 { "a=1" } else { "a=1 gap0=x" }, "nothing new is sent");
            // The change is made before the agent can reconnect: through the same server, at the earliest moment.
            server.start(0);
            server.wait_ready();
            let client = server.client("");
            client.put(&format!("/svc/gap{round}"), b"x");
            let gap = if round == 0 { " gap0=x" } else { " gap0=x gap1=x" };
            let back = mirror.becomes("/svc", &format!("a=1{gap}"));
            println!("{watches:?}: change seen {back:?} after the server was back");
            assert!(!mirror.received(|received| received.is_unreachable));
            client.put("/svc/later", b"1");
            mirror.becomes("/svc", &format!("a=1{gap} later=1"));
            client.remove("/svc/later");
            mirror.becomes("/svc", &format!("a=1{gap}"));
            client.put("/svc/a", b"1");
        }
        // Each subject is reset when it was read, perhaps after a change of another one.
        eventually(LONG, "each is reset after each connect", || {
            mirror.received(|received| received.resets) >= resets + 6
        });
    }
}

#[test]
fn another_server_of_an_ensemble_takes_over() {
    let mut servers = ZooKeeper::three();
    let client = servers.client("");
    client.put("/svc/a", b"1");
    let mirror = Mirror::follow(&own(&servers), &["/svc"]);
    mirror.becomes("/svc", "a=1");
    for round in 0..3 {
        servers.stop(round);
        // Through the other two, as soon as they have a leader. The agent may be connected to any of the three.
        let wanted: String = (0..=round).map(|i| [" r", &i.to_string(), "="].concat()).collect();
        eventually(LONG, "a quorum of two", || {
            let up = servers.servers();
            let up: Vec<String> = up.into_iter().enumerate().filter(|(i, _)| *i != round).map(|(_, s)| s).collect();
            let connecting = client.run(move |_| async move {
                let client = zookeeper_client::Client::connector().with_fail_eagerly().connect(&up.join(",")).await?;
                let options = CreateMode::Persistent.with_acls(zookeeper_client::Acls::anyone_all());
                client.create(&format!("/svc/r{round}"), b"", &options).await
            });
            connecting.is_ok()
        });
        mirror.becomes("/svc", &format!("a=1{wanted}"));
        servers.start(round);
        servers.wait_ready();
    }
}

#[test]
fn an_expired_session_is_replaced() {
    let server = ZooKeeper::one();
    let client = server.client("");
    client.put("/svc/a", b"1");
    let config = RegistryConfig { session_timeout: Duration::from_secs(1), ..own(&server) };
    let mirror = Mirror::follow(&config, &["/svc"]);
    mirror.becomes("/svc", "a=1");
    let resets = mirror.received(|received| received.resets);
    server.freeze(0);
    let reason = mirror.becomes_unreachable();
    assert!(reason.contains("no reply for"), "{reason}");
    // Longer than the session timeout of client and server.
    let frozen = Instant::now();
    eventually(LONG, "well past the session timeout", || frozen.elapsed() > Duration::from_secs(3));
    server.thaw(0);
    eventually(LONG, "reset", || mirror.received(|received| received.resets > resets && !received.is_unreachable));
    server.client("").put("/svc/b", b"2");
    mirror.becomes("/svc", "a=1 b=2");
}

#[test]
fn a_server_that_starts_later_is_found() {
    let mut server = ZooKeeper::one_stopped();
    let began = Instant::now();
    let mirror = Mirror::follow(&own(&server), &["/svc"]);
    let reason = mirror.becomes_unreachable();
    assert!(began.elapsed() < Duration::from_secs(3), "reported unreachable after {:?}", began.elapsed());
    assert!(reason.contains("Connection refused"), "{reason}");
    server.start(0);
    server.wait_ready();
    let found = mirror.becomes("/svc", "absent");
    println!("found {found:?} after it was ready");
    assert!(found < Duration::from_secs(3), "{found:?}");
    assert_eq!(mirror.received(|received| received.unreachable_reasons.len()), 1, "received once a minute at most");
}

#[test]
fn a_server_that_is_back_after_five_seconds_is_reached_within_one_at_the_median() {
    let mut server = ZooKeeper::one();
    let client = server.client("");
    client.put("/svc/a", b"1");
    // Each mirror retries at its own moments, so one outage gives a sample.
    let mirrors: Vec<Mirror> = (0..15).map(|_| Mirror::follow(&own(&server), &["/svc"])).collect();
    for mirror in &mirrors {
        mirror.becomes("/svc", "a=1");
    }
    let mut took = Vec::new();
    for _ in 0..crate::support::random::count(1, 10) {
        server.stop(0);
        let down = Instant::now();
        for mirror in &mirrors {
            mirror.becomes_unreachable();
        }
        eventually(LONG, "five seconds", || down.elapsed() > Duration::from_secs(5));
        server.start(0);
        server.wait_ready();
        let up = Instant::now();
        let mut back = vec![None; mirrors.len()];
        eventually(LONG, "all are back", || {
            for (mirror, back) in mirrors.iter().zip(&mut back) {
                if back.is_none() && mirror.received(|received| !received.is_unreachable) {
                    *back = Some(up.elapsed());
                }
            }
            back.iter().all(Option::is_some)
        });
        took.extend(back.into_iter().flatten());
    }
    took.sort_unstable();
    let (median, most) = (took[took.len() / 2], took[took.len() - 1]);
    println!("{} times back {median:?} at the median after the server was, {most:?} at the most", took.len());
    assert!(median < Duration::from_secs(1), "{took:?}");
}

#[test]
fn an_outage_longer_than_the_session_ends_in_a_new_session() {
    let mut server = ZooKeeper::one();
    server.client("").put("/svc/a", b"1");
    let config = RegistryConfig { session_timeout: Duration::from_secs(1), ..own(&server) };
    let mirror = Mirror::follow(&config, &["/svc"]);
    mirror.becomes("/svc", "a=1");
    server.stop(0);
    let stopped = Instant::now();
    mirror.becomes_unreachable();
    // The client has dropped the session by then.
    eventually(LONG, "well past the session timeout", || stopped.elapsed() > Duration::from_secs(4));
    server.start(0);
    server.wait_ready();
    server.client("").put("/svc/b", b"2");
    let back = mirror.becomes("/svc", "a=1 b=2");
    println!("back {back:?} after the server");
}

#[test]
fn a_network_outage_ends_in_a_new_connection() {
    if !is_inside("watch::tests::outage::a_network_outage_ends_in_a_new_connection") {
        return;
    }
    let server = ZooKeeper::one();
    server.client("").put("/svc/a", b"1");
    let config = RegistryConfig { session_timeout: Duration::from_secs(2), ..own(&server) };
    let mirror = Mirror::follow(&config, &["/svc"]);
    mirror.becomes("/svc", "a=1");
    // Connecting fails at once, for longer than the client keeps the session.
    ip("route flush table local");
    let down = Instant::now();
    let reason = mirror.becomes_unreachable();
    assert!(reason.contains("Network is unreachable"), "{reason}");
    eventually(LONG, "well past the session timeout", || down.elapsed() > Duration::from_secs(5));
    ip("link set lo down");
    ip("link set lo up");
    server.wait_ready();
    server.client("").put("/svc/b", b"2");
    mirror.becomes("/svc", "a=1 b=2");
}
