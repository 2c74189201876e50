//! Ensembles that move.

use std::fs;

use super::{becomes, is_not_reached, site};
use crate::ensemble::{list, member};
use crate::support::zookeeper::{ZooKeeper, free_port};

#[test]
fn a_reconfigured_ensemble_is_followed_and_found_after_a_restart() {
    let mut ensemble = ZooKeeper::dynamic();
    ensemble.client("").put(&member(1), b"");
    let url = format!("zk://{}", ensemble.connect_string());
    let site = site(&url, "");
    let mut agent = site.start();
    becomes(&agent, &site, &[1]);
    ensemble.reconfigure();
    let now = ensemble.servers();
    let kept = || {
        now.iter().all(|server| site.read("state/servers/default.json").contains(server.rsplit_once(':').unwrap().1))
    };
    agent.until("the new servers are saved", kept);
    // Every server is restarted, so no earlier connection remains.
    for index in 0..3 {
        ensemble.stop(index);
    }
    for index in 0..3 {
        ensemble.start(index);
    }
    ensemble.wait_ready();
    ensemble.put_soon(&member(2), b"");
    becomes(&agent, &site, &[1, 2]);
    assert!(agent.stop().success());

    // The configured servers are gone, and the ensemble is found nevertheless.
    ensemble.client("").put(&member(3), b"");
    let mut agent = site.start();
    becomes(&agent, &site, &[1, 2, 3]);
    assert!(agent.stop().success());
    assert_eq!(site.run(&["get", "/services/x"]).expect(0).stdout(), list([1, 2, 3]));
    // The saved list does not apply to another url.
    let elsewhere = super::site(&url, "");
    is_not_reached(&elsewhere, &["Connection refused"]);
    fs::create_dir_all(elsewhere.path("state/servers")).unwrap();
    fs::copy(site.path("state/servers/default.json"), elsewhere.path("state/servers/default.json")).unwrap();
    elsewhere.run(&["render"]).expect(0);
    let text = elsewhere.read("rosterd.toml").replace(&url, &format!("zk://127.0.0.1:{}", free_port()));
    elsewhere.file("rosterd.toml", &text);
    is_not_reached(&elsewhere, &["Connection refused"]);
}

#[test]
fn changed_addresses_of_host_names_are_followed() {
    let mut ensemble = ZooKeeper::three();
    let port = |server: &str| server.rsplit_once(':').unwrap().1.to_owned();
    let ports: Vec<String> = ensemble.servers().iter().map(|server| port(server)).collect();
    ensemble.move_to(&["127.0.1.1", "127.0.1.2", "127.0.1.3"]);
    ensemble.put_soon(&member(1), b"");
    let url: Vec<String> = ports.iter().enumerate().map(|(i, port)| format!("zk{i}.test:{port}")).collect();
    let site = site(&format!("zk://{}", url.join(",")), "");
    let names = |net: usize| format!("127.0.{net}.1 zk0.test\n127.0.{net}.2 zk1.test\n127.0.{net}.3 zk2.test\n");
    // Written in place, because the agent sees this file through a bind mount.
    fs::write(site.path("hosts"), names(1)).unwrap();
    let hosts = site.path("hosts").display().to_string();
    let script = "mount --bind \"$1\" /etc/hosts && shift && exec \"$@\"";
    let mut agent =
        site.start_by(&["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec", script, "sh", &hosts]);
    becomes(&agent, &site, &[1]);
    ensemble.move_to(&["127.0.2.1", "127.0.2.2", "127.0.2.3"]);
    ensemble.put_soon(&member(2), b"");
    agent.says(super::AWAY);
    fs::write(site.path("hosts"), names(2)).unwrap();
    becomes(&agent, &site, &[1, 2]);
    // A name that no longer resolves is reported, and does not affect the others.
    fs::write(site.path("hosts"), names(2).replace("zk1.test", "zk9.test")).unwrap();
    ensemble.move_to(&["127.0.2.1", "127.0.2.2", "127.0.2.3"]);
    ensemble.put_soon(&member(3), b"");
    becomes(&agent, &site, &[1, 2, 3]);
    assert!(agent.stop().success());
}
