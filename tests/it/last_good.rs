//! Starts and passes without a registry: the last known-good members are saved in the state directory.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use nix::sys::signal::Signal;

use crate::harness::site::{Ended, Site};
use crate::support::zookeeper::{Zk, ZooKeeper};

const CONFIG: &str = r#"
[registry]
url = "URL"
session_timeout = "4s"

[[roster]]
name = "x"
path = "/services/x"
wait = "20ms:200ms"

[[key]]
name = "app"
path = "/config/app"
format = "json"

[[template]]
src = "list.tera"
dest = "out/list"
reload_cmd = "echo reloaded >> SITE/reloads"
reload_interval = "0s"
"#;

const SECOND: &str = r#"
[[template]]
src = "second.tera"
dest = "out/second"
"#;

/// A registry that can be made unreachable.
trait Fickle {
    fn url(&self) -> String;
    fn put(&self, site: &Site, path: &str, data: &str);
    fn remove(&self, site: &Site, path: &str);
    fn goes(&mut self, site: &Site);
    fn comes(&mut self, site: &Site);
}

struct Folder;

impl Fickle for Folder {
    fn url(&self) -> String {
        "dir:registry".to_owned()
    }
    fn put(&self, site: &Site, path: &str, data: &str) {
        site.file(&format!("registry{path}"), data);
    }
    fn remove(&self, site: &Site, path: &str) {
        site.remove(&format!("registry{path}"));
    }
    fn goes(&mut self, site: &Site) {
        fs::rename(site.path("registry"), site.path("unmounted")).unwrap();
    }
    fn comes(&mut self, site: &Site) {
        fs::rename(site.path("unmounted"), site.path("registry")).unwrap();
    }
}

struct Server(ZooKeeper);

impl Server {
    fn client(&self) -> Zk {
        self.0.client("")
    }
}

impl Fickle for Server {
    fn url(&self) -> String {
        format!("zk://{}", self.0.connect_string())
    }
    fn put(&self, _: &Site, path: &str, data: &str) {
        self.client().put(path, data.as_bytes());
    }
    fn remove(&self, _: &Site, path: &str) {
        self.client().remove(path);
    }
    fn goes(&mut self, _: &Site) {
        self.0.stop(0);
    }
    fn comes(&mut self, _: &Site) {
        self.0.start(0);
        self.0.wait_ready();
    }
}

fn member(number: usize) -> String {
    format!("/services/x/10.0.0.{number}:80")
}

