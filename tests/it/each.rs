//! One template with a file for each key: the directory contains exactly the expected files, also after kills of the
//! agent.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use nix::sys::signal::Signal;

use crate::harness::site::Site;
use crate::support::zookeeper::{Zk, ZooKeeper};

const CONFIG: &str = r#"
[registry]
url = "URL"
session_timeout = "4s"

[[roster]]
name = "services"
path = "/services/*"
wait = "20ms:200ms"
max_shrink = "SHRINK"

[[template]]
name = "svc"
each = "services"
src = "svc.tera"
dest = "out/{{ key }}.cfg"
reload_cmd = "echo reloaded >> SITE/reloads"
reload_interval = "0s"
"#;

/// A registry to which services are added and from which they are removed.
trait Registry {
    fn url(&self) -> String;
    fn put(&self, site: &Site, service: &str, member: &str);
    fn leave(&self, site: &Site, service: &str, member: &str);
    fn remove(&self, site: &Site, service: &str);
}

struct Folder;

impl Registry for Folder {
    fn url(&self) -> String {
        "dir:registry".to_owned()
    }
    fn put(&self, site: &Site, service: &str, member: &str) {
        site.file(&format!("registry/services/{service}/{member}"), "");
    }
    fn leave(&self, site: &Site, service: &str, member: &str) {
        site.remove(&format!("registry/services/{service}/{member}"));
    }
    fn remove(&self, site: &Site, service: &str) {
        fs::remove_dir_all(site.path(&format!("registry/services/{service}"))).unwrap();
    }
}

struct Server(String, Zk);

impl Server {
    fn shared() -> Self {
        let (zookeeper, chroot) = (ZooKeeper::shared(), ZooKeeper::shared().chroot());
        let client = zookeeper.client(&chroot);
        Self(format!("zk://{}{chroot}", zookeeper.connect_string()), client)
    }
}

impl Registry for Server {
    fn url(&self) -> String {
        self.0.clone()
    }
    fn put(&self, _: &Site, service: &str, member: &str) {
        self.1.put(&format!("/services/{service}/{member}"), b"");
    }
    fn leave(&self, _: &Site, service: &str, member: &str) {
        self.1.remove(&format!("/services/{service}/{member}"));
    }
    fn remove(&self, _: &Site, service: &str) {
        self.1.remove(&format!("/services/{service}"));
    }
}

fn site(registry: &impl Registry, shrink: &str) -> Site {
    let site = Site::new(&CONFIG.replace("URL", &registry.url()).replace("SHRINK", shrink));
    site.file("templates/svc.tera", "{{ key }}:{% for m in members %} {{ m.name }}{% endfor %}\n");
    site
}

/// Every file of the directory, with its content.
fn folder(site: &Site) -> BTreeMap<String, String> {
    let entries = fs::read_dir(site.path("out")).unwrap().flatten();
    // Staged files, and files that are removed meanwhile, do not count.
    let files = entries.filter_map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let text = fs::read_to_string(entry.path()).ok()?;
        (!name.starts_with(".rosterd-")).then_some((name, text))
    });
    files.collect()
}

fn expected(services: &[(String, usize)]) -> BTreeMap<String, String> {
    let files = services.iter().map(|(name, count)| {
        let members: Vec<String> = (0..*count).map(|n| format!(" m{n}:80")).collect();
        let members = members.concat();
        (format!("{name}.cfg"), format!("{name}:{members}\n"))
    });
    files.collect()
}

/// Every file and directory, without those of the test and of the agent.
fn elsewhere(site: &Site) -> BTreeSet<PathBuf> {
    let own = ["out", "state", "registry", "agent.sock", "reloads"].map(|name| site.path(name));
    site.tree().into_keys().filter(|path| !own.iter().any(|own| path.starts_with(own))).collect()
}

