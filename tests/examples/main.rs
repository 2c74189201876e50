//! Every example, run by the real rosterd, and its file as the real program's own checker sees it.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Map, Value, json};
use tempfile::TempDir;

mod hostile;
mod million;
mod pgpool;
mod quoting;
#[path = "../../src/testing.rs"]
#[allow(dead_code, reason = "each of its functions is for some of the tests")]
mod testing;

/// Node names and data, as a registry holds them.
type Nodes = Vec<(String, Vec<u8>)>;

/// An example: its folder, and what its configuration says.
struct Example {
    dir: PathBuf,
    config: toml::Table,
}

impl Example {
    fn open(name: &str) -> Self {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
        let config = fs::read_to_string(dir.join("rosterd.toml")).unwrap().parse().unwrap();
        Self { dir, config }
    }

    fn text(&self, table: &str, key: &str) -> String {
        let found = &self.config[table];
        let found = if found.is_array() { &found[0] } else { found };
        found[key].as_str().unwrap().to_owned()
    }

    fn nodes(&self) -> Nodes {
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

    /// The file that rosterd writes with the example as it is.
    fn render(&self) -> String {
        let config = fs::read_to_string(self.dir.join("rosterd.toml")).unwrap();
        self.run(&config, &self.nodes())
    }

    /// The file that rosterd writes with other nodes, and with some of `[vars]` replaced. None at all are allowed then.
    fn render_nodes(&self, nodes: &Nodes, vars: &Map<String, Value>) -> String {
        let mut config = self.config.clone();
        if nodes.is_empty() {
            config["roster"][0].as_table_mut().unwrap().insert("min".into(), 0.into());
        }
        let all = config.entry("vars").or_insert_with(|| toml::Table::new().into()).as_table_mut().unwrap();
        for (name, value) in vars {
            all.insert(name.clone(), toml::Value::try_from(value).unwrap());
        }
        self.run(&config.to_string(), nodes)
    }

    /// Runs `rosterd render` on a copy, and gives the file: the example's own `check_cmd` has passed it.
    fn run(&self, config: &str, nodes: &Nodes) -> String {
        let root = TempDir::new().unwrap();
        let home = root.path().join("examples/this");
        let folder = home.join("registry").join(self.text("roster", "path").trim_start_matches('/'));
        fs::create_dir_all(&folder).unwrap();
        for (name, data) in nodes {
            fs::write(folder.join(name), data).unwrap();
        }
        let templates = root.path().join("templates");
        fs::create_dir(&templates).unwrap();
        for entry in fs::read_dir(self.dir.join(self.text("agent", "template_dir"))).unwrap().flatten() {
            fs::copy(entry.path(), templates.join(entry.file_name())).unwrap();
        }
        fs::write(home.join("rosterd.toml"), config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_rosterd"));
        command.arg("-c").arg(home.join("rosterd.toml")).arg("render").stdin(Stdio::null());
        for name in ["ROSTERD_CONFIG", "ROSTERD_REGISTRY", "ROSTERD_LOG", "RUST_LOG"] {
            command.env_remove(name);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        fs::read_to_string(home.join(self.text("template", "dest"))).unwrap()
    }
}

/// Runs a program to its end; a missing one fails with what to install.
fn run(program: &str, package: &str, arguments: &[&str]) -> Output {
    match Command::new(program).args(arguments).stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!("{program} is missing: apt-get install {package}")
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

fn said(output: &Output) -> String {
    format!("{}: {}{}", output.status, String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A folder with one file in it.
fn file(name: &str, text: &str) -> (TempDir, String) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, text).unwrap();
    (dir, path.to_str().unwrap().to_owned())
}

fn haproxy_accepts(text: &str) {
    let (_dir, path) = file("haproxy.cfg", text);
    let output = run("haproxy", "haproxy", &["-c", "-f", &path]);
    assert!(output.status.success(), "{}\n{text}", said(&output));
}

fn nginx_accepts(text: &str) {
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

fn nutcracker_accepts(text: &str) {
    let (_dir, path) = file("nutcracker.yml", text);
    let output = run("nutcracker", "nutcracker", &["-t", "-c", &path]);
    assert!(output.status.success(), "{}\n{text}", said(&output));
}

#[test]
fn haproxy_takes_its_file() {
    let example = Example::open("haproxy");
    let text = example.render();
    assert!(text.contains("\n    server 127.0.0.1:8001 127.0.0.1:8001 weight 100\n"), "{text}");
    assert!(text.contains("\n    server web3.example.com:8003 web3.example.com:8003\n"), "{text}");
    haproxy_accepts(&text);
    let odd = nodes(&[
        ("[2001:db8::1]:80", r#"{"weight": 0}"#),
        ("two words:80", ""),
        ("no-port", ""),
        ("a:1", r#"{"weight": 999}"#),
    ]);
    let text = example.render_nodes(&odd, &Map::new());
    assert!(text.contains("server member-0 '[2001:db8::1]:80' weight 0\n"), "{text}");
    assert!(text.contains("# left out, it has no address: member-3\n"), "{text}");
    haproxy_accepts(&text);
    haproxy_accepts(&example.render_nodes(&Nodes::new(), &Map::new()));
}

#[test]
fn nginx_takes_its_file() {
    let example = Example::open("nginx");
    let text = example.render();
    assert!(text.contains("\n    server 127.0.0.1:8001 weight=5;\n    server 127.0.0.1:8002 down;\n"), "{text}");
    nginx_accepts(&text);
    nginx_accepts(
        &example
            .render_nodes(&nodes(&[("a b:80", ""), ("$x:80", ""), ("127.0.0.1:1", r#"{"weight": -1}"#)]), &Map::new()),
    );
    nginx_accepts(&example.render_nodes(&Nodes::new(), &Map::new()));
}

#[test]
fn twemproxy_takes_its_file_and_the_list_is_whole() {
    let example = Example::open("twemproxy");
    let text = example.render();
    nutcracker_accepts(&text);
    let parsed: Value = serde_norway::from_str(&text).unwrap();
    let expected = json!([
        "127.0.0.1:11211:2 127.0.0.1:11211",
        "127.0.0.1:11212:1 127.0.0.1:11212",
        "127.0.0.1:11213:1 127.0.0.1:11213",
    ]);
    assert_eq!(parsed["memcached"]["servers"], expected);
    nutcracker_accepts(
        &example.render_nodes(&nodes(&[("\u{feff} x:1", ""), ("a:1", r#"{"weight": 0}"#), ("b:2", "")]), &Map::new()),
    );
}

#[test]
fn the_memcached_list_is_json_and_whole() {
    let example = Example::open("memcached");
    let parsed: Value = serde_json::from_str(&example.render()).unwrap();
    assert_eq!(parsed, json!({"servers": ["127.0.0.1:11211", "127.0.0.1:11212", "127.0.0.1:11213"]}));
    let odd = nodes(&[("a\"b\\:1", ""), ("\u{feff}:1", "")]);
    let parsed: Value = serde_json::from_str(&example.render_nodes(&odd, &Map::new())).unwrap();
    assert_eq!(parsed, json!({"servers": ["a\"b\\:1", "\u{feff}:1"]}));
}

/// The entries of a hosts file, read as hosts(5) has it; panics on a line that is none.
fn hosts(text: &str) -> Vec<(std::net::IpAddr, Vec<String>)> {
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

#[test]
fn hosts_lines_resolve() {
    let example = Example::open("hosts");
    let entry = |ip: &str, name: &str| (ip.parse().unwrap(), vec![name.to_owned()]);
    let expected = [
        entry("10.0.0.1", "zk1.example.com"),
        entry("10.0.0.2", "zk2.example.com"),
        entry("2001:db8::3", "zk3.example.com"),
    ];
    assert_eq!(hosts(&example.render()), expected);
    let odd = nodes(&[
        ("10.0.0.9:2181", r#"{"hostname": "zk9"}"#),
        ("zk8:2181", ""),
        ("zk7:2181", r#"{"ip": "10.0.0.7 evil"}"#),
        ("zk 6:2181", r#"{"ip": "10.0.0.6"}"#),
        ("zk5:2181", r#"{"ip": 5}"#),
    ]);
    let text = example.render_nodes(&odd, &Map::new());
    assert_eq!(hosts(&text), [entry("10.0.0.9", "zk9")], "{text}");
}

fn nodes(nodes: &[(&str, &str)]) -> Nodes {
    nodes.iter().map(|(name, data)| ((*name).to_owned(), data.as_bytes().to_vec())).collect()
}

#[test]
fn every_shipped_template_has_an_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut shipped: Vec<String> = fs::read_dir(root.join("templates"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    shipped.sort();
    let mut shown: Vec<String> = EXAMPLES.iter().map(|name| Example::open(name).text("template", "src")).collect();
    shown.sort();
    assert_eq!(shipped, shown);
}

const EXAMPLES: [&str; 6] = ["haproxy", "hosts", "memcached", "nginx", "pgpool", "twemproxy"];
