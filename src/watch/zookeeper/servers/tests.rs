//! Which servers are tried, in which order, and which are saved.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::*;

fn config(url: &str) -> RegistryConfig {
    RegistryConfig::new(RegistryUrl::parse(url, Path::new("/")).unwrap())
}

fn servers(url: &str, state: &StateAccess) -> Servers {
    Servers::new(&config(url), state)
}

/// The names in the order of one round.
fn order(servers: &Servers) -> Vec<String> {
    servers.order().iter().map(ToString::to_string).collect()
}

fn sorted(servers: &Servers) -> Vec<String> {
    let mut all = order(servers);
    all.sort();
    all
}

/// Connects to a server, which sends this list.
fn learn(mut servers: Servers, list: &[u8]) -> Servers {
    servers.connected(&server("old", 1));
    servers.learn(list);
    servers
}

fn server(host: &str, port: u16) -> Server {
    Server { host: host.into(), port, address: ([10, 0, 0, 1], port).into() }
}

#[test]
fn configured_servers_are_tried_in_random_order() {
    let servers = servers("zk://a:1,[::1]:2,c/chroot", &StateAccess::None);
    assert_eq!(sorted(&servers), ["[::1]:2", "a:1", "c:2181"]);
    let firsts: BTreeSet<String> = (0..200).map(|_| order(&servers).swap_remove(0)).collect();
    assert_eq!(firsts.len(), 3, "each of them comes first now and then: {firsts:?}");
}

#[test]
fn learned_servers_come_first_once_one_was_reached() {
    let mut servers = servers("zk://old:1", &StateAccess::None);
    servers.learn(b"server.1=a:1:2;10\nserver.2=b:1:2;10\nversion=5");
    let new = ["a:10".to_owned(), "b:10".to_owned()];
    for _ in 0..50 {
        let order = order(&servers);
        assert!(new.contains(&order[0]) && order[1] == "old:1" && new.contains(&order[2]), "in turn: {order:?}");
    }
    servers.connected(&server("a", 10));
    for _ in 0..50 {
        let order = order(&servers);
        assert!(new.contains(&order[0]) && new.contains(&order[1]) && order[2] == "old:1", "{order:?}");
    }
    servers.connected(&server("old", 1));
    assert!((0..50).all(|_| order(&servers)[1] == "old:1"), "in turn again");
}

#[test]
fn an_older_list_of_the_ensemble_is_ignored() {
    let mut servers = servers("zk://x:1", &StateAccess::None);
    for (list, known) in [
        ("server.1=a:1:2;1\nversion=0", "a:1"),
        ("server.1=b:1:2;1\nversion=0", "b:1"),
        ("server.1=c:1:2;1\nversion=10", "c:1"),
        ("server.1=d:1:2;1\nversion=10", "c:1"),
        ("server.1=d:1:2;1\nversion=f", "c:1"),
        ("server.1=d:1:2;1\nversion=0", "c:1"),
        ("", "c:1"),
        ("version=11", "c:1"),
        ("server.1=e:1:2;1\nversion=11", "e:1"),
    ] {
        servers.learn(list.as_bytes());
        assert_eq!(sorted(&servers), [known, "x:1"], "{list}");
    }
}

#[test]
fn a_server_without_a_port_gets_the_configured_one() {
    let mut servers = servers("zk://a:1,a:2,b:3", &StateAccess::None);
    servers.learn(b"server.1=a:8:9:participant\nserver.2=b:8:9:participant\nserver.3=c:8:9:participant\nversion=0");
    assert_eq!(sorted(&servers), ["a:1", "a:2", "b:3", "c:1"]);
    // Several servers on one host are tried in random order, too.
    servers.connected(&server("a", 1));
    let orders: BTreeSet<bool> = (0..200)
        .map(|_| {
            let order = order(&servers);
            order.iter().position(|name| name == "a:1") < order.iter().position(|name| name == "a:2")
        })
        .collect();
    assert_eq!(orders.len(), 2);
}

#[test]
fn the_plain_port_is_not_used_for_tls() {
    let mut servers = servers("zks://a:2281", &StateAccess::None);
    servers.learn(b"server.1=a:8:9;2181\nserver.2=b:8:9;10.0.0.2:2181\nserver.3=c:8:9;;2381\nversion=1");
    assert_eq!(sorted(&servers), ["10.0.0.2:2281", "a:2281", "c:2381"]);
}

