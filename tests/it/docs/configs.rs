//! Every piece of configuration in the documentation passes `rosterd check`.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::TempDir;

use super::rosterd;
use crate::generate::mismatches;
use crate::support::docs::{Block, blocks, pages};

/// The quoted texts with one of these endings.
fn quoted<'a>(text: &'a str, ends: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    let texts = text.split('"').skip(1).step_by(2);
    texts.filter(move |text| ends.iter().any(|end| text.ends_with(end)) && !text.contains('*'))
}

/// The lines that must precede keys that are shown alone, under the heading of their table.
fn above(heading: &str, text: &str) -> String {
    // "[registry] auth" is about a key of [registry].
    let table = heading.split(' ').next().unwrap();
    let keys: &[&str] = match table {
        "[registry]" if text.contains("tls =") => &["url = \"zks://zk1\""],
        "[registry]" => &["url = \"zk://zk1\""],
        "[[roster]]" | "[[key]]" => &["path = \"/services/web\""],
        "[[template]]" => &["src = \"a.tera\"", "dest = \"/x/a\""],
        _ => &[],
    };
    format!("{table}\n{}\n", keys.join("\n"))
}

/// Completes a block to whole files: missing parts are added, and the files that it names are created.
fn complete(block: &Block, template: &str, dir: &Path) {
    let text = block.text.replace("/etc/rosterd/", &format!("{}/", dir.display()));
    // Not every host has this group.
    let text = text.replace("group = \"haproxy\"", "group = 0");
    let file = |name: &str, text: &str, mode: u32| {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    };
    for name in quoted(&text, &[".tera", ".tmpl"]).chain(["a.tera"]) {
        file(&format!("templates/{name}"), template, 0o644);
    }
    quoted(&text, &[".auth"]).for_each(|name| file(name, "user:password\n", 0o600));
    quoted(&text, &[".pem", ".key"]).for_each(|name| file(name, "", 0o600));
    quoted(&text, &["local.toml"]).for_each(|name| file(name, "", 0o644));
    let first = text.lines().find(|line| !line.starts_with('#')).unwrap();
    let is_table = first.starts_with('[') || first.starts_with("include");
    let text = if is_table { text.clone() } else { above(&block.heading, &text) + &text };
    let registry = if text.contains("[registry]") { "" } else { "registry.url = \"zk://zk1\"\n" };
    if text.lines().any(|line| line == "[template]") {
        // A confd resource, which belongs in an included file.
        file("conf.d/shown.toml", &text, 0o644);
        file("rosterd.toml", registry, 0o644);
    } else {
        file("rosterd.toml", &format!("{registry}{text}"), 0o644);
    }
}

#[test]
fn every_shown_configuration_is_valid_and_matches_the_schema() {
    let mut dirs = Vec::new();
    for page in pages() {
        let blocks = blocks(&page);
        // Test cases are not configuration.
        for (at, block) in
            blocks.iter().enumerate().filter(|(_, block)| block.language == "toml" && block.heading != "test")
        {
            // A template right after a configuration belongs to it.
            let next = blocks.get(at + 1).filter(|next| next.language == "jinja" && block.text.contains("[[roster]]"));
            let dir = TempDir::new().unwrap();
            complete(block, next.map_or("", |next| &next.text), dir.path());
            let output = rosterd(&["-c", dir.path().join("rosterd.toml").to_str().unwrap(), "check"]);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {said}", block.place);
            dirs.push(dir);
        }
    }
    assert!(dirs.len() >= 15, "only {} were found", dirs.len());
    let files = dirs.iter().flat_map(|dir| ["rosterd.toml", "conf.d/shown.toml"].map(|name| dir.path().join(name)));
    assert_eq!(mismatches(&files.filter(|file| file.exists()).collect::<Vec<_>>()), "");
}
