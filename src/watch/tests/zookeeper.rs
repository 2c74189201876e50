//! What only ZooKeeper has: chroots, ACLs, limits, old servers.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::config::{Auth, RegistryConfig, Watches};
use zookeeper_client::{Acl, AuthId, CreateMode, Permission};

use super::suite::suite;
use super::{LONG, Mirror, Tree, config, zookeeper_url};
use crate::support::proxy::{ADD_WATCH, MULTI_READ, Proxy};
use crate::support::wait::{eventually, holds};
use crate::support::zookeeper::{Zk, ZooKeeper, free_port};

/// A chroot of the shared server.
struct Chroot {
    path: String,
    client: Zk,
    watches: Watches,
}

impl Chroot {
    fn new(watches: Watches) -> Self {
        let shared = ZooKeeper::shared();
        let chroot = shared.chroot();
        Self { client: shared.client(&chroot), path: chroot, watches }
    }
}

impl Tree for Chroot {
    fn config(&self) -> RegistryConfig {
        let url = zookeeper_url(ZooKeeper::shared().servers(), &self.path);
        RegistryConfig { watches: self.watches, ..config(url) }
    }

    fn put(&self, path: &str, data: &str) {
        self.client.put(path, data.as_bytes());
    }

    fn create_parent(&self, path: &str) {
        if path != "/svc/web" {
            self.client.put(path, b"");
        }
    }

    fn remove(&self, path: &str) {
        self.client.remove(path);
    }
}

mod recursive {
    super::suite!(super::Chroot::new(crate::config::Watches::Auto));
}

mod oneshot {
    super::suite!(super::Chroot::new(crate::config::Watches::Oneshot));
}

#[test]
fn the_reason_for_being_unreachable_is_named() {
    let port = free_port();
    let servers = vec![format!("127.0.0.1:{port}"), "no-such-host.invalid:2181".to_owned()];
    let mirror = Mirror::follow(&config(zookeeper_url(servers, "/c")), &["/svc"]);
    let reason = mirror.becomes_unreachable();
    assert!(reason.starts_with(&format!("zk://127.0.0.1:{port},no-such-host.invalid:2181/c: ")), "{reason}");
    assert!(reason.contains(&format!("127.0.0.1:{port}: Connection refused")), "{reason}");
    assert!(reason.contains("no-such-host.invalid:2181: the name does not resolve"), "{reason}");

    let bad = Auth { scheme: "nonsense".into(), file: PathBuf::from("/etc/x.auth"), secret: b"u:p".to_vec() };
    let config = RegistryConfig { auth: vec![bad], ..config(zookeeper_url(ZooKeeper::shared().servers(), "")) };
    let mirror = Mirror::follow(&config, &["/svc"]);
    let reason = mirror.becomes_unreachable();
    assert!(reason.contains("nonsense credentials refused (nonsense from /etc/x.auth)"), "{reason}");
}

#[test]
fn a_missing_chroot_is_unreachable_and_not_absent() {
    let shared = ZooKeeper::shared();
    let url = zookeeper_url(shared.servers(), "/nobody/made/this");
    let mirror = Mirror::follow(&config(url), &["/svc", "node /x"]);
    let reason = mirror.becomes_unreachable();
    assert!(reason.contains("the chroot /nobody/made/this does not exist"), "{reason}");
    assert_eq!(mirror.line("/svc"), "unknown");
    shared.client("").put("/nobody/made/this/svc/a", b"1");
    mirror.becomes("/svc", "a=1");
    mirror.becomes("node /x", "absent");
    // The same when it is deleted later.
    shared.client("").remove("/nobody/made");
    mirror.becomes_unreachable();
    assert_eq!(mirror.line("/svc"), "a=1", "the last view stays");
    shared.client("").remove("/nobody");
}

#[test]
fn a_protected_path_is_unreadable_without_credentials() {
    let shared = ZooKeeper::shared();
    let chroot = shared.chroot();
    let client = shared.client(&chroot);
    client.put("/open/free", b"1");
    client.run(|client| async move {
        client.auth("digest", b"user:secret").await.unwrap();
        let acl = [Acl::new(Permission::ALL, AuthId::new("auth", ""))];
        let options = CreateMode::Persistent.with_acls((&acl[..]).into());
        client.create("/closed", b"", &options).await.unwrap();
        client.create("/closed/a", b"1", &options).await.unwrap();
        client.create("/open/shut", b"1", &options).await.unwrap();
    });
    let plain = config(zookeeper_url(shared.servers(), &chroot));
    let auth = Auth { scheme: "digest".into(), file: PathBuf::from("/etc/x.auth"), secret: b"user:secret".to_vec() };
    let refused = "not authorized: the node's ACL does not allow this agent's credentials to read it";
    for watches in [Watches::Auto, Watches::Oneshot] {
        let plain = RegistryConfig { watches, ..plain.clone() };
        let mirror = Mirror::follow(&plain, &["/closed", "/open", "node /closed", "/*"]);
        mirror.becomes("/closed", &format!("unreadable: {refused}"));
        mirror.becomes("node /closed", &format!("unreadable: {refused}"));
        mirror.becomes("/open", &format!("free=1 shut=!{refused}"));
        mirror.becomes("/*", &format!("closed:unreadable: {refused} open:(free=1 shut=!{refused})"));
        assert!(mirror.received(|received| received.unreachable_reasons.is_empty()));

        let config = RegistryConfig { auth: vec![auth.clone()], ..plain };
        let mirror = Mirror::follow(&config, &["/closed", "/open", "node /closed"]);
        mirror.becomes("/closed", "a=1");
        mirror.becomes("/open", "free=1 shut=1");
        mirror.becomes("node /closed", "");
    }
}