#[test]
fn learned_servers_survive_a_restart_with_the_same_url() {
    let dir = tempfile::tempdir().unwrap();
    let (reads, writes) = (StateAccess::ReadOnly(dir.path().into()), StateAccess::ReadWrite(dir.path().into()));
    let list = b"server.1=a:1:2;10\nversion=5";
    learn(servers("zk://old:1", &reads), list);
    assert_eq!(sorted(&servers("zk://old:1", &writes)), ["old:1"], "nothing is written with read-only access");
    learn(servers("zk://old:1", &writes), list);
    assert_eq!(sorted(&servers("zk://old:1", &reads)), ["a:10", "old:1"]);
    assert_eq!(sorted(&servers("zk://old:1,other:1", &reads)), ["old:1", "other:1"]);
    assert_eq!(sorted(&servers("zk://old:1", &StateAccess::None)), ["old:1"]);
    // Servers learned in this run replace them.
    let mut next = learn(servers("zk://old:1", &writes), b"server.1=b:1:2;10\nversion=1");
    assert_eq!(sorted(&next), ["b:10", "old:1"]);
    assert_eq!(sorted(&servers("zk://old:1", &reads)), ["b:10", "old:1"]);
    // An empty list replaces nothing.
    next.saved.save(Vec::new());
    assert_eq!(sorted(&servers("zk://old:1", &reads)), ["b:10", "old:1"]);
    assert_eq!(fs::read_dir(dir.path().join("servers")).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn a_list_without_a_reachable_server_does_not_replace_the_saved_one() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateAccess::ReadWrite(dir.path().into());
    learn(servers("zk://old:1", &state), b"server.1=a:1:2;10");
    let mut next = servers("zk://old:1", &state);
    next.exhibited = vec![LearnedServer { host: "gone".into(), port: Some(7) }];
    next.save();
    assert_eq!(sorted(&next), ["a:10", "gone:7", "old:1"]);
    assert_eq!(sorted(&servers("zk://old:1", &state)), ["a:10", "old:1"]);
    next.connected(&server("gone", 7));
    assert_eq!(sorted(&next), ["gone:7", "old:1"]);
    assert_eq!(sorted(&servers("zk://old:1", &state)), ["gone:7", "old:1"]);
}

#[test]
fn a_damaged_file_counts_as_none() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateAccess::ReadWrite(dir.path().into());
    learn(servers("zk://old:1", &state), b"server.1=a:1:2;10");
    let file = dir.path().join("servers/default.json");
    let good = fs::read_to_string(&file).unwrap();
    assert_eq!(sorted(&servers("zk://old:1", &state)), ["a:10", "old:1"]);
    for bad in [
        String::new(),
        good.replace("\"version\":1", "\"version\":2"),
        good.replace("\"a\"", "\"a b\""),
        good.replace("10", "0"),
        good[..good.len() / 2].to_owned(),
    ] {
        assert_ne!(bad, good);
        fs::write(&file, &bad).unwrap();
        assert_eq!(sorted(&servers("zk://old:1", &state)), ["old:1"], "{bad}");
    }
}

#[test]
fn any_registry_name_gives_a_file_name() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["../x", "a/b", ".", "ä"] {
        let config = RegistryConfig { name: Arc::from(name), ..config("zk://old:1") };
        learn(Servers::new(&config, &StateAccess::ReadWrite(dir.path().into())), b"server.1=a:1:2;10");
        assert_eq!(Servers::new(&config, &StateAccess::ReadOnly(dir.path().into())).order().len(), 2, "{name}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    assert_eq!(fs::read_dir(dir.path().join("servers")).unwrap().count(), 4);
}

#[tokio::test]
async fn names_are_resolved_and_unresolved_ones_are_named() {
    let mut servers = servers("zk://127.0.0.1:1,localhost:2,nowhere.invalid:3,[::1]:4", &StateAccess::None);
    let resolved = servers.resolve().await;
    let found: Vec<String> =
        resolved.servers.iter().map(|server| format!("{} {}", server.host, server.address)).collect();
    for wanted in ["127.0.0.1 127.0.0.1:1", "localhost 127.0.0.1:2", "::1 [::1]:4"] {
        assert!(found.contains(&wanted.to_owned()), "{found:?}");
    }
    assert_eq!(resolved.failed.len(), 1);
    assert!(resolved.failed[0].starts_with("nowhere.invalid:3: the name "), "{:?}", resolved.failed);
}

#[tokio::test]
async fn an_address_is_tried_once_but_with_tls_by_each_of_its_names() {
    for (url, count) in [("zk://127.0.0.1:1,127.0.0.1:2", 2), ("zks://127.0.0.1:1,127.0.0.1:2", 3)] {
        let mut servers = servers(url, &StateAccess::None);
        servers.exhibited = vec![LearnedServer { host: "127.1".into(), port: Some(1) }];
        assert_eq!(servers.resolve().await.servers.len(), count, "{url}");
    }
}

async fn ports(servers: &mut Servers) -> Vec<u16> {
    servers.resolve().await.servers.iter().map(|server| server.port).collect()
}

#[tokio::test]
async fn addresses_that_failed_in_this_outage_are_tried_last() {
    let mut servers = servers("zk://127.0.0.1:1,127.0.0.1:2,127.0.0.1:3", &StateAccess::None);
    let address = |port| ([127, 0, 0, 1], port).into();
    let connected = |servers: &mut Servers, port| {
        servers.connected(&Server { host: "127.0.0.1".into(), port, address: address(port) });
    };
    connected(&mut servers, 1);
    servers.lost(true);
    for _ in 0..20 {
        assert_eq!(ports(&mut servers).await[2], 1, "the lost one");
    }
    servers.failed(address(2));
    assert_eq!(ports(&mut servers).await, [3, 1, 2]);
    servers.failed(address(1));
    assert_eq!(ports(&mut servers).await, [3, 2, 1]);
    // It accepted the session, and was of no use.
    connected(&mut servers, 3);
    servers.lost(false);
    assert_eq!(ports(&mut servers).await, [2, 1, 3]);
    // The next outage.
    connected(&mut servers, 2);
    servers.lost(true);
    assert!(servers.has_failed(address(2)) && !servers.has_failed(address(1)));
    let firsts: BTreeSet<u16> = ports(&mut servers).await.into_iter().take(2).collect();
    assert_eq!(firsts, [1, 3].into());
}
