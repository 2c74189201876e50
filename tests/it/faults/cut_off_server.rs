//! Servers that are cut off from the ensemble keep answering from their old state. The agent must not use that.

use nix::sys::signal::Signal;

use super::{AWAY, file_becomes, with_session};
use crate::ensemble::{becomes, list, member, site};
use crate::harness::site::Agent;
use crate::support::network::{Network, is_inside};
use crate::support::proxy::Proxy;
use crate::support::zookeeper::{Zk, ZooKeeper};

/// How long a follower answers on its own: 300 ticks of 200 ms, which is a minute, and longer than the test.
const LONG: &str = "syncLimit=300";

/// The same, and it creates local sessions without asking its leader.
const LOCAL: &str = "syncLimit=300\nlocalSessionsEnabled=true";

/// Three servers, one of which can be cut off.
struct Ensemble {
    network: Network,
    servers: ZooKeeper,
    leader: usize,
    follower: usize,
}

impl Ensemble {
    fn new(lines: &str) -> Self {
        let network = Network::new(3);
        let servers = ZooKeeper::spread(&network, lines);
        let leader = servers.leader();
        Self { network, servers, leader, follower: (leader + 1) % 3 }
    }

    fn address(&self, index: usize) -> String {
        self.servers.servers()[index].clone()
    }

    fn client(&self, index: usize) -> Zk {
        Zk::connect(&self.address(index))
    }

    /// Waits until the follower has the leader's state, and cuts it off.
    fn cut(&self) {
        self.servers.sync_soon(self.follower);
        self.network.cut(self.follower);
    }

    /// Heals the network, and waits until the follower has caught up. TCP retransmits only after about as long as the
    /// cut lasted, which does not concern the agent.
    fn heal(&self) {
        self.network.heal(self.follower);
        self.servers.sync_soon(self.follower);
    }

    /// Checks that the follower still serves. Otherwise the test proves nothing.
    #[track_caller]
    fn still_serves(&self) {
        assert_eq!(self.servers.mode(self.follower).as_deref(), Some("follower"), "the test took too long");
    }
}

#[test]
fn the_state_of_a_cut_follower_is_not_used_in_an_open_session() {
    if !is_inside("faults::cut_off_server::the_state_of_a_cut_follower_is_not_used_in_an_open_session") {
        return;
    }
    let ensemble = Ensemble::new(LONG);
    let leader = ensemble.client(ensemble.leader);
    for number in [1, 2, 3] {
        leader.put(&member(number), b"");
    }
    leader.put("/services/y/10.9.9.1:90", b"");
    // The proxy has a port that the other servers do not have, so that `/zookeeper/config` does not lead the agent to
    // them.
    let proxy = Proxy::to(&ensemble.address(ensemble.follower));
    let site = site(&with_session("2s"), &proxy.address());
    let agent = site.start();
    becomes(&agent, &site, 1..=3);
    let before = site.fingerprint("out/list");
    ensemble.cut();
    leader.remove(&member(3));
    leader.remove("/services/y/10.9.9.1:90");
    leader.put("/services/y/10.9.9.2:90", b"");
    // The agent must read now, and the follower's state of this path is outdated.
    let more = "[[roster]]\nname = \"y\"\npath = \"/services/y\"\nwait = \"20ms:200ms\"\n\n\
        [[template]]\nsrc = \"more.tera\"\ndest = \"out/more\"\n";
    site.file("templates/more.tera", "{% for m in y %}{{ m.address }}\n{% endfor %}");
    site.file("rosterd.toml", &format!("{}\n{more}", site.read("rosterd.toml")));
    agent.signal(Signal::SIGHUP).says("configuration changed: ");
    agent.until("the follower is given up", || agent.said(AWAY) > 0 || !site.read("out/more").is_empty());
    ensemble.still_serves();
    assert_eq!((site.read("out/more"), site.fingerprint("out/list")), (String::new(), before));
    ensemble.heal();
    file_becomes(&agent, &site, "out/more", "10.9.9.2:90\n");
    becomes(&agent, &site, [1, 2]);
    assert_eq!(site.reloads(), 2);
}