fn services_come_and_go(registry: &impl Registry, odd: &[&str]) {
    let site = site(registry, "100%");
    fs::write(site.path("out/other.cfg"), "somebody's\n").unwrap();
    let other = |mut files: BTreeMap<String, String>| {
        files.insert("other.cfg".to_owned(), "somebody's\n".to_owned());
        files
    };
    let mut present: Vec<(String, usize)> = (0..50).map(|n| (format!("svc-{n:02}"), 1)).collect();
    for (name, _) in &present {
        registry.put(&site, name, "m0:80");
    }
    for name in odd {
        registry.put(&site, name, "m0:80");
    }
    let agent = site.start();
    agent.until("50 files", || folder(&site) == other(expected(&present)));
    agent.says_times("event=key_skipped", odd.len());
    let before = site.fingerprint("out/svc-49.cfg");
    let emptied = site.fingerprint("out/svc-30.cfg");
    let places = elsewhere(&site);

    // Ten services are removed, ten added, ten changed, and one is empty for a moment.
    for (name, _) in present.drain(..10) {
        registry.leave(&site, &name, "m0:80");
        registry.remove(&site, &name);
    }
    for (name, count) in present.iter_mut().take(10) {
        registry.put(&site, name, "m1:80");
        *count = 2;
    }
    registry.leave(&site, "svc-30", "m0:80");
    for n in 50..60 {
        registry.put(&site, &format!("svc-{n:02}"), "m0:80");
        present.push((format!("svc-{n:02}"), 1));
    }
    agent.until("ten are removed and ten added", || folder(&site) == other(expected(&present)));
    agent.says("/services/svc-30 has 0 members but needs at least 1");
    registry.put(&site, "svc-30", "m0:80");
    agent.says("hold released");
    assert_eq!(folder(&site), other(expected(&present)));
    assert_eq!(site.fingerprint("out/svc-49.cfg"), before, "an unchanged file is not touched");
    assert_eq!(site.fingerprint("out/svc-30.cfg"), emptied, "nor is the file of a service that was empty for a moment");
    site.run(&["status", "--json"]).expect(0);
    assert!(site.run(&["status", "--json"]).stdout().contains("svc[svc-30]"));
    // A service that was empty before its removal may have been held too, so a released hold may not be that of svc-30.
    agent.until("svc-30 is up to date", || {
        site.run(&["explain", "svc[svc-30]"]).expect(0).stdout().contains("up to date")
    });
    let explained = site.run(&["explain", "svc"]).expect(0).stdout();
    assert!(explained.contains("  one file for each key\n") && explained.contains("files (50):"), "{explained}");
    assert!(site.run(&["status"]).expect(0).stdout().contains(": one file for each key\n"));
    assert!(odd.is_empty() || explained.contains(&format!("keys without a file ({}):", odd.len())), "{explained}");

    // Each of the fifty services is removed and added again, together with half of the others.
    let mut random = crate::support::random::rng();
    for _ in 0..6 {
        let mut turn = present.clone();
        random.shuffle(&mut turn);
        for half in [&turn[..25], &turn[25..]] {
            for (name, count) in half {
                (0..*count).for_each(|n| registry.leave(&site, name, &format!("m{n}:80")));
                registry.remove(&site, name);
            }
            let rest: Vec<_> = present.iter().filter(|service| !half.contains(service)).cloned().collect();
            agent.until("half of them are removed", || folder(&site) == other(expected(&rest)));
            for (name, count) in half {
                (0..*count).for_each(|n| registry.put(&site, name, &format!("m{n}:80")));
            }
            agent.until("they are added again", || folder(&site) == other(expected(&present)));
        }
    }

    // The agent is down while five services are removed and five are added.
    agent.signal(Signal::SIGKILL);
    drop(agent);
    for (name, count) in present.drain(..5) {
        (0..count).for_each(|n| registry.leave(&site, &name, &format!("m{n}:80")));
        registry.remove(&site, &name);
    }
    for n in 60..65 {
        registry.put(&site, &format!("svc-{n:02}"), "m0:80");
        present.push((format!("svc-{n:02}"), 1));
    }
    let diff = site.run(&["diff"]);
    diff.expect(2);
    assert!(diff.stdout().contains("-svc-10: m0:80 m1:80"), "{}", diff.stdout());
    let reloads = site.reloads();
    let mut agent = site.start();
    agent.until("the files of removed services are gone", || folder(&site) == other(expected(&present)));
    agent.until("it is reloaded", || site.reloads() > reloads);
    // A running agent may be just writing its state.
    assert!(agent.stop().success());
    assert_eq!(site.leftovers(), Vec::<PathBuf>::new());
    assert_eq!(elsewhere(&site), places, "nothing is written elsewhere");
}