#[test]
fn the_system_node_is_not_a_member() {
    let server = ZooKeeper::one();
    let client = server.client("");
    client.put("/a/m", b"1");
    for watches in [Watches::Auto, Watches::Oneshot] {
        let config = RegistryConfig { watches, ..config(zookeeper_url(server.servers(), "")) };
        let mirror = Mirror::follow(&config, &["/", "/*", "/*/m", "/zookeeper"]);
        mirror.becomes("/*", "a:(m=1)");
        mirror.becomes("/*/m", "a:()");
        mirror.becomes("/", "a/=");
        // It can be followed by name, and within a chroot it is an ordinary node.
        eventually(LONG, "its children", || mirror.line("/zookeeper").contains("quota="));
        client.put("/zookeeper/quota/x", b"1");
        client.put("/b/m", b"1");
        mirror.becomes("/*", "a:(m=1) b:(m=1)");
        mirror.becomes("/", "a/= b/=");
        client.remove("/zookeeper/quota/x");
        client.remove("/b");
        mirror.becomes("/*", "a:(m=1)");
    }
    client.put("/a/zookeeper/m", b"1");
    let mirror = Mirror::follow(&config(zookeeper_url(server.servers(), "/a")), &["/*"]);
    mirror.becomes("/*", "m:() zookeeper:(m=1)");
}

#[test]
fn five_thousand_members_are_read_fast() {
    let tree = Chroot::new(Watches::Auto);
    tree.create_parent("/big");
    let data = br#"{"zone": "us-west-2b", "pid": 4711, "created": "2026-11-20 10:07:29"}"#.to_vec();
    let nodes: Vec<_> = (0..5000).map(|i| (format!("/big/host{i:05}.example.com:8080"), data.clone())).collect();
    tree.client.put_all(&nodes);
    for watches in [Watches::Auto, Watches::Oneshot] {
        let began = Instant::now();
        let mirror = Mirror::follow(&RegistryConfig { watches, ..tree.config() }, &["/big"]);
        let count = || mirror.line("/big").split(' ').filter(|word| word.starts_with("host")).count();
        eventually(LONG, "all are read", || count() == 5000);
        println!("{watches:?}: 5000 members in {:?}", began.elapsed());
        tree.put("/big/a", "x");
        eventually(LONG, "one more", || mirror.line("/big").starts_with("a=x host"));
        tree.remove("/big/a");
        eventually(LONG, "one less", || mirror.line("/big").starts_with("host"));
    }
}

#[test]
fn one_change_among_a_thousand_members_is_one_request() {
    let tree = Chroot::new(Watches::Auto);
    tree.create_parent("/big");
    let nodes: Vec<_> = (0..1000).map(|i| (format!("/big/m{i:03}"), b"x".to_vec())).collect();
    tree.client.put_all(&nodes);
    let proxy = Proxy::to(&ZooKeeper::shared().servers()[0]);
    let config = config(zookeeper_url(vec![proxy.address()], &tree.path));
    let mirror = Mirror::follow(&config, &["/big"]);
    eventually(LONG, "all are read", || mirror.line("/big").matches("=x").count() == 1000);
    for round in 0..5 {
        let updates = mirror.received(|received| received.updates);
        // The requests of the first read are done.
        assert!(holds(LONG, || proxy.take_asked().is_empty()));
        match round {
            3 => tree.remove("/big/m000"),
            4 => tree.put("/big/new", "1"),
            _ => tree.put(&format!("/big/m{round:03}"), "y"),
        }
        eventually(LONG, "it is seen", || mirror.received(|received| received.updates) == updates + 1);
        assert_eq!(proxy.take_asked(), [MULTI_READ], "in round {round}");
    }
}

