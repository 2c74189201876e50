//! Servers that die, freeze and restart, and agents that freeze: every change reaches the file, and nothing else is
//! written.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{AWAY, CONFIG, becomes, list, member, site};
use crate::harness::site::PATIENCE;
use crate::support::wait::eventually;
use crate::support::zookeeper::ZooKeeper;

const BACK: &str = "reconnected to registry";

/// With a session timeout so short that a test can outlast it.
fn short() -> String {
    CONFIG.replace("session_timeout = \"4s\"", "session_timeout = \"1s\"")
}

#[test]
fn a_change_during_an_outage_of_the_only_server_reaches_the_file() {
    let mut server = ZooKeeper::one();
    server.put_soon(&member(1), b"");
    let site = site(CONFIG, &server.connect_string());
    let mut agent = site.start();
    becomes(&agent, &site, [1]);
    let mut last = 1;
    for round in 1..=3 {
        let before = site.fingerprint("out/list");
        server.stop(0);
        agent.says_times(AWAY, round);
        assert_eq!(site.fingerprint("out/list"), before);
        // In one round the agent reconnects after the change; in the others it reconnects while the change is made.
        let is_late = round == 1;
        if is_late {
            agent.signal(Signal::SIGSTOP);
        }
        server.start(0);
        server.wait_ready();
        server.put_soon(&member(last + 1), b"");
        if is_late {
            agent.signal(Signal::SIGCONT);
        }
        becomes(&agent, &site, 1..=last + 1);
        agent.says_times(BACK, round);
        server.put_soon(&member(last + 2), b"");
        becomes(&agent, &site, 1..=last + 2);
        last += 2;
    }
    server.client("").remove(&member(last));
    becomes(&agent, &site, 1..last);
    assert!(agent.stop().success());
    assert_eq!(site.reloads(), 8, "one for each change, none for an outage\n{}", agent.log().join("\n"));
}

#[test]
fn no_change_is_lost_when_each_of_three_servers_dies() {
    let mut servers = ZooKeeper::three();
    servers.put_soon(&member(1), b"");
    let site = site(CONFIG, &servers.connect_string());
    let mut agent = site.start();
    becomes(&agent, &site, [1]);
    let leader = servers.leader();
    let mut last = 1;
    for victim in [leader, (leader + 1) % 3, (leader + 2) % 3] {
        servers.stop(victim);
        servers.put_soon(&member(last + 1), b"");
        becomes(&agent, &site, 1..=last + 1);
        let before = site.fingerprint("out/list");
        servers.start(victim);
        servers.wait_ready();
        assert_eq!(site.fingerprint("out/list"), before);
        servers.put_soon(&member(last + 2), b"");
        becomes(&agent, &site, 1..=last + 2);
        last += 2;
    }
    // All three in turn, without changes.
    let before = site.fingerprint("out/list");
    for victim in 0..3 {
        servers.stop(victim);
        servers.leader();
        servers.start(victim);
        servers.wait_ready();
    }
    assert_eq!(site.fingerprint("out/list"), before);
    servers.put_soon(&member(last + 1), b"");
    becomes(&agent, &site, 1..=last + 1);
    assert!(agent.stop().success());
    assert_eq!(site.reloads(), 8, "one for each change, none for an outage\n{}", agent.log().join("\n"));
}

#[test]
fn a_registry_missing_at_the_start_is_found_later() {
    let mut server = ZooKeeper::one_stopped();
    let site = site(CONFIG, &server.connect_string());
    site.file("out/list", "from before\n");
    let before = site.fingerprint("out/list");
    let agent = site.start();
    agent.says(AWAY).says("Connection refused");
    assert_eq!(site.fingerprint("out/list"), before);
    server.start(0);
    server.wait_ready();
    agent.says("hold in effect: /services/x has 0 members but needs at least 1: the path does not exist").says(BACK);
    assert_eq!(site.fingerprint("out/list"), before, "connected, and still nothing to write");
    server.put_soon(&member(1), b"");
    becomes(&agent, &site, [1]);
    assert_eq!(site.reloads(), 1);
}