#[test]
fn services_of_a_directory_come_and_go() {
    // In a directory, names with a leading dot are not nodes. No file can have a name this long.
    services_come_and_go(&Folder, &["a b", "ä", "a\u{202e}b", &"x".repeat(255)]);
}

/// As near to `../x` as a node's name can be, and other names that no file may have.
const ODD: [&str; 8] = ["..x", ".hidden", "...", "a b", "ä", "$(id)", "a\u{202e}b", "a\\..\\x"];

#[test]
fn services_of_zookeeper_come_and_go() {
    let long = "x".repeat(300);
    services_come_and_go(&Server::shared(), &[&ODD[..], &[&long]].concat());
}

#[test]
fn the_directory_is_correct_after_any_number_of_kills() {
    let site = site(&Folder, "100%");
    fs::create_dir_all(site.path("registry/services")).unwrap();
    let mut present: BTreeMap<String, usize> = BTreeMap::new();
    let mut random = 7u64;
    for round in 0..12 {
        let agent = site.start();
        agent.says("watching");
        for _ in 0..20 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let name = format!("s{}", (random >> 33) % 15);
            if present.remove(&name).is_some() {
                Folder.remove(&site, &name);
            } else {
                Folder.put(&site, &name, "m0:80");
                present.insert(name, 1);
            }
            // The agent is killed while it handles these changes.
            if (random >> 40).is_multiple_of(7) {
                agent.until("some file", || !folder(&site).is_empty() || round == 0);
            }
        }
        agent.signal(Signal::SIGKILL);
    }
    let agent = site.start();
    let files: Vec<(String, usize)> = present.into_iter().collect();
    agent.until("the directory is correct", || folder(&site) == expected(&files));
}

#[test]
fn a_single_pass_removes_files_and_can_be_limited_to_one() {
    let site = site(&Folder, "100%");
    for name in ["a", "b", "c"] {
        Folder.put(&site, name, "m0:80");
    }
    site.run(&["render", "svc[b]"]).expect(0);
    assert_eq!(folder(&site), expected(&[("b".to_owned(), 1)]));
    site.run(&["render", "svc[zz]"]).expect(3);
    site.run(&["render"]).expect(0);
    let all = ["a", "b", "c"].map(|name| (name.to_owned(), 1));
    assert_eq!(folder(&site), expected(&all));
    Folder.remove(&site, "b");
    site.run(&["render", "--dry-run", "--detailed-exitcode"]).expect(2);
    assert_eq!(folder(&site), expected(&all));
    site.run(&["render"]).expect(0);
    assert_eq!(folder(&site), expected(&[("a".to_owned(), 1), ("c".to_owned(), 1)]));
    // The same through the running agent.
    let agent = site.start();
    agent.says("managing file");
    site.run(&["render", "svc[a]"]).expect(0);
    site.run(&["render", "svc[b]"]).expect(3);
    site.run(&["diff"]).expect(0);
    site.configure(
        &CONFIG
            .replace("URL", "dir:registry")
            .replace("SHRINK", "100%")
            .replace("[[template]]", "[[key]]\nname = \"k\"\npath = \"/k\"\n\n[[template]]")
            .replace("each = \"services\"\n", "")
            .replace("{{ key }}.cfg", "one")
            .replace("svc.tera", "one.tera"),
    );
    site.file("templates/one.tera", "{% for key, members in services %}{{ key }} {% endfor %}\n");
    agent.signal(Signal::SIGHUP);
    agent.until("the one file", || site.read("out/one") == "a c \n");
    assert_eq!(folder(&site).len(), 3, "a template without its files keeps them");
}

