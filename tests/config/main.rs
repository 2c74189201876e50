//! Configurations that are wrong, and what is said of them: the message, the file, line and column, carets, a hint.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rosterd::config::{Loaded, Overrides, Problems, load};
use tempfile::TempDir;

mod files;
mod holds;
mod program;
mod templates;
mod values;

/// A folder with a configuration in it.
struct Home(TempDir);

impl Home {
    /// A folder with these files, and a template for those that need one.
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

    /// What is said, with this folder's own name left out of it: the same on every host and every run.
    fn told(&self) -> String {
        let said = match self.load() {
            Ok(loaded) => format!("loaded, with {:?}", loaded.warnings),
            Err(problems) => problems.to_string(),
        };
        self.stable(&said)
    }

    /// A text in which this folder's own name is left out.
    fn stable(&self, said: &str) -> String {
        let home = self.0.path().to_str().unwrap();
        let said = said.replace(&format!("{home}/"), "").replace(home, "HOME");
        said.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }
}

/// What is said of one file, which names a registry in its first line.
fn told(text: &str) -> String {
    Home::new(&[("rosterd.toml", &format!("registry.url = \"zk://zk1\"\n{text}"))]).told()
}

/// Pieces of configurations, so that what is put together by chance gets past the first line.
const PIECES: [&str; 46] = [
    "[registry]\n",
    "[[registry]]\n",
    "url = \"zk://a:1,[::1]/x\"\n",
    "[agent]\n",
    "[status]\n",
    "[vars]\n",
    "[[roster]]\n",
    "[[key]]\n",
    "[[template]]\n",
    "[template]\n",
    "[exec]\n",
    "cmd = ",
    "path = ",
    "min = ",
    "max = ",
    "wait = ",
    "src = ",
    "dest = ",
    "mode = ",
    "check_cmd = ",
    "reload_cmd = ",
    "env = ",
    "tls = ",
    "auth = ",
    "include = ",
    "owner = ",
    "\"/a/{{ vars.x }}\"\n",
    "\"{{ src }}\"\n",
    "\"é\u{1F980}\"\n",
    "\"\\u0000\"\n",
    "5\n",
    "-1\n",
    "0xffffffffffffffffff\n",
    "nan\n",
    "true\n",
    "{ a = 1 }\n",
    "[1, 2]\n",
    "1979-05-27\n",
    "\"",
    "'''",
    "[",
    "]",
    "{",
    "}",
    "=",
    "\n",
];

proptest::proptest! {
    #[test]
    fn no_text_brings_it_down(
        picks in proptest::collection::vec(0..PIECES.len(), 0..40),
        noise in proptest::collection::vec(proptest::arbitrary::any::<u8>(), 0..40),
        at in 0usize..400,
    ) {
        let mut bytes: Vec<u8> = picks.iter().flat_map(|pick| PIECES[*pick].bytes()).collect();
        let at = at.min(bytes.len());
        bytes.splice(at..at, noise);
        let home = Home::new(&[("rosterd.toml", "")]);
        fs::write(home.path("rosterd.toml"), &bytes).unwrap();
        if let Err(problems) = home.load() {
            proptest::prop_assert!(!problems.0.is_empty());
            proptest::prop_assert!(problems.draw(true).len() >= problems.to_string().len());
        }
        fs::write(home.path("rosterd.toml"), String::from_utf8_lossy(&bytes).as_bytes()).unwrap();
        let _ = home.load().map_err(|problems| problems.to_string());
    }
}

#[test]
fn depth_has_an_end() {
    for text in
        ["x = [".repeat(100_000), format!("x = {}", "[".repeat(100_000)), format!("{}x = 1", "a.".repeat(100_000))]
    {
        let said = told(&text);
        assert!(said.contains("problem"), "{}", &said[..200.min(said.len())]);
    }
}
