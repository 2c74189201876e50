//! What is tried, in which order, and what is kept.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::*;

fn config(url: &str) -> RegistryConfig {
    RegistryConfig::at(RegistryUrl::parse(url, Path::new("/")).unwrap())
}

fn servers(url: &str, keep: &StateAccess) -> Servers {
    Servers::new(&config(url), keep)
}

/// The names in the order of one round; those of one source are in no order, and are sorted here.
fn order(servers: &Servers) -> Vec<String> {
    servers.order().iter().map(ToString::to_string).collect()
}

fn sorted(servers: &Servers) -> Vec<String> {
    let mut all = order(servers);
    all.sort();
    all
}

/// What happens on a connection.
fn learn(mut servers: Servers, said: &[u8]) -> Servers {
    servers.reached(&at("old", 1));
    servers.learn(said);
    servers
}

fn at(host: &str, port: u16) -> Server {
    Server { host: host.into(), port, address: ([10, 0, 0, 1], port).into() }
}

#[test]
fn configured_servers_are_tried_in_no_fixed_order() {
    let servers = servers("zk://a:1,[::1]:2,c/chroot", &StateAccess::None);
    assert_eq!(sorted(&servers), ["[::1]:2", "a:1", "c:2181"]);
    let firsts: BTreeSet<String> = (0..200).map(|_| order(&servers).swap_remove(0)).collect();
    assert_eq!(firsts.len(), 3, "each of them comes first now and then: {firsts:?}");
}

#[test]
fn what_the_ensemble_says_is_tried_first_once_it_was_reached_and_the_configured_ones_always() {
    let mut servers = servers("zk://old:1", &StateAccess::None);
    servers.learn(b"server.1=a:1:2;10\nserver.2=b:1:2;10\nversion=5");
    let new = ["a:10".to_owned(), "b:10".to_owned()];
    for _ in 0..50 {
        let order = order(&servers);
        assert!(new.contains(&order[0]) && order[1] == "old:1" && new.contains(&order[2]), "by turns: {order:?}");
    }
    servers.reached(&at("a", 10));
    for _ in 0..50 {
        let order = order(&servers);
        assert!(new.contains(&order[0]) && new.contains(&order[1]) && order[2] == "old:1", "{order:?}");
    }
    servers.reached(&at("old", 1));
    assert!((0..50).all(|_| order(&servers)[1] == "old:1"), "by turns again");
}

#[test]
fn an_older_word_of_the_ensemble_is_passed_over() {
    let mut servers = servers("zk://x:1", &StateAccess::None);
    for (said, known) in [
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
        servers.learn(said.as_bytes());
        assert_eq!(sorted(&servers), [known, "x:1"], "{said}");
    }
}

#[test]
fn a_server_without_a_port_has_the_configured_one() {
    let mut servers = servers("zk://a:1,a:2,b:3", &StateAccess::None);
    servers.learn(b"server.1=a:8:9:participant\nserver.2=b:8:9:participant\nserver.3=c:8:9:participant\nversion=0");
    assert_eq!(sorted(&servers), ["a:1", "a:2", "b:3", "c:1"]);
}

#[test]
fn the_plain_port_is_not_taken_for_tls() {
    let mut servers = servers("zks://a:2281", &StateAccess::None);
    servers.learn(b"server.1=a:8:9;2181\nserver.2=b:8:9;10.0.0.2:2181\nserver.3=c:8:9;;2381\nversion=1");
    assert_eq!(sorted(&servers), ["10.0.0.2:2281", "a:2281", "c:2381"]);
}

