//! What is said of wrong configurations and templates: everything at once, each at its file, line and column. The exit
//! code is 78, standard output is empty, and nothing is touched.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use crate::harness::site::Site;

mod both;
mod files;
mod followed;
mod force;
mod reached;
mod templates;
mod written;

/// A folder with these files, one of them `rosterd.toml`, and a template `good.tera` for those that need one.
fn site(files: &[(&str, &str)]) -> Site {
    let site = Site::new("");
    site.file("templates/good.tera", "{{ host.name }}\n");
    for (name, text) in files {
        site.file(name, text);
        // Whatever the umask is: who may write a file is looked at.
        mode(&site, name, 0o644);
    }
    site
}

fn mode(site: &Site, name: &str, mode: u32) {
    fs::set_permissions(site.path(name), Permissions::from_mode(mode)).unwrap();
}

/// What `rosterd check` says of these files, without this folder's own name: the same on every host and every run.
fn told(files: &[(&str, &str)]) -> String {
    told_of(&site(files), &["check"])
}

/// What `rosterd check` says of one file, which names a registry in its first line.
fn one(text: &str) -> String {
    told(&[("rosterd.toml", &format!("registry.url = \"zk://zk1\"\n{text}"))])
}

/// What a command says that refuses the configuration.
fn told_of(site: &Site, args: &[&str]) -> String {
    let ended = site.run(args);
    assert_eq!(ended.expect(78).stdout(), "", "{args:?}");
    let home = site.path("");
    let said = ended.stderr().replace(home.to_str().unwrap(), "");
    let (errors, hints) = (said.matches("\nerror: ").count(), said.matches(" = help: ").count());
    assert_eq!(errors, hints, "each has a way out: {said}");
    said.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}
