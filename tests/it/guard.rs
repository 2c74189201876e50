//! Mass expiry during the outage of a leader, at once and in steps: the content of the file, the status, and the effect
//! of accept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use zookeeper_client::{Acls, Client, CreateMode};

use crate::ensemble::{list, member};
use crate::harness::site::{Agent, Site};
use crate::support::client::{Zk, on_runtime};
use crate::support::proxy::Proxy;
use crate::support::zookeeper::ZooKeeper;

const CONFIG: &str = r#"
[registry]
url = "zk://SERVERS"
session_timeout = "4s"

[[roster]]
name = "x"
path = "/services/x"
wait = "20ms:200ms"

[[roster]]
name = "most"
path = "/services/x"
min = 8
wait = "20ms:200ms"

[[template]]
src = "list.tera"
dest = "out/list"

[[template]]
src = "most.tera"
dest = "out/most"
"#;

/// Members whose session expires, because their proxy passes nothing on any more.
struct Mortal {
    proxy: Proxy,
    _session: Client,
}

impl Mortal {
    fn new(server: &str, numbers: impl IntoIterator<Item = usize>) -> Self {
        let (proxy, paths): (_, Vec<String>) = (Proxy::to(server), numbers.into_iter().map(member).collect());
        let address = proxy.address();
        let session = on_runtime(async move {
            let client = Client::connector().with_session_timeout(Duration::from_secs(2)).connect(&address).await?;
            for path in paths {
                client.create(&path, b"", &CreateMode::Ephemeral.with_acls(Acls::anyone_all())).await?;
            }
            Ok::<_, zookeeper_client::Error>(client)
        });
        Self { proxy, _session: session.unwrap() }
    }
}

/// Reads a file continuously, and records the fewest lines that it ever had.
struct Fewest {
    lines: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
}

impl Fewest {
    fn of(site: &Site, name: &str) -> Self {
        let (lines, ended) = (Arc::new(AtomicUsize::new(usize::MAX)), Arc::new(AtomicBool::new(false)));
        let (path, fewest, end) = (site.path(name), Arc::clone(&lines), Arc::clone(&ended));
        thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                fewest.fetch_min(text.lines().count(), Ordering::Relaxed);
                thread::sleep(Duration::from_millis(1));
            }
        });
        Self { lines, ended }
    }

    fn lines(&self) -> usize {
        self.lines.load(Ordering::Relaxed)
    }
}

impl Drop for Fewest {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

fn hold(site: &Site, roster: usize) -> Value {
    let status: Value = serde_json::from_str(&site.run(&["status", "--json"]).expect(0).stdout()).unwrap();
    status["rosters"][roster]["hold"].clone()
}

fn seconds(value: &Value) -> u64 {
    let time = humantime::parse_rfc3339(value.as_str().unwrap()).unwrap();
    time.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

fn holds(agent: &Agent, site: &Site) {
    agent.until("held at six", || {
        site.path("agent.sock").exists()
            && site.run(&["status"]).code() == 0
            && hold(site, 1)["reason"].as_str().is_some_and(|why| why.starts_with("6 of 18 members of /services/x "))
    });
}

/// Of 18 members 12 expire during the outage of a leader, in this many steps.
fn twelve_of_eighteen_expire(steps: usize) {
    let mut servers = ZooKeeper::three();
    let client = Zk::connect(&servers.connect_string());
    (1..=6).for_each(|number| client.put(&member(number), b""));
    let leader = servers.leader();
    let follower = (leader + 1) % 3;
    let each = 12 / steps;
    let mortals: Vec<Mortal> = (0..steps)
        .map(|step| Mortal::new(&servers.servers()[follower], (0..each).map(|n| 7 + step * each + n)))
        .collect();
    let site = Site::new(&CONFIG.replace("SERVERS", &servers.connect_string()));
    site.file("templates/list.tera", "{% for m in x | sort_by(attribute='slot') %}{{ m.address }}\n{% endfor %}");
    site.file("templates/most.tera", "{% for m in most %}{{ m.address }}\n{% endfor %}");
    let mut agent = site.start();
    agent
        .until("all of them", || [("out/list"), ("out/most")].iter().all(|file| site.read(file).lines().count() == 18));
    let (fewest, fewest_most) = (Fewest::of(&site, "out/list"), Fewest::of(&site, "out/most"));
    servers.stop(leader);
    for (step, mortal) in mortals.iter().enumerate() {
        mortal.proxy.swallow(true);
        let left = 18 - (step + 1) * each;
        if steps > 1 {
            // The next step begins when the agent has seen this one.
            agent.until("the step", || {
                let kept = site.read("out/list").lines().count();
                kept == left
                    || hold(&site, 1)["reason"].as_str().is_some_and(|why| why.starts_with(&format!("{left} of 18 ")))
            });
        }
    }
    holds(&agent, &site);
    assert!(hold(&site, 1)["release"].as_str().unwrap().contains("rosterd accept"));
    assert!(hold(&site, 0)["reason"].as_str().unwrap().starts_with("/services/x has 6 members but needs at least 8"));

    // After a restart it is the same hold, with the same start and end.
    let before = hold(&site, 1);
    let kept = site.read("out/list");
    assert!(agent.stop().success());
    let mut agent = site.start();
    holds(&agent, &site);
    let after = hold(&site, 1);
    for key in ["since", "until"] {
        assert!(seconds(&before[key]).abs_diff(seconds(&after[key])) <= 2, "{key}: {before} {after}");
    }
    assert_eq!(site.read("out/list"), kept);
    // A pause survives a restart too, and an accepted loss waits for its end.
    site.run(&["pause", "--for", "10m", "--reason", "looking"]).expect(0);
    assert!(agent.stop().success());
    let agent = site.start();
    holds(&agent, &site);
    assert!(site.run(&["status"]).expect(0).stdout().contains(": looking; `rosterd resume -c "));
    let shown = site.run(&["explain", "x"]).expect(0).stdout();
    assert!(
        shown.contains("with `rosterd accept x -c ") && shown.contains("`, 6 members of /services/x would remain"),
        "{shown}"
    );
    site.run(&["explain", "most"]).expect(0);
    let refused = site.run(&["accept", "most"]);
    assert!(
        refused.expect(3).stderr().contains("/services/x has 6 members but needs at least 8"),
        "{}",
        refused.stderr()
    );
    assert!(fewest.lines() >= 9, "the file had {} lines", fewest.lines());
    drop(fewest);
    site.run(&["accept", "x"]).expect(0);
    assert_eq!(site.read("out/list"), kept, "paused");
    site.run(&["resume"]).expect(0);
    agent.until("the six", || site.read("out/list") == list(1..=6));
    assert!(fewest_most.lines() >= 8, "below min: {} lines", fewest_most.lines());
}

#[test]
fn twelve_of_eighteen_expire_at_once() {
    twelve_of_eighteen_expire(1);
}

#[test]
fn twelve_of_eighteen_expire_in_steps() {
    twelve_of_eighteen_expire(4);
}
