//! Several registries in one agent do not affect each other.

use std::fmt::Write as _;
use std::fs;
use std::thread::sleep;
use std::time::Duration;

use super::{AWAY, file_becomes};
use crate::harness::site::{Agent, Site};
use crate::support::zookeeper::{ZooKeeper, free_port};

/// Two ensembles and a directory, with a file for each and one for all.
fn site(first: &str, second: &str) -> Site {
    let mut config = String::new();
    for (name, url) in [("a", format!("zk://{first}")), ("b", format!("zk://{second}")), ("c", "dir:tree".into())] {
        let _ = write!(
            config,
            "[[registry]]\nname = \"{name}\"\nurl = \"{url}\"\n{}\n\
             [[roster]]\nname = \"{name}\"\npath = \"/services\"\nregistry = \"{name}\"\nwait = \"0s:0s\"\n\n\
             [[template]]\nsrc = \"{name}.tera\"\ndest = \"out/{name}\"\n\n",
            if name == "c" { "" } else { "session_timeout = \"4s\"\n" }
        );
    }
    config += "[[template]]\nsrc = \"all.tera\"\ndest = \"out/all\"\n";
    let site = Site::new(&config);
    let list = |name: &str| format!("{{% for m in {name} %}}{{{{ m.name }}}}\n{{% endfor %}}");
    let mut all = String::new();
    for name in ["a", "b", "c"] {
        site.file(&format!("templates/{name}.tera"), &list(name));
        all += &list(name);
    }
    site.file("templates/all.tera", &all);
    fs::create_dir_all(site.path("tree/services")).unwrap();
    site
}

/// The pause between two changes. They spread over the attempts to reach a missing registry, one a second.
const APART: Duration = Duration::from_millis(150);

/// Makes changes in the first ensemble and in the directory, and waits for each in its file. Most of them, not only
/// half, must be fast.
fn follows(agent: &Agent, site: &Site, servers: &ZooKeeper, chroot: &str, round: usize) {
    let client = servers.client(chroot);
    let changes = (0..crate::support::random::count(15, 100)).map(|change| {
        sleep(APART);
        let name = format!("r{round}c{change:03}");
        // Read before the change, because the agent may be fast.
        let [a, c] = ["out/a", "out/c"].map(|file| site.read(file) + &name + "\n");
        client.put(&format!("/services/{name}"), b"-");
        let zookeeper = file_becomes(agent, site, "out/a", &a);
        site.file(&format!("tree/services/{name}"), "-");
        let directory = file_becomes(agent, site, "out/c", &c);
        (zookeeper, directory)
    });
    let (zookeeper, directory): (Vec<_>, Vec<_>) = changes.unzip();
    for mut took in [zookeeper, directory] {
        took.sort_unstable();
        println!("{took:?}");
        assert!(took[took.len() * 4 / 5] < Duration::from_millis(500), "{took:?}");
    }
}

#[test]
fn a_refusing_registry_does_not_delay_others() {
    let shared = ZooKeeper::shared();
    let chroot = shared.chroot();
    shared.client(&chroot).put("/services/base", b"-");
    let site = site(&format!("{}{chroot}", shared.connect_string()), &format!("127.0.0.1:{}", free_port()));
    site.file("tree/services/base", "-");
    let agent = site.start();
    let first = file_becomes(&agent, &site, "out/a", "base\n");
    file_becomes(&agent, &site, "out/c", "base\n");
    println!("first file after {first:?}");
    assert!(first < Duration::from_secs(4), "at most as long as one attempt at the other registry: {first:?}");
    agent.says(AWAY).says("registry=b");
    follows(&agent, &site, shared, &chroot, 0);
    assert_eq!((site.read("out/b"), site.read("out/all")), (String::new(), String::new()), "b has never been read");
}

#[test]
fn a_frozen_registry_does_not_delay_others() {
    let shared = ZooKeeper::shared();
    let chroot = shared.chroot();
    shared.client(&chroot).put("/services/base", b"-");
    let other = ZooKeeper::one();
    other.put_soon("/services/far", b"-");
    let site = site(&format!("{}{chroot}", shared.connect_string()), &other.connect_string());
    site.file("tree/services/base", "-");
    // It is frozen when the agent starts: it accepts connections and never answers.
    other.freeze(0);
    let agent = site.start();
    let first = file_becomes(&agent, &site, "out/a", "base\n");
    file_becomes(&agent, &site, "out/c", "base\n");
    assert!(first < Duration::from_secs(3), "at most as long as one attempt at the other registry: {first:?}");
    follows(&agent, &site, shared, &chroot, 0);
    agent.says(AWAY).says("registry=b");
    other.thaw(0);
    file_becomes(&agent, &site, "out/b", "far\n");
    let all = |site: &Site| site.read("out/a") + &site.read("out/b") + &site.read("out/c");
    agent.until("the file of all", || site.read("out/all") == all(&site));
    // Again, now that all three have been read: the file of all is still updated, with the last members of b.
    other.freeze(0);
    follows(&agent, &site, shared, &chroot, 1);
    agent.says_times(AWAY, 2);
    follows(&agent, &site, shared, &chroot, 2);
    assert_eq!(site.read("out/b"), "far\n");
    agent.until("the file of all", || site.read("out/all") == all(&site));
    other.thaw(0);
    other.put_soon("/services/wide", b"-");
    file_becomes(&agent, &site, "out/b", "far\nwide\n");
    agent.until("the file of all", || site.read("out/all") == all(&site));
}
