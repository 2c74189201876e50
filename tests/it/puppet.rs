//! The manifests of the documentation and the modules in packaging/ under the real Puppet.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::harness::site::Site;
use crate::support::docs::{blocks, root, text};
use crate::support::zookeeper::ZooKeeper;

mod commands;
mod resources;

use commands::{Applied, apply, prepare, run};

const PATH: &str = "/services/production/uswest1/memcached";

/// The first manifest of a page, with other texts in place of some of its own.
fn documented(page: &str, replaced: &[(&str, &str)]) -> String {
    let manifest = blocks(page).into_iter().find(|block| block.language == "puppet").unwrap().text;
    replaced.iter().fold(manifest, |manifest, (from, to)| {
        assert!(manifest.contains(from), "the documented manifest has no {from}");
        manifest.replace(from, to)
    })
}

#[test]
fn a_manifest_gets_members_only_or_fails() {
    let zookeeper = ZooKeeper::one();
    let client = zookeeper.client("");
    for name in ["a:1", "b:2", "c:3"] {
        client.put(&format!("{PATH}/{name}"), b"");
    }
    // It is quarantined, with a warning.
    client.put(&format!("{PATH}/bad:4"), &b"x".repeat(70_000));
    let site = Site::new("");
    prepare(&site, "");
    let replaced = [
        ("/usr/bin/rosterd", "ROSTERD"),
        ("zk://zk1:2181,zk2:2181", &format!("zk://{}", zookeeper.connect_string())),
        ("'10s'", "'2s'"),
        ("/var/cache/rosterd/memcached.json", "SITE/cache.json"),
        ("/etc/memcached.servers", "SITE/servers"),
    ];
    let manifest = documented("docs/migrating.md", &replaced);
    let apply = || apply(&site, &manifest, &[]);
    apply().expect(2);
    assert_eq!(site.read("servers"), "server a:1\nserver b:2\nserver c:3\n", "with one bad member");

    zookeeper.freeze(0);
    site.remove("servers");
    apply().expect(2);
    assert_eq!(site.read("servers"), "server a:1\nserver b:2\nserver c:3\n", "from the cache, without a warning");

    fs::remove_file(site.path("cache.json")).unwrap();
    let before = site.fingerprint("servers");
    // Without an answer and a cache the catalog fails.
    apply().expect(1);
    assert_eq!(site.fingerprint("servers"), before);

    zookeeper.thaw(0);
    zookeeper.wait_ready();
    // The session of the first client has expired.
    let client = zookeeper.client("");
    for name in ["b:2", "c:3"] {
        client.remove(&format!("{PATH}/{name}"));
    }
    // Fewer than --min.
    apply().expect(1);
    assert_eq!(site.fingerprint("servers"), before);
}

