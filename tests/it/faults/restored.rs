//! Ensembles with an older state, or with other data; and starts without any.

use nix::sys::signal::Signal;

use super::{AWAY, file_becomes, with_session};
use crate::ensemble::{becomes, member, site};
use crate::support::zookeeper::ZooKeeper;

/// A server with these members, then with more of them, then restored to its earlier state.
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
fn an_ensemble_restored_from_an_older_snapshot_removes_no_member() {
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
            agent.log().iter().any(|line| line.contains("hold in effect: ") && line.contains("older"))
        });
        assert_eq!((site.fingerprint("out/list"), site.reloads()), before, "{}", agent.log().join("\n"));
    };
    held(&agent);
    // Versions are saved across a restart. No timeout ends the hold, and a view that still loses members does not
    // either.
    assert!(agent.stop().success());
    let agent = site.start();
    held(&agent);
    // All members are back, and one more, so nothing is lost any longer. They come in one transaction: a first one could
    // already be more recent than the state that was lost, which ends the hold.
    server.client("").put_all(&[2, 3, 4].map(|number| (member(number), Vec::new())));
    becomes(&agent, &site, 1..=4);
    assert_eq!(site.reloads(), before.1 + 1, "nothing was written before\n{}", agent.log().join("\n"));
    agent.says("hold released: /services/x");
    // From then on its views are used as usual.
    server.client("").remove(&member(4));
    becomes(&agent, &site, 1..=3);
}

#[test]
fn an_older_view_that_loses_no_member_is_used() {
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
    assert_eq!(agent.said("hold in effect: "), 0, "{}", agent.log().join("\n"));
}

#[test]
fn saved_versions_do_not_apply_to_another_url() {
    let old = ZooKeeper::one();
    // It is far ahead of the other ensemble in transactions, too.
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

/// Without saved members a changed template would wait for the registry.
#[test]
fn without_its_registry_a_changed_template_is_rendered_from_saved_members() {
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
    // The registry is back, with one member less and one more: its view is used.
    server.start(0);
    server.wait_ready();
    server.client("").remove(&member(1));
    server.put_soon(&member(3), b"");
    file_becomes(&agent, &site, "seen", "server 10.0.0.2:80\nserver 10.0.0.3:80\n");
}
