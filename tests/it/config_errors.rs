//! Reports about invalid configurations and templates: all problems at once, each with its file, line and column. The
//! exit code is 78, standard output is empty, and nothing is touched.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use crate::harness::site::Site;

mod combined;
mod files;
mod includes;
mod refused;
mod registries;
mod templates;
mod values;

/// A directory with these files, including `rosterd.toml`, and a template `good.tera` for the configurations that need
/// one.
fn site(files: &[(&str, &str)]) -> Site {
    let site = Site::new("");
    site.file("templates/good.tera", "{{ host.name }}\n");
    for (name, text) in files {
        site.file(name, text);
        // The umask must not matter, because write permissions are checked.
        mode(&site, name, 0o644);
    }
    site
}

fn mode(site: &Site, name: &str, mode: u32) {
    fs::set_permissions(site.path(name), Permissions::from_mode(mode)).unwrap();
}

/// The output of `rosterd check` for these files, without this directory's name, so that it is the same on every host
/// and in every run.
fn told(files: &[(&str, &str)]) -> String {
    told_of(&site(files), &["check"])
}

/// The output of `rosterd check` for a single file whose first line sets a registry.
fn one(text: &str) -> String {
    told(&[("rosterd.toml", &format!("registry.url = \"zk://zk1\"\n{text}"))])
}

/// The output of a command that refuses the configuration.
fn told_of(site: &Site, args: &[&str]) -> String {
    let ended = site.run(args);
    assert_eq!(ended.expect(78).stdout(), "", "{args:?}");
    let home = site.path("");
    let said = ended.stderr().replace(home.to_str().unwrap(), "");
    let (errors, hints) = (said.matches("\nerror: ").count(), said.matches(" = help: ").count());
    assert_eq!(errors, hints, "each error has a hint: {said}");
    said.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}