/// The manifest of 2012 with both functions: when the catalog is compiled, and when it is applied.
fn zkget_manifest(url: &str) -> String {
    let servers = [("/etc/memcached.servers", "SITE/servers")];
    let blog = documented("docs/puppet.md", &servers);
    let (zkget, _) = blog.split_once("zk_watcher::add").unwrap();
    format!(
        "{zkget}
notice(rosterd::zkget('{PATH}', 3, 2 + 3, {{ 'format' => 'members', 'cache' => false }}).map |$m| {{ $m['zone'] }})
$none = zkget('/services/none', '0', '5')
notice(\"none: ${{$none}} ${{$none =~ Array}}\")
file {{ 'SITE/deferred':
  content => Deferred('join', [Deferred('rosterd::zkget', ['{PATH}', 1, 2,
    {{ 'registry' => '{url}', 'command' => 'ROSTERD' }}]), ' ']),
}}
"
    )
}

#[test]
fn zkget_returns_the_members_or_fails_the_catalog() {
    let zookeeper = ZooKeeper::one();
    let client = zookeeper.client("");
    for name in ["c:3", "a:1", "b:2"] {
        client.put(&format!("{PATH}/{name}"), "{\"zone\":\"é\"}".as_bytes());
    }
    client.put(&format!("{PATH}/bad:4"), &b"x".repeat(70_000));
    let (site, url) = (Site::new(""), format!("zk://{}", zookeeper.connect_string()));
    prepare(
        &site,
        &format!("rosterd::registry: '{url}'\nrosterd::command: ROSTERD\nrosterd::zkget_options: {{ timeout: 1s }}\n"),
    );
    let manifest = zkget_manifest(&url);
    let first = apply(&site, &manifest, &[]);
    first.expect(2).says("Warning: zkget: left out: ").says("[é, é, é]").says("none: [] true");
    assert_eq!(site.read("servers"), "server a:1\nserver b:2\nserver c:3\n");
    assert_eq!(site.read("deferred"), "a:1 b:2");

    // With the server frozen: the cache, which is checked as the registry's answer is.
    zookeeper.freeze(0);
    let servers = documented("docs/puppet.md", &[("/etc/memcached.servers", "SITE/servers")]);
    let (blog, _) = servers.split_once("zk_watcher::add").unwrap();
    let before = site.fingerprint("servers");
    apply(&site, blog, &[]).expect(0).says("Warning: zkget: stale, ");
    let caches: Vec<_> = fs::read_dir(site.path("var/rosterd")).unwrap().map(|file| file.unwrap().path()).collect();
    let of_path = |text: &str| text.contains(PATH);
    let caches: Vec<_> = caches.iter().filter(|file| of_path(&fs::read_to_string(file).unwrap())).collect();
    assert_eq!(caches.len(), 1, "both functions have the same registry");
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let empty = format!(r#"{{"version":1,"paths":{{"{PATH}":{{"at":{now},"members":{{}}}}}}}}"#);
    for (poison, reason) in [
        (Some(&*empty), "in the cache, /services/production/uswest1/memcached has 0 members but needs at least 1"),
        (Some("--- false\n"), "it is damaged"),
        (None, "cannot use the cache"),
    ] {
        match poison {
            Some(text) => fs::write(caches[0], text).unwrap(),
            None => fs::remove_file(caches[0]).unwrap(),
        }
        let failed = apply(&site, blog, &[]);
        failed.expect(1).says(&format!("zkget: {PATH}: the registry did not answer within 1s")).says(reason);
        assert_eq!(site.fingerprint("servers"), before);
    }

    zookeeper.thaw(0);
    zookeeper.wait_ready();
    let client = zookeeper.client("");
    client.remove(&format!("{PATH}/b:2"));
    client.remove(&format!("{PATH}/c:3"));
    let failed = apply(&site, &blog.replace(", 1, 5)", ", 2, 5)"), &[]);
    failed.expect(1).says(&format!("; {PATH} has 1 member but needs at least 2 (1 quarantined)"));
    assert_eq!(site.fingerprint("servers"), before);
}

#[test]
fn the_manifests_are_valid_and_the_specs_pass() {
    let site = Site::new("");
    let module = |name| root().join("packaging").join(name);
    let mut files = ["puppet", "puppet-zk_watcher"].map(|name| module(name).display().to_string()).to_vec();
    for (n, block) in blocks("docs/puppet.md").iter().filter(|block| block.language == "puppet").enumerate() {
        let name = format!("shown{n}.pp");
        files.push(site.file(&name, &block.text).path(&name).display().to_string());
    }
    assert!(files.len() > 4, "{files:?}");
    run(&site, "parser", &[&["validate".to_owned()], &files[..]].concat()).expect(0);
    let specs = Command::new("rspec").arg("--no-color").current_dir(module("puppet")).output().unwrap();
    assert!(specs.status.success(), "{}", String::from_utf8_lossy(&specs.stdout));
}

#[test]
fn the_reference_is_that_of_puppet_strings() {
    let site = Site::new("");
    let out = site.path("REFERENCE.md");
    // It writes its database to the working directory.
    for name in ["lib", "manifests"] {
        symlink(root().join("packaging/puppet").join(name), site.path(name)).unwrap();
    }
    let mut strings = Command::new("puppet");
    strings.args(["strings", "generate", "--format", "markdown", "--out"]).arg(&out);
    strings.arg(format!("--confdir={}", site.path("conf").display()));
    strings.arg(format!("--vardir={}", site.path("var").display()));
    let output = strings.current_dir(site.path("")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (written, shipped) = (site.read("REFERENCE.md"), text("packaging/puppet/REFERENCE.md"));
    assert!(written == shipped, "REFERENCE.md is not what puppet strings generates:\n{written}");
}
