//! `rosterd migrate`: 20 resources of confd and 10 templates of consul-template, whose converted templates write the
//! same bytes.
//!
//! The expected files in `migrate/*/expected` are what Go's text/template prints for these templates and keys, with the
//! functions of confd and consul-template. With `$ROSTERD_CONFD`, the path of a confd, the test also runs that.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value};

use crate::harness::site::{Ended, Site};
use crate::support::docs::root;

/// The variable that a template reads.
const ZONE: (&str, &str) = ("ROSTERD_TEST_ZONE", "eu-1");

/// A copy of a fixture, with its keys as a directory registry.
struct Fixture {
    site: Site,
    keys: BTreeMap<String, String>,
    expected: BTreeMap<String, String>,
}

impl Fixture {
    fn new(name: &str) -> Self {
        let site = Site::new("");
        let from = root().join("tests/it/migrate").join(name);
        let dest = site.path("out").display().to_string();
        copy(&from, &site.path("old"), &dest);
        let keys: BTreeMap<String, String> = serde_json::from_str(&site.read("old/keys.json")).unwrap();
        for (path, data) in &keys {
            site.file(&format!("registry{path}"), data);
        }
        let files = fs::read_dir(from.join("expected")).unwrap().map(|entry| entry.unwrap().path());
        let expected = files
            .map(|file| (file.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&file).unwrap()));
        let expected = expected.collect();
        Self { site, keys, expected }
    }

    /// Migrates `source` to `new`.
    fn migrate(&self, tool: &str, source: &str, new: &str) -> Ended {
        let registry = format!("dir:{}", self.site.path("registry").display());
        self.site.run_with_env(&[ZONE], &["migrate", tool, source, "--output", new, "--registry", &registry])
    }

    /// Renders with the configuration in `new`.
    fn render(&self, new: &str) -> Ended {
        let config = format!("{new}/rosterd.toml");
        let state = ["--state-dir", "state", "--socket", "agent.sock"];
        self.site.run_with_env(&[ZONE], &[&["render", "-c", &config], &state[..]].concat())
    }

    /// Every file that differs from the expected one, with both.
    fn differences(&self, names: impl Iterator<Item = String>, out: &str) -> Vec<String> {
        let differing = names.filter_map(|name| {
            let (found, wanted) = (self.site.read(&format!("{out}/{name}")), &self.expected[&name]);
            (found != *wanted).then(|| format!("--- {name}: wanted\n{wanted}\n--- found\n{found}"))
        });
        differing.collect()
    }

    /// The command that the report shows.
    fn compare(&self, new: &str) -> Ended {
        let report = self.site.read(&format!("{new}/REPORT.md"));
        let command = report.lines().find_map(|line| line.strip_prefix("    rosterd ")).unwrap().to_owned();
        let words: Vec<&str> = command.split(' ').chain(["--state-dir", "state", "--socket", "agent.sock"]).collect();
        self.site.run_with_env(&[ZONE], &words)
    }
}

/// Copies a directory, and names the destination in its files.
fn copy(from: &Path, to: &Path, dest: &str) {
    fs::create_dir_all(to).unwrap();
    for path in fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()) {
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target, dest);
        } else {
            fs::write(target, fs::read_to_string(&path).unwrap().replace("DEST", dest)).unwrap();
        }
    }
}

#[test]
fn resources_of_confd_write_the_same_bytes() {
    let fixture = Fixture::new("confd");
    assert!(fixture.expected.len() >= 20);
    let migrated = fixture.migrate("confd", "old", "new");
    let said = migrated.expect(0).stdout();
    assert!(!said.contains("to do:"), "{said}");
    assert_eq!(fixture.compare("new").expect(2).stdout().matches("\n+++ ").count(), fixture.expected.len());
    fixture.render("new").expect(0);
    let wrong = fixture.differences(fixture.expected.keys().cloned(), "out");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(fixture.compare("new").expect(0).stdout(), "");
    beside_confd(&fixture);
}

