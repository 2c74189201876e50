//! The examples, and the programs that validate their files.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

pub const EXAMPLES: [&str; 6] = ["haproxy", "hosts", "memcached", "nginx", "pgpool", "twemproxy"];

/// Examples whose templates have no line for a member that cannot be used.
pub const WITHOUT_COMMENTS: [&str; 3] = ["keepalived", "redis", "varnish"];

/// Node names and data, as in a registry.
pub type Nodes = Vec<(String, Vec<u8>)>;

/// An example: its directory, and the settings in its configuration.
pub struct Example {
    pub dir: PathBuf,
    pub config: toml::Table,
}

impl Example {
    pub fn open(name: &str) -> Self {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
        let config = fs::read_to_string(dir.join("rosterd.toml")).unwrap().parse().unwrap();
        Self { dir, config }
    }

    pub fn text(&self, table: &str, key: &str) -> String {
        let found = &self.config[table];
        let found = if found.is_array() { &found[0] } else { found };
        found[key].as_str().unwrap().to_owned()
    }

    pub fn nodes(&self) -> Nodes {
        let path = self.text("roster", "path");
        let dir = self.dir.join("registry").join(path.trim_start_matches('/'));
        let mut nodes: Nodes = fs::read_dir(dir)
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
            })
            .collect();
        nodes.sort();
        nodes
    }
}

pub fn nodes(nodes: &[(&str, &str)]) -> Nodes {
    nodes.iter().map(|(name, data)| ((*name).to_owned(), data.as_bytes().to_vec())).collect()
}

/// Runs a program to its end. If it is missing, the test fails and names the package to install.
pub fn run(program: &str, package: &str, arguments: &[&str]) -> Output {
    match Command::new(program).args(arguments).stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!("{program} is missing: apt-get install {package}")
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

pub fn said(output: &Output) -> String {
    format!("{}: {}{}", output.status, String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A directory with one file in it.
pub fn file(name: &str, text: &str) -> (TempDir, String) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, text).unwrap();
    (dir, path.to_str().unwrap().to_owned())
}

pub fn haproxy_accepts(text: &str) {
    let (_dir, path) = file("haproxy.cfg", text);
    let output = run("haproxy", "haproxy", &["-c", "-f", &path]);
    assert!(output.status.success(), "{}\n{text}", said(&output));
}

pub fn nginx_accepts(text: &str) {
    let (dir, upstream) = file("web.conf", text);
    let conf = dir.path().join("nginx.conf");
    let whole = format!(
        "pid {0}/pid; error_log stderr; events {{}} http {{ access_log off; include {upstream};
         server {{ listen 127.0.0.1:1; location / {{ proxy_pass http://web; }} }} }}",
        dir.path().display()
    );
    fs::write(&conf, whole).unwrap();
    let output = run("nginx", "nginx-light", &["-t", "-c", conf.to_str().unwrap()]);
    assert!(output.status.success(), "{}\n{text}", said(&output));
}

pub fn nutcracker_accepts(text: &str) {
    let (_dir, path) = file("nutcracker.yml", text);
    let output = run("nutcracker", "nutcracker", &["-t", "-c", &path]);
    assert!(output.status.success(), "{}\n{text}", said(&output));
}

/// The entries of a hosts file, parsed as in hosts(5). Panics on an invalid line.
pub fn hosts(text: &str) -> Vec<(std::net::IpAddr, Vec<String>)> {
    let lines =
        text.lines().map(|line| line.split('#').next().unwrap_or_default()).filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            let mut words = line.split_ascii_whitespace();
            let ip = words.next().unwrap().parse().unwrap();
            let names: Vec<String> = words.map(str::to_owned).collect();
            assert!(!names.is_empty(), "{line}");
            assert!(
                names.iter().all(|n| n.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b))),
                "{line}"
            );
            (ip, names)
        })
        .collect()
}

/// Texts with a special meaning in one of the formats, in a shell, or in Tera.
pub const NASTY: [&str; 28] = [
    "'",
    "\"",
    "\\",
    "`",
    "{{ host }}",
    "{% raw %}",
    "{#",
    "$(touch /tmp/never)",
    "${HOME}",
    "#",
    ";",
    " ",
    "}",
    "{",
    "*",
    "&",
    "|",
    "<",
    ">",
    "é",
    "\u{feff}",
    "\u{202e}",
    ": ",
    "- ",
    ", ",
    "server evil 10.0.0.9:1",
    "\\\n",
    "%0a",
];
