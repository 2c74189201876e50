//! /etc/hosts from a web object, so that the servers of an ensemble find each other while it moves.

use std::fs;
use std::process::Command;

use crate::container::namespaces;
use crate::harness::nginx::Nginx;
use crate::harness::site::{Agent, Site};
use crate::support::docs::root;
use crate::support::inside::{is_inside, run};
use crate::support::random::count;
use crate::support::zookeeper::ZooKeeper;

const CONFIG: &str = r#"
[[registry]]
name = "object"
url = "URL"
interval = "100ms"

[[registry]]
name = "zookeeper"
url = "zk://127.0.0.1:1"

[[roster]]
name = "zookeeper"
path = "/services/zookeeper"
wait = "0s:0s"

[[roster]]
name = "web"
registry = "zookeeper"
path = "/services/web"

[[template]]
src = "hosts.tera"
dest = "/etc/hosts"
block = "zookeeper"
write = "auto"

[[template]]
src = "web.tera"
dest = "out/web"
"#;

/// The object with these servers and addresses.
fn object(servers: &[(&str, &str)]) -> String {
    let members: serde_json::Map<_, _> =
        servers.iter().map(|(name, ip)| (format!("{name}:2181"), serde_json::json!({ "ip": ip }))).collect();
    serde_json::json!({ "/services/zookeeper": members }).to_string()
}

/// An agent whose object is at nginx, and whose /etc/hosts is mounted from its own directory.
fn start(nginx: &Nginx) -> (Site, Agent) {
    let site = Site::new(&CONFIG.replace("URL", &nginx.url()));
    site.file("templates/hosts.tera", &fs::read_to_string(root().join("templates/hosts.tera")).unwrap());
    site.file("templates/web.tera", "{{ web | length }}");
    fs::write(site.path("hosts"), "127.0.0.1 localhost\n").unwrap();
    run(Command::new("mount").arg("--bind").arg(site.path("hosts")).arg("/etc/hosts"));
    let agent = site.start();
    (site, agent)
}

#[test]
fn a_mounted_etc_hosts_follows_the_object_while_zookeeper_is_down() {
    if is_inside("web_registry::hosts::a_mounted_etc_hosts_follows_the_object_while_zookeeper_is_down", namespaces()) {
        let mut nginx = Nginx::start();
        nginx.publish(&object(&[("zk1.test", "10.0.0.1"), ("zk2.test", "10.0.0.2")]));
        let (site, agent) = start(&nginx);
        let hosts = |lines: &str| {
            let begin = "127.0.0.1 localhost\n# BEGIN rosterd zookeeper\n# The ZooKeeper ensemble.\n";
            format!("{begin}{lines}\n# END rosterd zookeeper\n")
        };
        let is = |lines: &str| site.read("hosts") == hosts(lines);
        agent.until("the block is there", || is("10.0.0.1 zk1.test\n10.0.0.2 zk2.test"));
        nginx.publish(&object(&[("zk1.test", "10.0.0.1"), ("zk2.test", "10.0.0.9")]));
        agent.until("the address has moved", || is("10.0.0.1 zk1.test\n10.0.0.9 zk2.test"));
        assert_eq!(fs::read_to_string("/etc/hosts").unwrap(), site.read("hosts"));
        agent.says("event=registry_unreachable registry=zookeeper");
    }
}

#[test]
fn servers_of_an_ensemble_find_one_that_moves_by_the_object() {
    if is_inside("web_registry::hosts::servers_of_an_ensemble_find_one_that_moves_by_the_object", namespaces()) {
        let names = ["zk0.test", "zk1.test", "zk2.test"];
        let at = |net: [usize; 3]| -> String {
            let ips: Vec<String> = net.iter().zip(1..).map(|(net, host)| format!("127.0.{net}.{host}")).collect();
            object(&names.iter().copied().zip(ips.iter().map(String::as_str)).collect::<Vec<_>>())
        };
        let mut nginx = Nginx::start();
        nginx.publish(&at([1, 1, 1]));
        let (site, agent) = start(&nginx);
        agent.until("every server has an address", || site.read("hosts").contains("127.0.1.3 zk2.test"));
        let mut ensemble = ZooKeeper::named(&names);
        ensemble.put_soon("/before", b"");
        // The others connect to the server with the lowest number, so it cannot join unless they find it. The leader
        // has the highest number. Without server 1, which never moves, the servers that moved are the quorum.
        let moves = [(0, [2, 1, 1]), (2, [2, 1, 2])];
        for (moved, net) in moves.into_iter().take(count(1, 2)) {
            ensemble.stop(moved);
            nginx.publish(&at(net));
            let line = format!("127.0.2.{} {}", moved + 1, names[moved]);
            agent.until("the address has moved", || site.read("hosts").contains(&line));
            ensemble.start(moved);
            ensemble.wait_ready();
            ensemble.sync_soon(moved);
        }
        ensemble.stop(1);
        ensemble.put_soon("/after", b"");
    }
}
