//! A canary among 200 hosts, each with a client of Jones, and three of them with an agent.

use std::collections::{BTreeMap, BTreeSet};

use super::{Scene, Site};
use crate::harness::site::{Agent, PATIENCE};
use crate::support::wait::holds;

/// The first lines in `[registry]`, then what an agent makes of the host's view.
const AGENT: &str = "[[template]]\nsrc = \"haproxy.cfg.tera\"\ndest = \"SITE/out/haproxy.cfg\"\n\
                     check_cmd = \"haproxy -c -q -f {{ src }}\"\nreload_cmd = \"echo reload >> SITE/reloads\"\nreload_interval = \"0s\"\n";

const TEMPLATE: &str = "global\n    maxconn {{ settings.maxconn }}\n\ndefaults\n    mode http\n    timeout connect 1s\n    \
                        timeout client 1s\n    timeout server 1s\n\nfrontend f\n    bind 127.0.0.1:1\n    \
                        default_backend b\n\nbackend b\n    server s 127.0.0.1:2\n";

/// The maps of hosts to paths that `nodemaps` holds.
fn nodemaps(scene: &Scene) -> BTreeMap<String, String> {
    let text = scene.text("/services/pycon/nodemaps");
    if text.starts_with('{') {
        return serde_json::from_str(&text).unwrap();
    }
    let pair = |line: &str| line.split_once(" -> ").map(|(host, path)| (host.to_owned(), path.to_owned())).unwrap();
    text.lines().map(pair).collect()
}

/// The hosts that a canary would choose.
fn chosen(scene: &Scene, id: &str) -> BTreeSet<String> {
    let canary = ["canary", "pycon/parent", "--percent", "10", "--set", "maxconn=200", "--id", id, "--dry-run"];
    let out = scene.ok(&canary);
    let host = |line: &str| Some(line.strip_prefix("host ")?.split_once(": ")?.0.to_owned());
    out.lines().filter_map(host).collect()
}

/// An agent on a host, and its directory.
struct Host {
    site: Site,
    agent: Agent,
}

impl Host {
    fn start(scene: &Scene, name: &str) -> Self {
        let key = format!("[[key]]\nname = \"settings\"\njones = \"pycon\"\nhost = \"{name}\"\n\n");
        let site = Site::new(&format!("[registry]\nurl = \"zk://{}\"\n\n{key}{AGENT}", scene.servers));
        site.file("templates/haproxy.cfg.tera", TEMPLATE);
        Self { agent: site.start(), site }
    }

    /// Waits until its haproxy would run with this limit, after this many changes.
    fn has(&self, maxconn: u32, changes: usize) {
        let text = TEMPLATE.replace("{{ settings.maxconn }}", &maxconn.to_string());
        let is_so = || self.site.read("out/haproxy.cfg") == text && self.site.reloads() == changes;
        self.agent.until(&format!("maxconn {maxconn} after {changes} changes"), is_so);
    }
}

/// The clients of all hosts, in one process.
struct Clients<'a>(&'a super::JonesClient);

impl Clients<'_> {
    /// The limits that each host has used, one after the other.
    fn used(&self) -> BTreeMap<String, Vec<u32>> {
        let mut used: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        for line in self.0.lines.lock().unwrap().iter() {
            let (host, config) = line.split_once(' ').unwrap();
            // An error of a node that was deleted: the client goes on.
            let Ok(config) = serde_json::from_str::<BTreeMap<String, u32>>(config) else { continue };
            let limits = used.entry(host.to_owned()).or_default();
            if limits.last() != Some(&config["maxconn"]) {
                limits.push(config["maxconn"]);
            }
        }
        used
    }

    /// Waits until each host has used these limits.
    #[track_caller]
    fn have_used(&self, hosts: &[String], limits: impl Fn(&str) -> Vec<u32>) {
        let wrong = || {
            let used = self.used();
            let is_right = |host: &&String| used.get(*host).is_some_and(|used| *used == limits(host));
            hosts.iter().find(|host| !is_right(host)).map(|host| (host.clone(), used.get(host).cloned()))
        };
        assert!(holds(PATIENCE, || wrong().is_none()), "a host has used other limits: {:?}", wrong());
    }
}

