//! Nodes beside the members: Jones's web page creates an empty `nodemaps` below every child of `/services`, and what is one
//! level too high has children of its own.

use serde_json::Value;

use crate::harness::site::{Agent, Site};
use crate::support::client::Zk;
use crate::support::zookeeper::ZooKeeper;

const CONFIG: &str = r#"
[registry]
url = "zk://SERVERS"
watches = "WATCHES"
session_timeout = "4s"

[[roster]]
name = "web"
path = "/services/web"
wait = "20ms:200ms"

[[roster]]
name = "all"
path = "/services/*"
wait = "20ms:200ms"

[[template]]
name = "one"
src = "web.tera"
dest = "out/web"

[[template]]
src = "all.tera"
dest = "out/all"

[[template]]
name = "each"
each = "all"
src = "each.tera"
dest = "out/{{ key }}.each"
"#;

/// Lists as Jones's page does: every service gets its map.
fn open_jones(client: &Zk) {
    for service in ["web", "db", "pycon"] {
        client.put(&format!("/services/{service}/nodemaps"), b"");
    }
}

/// What status says of the rosters, without what goes by time.
fn rosters(site: &Site) -> Value {
    let mut status: Value = serde_json::from_str(&site.run(&["status", "--json"]).expect(0).stdout()).unwrap();
    for roster in status["rosters"].as_array_mut().unwrap() {
        let roster = roster.as_object_mut().unwrap();
        roster.remove("view_age_s");
        roster.remove("not_members");
    }
    status["rosters"].take()
}

fn written(agent: &Agent) -> usize {
    agent.said("event=file_written")
}