#[test]
fn what_was_learnt_is_known_after_a_restart_and_only_for_the_same_url() {
    let dir = tempfile::tempdir().unwrap();
    let (reads, writes) = (StateAccess::ReadOnly(dir.path().into()), StateAccess::ReadWrite(dir.path().into()));
    let said = b"server.1=a:1:2;10\nversion=5";
    learn(servers("zk://old:1", &reads), said);
    assert_eq!(sorted(&servers("zk://old:1", &writes)), ["old:1"], "nothing is written where that is not wanted");
    learn(servers("zk://old:1", &writes), said);
    assert_eq!(sorted(&servers("zk://old:1", &reads)), ["a:10", "old:1"]);
    assert_eq!(sorted(&servers("zk://old:1,other:1", &reads)), ["old:1", "other:1"]);
    assert_eq!(sorted(&servers("zk://old:1", &StateAccess::None)), ["old:1"]);
    // What is learnt in this run takes its place.
    let mut next = learn(servers("zk://old:1", &writes), b"server.1=b:1:2;10\nversion=1");
    assert_eq!(sorted(&next), ["b:10", "old:1"]);
    assert_eq!(sorted(&servers("zk://old:1", &reads)), ["b:10", "old:1"]);
    // One that names nobody is none.
    next.kept.write(Vec::new());
    assert_eq!(sorted(&servers("zk://old:1", &reads)), ["b:10", "old:1"]);
    assert_eq!(fs::read_dir(dir.path().join("servers")).unwrap().count(), 1, "and nothing is left beside it");
}

#[test]
fn what_nobody_was_reached_by_takes_no_kept_lists_place() {
    let dir = tempfile::tempdir().unwrap();
    let keep = StateAccess::ReadWrite(dir.path().into());
    learn(servers("zk://old:1", &keep), b"server.1=a:1:2;10");
    let mut next = servers("zk://old:1", &keep);
    next.exhibited = vec![NamedServer { host: "gone".into(), port: Some(7) }];
    next.keep();
    assert_eq!(sorted(&next), ["a:10", "gone:7", "old:1"]);
    assert_eq!(sorted(&servers("zk://old:1", &keep)), ["a:10", "old:1"]);
    next.reached(&at("gone", 7));
    assert_eq!(sorted(&next), ["gone:7", "old:1"]);
    assert_eq!(sorted(&servers("zk://old:1", &keep)), ["gone:7", "old:1"]);
}

#[test]
fn a_kept_list_that_is_broken_counts_as_none() {
    let dir = tempfile::tempdir().unwrap();
    let keep = StateAccess::ReadWrite(dir.path().into());
    learn(servers("zk://old:1", &keep), b"server.1=a:1:2;10");
    let file = dir.path().join("servers/default.json");
    let good = fs::read_to_string(&file).unwrap();
    assert_eq!(sorted(&servers("zk://old:1", &keep)), ["a:10", "old:1"]);
    for bad in [
        String::new(),
        good.replace("\"version\":1", "\"version\":2"),
        good.replace("\"a\"", "\"a b\""),
        good.replace("10", "0"),
        good[..good.len() / 2].to_owned(),
    ] {
        assert_ne!(bad, good);
        fs::write(&file, &bad).unwrap();
        assert_eq!(sorted(&servers("zk://old:1", &keep)), ["old:1"], "{bad}");
    }
}

#[test]
fn a_registrys_name_is_a_file_in_the_folder() {
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
async fn names_become_addresses_and_those_that_do_not_are_named() {
    let mut servers = servers("zk://127.0.0.1:1,localhost:2,nowhere.invalid:3,[::1]:4", &StateAccess::None);
    let round = servers.round().await;
    let found: Vec<String> = round.servers.iter().map(|server| format!("{} {}", server.host, server.address)).collect();
    for wanted in ["127.0.0.1 127.0.0.1:1", "localhost 127.0.0.1:2", "::1 [::1]:4"] {
        assert!(found.contains(&wanted.to_owned()), "{found:?}");
    }
    assert_eq!(round.unresolved.len(), 1);
    assert!(round.unresolved[0].starts_with("nowhere.invalid:3: the name "), "{:?}", round.unresolved);
}

#[tokio::test]
async fn an_address_is_tried_once_but_for_tls_by_each_of_its_names() {
    for (url, count) in [("zk://127.0.0.1:1,127.0.0.1:2", 2), ("zks://127.0.0.1:1,127.0.0.1:2", 3)] {
        let mut servers = servers(url, &StateAccess::None);
        servers.exhibited = vec![NamedServer { host: "127.1".into(), port: Some(1) }];
        assert_eq!(servers.round().await.servers.len(), count, "{url}");
    }
}