fn only_the_chosen_hosts_change(encoding: &str, version: &str) {
    let scene = Scene::pycon();
    scene.write(&["dissociate", "pycon", "h1"]);
    scene.write(&["set", "pycon", "--unset", "locale", "--unset", "times", "maxconn=100"]);
    let hosts: Vec<String> = (0..200).map(|number| format!("web{number:03}.example.com")).collect();
    let names: Vec<&str> = hosts.iter().map(String::as_str).collect();
    scene.write(&[&["associate", "pycon/parent", "--nodemaps", encoding], &names[..]].concat());
    let before = (nodemaps(&scene), scene.text("/services/pycon/nodemaps"));
    let (first, second) = (chosen(&scene, "first"), chosen(&scene, "second"));
    assert_eq!((before.0.len(), first.len(), second.len()), (200, 20, 20));
    assert!(first != second, "another canary has other hosts");

    let client = scene.client("pycon", &names.join(","), version);
    let clients = Clients(&client);
    clients.have_used(&hosts, |_| vec![100]);
    // One in the first canary, one in the second, and one in neither.
    let pick = |wanted: &dyn Fn(&String) -> bool| hosts.iter().find(|host| wanted(host)).unwrap();
    let of_first = Host::start(&scene, pick(&|host| first.contains(host) && !second.contains(host)));
    let of_second = Host::start(&scene, pick(&|host| second.contains(host) && !first.contains(host)));
    let of_none = Host::start(&scene, pick(&|host| !first.contains(host) && !second.contains(host)));
    for host in [&of_first, &of_second, &of_none] {
        host.has(100, 1);
    }
    let untouched = |host: &Host| host.site.fingerprint("out/haproxy.cfg");
    let (second_before, none_before) = (untouched(&of_second), untouched(&of_none));

    scene.write(&["canary", "pycon/parent", "--percent", "10", "--set", "maxconn=200", "--id", "first"]);
    let moved: BTreeSet<String> =
        nodemaps(&scene).into_iter().filter(|(host, path)| before.0[host] != *path).map(|(host, _)| host).collect();
    assert_eq!(moved, first, "exactly the chosen hosts");
    of_first.has(200, 2);
    let in_first = |host: &str| first.contains(host);
    clients.have_used(&hosts, |host| if in_first(host) { vec![100, 200] } else { vec![100] });
    scene.write(&["abort", "pycon", "first"]);
    assert_eq!(scene.text("/services/pycon/nodemaps"), before.1);
    of_first.has(100, 3);
    clients.have_used(&hosts, |host| if in_first(host) { vec![100, 200, 100] } else { vec![100] });
    assert_eq!((untouched(&of_second), untouched(&of_none)), (second_before, none_before.clone()));

    scene.write(&["canary", "pycon/parent", "--percent", "10", "--set", "maxconn=300", "--id", "second"]);
    of_second.has(300, 2);
    let used = |host: &str| if in_first(host) { vec![100, 200, 100] } else { vec![100] };
    let with = |mut used: Vec<u32>, limit| {
        used.push(limit);
        used
    };
    clients.have_used(&hosts, |host| if second.contains(host) { with(used(host), 300) } else { used(host) });
    assert_eq!(untouched(&of_none), none_before);
    scene.write(&["promote", "pycon", "second"]);
    clients.have_used(&hosts, |host| with(used(host), 300));
    of_first.has(300, 4);
    of_none.has(300, 2);
    of_second.has(300, 2);
    assert_eq!(scene.text("/services/pycon/nodemaps"), before.1);
    assert_eq!(scene.ok(&["check", "pycon"]), "");
}

#[test]
fn a_canary_under_clients_of_jones_1_0_changes_exactly_the_chosen_hosts() {
    only_the_chosen_hosts_change("json", "1.0");
}

#[test]
fn a_canary_under_clients_of_jones_0_5_4_changes_exactly_the_chosen_hosts() {
    only_the_chosen_hosts_change("arrows", "0.5.4");
}
