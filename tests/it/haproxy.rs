//! The demonstration: a ZooKeeper ensemble, a real haproxy, and real backends that join and leave under a load of
//! requests.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Instant;

use zookeeper_client::{Acls, CreateMode};

use crate::harness::backend::{Asked, Backend, Load};
use crate::harness::haproxy::HaProxy;
use crate::harness::site::Site;
use crate::support::wait::eventually;
use crate::support::zookeeper::{Zk, ZooKeeper};

const PATH: &str = "/services/production/web";

/// Data as `nd_service_registry` writes it.
const DATA: &[u8] = br#"{"pid":26802,"created":"2026-11-20 10:07:29","zone":"us-west-2b"}"#;

const CONFIG: &str = r#"
[registry]
url = "zk://SERVERS"

[vars]
haproxy_bind = "127.0.0.1:PORT"

[[roster]]
name = "web"
path = "/services/production/web"

[[template]]
src = "haproxy.cfg.tera"
dest = "out/haproxy.cfg"
check_cmd = "haproxy -c -q -f {{ src }}"
reload_cmd = "RELOAD"
reload_interval = "0s"
"#;

/// The state between two changes.
struct Turn {
    /// Before the change was made.
    changing: Instant,
    /// After its reload had ended.
    reloaded: Instant,
    /// The members since the change.
    live: BTreeSet<String>,
}

#[test]
fn no_request_fails_while_backends_come_and_go() {
    let changes = crate::support::random::count(20, 200);
    let zookeeper = ZooKeeper::three();
    let client = zookeeper.client("");
    let mut backends: Vec<Backend> = (0..3).map(|_| Backend::start()).collect();
    for backend in &backends {
        client.put(&member(backend.name()), DATA);
    }

    // haproxy runs with the correct file before the agent starts, so the agent has nothing to change.
    let haproxy = HaProxy::new();
    let config = CONFIG.replace("SERVERS", &zookeeper.connect_string());
    let config = config.replace("PORT", &haproxy.port().to_string());
    let site = Site::new(&config.replace("RELOAD", &haproxy.reload_command("{{ dest }}")));
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/haproxy.cfg.tera");
    site.file("templates/haproxy.cfg.tera", &fs::read_to_string(shipped).unwrap());
    site.run(&["render", "--no-reload"]).expect(0);
    haproxy.start(&site.path("out/haproxy.cfg"));
    let load = Load::start(3, haproxy.port());
    let mut agent = site.start();
    agent.says("event=file_unchanged");

    let mut turns = vec![Turn { changing: Instant::now(), reloaded: Instant::now(), live: names(&backends) }];
    for change in 1..=changes {
        let removed = backends.remove(change % 3);
        backends.push(Backend::start());
        let changing = Instant::now();
        exchange(&client, removed.name(), backends[2].name());
        agent.until(&format!("reload {change}"), || haproxy.reloads() >= change);
        let turn = Turn { changing, reloaded: Instant::now(), live: names(&backends) };
        // As in a deployment, a backend is stopped when it gets no more requests.
        drop(removed);
        let heard = || turn.live.iter().all(|name| load.heard(name, turn.reloaded));
        agent.until(&format!("an answer of each member after reload {change}"), heard);
        turns.push(turn);
    }
    assert!(agent.stop().success(), "{}", agent.log().join("\n"));
    assert_eq!(haproxy.reloads(), changes, "one reload for each change\n{}", agent.log().join("\n"));
    assert_eq!(
        agent.said("event=file_written"),
        changes,
        "one replacement for each change\n{}",
        agent.log().join("\n")
    );
    let asked = load.stop();
    println!("{changes} changes, {} requests", asked.len());
    for asked in &asked {
        check(asked, &turns);
    }
    // The proxy works without the agent.
    let last = Load::start(1, haproxy.port());
    eventually(crate::harness::site::PATIENCE, "an answer without the agent", || {
        turns[changes].live.iter().any(|name| last.heard(name, turns[changes].reloaded))
    });
    assert!(last.stop().iter().all(|asked| asked.answer.is_ok()));
}

/// Each request was answered, by a member since the last reload before it began or by one that joined meanwhile.
fn check(asked: &Asked, turns: &[Turn]) {
    let answer = asked.answer.as_ref();
    let name = answer.unwrap_or_else(|why| panic!("a request failed: {why}\n{asked:?}"));
    let first = turns.iter().rposition(|turn| turn.reloaded <= asked.began).unwrap_or(0);
    let possible = turns[first..].iter().take_while(|turn| turn.changing <= asked.ended);
    let mut possible = possible.map(|turn| &turn.live).chain([&turns[first].live]);
    assert!(
        possible.any(|live| live.contains(name)),
        "answered by {name}, which was not a member after reload {first}"
    );
}

fn member(name: &str) -> String {
    format!("{PATH}/{name}")
}

fn names(backends: &[Backend]) -> BTreeSet<String> {
    backends.iter().map(|backend| backend.name().to_owned()).collect()
}

/// Removes one member and adds another, in one transaction.
fn exchange(client: &Zk, leaves: &str, joins: &str) {
    let (leaves, joins) = (member(leaves), member(joins));
    client.run(|client| async move {
        let mut writer = client.new_multi_writer();
        writer.add_delete(&leaves, None).unwrap();
        writer.add_create(&joins, DATA, &CreateMode::Persistent.with_acls(Acls::anyone_all())).unwrap();
        writer.commit().await.expect("one transaction");
    });
}