/// What confd itself writes, if there is one.
fn beside_confd(fixture: &Fixture) {
    let Some(confd) = std::env::var_os("ROSTERD_CONFD") else { return };
    let mut tree = Value::Object(Map::new());
    for (path, data) in &fixture.keys {
        let mut node = &mut tree;
        for name in path.trim_start_matches('/').split('/') {
            node = node.as_object_mut().unwrap().entry(name).or_insert_with(|| Value::Object(Map::new()));
        }
        *node = Value::String(data.clone());
    }
    // JSON is YAML.
    fixture.site.file("keys.yaml", &tree.to_string());
    for name in fixture.expected.keys() {
        fixture.site.remove(&format!("out/{name}"));
    }
    let mut command = Command::new(confd);
    command.args(["-onetime", "-backend", "file", "-file"]).arg(fixture.site.path("keys.yaml"));
    // The main file of the fixture names ZooKeeper.
    fixture.site.remove("old/confd.toml");
    let output = command.arg("-confdir").arg(fixture.site.path("old")).env(ZONE.0, ZONE.1).output().unwrap();
    let wrong = fixture.differences(fixture.expected.keys().cloned(), "out");
    assert!(wrong.is_empty(), "{}{}", String::from_utf8_lossy(&output.stderr), wrong.join("\n"));
}

#[test]
fn templates_of_consul_template_write_the_same_bytes() {
    let fixture = Fixture::new("consul_template");
    assert!(fixture.expected.len() >= 10);
    // consul and log_level have no counterpart in the file.
    let said = fixture.migrate("consul-template", "old/ct.hcl", "new").expect(1).stdout();
    let todo: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("to do: ")).collect();
    assert!(
        matches!(todo[..], [consul, level] if consul.starts_with("ct.hcl:2: `consul`") && level.starts_with("ct.hcl:6: `log_level`")),
        "{said}"
    );
    fixture.migrate("consul-template", "old/more.json", "more").expect(0);
    for new in ["new", "more"] {
        fixture.render(new).expect(0);
        assert_eq!(fixture.compare(new).expect(0).stdout(), "");
    }
    let wrong = fixture.differences(fixture.expected.keys().cloned(), "out");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let config = fixture.site.read("new/rosterd.toml");
    for line in ["mode = '0640'", "backup = 1", "reload_timeout = \"20s\"", "wait = \"1s:3s\"", "make_dirs = true"] {
        let other = line.replace('\'', "\"");
        assert!(config.contains(line) || config.contains(&other), "{line}: {config}");
    }
}

#[test]
fn what_is_not_converted_is_kept_and_never_replaces_a_file() {
    let site = Site::new("");
    site.file(
        "old/conf.d/a.toml",
        "[template]\nsrc = \"a.tmpl\"\ndest = \"SITE/out/a\"\nsync = 1\n"
            .replace("SITE", &site.path("").display().to_string())
            .as_str(),
    );
    site.file("old/templates/a.tmpl", "# {{datetime}}\n{{range lookupIP \"web\"}}server {{.}}\n{{end}}end\n");
    site.file("out/a", "good\n").file("registry/keys/a", "1");
    let registry = format!("dir:{}", site.path("registry").display());
    let said = site.run(&["migrate", "confd", "old", "--output", "new", "--registry", &registry]).expect(1).stdout();
    for text in [
        "to do: templates/a.tmpl:1: `{{datetime}}`",
        "to do: templates/a.tmpl:2: `{{range lookupIP \"web\"}}`",
        "to do: conf.d/a.toml:4: `sync`",
    ] {
        assert!(said.contains(text) && site.read("new/REPORT.md").contains(&text[7..]), "{text}: {said}");
    }
    let template = site.read("new/templates/a.tera");
    assert!(template.contains("# {# rosterd migrate: {{datetime}} #}\n"), "{template}");
    let state = ["--state-dir", "state", "--socket", "agent.sock"];
    let failed = site.run(&[&["render", "-c", "new/rosterd.toml"], &state[..]].concat());
    assert!(failed.expect(1).stderr().contains("2 parts are not converted"), "{}", failed.stderr());
    assert_eq!(site.read("out/a"), "good\n");
    // Without its first line, it renders.
    let (_, rest) = template.split_once('\n').unwrap();
    site.file("new/templates/a.tera", rest);
    site.run(&[&["render", "-c", "new/rosterd.toml"], &state[..]].concat()).expect(0);
    assert_eq!(site.read("out/a"), "# \nend\n");
    // The directory is not empty.
    let again = site.run(&["migrate", "confd", "old", "--output", "new"]);
    assert!(again.expect(64).stderr().contains("is not empty"), "{}", again.stderr());
    assert!(site.run(&["migrate", "confd", "nowhere", "--output", "x"]).expect(78).stderr().contains("nowhere/conf.d"));
    assert!(!site.path("x").exists());
}