fn jones_beside_the_members(watches: &str) {
    let shared = ZooKeeper::shared();
    let chroot = shared.chroot();
    let client = shared.client(&chroot);
    client.put("/services/web/10.0.0.1:80", b"");
    client.put("/services/db/10.1.0.1:5432", b"");
    // A service that only Jones has: with an environment, and with none.
    client.put("/services/pycon/conf/parent", br#"{"a": 1}"#);
    client.put("/services/pycon/views/parent", br#"{"a": 1}"#);
    let servers = format!("{}{chroot}", shared.connect_string());
    let site = Site::new(&CONFIG.replace("SERVERS", &servers).replace("WATCHES", watches));
    site.file("templates/web.tera", "{% for m in web %}{{ m.name }}\n{% endfor %}");
    site.file(
        "templates/all.tera",
        "{% for key, list in all %}{{ key }} {{ list | pluck(attribute='name') | join }}\n{% endfor %}",
    );
    site.file("templates/each.tera", "{{ key }}\n");
    let agent = site.start();
    let all = "db 10.1.0.1:5432\nweb 10.0.0.1:80\n";
    agent.until("the files", || site.read("out/all") == all && site.read("out/web") == "10.0.0.1:80\n");
    agent.until("the socket", || site.path("agent.sock").exists() && site.run(&["status"]).code() == 0);
    agent.until("its own files", || written(&agent) == 4);
    let (before, file) = (rosters(&site), site.fingerprint("out/web"));

    open_jones(&client);
    for path in ["/services/web/nodemaps", "/services/db/nodemaps", "/services/pycon/nodemaps"] {
        agent.says(&format!("node is not a member; left out: {path}: it is persistent and empty"));
    }
    agent.says("node is not a member; left out: /services/pycon/conf: it has children of its own");
    assert_eq!(rosters(&site), before, "no count and no hold");
    // Jones writes its map, and clears it.
    client.put("/services/web/nodemaps/x", b"");
    agent.says("node is not a member; left out: /services/web/nodemaps: ");
    client.remove("/services/web/nodemaps/x");
    // What comes after all of that shows that it changed nothing.
    client.put("/services/web/10.0.0.2:80", b"");
    agent.until("the next member", || site.read("out/web") == "10.0.0.1:80\n10.0.0.2:80\n");
    agent.until("in the other file too", || site.read("out/all").contains("10.0.0.2:80"));
    client.remove("/services/web/10.0.0.2:80");
    agent.until("and gone again", || site.read("out/web") == "10.0.0.1:80\n" && site.read("out/all") == all);
    agent.until("what was written is told", || written(&agent) >= 8);
    assert_eq!(written(&agent), 8, "{:#?}", agent.log());
    assert_eq!(rosters(&site), before);
    assert_eq!(agent.said("roster_held"), 0);
    assert_eq!(site.fingerprint("out/web").3, file.3);
    assert!(!site.path("out/pycon.each").exists(), "it is no key");
    let told = site.run(&["explain", "web"]).expect(0).stdout();
    assert!(
        told.contains("  nodes that are not members (1):\n    /services/web/nodemaps: it is persistent and empty"),
        "{told}"
    );

    // The last member leaves: the roster holds, and the file stays.
    let file = site.fingerprint("out/web");
    client.remove("/services/web/10.0.0.1:80");
    agent.says("hold in effect: /services/web has 0 members but needs at least 1 (1 non-member)");
    agent.until("in both rosters", || agent.said("event=roster_held") == 2);
    assert_eq!(site.fingerprint("out/web"), file);
    assert_eq!((site.read("out/all").as_str(), site.path("out/web.each").exists()), (all, true));
    let asked = site.run(&["get", "/services/web"]);
    assert_eq!(asked.expect(3).stdout(), "");
    assert!(asked.stderr().contains("has 0 members but needs at least 1 (1 non-member)"), "{}", asked.stderr());
    assert_eq!(site.run(&["get", "/services/web", "--every-child"]).expect(0).stdout(), "nodemaps\n");
    assert_eq!(site.run(&["get", "/services/*"]).expect(0).stdout(), "db\t10.1.0.1:5432\n");
    // `ls` says the same, with and without what is below.
    let line = |args: &[&str]| {
        let told = site.run(args).expect(0).stdout();
        let line = told.lines().find(|line| line.contains("nodemaps") || line.trim_start().starts_with("conf "));
        line.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    for path in ["/services/web", "/services/pycon"] {
        let told = line(&["ls", path]);
        assert!(told.as_deref().is_some_and(|told| told.contains("→ not a member: ")), "{told:?}");
        assert_eq!(told, line(&["ls", "-R", path]));
    }
}

#[test]
fn jones_beside_the_members_changes_nothing_with_recursive_watches() {
    jones_beside_the_members("recursive");
}

#[test]
fn jones_beside_the_members_changes_nothing_with_one_shot_watches() {
    jones_beside_the_members("oneshot");
}

#[test]
fn a_path_one_level_too_high_holds_instead_of_listing_services() {
    let site = Site::new("");
    for name in ["web/10.0.0.1:80", "db/10.1.0.1:5432"] {
        site.file(&format!("reg/services/{name}"), "");
    }
    let ask = |args: &[&str]| site.run_without_config(&[&["--registry", "dir:reg"], args].concat());
    let asked = ask(&["get", "/services", "--format", "members"]);
    assert_eq!(asked.expect(3).stdout(), "");
    assert!(
        asked.stderr().contains("/services has 0 members but needs at least 1 (2 non-members)"),
        "{}",
        asked.stderr()
    );
    assert_eq!(ask(&["get", "/services", "--every-child"]).expect(0).stdout(), "db\nweb\n");
    let listed = |args: &[&str]| {
        let told = ask(args).expect(0).stdout();
        told.lines().filter(|line| line.contains("it has children of its own")).count()
    };
    assert_eq!((listed(&["ls", "/services"]), listed(&["ls", "-R", "/services"])), (2, 2));
    // The cache keeps members only, and one from before this rule is still read.
    site.file("reg/services/web/nodemaps", "");
    assert_eq!(ask(&["get", "/services/web", "--cache", "cache"]).expect(0).stdout(), "10.0.0.1:80\n");
    assert!(!site.read("cache").contains("nodemaps"));
    let old = r#"{"version":1,"paths":{"/services/web":{"at":AT,"members":{"10.0.0.1:80":"","web1":""}}}}"#;
    let at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    site.file("cache", &old.replace("AT", &at.to_string()));
    std::fs::rename(site.path("reg"), site.path("away")).unwrap();
    let asked = ask(&["get", "/services/web", "--cache", "cache", "--timeout", "1s"]);
    assert_eq!(asked.expect(0).stdout(), "10.0.0.1:80\nweb1\n");
}