/// The agent is moved to the cut-off follower. That has one removed member, and lacks two new ones.
#[test]
fn a_cut_follower_neither_removes_members_nor_restores_removed_ones() {
    if !is_inside("faults::cut_off_server::a_cut_follower_neither_removes_members_nor_restores_removed_ones") {
        return;
    }
    let ensemble = Ensemble::new(LOCAL);
    let leader = ensemble.client(ensemble.leader);
    for number in [1, 2, 3] {
        leader.put(&member(number), b"");
    }
    let proxy = Proxy::to(&ensemble.address(ensemble.leader));
    let site = site(&with_session("2s"), &proxy.address());
    let mut agent = site.start();
    becomes(&agent, &site, 1..=3);
    ensemble.cut();
    leader.remove(&member(3));
    for number in [4, 5] {
        leader.put(&member(number), b"");
    }
    becomes(&agent, &site, [1, 2, 4, 5]);
    let before = site.fingerprint("out/list");
    let taken_up = site.reloads();
    // Until it gives the follower up, or uses its state.
    let untouched = |agent: &Agent, gave_up: &dyn Fn() -> bool| {
        let believed = || site.fingerprint("out/list") != before || agent.said("hold in effect: ") > 0;
        agent.until("given up", || gave_up() || believed());
        assert_eq!((site.fingerprint("out/list"), site.reloads()), (before.clone(), taken_up));
        assert_eq!(agent.said("hold in effect: "), 0, "its view is not read at all\n{}", agent.log().join("\n"));
        ensemble.still_serves();
    };
    // An agent that has seen newer state reconnects repeatedly. One of the connections is used to find the reason.
    let connections = proxy.accepted();
    proxy.turn_to(&ensemble.address(ensemble.follower));
    untouched(&agent, &|| proxy.accepted() >= connections + 4);
    assert!(agent.stop().success());
    // A new agent, to which the follower grants a session.
    let agent = site.start();
    untouched(&agent, &|| agent.said(AWAY) > 0);
    // Commands do not use its state either.
    let answer = site.run(&["get", "/services/x", "--timeout", "1s"]);
    assert_eq!((answer.expect(4).stdout().as_str(), site.fingerprint("out/list")), ("", before.clone()));
    ensemble.still_serves();
    ensemble.heal();
    ensemble.client(ensemble.leader).put(&member(6), b"");
    file_becomes(&agent, &site, "out/list", &list([1, 2, 4, 5, 6]));
}

#[test]
fn the_state_of_a_read_only_server_is_not_used() {
    // Without local sessions such a server grants none, not even to a read-only client.
    let mut servers = ZooKeeper::three_with("localSessionsEnabled=true", &["-Dreadonlymode.enabled=true"]);
    for number in 1..=4 {
        servers.put_soon(&member(number), b"");
    }
    let urls = servers.servers();
    let proxy = Proxy::to(&urls[2]);
    let site = site(&with_session("2s"), &[&urls[0], &urls[1], &proxy.address()].map(String::as_str).join(","));
    let mut agent = site.start();
    becomes(&agent, &site, 1..=4);
    // Server 2 misses changes, and is then the only one running.
    servers.stop(2);
    servers.put_soon(&member(5), b"");
    servers.client("").remove(&member(1));
    becomes(&agent, &site, 2..=5);
    let before = (site.fingerprint("out/list"), site.reloads());
    servers.stop(0);
    servers.stop(1);
    servers.start(2);
    servers.wait_mode(2, "read-only");
    let connections = proxy.accepted();
    agent.until("several tries", || proxy.accepted() >= connections + 4);
    assert_eq!((site.fingerprint("out/list"), site.reloads()), before, "{}", agent.log().join("\n"));
    assert!(agent.stop().success());
    let agent = site.start();
    agent.says(AWAY);
    let answer = site.run(&["get", "/services/x", "--timeout", "1s"]);
    assert_eq!(answer.expect(4).stdout(), "");
    assert_eq!((site.fingerprint("out/list"), site.reloads()), before, "{}", agent.log().join("\n"));
    assert_eq!(agent.said("hold in effect: "), 0, "{}", agent.log().join("\n"));
    servers.start(0);
    servers.put_soon(&member(6), b"");
    becomes(&agent, &site, 2..=6);
}
