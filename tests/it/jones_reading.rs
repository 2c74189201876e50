//! `[[key]]` with `jones`, beside Jones's server and its clients, which are written in Python from what they send and do.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};
use zookeeper_client::{Acl, Acls, AuthId, CreateMode, Permission};

use crate::harness::site::{Agent, Site};
use crate::support::client::Zk;
use crate::support::zookeeper::ZooKeeper;

use python::{Client, Server, server};

mod python;

/// A tree of the service `pycon` under a chroot of its own, and an agent's directory.
struct Scene {
    /// The connect string with the chroot.
    servers: String,
    zk: Zk,
    site: Site,
}

const NODEMAPS: &str = "/services/pycon/nodemaps";

/// A key that follows the host h1, and a file that shows it. `checked` has each content that was rendered.
fn key(name: &str, unmapped: &str) -> String {
    format!(
        "[[key]]\nname = \"{name}\"\njones = \"pycon\"\nhost = \"h1\"\nunmapped = \"{unmapped}\"\n\n\
         [[template]]\nname = \"file-{name}\"\nsrc = \"{name}.tera\"\ndest = \"SITE/out/{name}\"\n\
         check_cmd = \"cat {{{{ src }}}} >> SITE/checked\"\n\n"
    )
}

fn config(url: &str, keys: &[(&str, &str)]) -> String {
    let keys: String = keys.iter().map(|(name, unmapped)| key(name, unmapped)).collect();
    format!("[registry]\nurl = \"{url}\"\n\n{keys}")
}

fn site(url: &str, keys: &[(&str, &str)]) -> Site {
    let site = Site::new(&config(url, keys));
    for (name, _) in keys {
        site.file(&format!("templates/{name}.tera"), &format!("{{{{ {name} | json }}}}\n"));
    }
    site
}

impl Scene {
    fn new(keys: &[(&str, &str)]) -> Self {
        let (zookeeper, chroot) = (ZooKeeper::shared(), ZooKeeper::shared().chroot());
        let servers = format!("{}{chroot}", zookeeper.connect_string());
        let zk = zookeeper.client(&chroot);
        zk.put("/services", b"");
        Self { site: site(&format!("zk://{servers}"), keys), servers, zk }
    }

    /// The environments `a`, `b` and the root, without a host.
    fn with_envs(self) -> Self {
        for (node, data) in [("conf", "root"), ("views", "root"), ("views/a", "a"), ("views/b", "b")] {
            self.set(node, data);
        }
        self
    }