#[test]
fn no_change_is_lost_when_an_ensemble_freezes_past_the_session() {
    let mut servers = ZooKeeper::three();
    servers.put_soon(&member(1), b"");
    let site = site(&short(), &servers.connect_string());
    let agent = site.start();
    becomes(&agent, &site, [1]);
    let before = site.fingerprint("out/list");
    // First it is thawed without changes, then with changes as soon as they are possible.
    for round in 1..=2 {
        (0..3).for_each(|server| servers.freeze(server));
        let frozen = Instant::now();
        agent.says_times(AWAY, round);
        eventually(PATIENCE, "well past the session timeout", || frozen.elapsed() > Duration::from_secs(3));
        assert_eq!((site.fingerprint("out/list"), site.reloads()), (before.clone(), 1));
        (0..3).for_each(|server| servers.thaw(server));
        // The servers must elect a leader first. A server that lost its quorum may still serve for a moment.
        servers.recover((round == 2).then(|| member(2)).as_deref());
        if round == 2 {
            servers.client("").remove(&member(1));
            becomes(&agent, &site, [2]);
        }
        agent.says_times(BACK, round);
        if round == 1 {
            assert_eq!((site.fingerprint("out/list"), site.reloads()), (before.clone(), 1));
        }
    }
    assert!(site.reloads() <= 3, "one for each change at most\n{}", agent.log().join("\n"));
    servers.put_soon(&member(3), b"");
    becomes(&agent, &site, [2, 3]);
}

#[test]
fn no_change_is_lost_when_the_leader_freezes() {
    let servers = ZooKeeper::three();
    servers.put_soon(&member(1), b"");
    let site = site(CONFIG, &servers.connect_string());
    let agent = site.start();
    becomes(&agent, &site, [1]);
    let leader = servers.leader();
    servers.freeze(leader);
    servers.put_soon(&member(2), b"");
    becomes(&agent, &site, [1, 2]);
    // The old leader resumes, and must notice that it is no longer the leader.
    let before = site.fingerprint("out/list");
    servers.thaw(leader);
    servers.wait_mode(leader, "follower");
    assert_eq!(site.fingerprint("out/list"), before);
    servers.client("").remove(&member(1));
    becomes(&agent, &site, [2]);
    assert_eq!(site.reloads(), 3, "one for each change, none for the outage\n{}", agent.log().join("\n"));
}

#[test]
fn no_change_is_lost_when_the_agent_freezes_past_its_session() {
    let server = ZooKeeper::one();
    server.put_soon(&member(1), b"");
    let site = site(&short(), &server.connect_string());
    eventually(PATIENCE, "no session before the agent's", || server.sessions().is_empty());
    let agent = site.start();
    becomes(&agent, &site, [1]);
    agent.until("one session", || server.sessions().len() == 1);
    for round in 1..=2 {
        agent.signal(Signal::SIGSTOP);
        eventually(PATIENCE, "the server has expired the session", || server.sessions().is_empty());
        let before = site.fingerprint("out/list");
        // In one round a change is missed.
        if round == 2 {
            server.put_soon(&member(2), b"");
        }
        agent.signal(Signal::SIGCONT);
        let thawed = Instant::now();
        eventually(PATIENCE, "the agent has a new session", || !server.sessions().is_empty());
        if round == 2 {
            becomes(&agent, &site, [1, 2]);
            println!("right {:?} after the agent was thawed", thawed.elapsed());
            assert!(thawed.elapsed() < Duration::from_secs(3), "{:?}", thawed.elapsed());
        }
        agent.says_times(BACK, round);
        if round == 1 {
            assert_eq!((site.fingerprint("out/list"), site.reloads()), (before, 1));
        }
    }
    server.put_soon(&member(3), b"");
    becomes(&agent, &site, [1, 2, 3]);
    assert_eq!(site.reloads(), 3);
}

#[test]
fn term_ends_the_agent_in_time_whatever_the_state_of_the_servers() {
    let mut server = ZooKeeper::one();
    server.put_soon(&member(1), b"");
    let site = site(CONFIG, &server.connect_string());
    let ends = |what: &str, prepare: &mut dyn FnMut()| {
        let mut agent = site.start();
        agent.says("event=file_unchanged");
        prepare();
        let began = Instant::now();
        assert!(agent.stop().success(), "{what}: {}", agent.log().join("\n"));
        println!("{what}: ended in {:?}", began.elapsed());
    };
    site.run(&["render"]).expect(0);
    let before = site.fingerprint("out/list");
    ends("a server that serves", &mut || {});
    ends("a server that has just frozen", &mut || server.freeze(0));
    server.thaw(0);
    server.wait_ready();
    ends("a server that has just died", &mut || server.stop(0));
    let mut agent = site.start();
    agent.says(AWAY);
    assert!(agent.stop().success(), "a server that never existed");
    assert_eq!(site.fingerprint("out/list"), before);
    assert_eq!(site.read("out/list"), list([1]));
}
