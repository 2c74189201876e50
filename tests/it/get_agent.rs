//! `get --agent`: the running agent answers from its session.

use std::collections::BTreeSet;
use std::thread;

use serde_json::Value;

use crate::harness::site::Site;
use crate::support::random::count;
use crate::support::wait::eventually;
use crate::support::zookeeper::{START, ZooKeeper};

const CONFIG: &str = r#"
[registry]
url = "zk://URL"
session_timeout = "4s"

[[roster]]
name = "services"
path = "/services/*"

[[roster]]
name = "other"
path = "/other"
"#;

const GET: [&str; 3] = ["get", "--agent", "/services/web"];

#[test]
fn many_at_once_share_the_session_of_the_agent() {
    let server = ZooKeeper::one();
    let client = server.client("");
    for name in ["a:1", "b:1", "c:1"] {
        client.put(&format!("/services/web/{name}"), b"");
    }
    client.put("/other/x:1", b"{\"zone\": \"a\"}");
    let site = Site::new(&CONFIG.replace("URL", &server.connect_string()));
    let away = site.run(&GET);
    assert!(away.expect(69).stderr().contains("no agent answers at"), "{}", away.stderr());
    let mut agent = site.start();
    agent.until("a warm answer", || site.run(&GET).code() == 0);
    let sessions = server.sessions();
    let mut seen = BTreeSet::new();
    thread::scope(|scope| {
        let gets: Vec<_> = (0..count(40, 200)).map(|_| scope.spawn(|| site.run(&GET))).collect();
        while !gets.iter().all(thread::ScopedJoinHandle::is_finished) {
            seen.extend(server.sessions());
        }
        for get in gets {
            assert_eq!(get.join().unwrap().expect(0).stdout(), "a:1\nb:1\nc:1\n");
        }
    });
    assert_eq!(seen, sessions, "no other session than those before");

    // The same options as without the agent.
    let run = |more: &[&str]| site.run(&[&["get", "--agent"], more].concat());
    assert_eq!(run(&["/services/web", "--max", "1", "/other"]).expect(0).stdout(), "a:1\nx:1\n");
    assert_eq!(run(&["/services/*"]).expect(0).stdout(), "web\ta:1\nweb\tb:1\nweb\tc:1\n");
    let members: Value = serde_json::from_str(&run(&["/other", "--format", "members"]).expect(0).stdout()).unwrap();
    assert_eq!((&members[0]["zone"], &members[0]["stale"]), (&"a".into(), &false.into()));
    run(&["/services/web", "--min", "4"]).expect(3);
    assert!(run(&["/services/none"]).expect(3).stderr().contains("the path does not exist"));
    let unknown = run(&["/elsewhere"]);
    assert!(unknown.expect(3).stderr().contains("no roster of the agent follows it"), "{}", unknown.stderr());
    run(&["/other", "--registry", "zk://none"]).expect(64);
    run(&["/other", "/other"]).expect(64);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| run(&["/services/web", "--wait-for", "4"]));
        client.put("/services/web/d:1", b"");
        assert_eq!(waiting.join().unwrap().expect(0).stdout().lines().count(), 4);
    });
    assert!(agent.stop().success());
}

#[test]
fn a_stale_answer_of_the_agent_says_so() {
    let mut server = ZooKeeper::one();
    server.client("").put("/services/web/a:1", b"");
    let site = Site::new(&CONFIG.replace("URL", &server.connect_string()));
    let agent = site.start();
    let run = |more: &[&str]| site.run(&[&GET, more].concat());
    agent.until("a warm answer", || run(&[]).code() == 0);
    assert_eq!(run(&["--cache", "deep/er/web.json"]).expect(0).stdout(), "a:1\n");
    let cached = site.read("deep/er/web.json");
    server.stop(0);
    agent.says("event=registry_unreachable");
    let stale = run(&["--cache", "deep/er/web.json"]);
    assert_eq!(stale.expect(0).stdout(), "a:1\n");
    assert!(stale.stderr().contains("rosterd: stale, "), "{}", stale.stderr());
    assert!(stale.stderr().contains(" s old, from the agent: /services/web: "), "{}", stale.stderr());
    assert_eq!(site.read("deep/er/web.json"), cached, "a stale answer is not cached as a new one");
    let quiet = run(&["--quiet", "--format", "members"]);
    let members: Value = serde_json::from_str(&quiet.expect(0).stdout()).unwrap();
    assert_eq!((&members[0]["stale"], &*quiet.stderr()), (&true.into(), ""));
    let old = run(&["--cache-max-age", "0s", "--timeout", "5s"]);
    assert!(old.expect(4).stderr().contains("the maximum is 0s"), "{}", old.stderr());

    server.start(0);
    server.wait_ready();
    let fresh = || run(&[]).stderr().is_empty();
    eventually(START, "a current answer", fresh);
    // Without the agent, the cache answers, with a note.
    drop(agent);
    let cached = run(&["--cache", "deep/er/web.json"]);
    assert_eq!(cached.expect(0).stdout(), "a:1\n");
    assert!(
        cached.stderr().contains("from deep/er/web.json: /services/web cannot be read: no agent answers"),
        "{}",
        cached.stderr()
    );
}

#[test]
fn an_answer_from_a_second_registry_says_so() {
    let site = Site::new(
        r#"
[[registry]]
name = "one"
url = "dir:one"

[[registry]]
name = "two"
url = "dir:two"

[[roster]]
path = "/services/web"

[[roster]]
path = "/services/db"
registry = "two"
"#,
    );
    site.file("one/services/web/a:1", "").file("two/services/db/b:1", "");
    let agent = site.start();
    let run = |args: &[&str]| site.run(&[&["get", "--agent"], args].concat());
    agent.until("an answer", || run(&["/services/web", "/services/db"]).code() == 0);
    assert_eq!(run(&["/services/web"]).expect(0).stderr(), "");
    let second = run(&["/services/db"]);
    assert_eq!(
        (second.expect(0).stdout(), second.stderr()),
        ("b:1\n".to_owned(), "rosterd: /services/db is from registry two\n".to_owned())
    );
    assert_eq!(run(&["/services/db", "--quiet"]).expect(0).stderr(), "");
}