    /// Sets a node to a configuration with this name.
    fn set(&self, node: &str, name: &str) {
        self.zk.put(&format!("/services/pycon/{node}"), format!(r#"{{"name": "{name}"}}"#).as_bytes());
    }

    fn map(&self, nodemaps: &str) {
        self.zk.put(NODEMAPS, nodemaps.as_bytes());
    }

    /// Calls a method of Jones's server.
    fn jones(&self, method: &str, arguments: &[&str]) -> Value {
        server(&self.servers, "pycon", method, arguments)
    }

    /// Waits until a file has this configuration.
    #[track_caller]
    fn shows(&self, agent: &Agent, file: &str, conf: &Value) {
        let shown = || serde_json::from_str::<Value>(&self.site.read(&format!("out/{file}"))).ok();
        agent.until(&format!("{file} shows {conf}, but {:?}", shown()), || shown().as_ref() == Some(conf));
    }

    #[track_caller]
    fn names(&self, agent: &Agent, file: &str, name: &str) {
        self.shows(agent, file, &json!({ "name": name }));
    }
}

fn written(agent: &Agent) -> usize {
    agent.said("event=file_written")
}

fn holds(agent: &Agent) -> usize {
    agent.said("event=roster_held")
}

/// The tree of Jones's README.
#[test]
fn bar_1_a_host_reads_its_view_in_both_encodings_of_nodemaps() {
    let scene = Scene::new(&[("settings", "root")]);
    scene.jones("create_service", &[]);
    scene.jones("set_config", &["", r#"{"locale": "Canada", "times_talk_given": 0, "is_awesome": true}"#]);
    scene.jones("create_config", &["parent", r#"{"times_talk_given": 1}"#]);
    let child = r#"{"locale": "Vancouver", "big": 1180591620717411303424, "n": {"x": [1.5, null]}}"#;
    scene.jones("create_config", &["parent/child1", child]);
    let agent = scene.site.start();
    scene.shows(&agent, "settings", &json!({"locale": "Canada", "times_talk_given": 0, "is_awesome": true}));
    scene.jones("associate", &["h1", "parent/child1"]);
    let view = json!({
        "locale": "Vancouver", "times_talk_given": 1, "is_awesome": true, "n": {"x": [1.5, null]},
        // A template has no number for it.
        "big": "1180591620717411303424",
    });
    scene.shows(&agent, "settings", &view);
    assert!(scene.site.read("out/settings").starts_with("{\"big\":"), "{}", scene.site.read("out/settings"));
    // Only Jones may change its nodes. This is its credential for the password `changeme`.
    scene.zk.run(|client| async move { client.auth("digest", b"Jones:nFDMj9dz3hZ2tkur7ElnBlBogKU=").await.unwrap() });
    let as_python = r#"{"big": 1180591620717411303424, "is_awesome": true, "locale": "Vancouver", "n": {"x": [1.5, null]}, "times_talk_given": 1}"#;
    let new = Client::start(&scene.servers, "pycon", "h1", "1.0");
    new.says(as_python);

    // The lines of the old versions, which the new client cannot read.
    scene.map("h2 -> /services/pycon/views\nh1 -> /services/pycon/views/parent/child1");
    let old = Client::start(&scene.servers, "pycon", "h1", "0.5.4");
    old.says(as_python);
    scene.jones("set_config", &["parent", r#"{"times_talk_given": 2}"#]);
    old.says(&as_python.replace("given\": 1", "given\": 2"));
    let mut changed = view.clone();
    changed["times_talk_given"] = json!(2);
    scene.shows(&agent, "settings", &changed);
    scene.map("h1 -> /services/pycon/views/parent\n");
    scene.shows(&agent, "settings", &json!({"locale": "Canada", "times_talk_given": 2, "is_awesome": true}));
    assert_eq!(holds(&agent), 0, "{:?}", agent.log());
    let explained = scene.site.run(&["explain", "settings"]).expect(0).stdout();
    assert!(explained.starts_with("key settings: pycon, host h1 → parent, 3 keys in registry"), "{explained}");
}

#[test]
fn bar_2_after_a_remap_a_change_of_the_former_view_changes_nothing() {
    let scene = Scene::new(&[("settings", "root")]).with_envs();
    scene.map(r#"{"h1": "/services/pycon/views/a"}"#);
    let agent = scene.site.start();
    scene.names(&agent, "settings", "a");
    let jones = Client::start(&scene.servers, "pycon", "h1", "1.0");
    jones.says(r#"{"name": "a"}"#);
    scene.map(r#"{"h1": "/services/pycon/views/b"}"#);
    scene.names(&agent, "settings", "b");
    jones.says(r#"{"name": "b"}"#);
    agent.says_times("event=file_written", 2);
    scene.set("views/a", "former");
    // Jones's own client falls for it.
    jones.says(r#"{"name": "former"}"#);
    scene.set("views/b", "b2");
    scene.names(&agent, "settings", "b2");
    agent.says_times("event=file_written", 3);
    assert_eq!(written(&agent), 3, "{:?}", agent.log());

    // Each remap is followed at once by a change of the former view: whichever is read first, it is never shown.
    for (round, (former, next)) in [("b", "a"), ("a", "b")].into_iter().cycle().take(20).enumerate() {
        scene.set(&format!("views/{next}"), &format!("round {round}"));
        scene.map(&format!("h1 -> /services/pycon/views/{next}"));
        scene.set(&format!("views/{former}"), "never");
        scene.names(&agent, "settings", &format!("round {round}"));
    }
    let checked = scene.site.read("checked");
    assert!(checked.lines().count() >= 23 && !checked.contains("never"), "{checked}");
}

#[test]
fn bar_3_a_host_without_an_association_reads_the_root_or_holds() {
    let scene = Scene::new(&[("root", "root"), ("hold", "hold")]).with_envs();
    scene.map("");
    let agent = scene.site.start();
    scene.names(&agent, "root", "root");
    agent.says("/services/pycon/nodemaps does not name the host (unmapped = \"hold\") (host h1)");
    assert!(!scene.site.path("out/hold").exists(), "it has nothing to keep");
    scene.map(r#"{"h1": "/services/pycon/views/a"}"#);
    scene.names(&agent, "root", "a");
    scene.names(&agent, "hold", "a");
    scene.map(r#"{"h2": "/services/pycon/views/b"}"#);
    scene.names(&agent, "root", "root");
    agent.says_times("event=roster_held", 2);
    scene.set("conf", "changed");
    scene.names(&agent, "root", "changed");
    scene.names(&agent, "hold", "a");
    let explained = scene.site.run(&["explain", "hold"]).expect(0).stdout();
    assert!(explained.contains("→ (root) (nodemaps does not name the host), 1 key in registry"), "{explained}");
    assert!(
        explained.contains("keeping the last known-good data: /services/pycon/nodemaps does not name"),
        "{explained}"
    );
}

#[test]
fn bar_4_unusable_nodemaps_is_held_and_never_the_root() {
    let scene = Scene::new(&[("settings", "root")]).with_envs();
    let mapped = r#"{"h1": "/services/pycon/views/a"}"#;
    scene.map(mapped);
    let agent = scene.site.start();
    scene.names(&agent, "settings", "a");
    let cases: [(&[u8], &str); 4] = [
        (b"garbage", "neither a JSON object nor `NAME -> PATH` lines: line 1 (host h1)"),
        (b"{\"h1\": \"/services/pycon/views/a\"", "not a JSON object of paths"),
        (b"\x80\x04}q\x00", "not valid UTF-8"),
        (b"{\"h1\": null}", "invalid type: null"),
    ];
    for (count, (data, reason)) in cases.into_iter().enumerate() {
        scene.zk.put(NODEMAPS, data);
        agent.says(reason).says_times("event=roster_held", count + 1);
        scene.map(mapped);
        agent.says_times("event=hold_released", count + 1);
    }
    scene.zk.remove(NODEMAPS);
    agent.says("/services/pycon/nodemaps does not exist (host h1)");
    // Only its owner may read it.
    scene.zk.run(move |client| async move {
        client.auth("digest", b"owner:secret").await.unwrap();
        let acl = [Acl::new(Permission::ALL, AuthId::new("auth", ""))];
        let options = CreateMode::Persistent.with_acls(Acls::from(&acl[..]));
        client.create(NODEMAPS, mapped.as_bytes(), &options).await.unwrap();
    });
    assert_eq!(written(&agent), 1, "{:?}", agent.log());
    drop(agent);
    let agent = scene.site.start();
    agent.says("/services/pycon/nodemaps cannot be read: not authorized");
    scene.names(&agent, "settings", "a");
    scene.zk.remove(NODEMAPS);
    // 1 MB of it is read.
    let mut large = String::new();
    for host in 0.. {
        if large.len() > 990_000 {
            break;
        }
        let _ = writeln!(large, "host-{host}.example.com -> /services/pycon/views/a");
    }
    scene.map(&format!("{large}h1 -> /services/pycon/views/b"));
    scene.names(&agent, "settings", "b");
}

#[test]
fn bar_5_a_node_outside_of_the_service_is_held() {
    let scene = Scene::new(&[("settings", "root")]).with_envs();
    scene.zk.put("/services/pycon2/views", br#"{"name": "outside"}"#);
    scene.zk.put("/services/nodemaps", br#"{"name": "outside"}"#);
    scene.map("h1 -> /services/pycon/views/a");
    let agent = scene.site.start();
    scene.names(&agent, "settings", "a");
    for (count, path) in ["/services/pycon2/views", "/services", "/services/pycon/views/../../pycon2/views", "views/a"]
        .into_iter()
        .enumerate()
    {
        scene.map(&format!("h1 -> {path}"));
        agent.says_times("event=roster_held", count + 1);
        scene.map("h1 -> /services/pycon/views/a");
        agent.says_times("event=hold_released", count + 1);
    }
    agent.says("maps the host to /services/pycon2/views, which is outside of its service (host h1)");
    assert_eq!(written(&agent), 1, "{:?}", agent.log());
    // Other nodes of the service are followed, as Jones's clients do.
    scene.set("pins/r12/a", "pinned");
    scene.map("h1 -> /services/pycon/pins/r12/a");
    scene.names(&agent, "settings", "pinned");
    let explained = scene.site.run(&["explain", "settings"]).expect(0).stdout();
    assert!(explained.contains("host h1 → a, pinned to r12, 1 key"), "{explained}");
}

/// Jones creates a view without data, and sets it afterwards.
#[test]
fn the_empty_moment_of_a_new_view_is_held() {
    let scene = Scene::new(&[("settings", "root")]).with_envs();
    scene.map("h1 -> /services/pycon/views/new");
    let agent = scene.site.start();
    agent.says("/services/pycon/views/new does not exist (host h1, environment new)");
    scene.zk.put("/services/pycon/views/new", b"");
    agent.says("the data of /services/pycon/views/new is empty (host h1, environment new)");
    assert!(!scene.site.path("out/settings").exists());
    scene.set("views/new", "new");
    scene.names(&agent, "settings", "new");
    for (data, reason) in [("[]", "is not a JSON object"), (r#"{"a": NaN}"#, "is not valid JSON")] {
        scene.zk.put("/services/pycon/views/new", data.as_bytes());
        agent.says(reason);
    }
    scene.zk.remove("/services/pycon/views/new");
    agent.says_times("/services/pycon/views/new does not exist", 2);
    assert_eq!(written(&agent), 1, "{:?}", agent.log());
}

#[test]
fn without_zookeeper_a_new_agent_uses_the_last_known_good_view() {
    let mut zookeeper = ZooKeeper::one();
    let client = zookeeper.client("");
    client.put("/services/pycon/views/a", br#"{"name": "a"}"#);
    client.put(NODEMAPS, b"h1 -> /services/pycon/views/a");
    let site = site(&format!("zk://{}", zookeeper.connect_string()), &[("settings", "root")]);
    let mut agent = site.start();
    agent.until("the file is written", || site.read("out/settings") == "{\"name\":\"a\"}\n");
    agent.stop();
    zookeeper.stop(0);
    site.file("templates/settings.tera", "{{ settings.name }} again\n");
    let agent = site.start();
    agent.says("event=roster_stale");
    agent.until("the file is rendered again", || site.read("out/settings") == "a again\n");
    zookeeper.start(0);
    zookeeper.wait_ready();
    zookeeper.client("").put("/services/pycon/views/a", br#"{"name": "changed"}"#);
    agent.until("the view is followed", || site.read("out/settings") == "changed again\n");
}

#[test]
fn a_directory_registry_has_the_same_tree() {
    let site = site("dir:SITE/tree", &[("settings", "root")]);
    let set = |node: &str, data: &str| {
        site.file(&format!("tree/services/pycon/{node}"), data);
    };
    set("conf/.data", r#"{"name": "root"}"#);
    set("views/.data", r#"{"name": "root"}"#);
    set("views/a/.data", r#"{"name": "a"}"#);
    set("views/b", r#"{"name": "b"}"#);
    set("nodemaps", "");
    let agent = site.start();
    let shows = |name: &str| {
        let file = || site.read("out/settings");
        agent.until(&format!("it shows {name}"), || file() == format!("{{\"name\":\"{name}\"}}\n"));
    };
    shows("root");
    set("nodemaps", r#"{"h1": "/services/pycon/views/a"}"#);
    shows("a");
    set("nodemaps", "h1 -> /services/pycon/views/b\n");
    shows("b");
    set("views/a/.data", r#"{"name": "former"}"#);
    set("views/b", r#"{"name": "b2"}"#);
    shows("b2");
    agent.says_times("event=file_written", 4);
    assert_eq!(written(&agent), 4, "{:?}", agent.log());
    assert_eq!(site.run(&["render", "--dry-run", "--diff"]).expect(0).stdout(), "");
}

#[test]
fn the_services_of_a_directory_registry_are_listed_and_read_but_not_edited() {
    let site = Site::new("[registry]\nurl = \"dir:SITE/tree\"\n");
    let set = |node: &str, data: &str| _ = site.file(&format!("tree/services/pycon/{node}"), data);
    set("conf/.data", r#"{"name": "root"}"#);
    set("conf/a/.data", "{}");
    set("conf/b", r#"{"name": "b"}"#);
    set("views/.data", r#"{"name": "root"}"#);
    set("views/a/.data", r#"{"name": "root"}"#);
    set("views/b", r#"{"name": "old"}"#);
    set("pins/r1/b", r#"{"name": "pinned"}"#);
    set("nodemaps", r#"{"h1": "/services/pycon/views/a", "h2": "/services/pycon/pins/r1/b"}"#);
    site.file("tree/services/web/10.0.0.1:80", "");
    let jones = |args: &[&str]| site.run(&[&["jones"], args].concat());
    assert_eq!(jones(&["ls"]).expect(0).stdout(), "pycon  3 environments  2 hosts  stale views: 1\n");
    let listed = jones(&["ls", "pycon"]).expect(0).stdout();
    assert!(listed.contains("  b  ") && listed.contains("stale view, pinned to r1: 1 host"), "{listed}");
    assert_eq!(jones(&["get", "pycon/a", "name"]).expect(0).stdout(), "\"root\"\n");
    assert_eq!(jones(&["get", "pycon", "name", "--host", "h2"]).expect(0).stdout(), "\"pinned\"\n");
    assert_eq!(jones(&["get", "pycon/a", "--trace"]).expect(0).stdout(), "name  pycon  \"root\"\n");
    jones(&["get", "pycon/none"]).expect(3);
    jones(&["ls", "none"]).expect(1);
    assert!(jones(&["get", "pycon", "--at", "r1"]).expect(64).stderr().contains("only services in a ZooKeeper"));
    assert!(jones(&["set", "pycon", "a=1", "-y"]).expect(64).stderr().contains("cannot be edited"));
    std::fs::remove_dir_all(site.path("tree")).unwrap();
    jones(&["ls"]).expect(4);
}

/// Jones's page creates an empty `nodemaps` in every directory of discovery.
#[test]
fn bar_16_a_page_of_jones_adds_no_member() {
    let scene = Scene::new(&[("settings", "root")]).with_envs();
    scene.map("");
    for member in ["web/10.0.0.1:80", "web/10.0.0.2:80", "db/10.1.0.1:5432"] {
        scene.zk.put(&format!("/services/{member}"), b"");
    }
    let url = format!("zk://{}", scene.servers);
    let rosters = "[[roster]]\nname = \"web\"\npath = \"/services/web\"\n\n[[roster]]\nname = \"all\"\npath = \"/services/*\"\n\n\
                   [[template]]\nname = \"list\"\nsrc = \"list.tera\"\ndest = \"SITE/out/list\"\n";
    scene.site.configure(&format!("{}{rosters}", config(&url, &[("settings", "root")])));
    scene.site.file(
        "templates/list.tera",
        "{{ web | pluck(attribute=\"name\") | join(sep=\" \") }}{% for key in [\"db\", \"web\"] %}\n{{ key }}: {{ all[key] | length }}{% endfor %}\n",
    );
    let agent = scene.site.start();
    let expected = "10.0.0.1:80 10.0.0.2:80\ndb: 1\nweb: 2\n";
    agent.until("the list is written", || scene.site.read("out/list") == expected);
    scene.names(&agent, "settings", "root");
    let jones = Server::start(&scene.servers);
    let mut stream = TcpStream::connect(("127.0.0.1", jones.port)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    assert!(page.ends_with(r#"["db", "pycon", "web"]"#), "{page}");
    agent.says("/services/web/nodemaps: it is persistent and empty").says("/services/db/nodemaps: it is persistent");
    scene.zk.put("/services/web/10.0.0.3:80", b"");
    agent.until("the new member is listed", || {
        scene.site.read("out/list").starts_with("10.0.0.1:80 10.0.0.2:80 10.0.0.3:80\n")
    });
    assert!(!scene.site.read("out/list").contains("nodemaps"), "{}", scene.site.read("out/list"));
}

#[test]
fn get_prints_what_a_host_reads_and_never_caches_what_cannot_be_used() {
    let mut zookeeper = ZooKeeper::one();
    let (client, site) = (zookeeper.client(""), Site::new(""));
    let registry = format!("zk://{}", zookeeper.connect_string());
    let view = br#"{"b": 1180591620717411303424, "a": {"y": 1e22, "x": [1.10]}}"#;
    client.put("/services/pycon/views/a", view);
    client.put("/services/pycon/conf", b"{}");
    client.put(NODEMAPS, b"h1 -> /services/pycon/views/a");
    let get = |arguments: &[&str]| {
        let command = ["jones", "get", "pycon", "--registry", &registry];
        site.run_without_config(&[&command, arguments].concat())
    };
    let cached = ["--host", "h1", "--cache", "cache"];
    let printed = get(&cached).expect(0).stdout();
    assert_eq!(
        printed,
        "{\n  \"a\": {\n    \"x\": [1.10],\n    \"y\": 1e22\n  },\n  \"b\": 1180591620717411303424\n}\n"
    );
    assert_eq!(get(&["b", "--host", "h1"]).expect(0).stdout(), "1180591620717411303424\n");
    assert_eq!(get(&["--host", "h2"]).expect(0).stdout(), "{}\n", "the root, as Jones's clients");
    let none = get(&["nothing", "--host", "h1"]);
    assert_eq!((none.expect(3).stdout(), none.stderr().contains("there is no key \"nothing\"")), (String::new(), true));
    client.put("/services/pycon/views/b", b"");
    for (nodemaps, reason) in [
        ("garbage", "neither a JSON object nor `NAME -> PATH` lines"),
        ("h1 -> /services/x/views", "which is outside of its service (host h1)"),
        ("h1 -> /services/pycon/views/none", "does not exist (host h1, environment none)"),
        ("h1 -> /services/pycon/views/b", "is empty (host h1, environment b)"),
    ] {
        client.put(NODEMAPS, nodemaps.as_bytes());
        let refused = get(&["--host", "h1"]);
        assert_eq!((refused.expect(3).stdout(), refused.stderr().contains(reason)), (String::new(), true), "{reason}");
        let old = get(&cached);
        assert_eq!(old.expect(0).stdout(), printed, "the last good answer");
        assert!(old.stderr().contains("stale, ") && old.stderr().contains(reason), "{}", old.stderr());
    }
    zookeeper.stop(0);
    let gone = ["--host", "h1", "--timeout", "1s"];
    assert_eq!(get(&gone).expect(4).stdout(), "");
    assert_eq!(get(&[&gone[..], &["--cache", "cache"]].concat()).expect(0).stdout(), printed);
    get(&[&gone[..], &["--cache", "none"]].concat()).expect(4);
}