#[test]
fn nodes_that_do_not_match_the_pattern_cost_no_request() {
    for watches in [Watches::Auto, Watches::Oneshot] {
        let tree = Chroot::new(watches);
        tree.put("/s/mem/a", "0");
        for i in 0..20 {
            tree.put(&format!("/s/other{i}/a"), "x");
        }
        let proxy = Proxy::to(&ZooKeeper::shared().servers()[0]);
        let url = zookeeper_url(vec![proxy.address()], &tree.path);
        let mirror = Mirror::follow(&RegistryConfig { watches, ..config(url) }, &["/s/mem*"]);
        mirror.becomes("/s/mem*", "mem:(a=0)");
        // The requests of the first read: as many as for one key alone.
        assert!(holds(LONG, || proxy.requests() > 0));
        let mut costs = Vec::new();
        for value in ["1", "2"] {
            assert!(holds(LONG, || proxy.take_asked().is_empty()));
            if value == "2" {
                tree.put("/s/other1/b", "x");
                tree.put("/s/other2/a", "y");
                tree.remove("/s/other3/a");
            }
            tree.put("/s/mem/a", value);
            mirror.becomes("/s/mem*", &format!("mem:(a={value})"));
            costs.push(proxy.take_asked());
        }
        assert_eq!(costs[0], costs[1], "{watches:?}");
    }
}

#[test]
fn a_path_that_is_too_large_is_unreadable_until_it_shrinks() {
    let tree = Chroot::new(Watches::Auto);
    tree.create_parent("/fat");
    let mirror = Mirror::follow(&tree.config(), &["/fat", "/fat/*"]);
    mirror.becomes("/fat", "");
    let large = "x".repeat(1_000_000);
    for i in 0..17 {
        tree.put(&format!("/fat/m{i}"), &large);
    }
    mirror.becomes("/fat", "unreadable: too large: the nodes under /fat have more than 16 MiB of data");
    for i in 1..17 {
        tree.remove(&format!("/fat/m{i}"));
    }
    mirror.becomes("/fat", &format!("m0={large}"));
}

#[test]
fn a_burst_of_changes_converges() {
    let tree = Chroot::new(Watches::Auto);
    tree.create_parent("/storm");
    let mirror = Mirror::follow(&tree.config(), &["/storm"]);
    mirror.becomes("/storm", "");
    for round in 0..20 {
        let nodes: Vec<_> = (0..500).map(|i| (format!("/storm/r{round}-{i}"), Vec::new())).collect();
        tree.client.put_all(&nodes);
        tree.client.run(move |client| async move {
            let mut writer = client.new_multi_writer();
            for i in 0..500 {
                writer.add_delete(&format!("/storm/r{round}-{i}"), None).unwrap();
            }
            writer.commit().await.unwrap();
        });
    }
    tree.put("/storm/last", "1");
    let took = mirror.becomes("/storm", "last=1");
    println!("20,000 changes: in step {took:?} after the last");
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn stopping_closes_the_session() {
    let server = ZooKeeper::one();
    let mirror = Mirror::follow(&config(zookeeper_url(server.servers(), "")), &["/svc"]);
    mirror.becomes("/svc", "absent");
    let began = Instant::now();
    drop(mirror);
    assert!(began.elapsed() < Duration::from_secs(1), "stopped after {:?}", began.elapsed());
}

/// A proxy that makes a server look older than 3.6: it turns persistent watches and multi-reads into unknown requests,
/// which the server refuses and then closes the connection, as old servers do.
fn old_server(server: &str) -> Proxy {
    Proxy::changing(server, |kind| if [ADD_WATCH, MULTI_READ].contains(&kind) { 9999 } else { kind })
}

#[test]
fn an_old_server_gets_one_shot_watches() {
    let tree = Chroot::new(Watches::Auto);
    tree.put("/svc/a", "1");
    let old = old_server(&ZooKeeper::shared().servers()[0]);
    let auto = config(zookeeper_url(vec![old.address()], &tree.path));
    let mirror = Mirror::follow(&auto, &["/svc", "/svc/*", "node /svc/a"]);
    mirror.becomes("/svc", "a=1");
    tree.put("/svc/b", "2");
    mirror.becomes("/svc", "a=1 b=2");
    mirror.becomes("/svc/*", "a:() b:()");
    tree.put("/svc/a", "3");
    mirror.becomes("/svc", "a=3 b=2");
    mirror.becomes("node /svc/a", "3");
    mirror.set_subjects(&["/svc"]);
    tree.remove("/svc");
    mirror.becomes("/svc", "absent");
    assert!(
        mirror.received(|received| received.unreachable_reasons.is_empty()),
        "{:?}",
        mirror.received(|received| received.unreachable_reasons.clone())
    );

    let recursive = RegistryConfig { watches: Watches::Recursive, ..auto };
    let reason = Mirror::follow(&recursive, &["/svc"]).becomes_unreachable();
    assert!(reason.contains("does not support persistent watches"), "{reason}");
}
