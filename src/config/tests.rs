//! Invalid configurations and how they are reported: the message, the file, line and column, carets, and a hint.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::config::resolve::Loaded;
use crate::config::{Overrides, Problems, load};
use tempfile::TempDir;

mod files;
mod holds;
mod jones;
mod locks;
mod program;
mod templates;
mod values;

/// A directory with a configuration in it.
struct Home(TempDir);

impl Home {
    /// A directory with these files, and templates for the configurations that need them.
    fn new(files: &[(&str, &str)]) -> Self {
        let home = Self(TempDir::new().unwrap());
        home.write("templates/a.tera", "").write("templates/b.tera", "");
        for (name, text) in files {
            home.write(name, text);
        }
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        self.mode(name, 0o644)
    }

    fn mode(&self, name: &str, mode: u32) -> &Self {
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
        self
    }

    fn load_with(&self, overrides: &Overrides) -> Result<Loaded, Problems> {
        load(&self.path("rosterd.toml"), overrides)
    }

    fn load(&self) -> Result<Loaded, Problems> {
        self.load_with(&Overrides { host_name: "web1".into(), ..Overrides::default() })
    }

    /// The report without this directory's name, so that it is the same on every host and in every run.
    fn told(&self) -> String {
        let said = match self.load() {
            Ok(loaded) => format!("loaded, with {:?}", loaded.warnings),
            Err(problems) => problems.to_string(),
        };
        self.stable(&said)
    }

    /// A text without this directory's name.
    fn stable(&self, said: &str) -> String {
        let home = self.0.path().to_str().unwrap();
        let said = said.replace(&format!("{home}/"), "").replace(home, "HOME");
        said.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }
}

/// The report about a single file whose first line sets a registry.
fn told(text: &str) -> String {
    Home::new(&[("rosterd.toml", &format!("registry.url = \"zk://zk1\"\n{text}"))]).told()
}

#[test]
fn nesting_is_limited() {
    for text in
        ["x = [".repeat(100_000), format!("x = {}", "[".repeat(100_000)), format!("{}x = 1", "a.".repeat(100_000))]
    {
        let said = told(&text);
        assert!(said.contains("problem"), "{}", &said[..200.min(said.len())]);
    }
}
