//! The manifest of docs/migrating.md under the real Puppet.

use std::fs;
use std::process::Command;

use crate::harness::site::Site;
use crate::support::docs::blocks;
use crate::support::zookeeper::ZooKeeper;

/// Applies the documented manifest, with the addresses and paths of this test. Returns whether that succeeded.
fn apply(site: &Site, zookeeper: &ZooKeeper) -> bool {
    let documented = blocks("docs/migrating.md").into_iter().find(|block| block.language == "puppet").unwrap().text;
    let replaced = [
        ("/usr/bin/rosterd", env!("CARGO_BIN_EXE_rosterd").to_owned()),
        ("zk://zk1:2181,zk2:2181", format!("zk://{}", zookeeper.connect_string())),
        ("'10s'", "'2s'".to_owned()),
        ("/var/cache/rosterd/memcached.json", site.path("cache.json").display().to_string()),
        ("/etc/memcached.servers", site.path("servers").display().to_string()),
    ];
    let manifest = replaced.iter().fold(documented, |text, (from, to)| {
        assert!(text.contains(from), "the documented manifest has no {from}");
        text.replace(from, to)
    });
    site.file("site.pp", &manifest);
    let mut puppet = Command::new("puppet");
    puppet.arg("apply").arg("--detailed-exitcodes");
    for (option, dir) in [("--confdir", "conf"), ("--vardir", "var")] {
        puppet.arg(option).arg(site.path(dir));
    }
    let output = puppet.arg(site.path("site.pp")).output().expect("puppet is installed");
    let said = [output.stdout, output.stderr].concat();
    println!("{}", String::from_utf8_lossy(&said));
    // 2: applied, with changes.
    [Some(0), Some(2)].contains(&output.status.code())
}

#[test]
fn a_manifest_gets_members_only_or_fails() {
    let zookeeper = ZooKeeper::one();
    let client = zookeeper.client("");
    let path = "/services/production/uswest1/memcached";
    for name in ["a:1", "b:2", "c:3"] {
        client.put(&format!("{path}/{name}"), b"");
    }
    // It is quarantined, with a warning.
    client.put(&format!("{path}/bad:4"), &b"x".repeat(70_000));
    let site = Site::new("");
    assert!(apply(&site, &zookeeper));
    assert_eq!(site.read("servers"), "server a:1\nserver b:2\nserver c:3\n", "with one bad member");

    zookeeper.freeze(0);
    site.remove("servers");
    assert!(apply(&site, &zookeeper));
    assert_eq!(site.read("servers"), "server a:1\nserver b:2\nserver c:3\n", "from the cache, without a warning");

    fs::remove_file(site.path("cache.json")).unwrap();
    let before = site.fingerprint("servers");
    assert!(!apply(&site, &zookeeper), "without an answer and a cache the catalog fails");
    assert_eq!(site.fingerprint("servers"), before);

    zookeeper.thaw(0);
    zookeeper.wait_ready();
    // The session of the first client has expired.
    let client = zookeeper.client("");
    for name in ["b:2", "c:3"] {
        client.remove(&format!("{path}/{name}"));
    }
    assert!(!apply(&site, &zookeeper), "fewer than --min");
    assert_eq!(site.fingerprint("servers"), before);
}