/// A directory with this many members in its registry, and data.
fn site(registry: &impl Fickle, members: usize) -> Site {
    let site = Site::new(&CONFIG.replace("URL", &registry.url()));
    site.file("templates/list.tera", "{{ app.n }}:{% for m in x %} {{ m.slot }}={{ m.name }}{% endfor %}\n");
    for number in 1..=members {
        registry.put(&site, &member(number), "");
    }
    registry.put(&site, "/config/app", r#"{"n": 7}"#);
    site
}

fn a_start_without(mut registry: impl Fickle) {
    let site = site(&registry, 2);
    let mut agent = site.start();
    let list = |n: u8, members: &str| format!("{n}: {members}\n");
    agent.until("the first file", || site.read("out/list") == list(7, "0=10.0.0.1:80 1=10.0.0.2:80"));
    agent.until("its reload", || site.reloads() == 1);
    assert!(agent.stop().success());
    let before = site.fingerprint("out/list");
    registry.goes(&site);

    let agent = site.start();
    agent.says("registry unreachable").says("using the last known-good data: /services/x ");
    agent.says("using the last known-good data: /config/app ").says("event=file_unchanged");
    assert_eq!((site.fingerprint("out/list"), site.reloads()), (before, 1));
    // A template is edited, and the configuration is reloaded.
    site.file("templates/list.tera", "{{ app.n }} {% for m in x %} {{ m.name }}{% endfor %}\n");
    agent.until("the edit", || site.read("out/list") == "7  10.0.0.1:80 10.0.0.2:80\n");
    site.file("templates/second.tera", "{{ x | length }}\n");
    site.configure(&(CONFIG.replace("URL", &registry.url()) + SECOND));
    agent.signal(Signal::SIGHUP);
    agent.until("the second file", || site.read("out/second") == "2\n");
    // A killed agent has already saved what the next one needs.
    drop(agent);
    site.remove("out/second");
    let mut agent = site.start();
    agent.until("the second file again", || site.read("out/second") == "2\n");

    registry.comes(&site);
    agent.says("reconnected to registry");
    registry.put(&site, &member(3), "");
    registry.remove(&site, &member(1));
    agent.until("the current members", || site.read("out/list") == "7  10.0.0.2:80 10.0.0.3:80\n");
    assert!(agent.stop().success() && site.leftovers().is_empty());
    // There is nothing but the lock and the saved rosters, readable only by their owner.
    let mode = |name: &str| fs::metadata(site.path(name)).unwrap().permissions().mode() & 0o7777;
    let mut kept: Vec<String> = fs::read_dir(site.path("state/rosters"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    kept.sort();
    assert_eq!(kept, ["app.roster", "confirmed", "x.roster"]);
    assert_eq!((mode("state/rosters"), mode("state/rosters/x.roster")), (0o700, 0o600));
}

#[test]
fn a_start_without_its_directory_renders_saved_members() {
    a_start_without(Folder);
}

#[test]
fn a_start_without_zookeeper_renders_saved_members() {
    a_start_without(Server(ZooKeeper::one()));
}

#[test]
fn a_first_start_without_the_registry_writes_nothing() {
    let mut registry = Folder;
    let site = site(&registry, 2);
    registry.goes(&site);
    let mut agent = site.start();
    agent.says("registry unreachable");
    assert!(agent.stop().success());
    assert!(!site.path("out/list").exists() && agent.said("event=roster_stale") == 0);
    registry.comes(&site);
    site.run(&["render"]).expect(0);
    assert!(site.path("out/list").exists());
}

#[test]
fn a_mass_loss_while_the_agent_is_down_is_held() {
    let registry = Folder;
    let site = site(&registry, 8);
    let agent = site.start();
    agent.until("the first file", || site.read("out/list").contains("7=10.0.0.8:80"));
    drop(agent);
    let before = site.fingerprint("out/list");
    (1..=5).for_each(|number| registry.remove(&site, &member(number)));
    let mut agent = site.start();
    agent.says("hold in effect: 3 of 8 members of /services/x remain").says("event=file_unchanged");
    assert_eq!(site.fingerprint("out/list"), before);
    assert!(agent.stop().success());
    // A single pass holds it too.
    site.run(&["render"]).expect(3);
    assert_eq!(site.fingerprint("out/list"), before);
}

fn without(site: &Site, args: &[&str]) -> Ended {
    site.run(&[&["render", "--timeout", "300ms"], args].concat())
}

#[test]
fn max_stale_limits_the_age_of_saved_members_in_a_pass() {
    let mut registry = Folder;
    let site = site(&registry, 2);
    site.run(&["render"]).expect(0);
    registry.goes(&site);
    site.file("templates/list.tera", "{% for m in x %}{{ m.name }} {% endfor %}{{ app.n }}\n");
    let before = site.fingerprint("out/list");
    without(&site, &[]).expect(4);
    let old = without(&site, &["--max-stale", "0s"]);
    // Saved members have age 0 within the second in which they were saved.
    if old.code() != 0 {
        old.expect(4);
        assert!(old.stderr().contains("last known-good data not used: saved members of"), "{}", old.stderr());
        assert_eq!(site.fingerprint("out/list"), before);
    }
    let young = without(&site, &["--max-stale", "1h"]);
    young.expect(0);
    assert!(young.stderr().contains("using the last known-good data: /services/x "), "{}", young.stderr());
    assert_eq!(site.read("out/list"), "10.0.0.1:80 10.0.0.2:80 7\n");
    without(&site, &["--max-stale", "1h", "--detailed-exitcode"]).expect(0);
    site.run(&["render", "--max-stale", "fortnight"]).expect(64);
    // A roster that was never read has no saved members, and the other templates are rendered.
    site.file("templates/second.tera", "{{ y | length }}\n");
    let more = "[[roster]]\nname = \"y\"\npath = \"/services/y\"\n";
    site.configure(&(CONFIG.replace("URL", &registry.url()) + more + SECOND));
    site.file("templates/list.tera", "{{ x | length }} {{ app.n }}\n");
    let never = without(&site, &["--max-stale", "1h"]);
    never.expect(4);
    assert!(never.stderr().contains("y has no saved members"), "{}", never.stderr());
    assert_eq!((site.read("out/list").as_str(), site.path("out/second").exists()), ("2 7\n", false));
    // A dry run reads the saved state and does not change it.
    let state = site.tree();
    without(&site, &["--max-stale", "1h", "--dry-run"]).expect(4);
    assert_eq!(site.tree(), state);
    // Members of another registry are not used.
    without(&site, &["--max-stale", "1h", "--registry", "dir:elsewhere"]).expect(4);
}

#[test]
fn saved_members_of_a_newer_version_are_renamed() {
    let mut registry = Folder;
    let site = site(&registry, 2);
    site.run(&["render"]).expect(0);
    site.file("state/rosters/x.roster", "rosterd memory 7\nin a form of its own\n");
    registry.goes(&site);
    let newer = without(&site, &["--max-stale", "1h"]);
    newer.expect(4);
    assert!(newer.stderr().contains("x.roster (version 7): kept as "), "{}", newer.stderr());
    registry.comes(&site);
    assert!(!site.run(&["render"]).expect(0).stderr().contains("newer"), "reported once");
    assert_eq!(site.read("state/rosters/x.roster.newer"), "rosterd memory 7\nin a form of its own\n");
}

/// The saved rosters of an earlier version, which stored them with other code.
#[test]
fn a_start_without_the_registry_renders_saved_members_of_an_earlier_version() {
    const FILES: [&str; 3] = ["app.roster", "apps.roster", "web.roster"];
    const RIGHT: &str = "8: 0=10.0.0.1:80 2=10.0.0.3:80 3=10.0.0.4:80 4=10.0.0.5:80 5=10.0.0.6:80 6=10.0.0.7:80 \
        7=10.0.0.8:80; blog=1 shop=3\n";
    let site = Site::new(
        r#"
[registry]
url = "dir:/nonexistent/registry"

[[roster]]
path = "/services/web"

[[roster]]
name = "apps"
path = "/apps/*"

[[key]]
path = "/config/app"
format = "json"

[[template]]
src = "list.tera"
dest = "out/list"
"#,
    );
    site.file(
        "templates/list.tera",
        "{{ app.n }}:{% for m in web %} {{ m.slot }}={{ m.name }}{% endfor %};\
         {% for key, members in apps %} {{ key }}={{ members | length }}{% endfor %}\n",
    );
    let earlier = |name: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/last_good_1");
        fs::read_to_string(folder.join(name)).unwrap()
    };
    for name in FILES {
        site.file(&format!("state/rosters/{name}"), &earlier(name));
    }
    let mut agent = site.start();
    agent.says("using the last known-good data: /services/web ");
    agent.until("the file", || site.read("out/list") == RIGHT);
    assert!(agent.stop().success());
    for name in FILES {
        assert_eq!(site.read(&format!("state/rosters/{name}")), earlier(name));
    }
}
