//! Servers that freeze, and the session that another server takes over.

use std::time::{Duration, Instant};

use super::{CONFIG, becomes, member, site};
use crate::harness::site::PATIENCE;
use crate::support::random::{count, rng};
use crate::support::wait::eventually;
use crate::support::zookeeper::ZooKeeper;

/// The timeout of the agent's session, which no other session has.
const TIMEOUT: Duration = Duration::from_secs(3);

/// If the others serve within this time after the freeze, one of them has to continue the session. The last ping was up to
/// 750 ms before the freeze, so that the session may end 2.2 s after it.
const IN_TIME: Duration = Duration::from_millis(1500);

#[test]
fn another_server_continues_the_session_of_a_frozen_one() {
    // Followers notice a frozen leader soon, so that they often have a new one in time.
    let servers = ZooKeeper::three_with("syncLimit=4", &[]);
    servers.put_soon(&member(1), b"");
    let site = site(&CONFIG.replace("\"4s\"", "\"3s\""), &servers.connect_string());
    let agent = site.start();
    let (mut carried, mut random) = ((0, 0), rng());
    let rounds = count(3, 30);
    for round in 1..=rounds {
        becomes(&agent, &site, [1]);
        let mut found = None;
        eventually(PATIENCE, "the agent's session", || {
            found = servers.session_with(TIMEOUT, &[0, 1, 2]);
            found.is_some()
        });
        let ((frozen, session), began) = (found.unwrap(), Instant::now());
        // A connection that lasts for less than 5 s counts as a failed try. The freeze comes at any time between two pings.
        let lasts = Duration::from_millis(5000 + random.u64(..750));
        eventually(PATIENCE, "the connection is useful", || began.elapsed() > lasts);
        let role = servers.mode(frozen).unwrap_or_default();
        servers.freeze(frozen);
        let (froze, others) = (Instant::now(), [(frozen + 1) % 3, (frozen + 2) % 3]);
        servers.put_soon_at(&others, &member(2), b"");
        let served = froze.elapsed();
        becomes(&agent, &site, [1, 2]);
        let (seen, now) = (froze.elapsed(), servers.session_with(TIMEOUT, &others).expect("the agent is connected"));
        let is_carried = now.1 == session;
        println!("{round}: {role} froze; served after {served:?}, seen after {seen:?}, carried: {is_carried}");
        assert!(is_carried || served > IN_TIME, "a new session:\n{}", agent.log().join("\n"));
        carried = (carried.0 + usize::from(is_carried), carried.1 + usize::from(served <= IN_TIME));
        servers.thaw(frozen);
        (0..3).for_each(|server| servers.sync_soon(server));
        servers.client("").remove(&member(2));
    }
    println!("carried in {} of {rounds} rounds; others served in time in {}", carried.0, carried.1);
}
