//! Ensembles that know less than they did, or are others altogether; and starts without any.

use nix::sys::signal::Signal;

use super::{AWAY, file_becomes, with_session};
use crate::ensemble::{becomes, member, site};
use crate::support::zookeeper::ZooKeeper;

/// A server with these members, then with more of them, then restored to what it was.
fn restored(before: &[usize], later: &[usize], meanwhile: impl FnOnce(&ZooKeeper)) -> ZooKeeper {
    let mut server = ZooKeeper::one();
    for number in before {
        server.put_soon(&member(*number), b"");
    }
    server.stop(0);
    server.save(0);
    server.start(0);
    server.wait_ready();
    for number in later {
        server.put_soon(&member(*number), b"");
    }
    meanwhile(&server);
    server.stop(0);
    server.restore(0);
    server.start(0);
    server.wait_ready();
    server
}

#[test]
fn an_ensemble_restored_from_an_older_snapshot_takes_nobody_away() {
    let mut running = None;
    let server = restored(&[1], &[2, 3], |server| {
        let site = site(&with_session("2s"), &server.connect_string());
        let agent = site.start();
        becomes(&agent, &site, 1..=3);
        running = Some((site, agent));
    });
    let (site, mut agent) = running.unwrap();
    let before = (site.fingerprint("out/list"), site.reloads());
    let held = |agent: &crate::harness::site::Agent| {
        agent.until("held, with the reason", || {
            agent.log().iter().any(|line| line.contains("roster or key held: ") && line.contains("older"))
        });
        assert_eq!((site.fingerprint("out/list"), site.reloads()), before, "{}", agent.log().join("\n"));
    };
    held(&agent);
    // What was seen before is remembered over a restart; no time releases it, and one that still takes away does not.
    assert!(agent.stop().success());
    let agent = site.start();
    held(&agent);
    server.put_soon(&member(2), b"");
    // All are there again, and one more: nothing is lost any longer.
    server.put_soon(&member(3), b"");
    server.put_soon(&member(4), b"");
    becomes(&agent, &site, 1..=4);
    assert_eq!(site.reloads(), before.1 + 1, "nothing was written before\n{}", agent.log().join("\n"));
    agent.says("hold released: /services/x");
    // From then on it is as believable as any.
    server.client("").remove(&member(4));
    becomes(&agent, &site, 1..=3);
}

#[test]
fn an_older_view_that_takes_nobody_away_is_taken_up() {
    let mut running = None;
    let _server = restored(&[1, 2], &[], |server| {
        let site = site(&with_session("2s"), &server.connect_string());
        let agent = site.start();
        becomes(&agent, &site, [1, 2]);
        server.client("").remove(&member(2));
        becomes(&agent, &site, [1]);
        running = Some((site, agent));
    });
    let (site, agent) = running.unwrap();
    becomes(&agent, &site, [1, 2]);
    assert_eq!(agent.said("roster or key held: "), 0, "{}", agent.log().join("\n"));
}

#[test]
fn another_url_starts_afresh_however_little_is_known_there() {
    let old = ZooKeeper::one();
    // Far ahead of the other ensemble in transactions, too.
    for number in 1..=3 {
        for _ in 0..20 {
            old.put_soon(&member(number), b"");
        }
    }
    let new = ZooKeeper::one();
    new.put_soon(&member(1), b"");
    let config = with_session("4s");
    let site = site(&config, &old.connect_string());
    let mut agent = site.start();
    becomes(&agent, &site, 1..=3);
    // With HUP, and back again with a restart.
    site.configure(&config.replace("SERVERS", &new.connect_string()));
    agent.signal(Signal::SIGHUP).says("configuration changed: ");
    becomes(&agent, &site, [1]);
    assert!(agent.stop().success());
    new.put_soon(&member(2), b"");
    site.configure(&config.replace("SERVERS", &old.connect_string()));
    let mut agent = site.start();
    becomes(&agent, &site, 1..=3);
    assert!(agent.stop().success());
    site.configure(&config.replace("SERVERS", &new.connect_string()));
    let agent = site.start();
    becomes(&agent, &site, [1, 2]);
    assert_eq!(agent.said("older"), 0, "{}", agent.log().join("\n"));
}

/// The ablation of the memory: without it a changed template waits for the registry.
#[test]
fn without_its_registry_an_agent_that_starts_keeps_the_file_and_renders_a_changed_template_from_the_last_good_roster() {
    let mut server = ZooKeeper::one();
    server.put_soon(&member(1), b"");
    server.put_soon(&member(2), b"");
    let site = site(&with_session("2s"), &server.connect_string());
    let mut agent = site.start();
    becomes(&agent, &site, [1, 2]);
    assert!(agent.stop().success());
    server.stop(0);
    let before = (site.fingerprint("out/list"), site.reloads());
    let mut agent = site.start();
    agent.says(AWAY);
    assert!(agent.stop().success());
    assert_eq!((site.fingerprint("out/list"), site.reloads()), before, "the same members give the same file");
    site.file("templates/list.tera", "{% for m in x %}server {{ m.address }}\n{% endfor %}");
    let agent = site.start();
    let wanted = "server 10.0.0.1:80\nserver 10.0.0.2:80\n";
    file_becomes(&agent, &site, "seen", wanted);
    agent.says("event=roster_stale");
    // Back, with one gone and one come: the registry is right.
    server.start(0);
    server.wait_ready();
    server.client("").remove(&member(1));
    server.put_soon(&member(3), b"");
    file_becomes(&agent, &site, "seen", "server 10.0.0.2:80\nserver 10.0.0.3:80\n");
}
