//! Every example, run by the real rosterd, and its file validated by the real program.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::support::examples::{
    EXAMPLES, Example, NASTY, Nodes, WITHOUT_COMMENTS, haproxy_accepts, hosts, nginx_accepts, nodes,
    nutcracker_accepts, said,
};

mod pgpool;

impl Example {
    /// The file that rosterd writes for the unchanged example.
    fn render(&self) -> String {
        let config = fs::read_to_string(self.dir.join("rosterd.toml")).unwrap();
        self.run(&config, &self.nodes())
    }

    /// The file that rosterd writes for other nodes, and with some of `[vars]` replaced. No nodes are allowed then.
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

    /// Runs `rosterd render` on a copy. Returns the file, which has passed the example's own `check_cmd`.
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

#[test]
fn haproxy_accepts_its_file() {
    let example = Example::open("haproxy");
    let text = example.render();
    assert!(text.contains("\n    server 127.0.0.1:8001 127.0.0.1:8001 weight 100\n"), "{text}");
    assert!(text.contains("\n    server web3.example.com:8003 web3.example.com:8003\n"), "{text}");
    haproxy_accepts(&text);
    let odd = nodes(&[
        ("[2001:db8::1]:80", r#"{"weight": 0}"#),
        ("two words:80", ""),
        ("no-port", "{\"zone\": 1}"),
        ("a:1", r#"{"weight": 999}"#),
    ]);
    let text = example.render_nodes(&odd, &Map::new());
    assert!(text.contains("server member-0 '[2001:db8::1]:80' weight 0\n"), "{text}");
    assert!(text.contains("# left out, it has no address: member-3\n"), "{text}");
    haproxy_accepts(&text);
    haproxy_accepts(&example.render_nodes(&Nodes::new(), &Map::new()));
}

#[test]
fn nginx_accepts_its_file() {
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
fn twemproxy_accepts_its_file_with_all_servers() {
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
fn the_memcached_list_is_json_with_all_servers() {
    let example = Example::open("memcached");
    let parsed: Value = serde_json::from_str(&example.render()).unwrap();
    assert_eq!(parsed, json!({"servers": ["127.0.0.1:11211", "127.0.0.1:11212", "127.0.0.1:11213"]}));
    let odd = nodes(&[("a\"b\\:1", ""), ("\u{feff}:1", "")]);
    let parsed: Value = serde_json::from_str(&example.render_nodes(&odd, &Map::new())).unwrap();
    assert_eq!(parsed, json!({"servers": ["a\"b\\:1", "\u{feff}:1"]}));
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

#[test]
fn every_shipped_template_has_an_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut shipped: Vec<String> = fs::read_dir(root.join("templates"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    shipped.sort();
    let all = EXAMPLES.iter().chain(&WITHOUT_COMMENTS).chain(&["prometheus"]);
    let mut shown: Vec<String> = all.map(|name| Example::open(name).text("template", "src")).collect();
    shown.sort();
    assert_eq!(shipped, shown);
}

#[test]
fn the_checkers_accept_files_with_hostile_members() {
    let mut members: Nodes = nodes(&[("127.0.0.1:1", "")]);
    for text in NASTY {
        // The name of a directory entry contains no /.
        let name = text.replace('/', "");
        members.push((format!("{name}:80"), serde_json::to_vec(&json!({"weight": text, "zone": text})).unwrap()));
        members.push((format!("n{name}"), text.as_bytes().to_vec()));
    }
    members.sort();
    haproxy_accepts(&Example::open("haproxy").render_nodes(&members, &Map::new()));
    nginx_accepts(&Example::open("nginx").render_nodes(&members, &Map::new()));
    nutcracker_accepts(&Example::open("twemproxy").render_nodes(&members, &Map::new()));
    // The check in their configuration accepts them.
    for name in WITHOUT_COMMENTS {
        assert!(Example::open(name).render_nodes(&members, &Map::new()).contains("127.0.0.1"), "{name}");
    }
}