#[test]
fn a_mass_loss_of_services_is_held_and_accepted() {
    let site = site(&Folder, "50%");
    let names: Vec<String> = (0..6).map(|n| format!("s{n}")).collect();
    for name in &names {
        Folder.put(&site, name, "m0:80");
    }
    let agent = site.start();
    agent.until("six files", || folder(&site).len() == 6);
    fs::rename(site.path("registry/services"), site.path("aside")).unwrap();
    agent.says("0 of 6 keys of /services/* remain: the parent path does not exist");
    fs::rename(site.path("aside"), site.path("registry/services")).unwrap();
    agent.says("hold released");
    for name in &names[..4] {
        Folder.remove(&site, name);
    }
    agent.says("remain; losing more than 50%");
    let shown = site.run(&["explain", "services"]).expect(0).stdout();
    assert!(shown.contains("keys that `rosterd accept services -c ") && folder(&site).len() >= 3, "{shown}");
    site.run(&["accept", "services"]).expect(0);
    agent.until("two files", || folder(&site).len() == 2);
}

#[test]
fn the_per_key_example_works() {
    let site = Site::new("");
    let example = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/each");
    for file in ["rosterd.toml", "templates/service.cfg.tera"] {
        site.file(file, &fs::read_to_string(example.join(file)).unwrap());
    }
    for service in fs::read_dir(example.join("registry/services")).unwrap().flatten() {
        for member in fs::read_dir(service.path()).unwrap().flatten() {
            Folder.put(&site, &service.file_name().to_string_lossy(), &member.file_name().to_string_lossy());
        }
    }
    site.run(&["check"]).expect(0);
    site.run(&["render"]).expect(0);
    let [api, cache] = ["api", "cache"].map(|name| site.read(&format!("out/{name}.cfg")));
    assert_eq!(api, "# api: written by rosterd, do not edit\n0 10.0.1.1:9000\n");
    assert_eq!(cache, "# cache: written by rosterd, do not edit\n0 10.0.2.1:11211\n1 10.0.2.2:11211\n");
    site.run(&["diff"]).expect(0);
}

/// Only files that the agent wrote are removed, and not files that replaced them or existed before.
#[test]
fn nothing_else_is_ever_removed() {
    let site = site(&Folder, "100%");
    let text = fs::read_to_string(site.path("rosterd.toml")).unwrap();
    site.file("rosterd.toml", &text.replace("reload_cmd", "check_cmd = \"! grep -q bad {{ src }}\"\nreload_cmd"));
    for name in ["good", "bad", "link"] {
        Folder.put(&site, name, "m0:80");
    }
    fs::write(site.path("out/bad.cfg"), "somebody's\n").unwrap();
    let agent = site.start();
    agent.until("two files", || !site.read("out/good.cfg").is_empty() && !site.read("out/link.cfg").is_empty());
    agent.says("check failed");
    fs::rename(site.path("out/link.cfg"), site.path("out/moved")).unwrap();
    std::os::unix::fs::symlink(site.path("out/moved"), site.path("out/link.cfg")).unwrap();
    for name in ["bad", "link"] {
        Folder.remove(&site, name);
    }
    agent.says("file not removed; rosterd did not write it");
    Folder.remove(&site, "good");
    agent.until("good is gone", || !site.path("out/good.cfg").exists());
    assert_eq!(site.read("out/bad.cfg"), "somebody's\n");
    assert!(site.path("out/link.cfg").is_symlink() && site.path("out/moved").is_file());
}
