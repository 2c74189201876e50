//! Every shipped template, rendered from its example, as the real program's own checker sees it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use rosterd::config::TemplateConfig;
use rosterd::decide::{RosterValue, Seated, Snapshot};
use rosterd::payload::{Format, decode};
use rosterd::render::{Globals, Host, Library, NameKind};

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

    /// The rendered file, as the example's registry has it.
    fn render(&self) -> String {
        self.render_nodes(&self.nodes(), &Map::new())
    }

    /// The rendered file with other nodes, and with some of `[vars]` replaced.
    fn render_nodes(&self, nodes: &Nodes, vars: &Map<String, Value>) -> String {
        let roster: Arc<str> = self.text("roster", "name").into();
        let src = PathBuf::from(self.text("template", "src"));
        let mut all: Map<String, Value> = self
            .config
            .get("vars")
            .map(|vars| serde_json::to_value(vars).unwrap().as_object().unwrap().clone())
            .unwrap_or_default();
        all.extend(vars.clone());
        let globals = Globals {
            host: Host { name: "h1".into(), fqdn: "h1.example.com".into(), ip: None },
            vars: all,
            names: BTreeMap::from([(Arc::clone(&roster), NameKind::List)]),
        };
        let template_dir = self.dir.join(self.text("agent", "template_dir"));
        let library = Library::load(&[template(&src)], &template_dir, globals).unwrap();
        let snapshot = Snapshot { rosters: BTreeMap::from([(roster, seats(nodes))]), ..Snapshot::default() };
        String::from_utf8(library.render(&src, &snapshot).unwrap()).unwrap()
    }
}

fn template(src: &Path) -> Arc<TemplateConfig> {
    Arc::new(TemplateConfig {
        name: "example".into(),
        src: src.to_owned(),
        dest: "/nowhere".into(),
        mode: None,
        owner: None,
        group: None,
        check: None,
        reload: None,
        check_timeout: Duration::from_secs(30),
        reload_timeout: Duration::from_secs(30),
        reload_interval: Duration::from_secs(5),
        reload_retries: None,
        make_dirs: true,
        env: BTreeMap::new(),
    })
}

/// The members among nodes; what is quarantined is left out.
fn seats(nodes: &Nodes) -> RosterValue {
    let members = nodes.iter().filter_map(|(name, data)| decode(Format::Auto, name, &Ok(Arc::from(&**data))).ok());
    RosterValue::List(members.zip(0..).map(|(member, slot)| Seated { member: Arc::new(member), slot }).collect())
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
    assert!(text.contains("server _2001:db8::1_:80 '[2001:db8::1]:80' weight 0\n"), "{text}");
    assert!(text.contains("# left out, it has no address: two_words:80\n"), "{text}");
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

/// Ends a process, and what it started, with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Its children notice that their parent is gone; TERM first lets it take them along.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end && self.0.try_wait().is_ok_and(|status| status.is_none()) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What `check` gives once it gives something; fails after 20 s with what `why` says.
fn wait_for<T>(what: &str, mut check: impl FnMut() -> Option<T>, why: impl Fn() -> String) -> T {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(Instant::now() < end, "{what} did not come: {}", why());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A PostgreSQL that listens on three loopback addresses: three backends.
struct Postgres {
    _running: Running,
    dir: TempDir,
    port: u16,
}

impl Postgres {
    fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let data = dir.path().join("data");
        let log = dir.path().join("log");
        let port = free_port();
        let made = Self::program("initdb", &dir).args(["-A", "trust", "-N", "-D"]).arg(&data).output().unwrap();
        assert!(made.status.success(), "{}", said(&made));
        let child = Self::program("postgres", &dir)
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1,127.0.0.2,127.0.0.3"])
            .args(["-c", "unix_socket_directories=", "-c", "fsync=off"])
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let running = Running(child);
        let port_text = port.to_string();
        let ready = || query(&port_text, "select 1").filter(|answer| answer == "1");
        wait_for("PostgreSQL", ready, || fs::read_to_string(&log).unwrap());
        Self { _running: running, dir, port }
    }

    /// One of PostgreSQL's programs, which Debian keeps out of PATH and which refuse to run as root.
    fn program(name: &str, dir: &TempDir) -> Command {
        let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let found = versions.map(|version| version.path().join("bin").join(name)).find(|path| path.exists());
        let path = found.unwrap_or_else(|| panic!("{name} is missing: apt-get install postgresql"));
        let id = |arguments: &[&str]| -> u32 {
            String::from_utf8(run("id", "coreutils", arguments).stdout).unwrap().trim().parse().unwrap()
        };
        let mut command = Command::new(path);
        command.env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::null()).current_dir("/");
        if id(&["-u"]) == 0 {
            use std::os::unix::process::CommandExt;
            let (user, group) = (id(&["-u", "postgres"]), id(&["-g", "postgres"]));
            chown(dir.path(), Some(user), Some(group)).unwrap();
            command.uid(user).gid(group);
        }
        command
    }
}

/// What psql prints, unaligned and without headings; `None` when it was not answered.
fn query(port: &str, sql: &str) -> Option<String> {
    let arguments = ["-w", "-h", "127.0.0.1", "-p", port, "-U", "postgres", "-d", "postgres", "-Atc", sql];
    let output = run("psql", "postgresql-client", &arguments);
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

#[test]
fn pgpool_starts_with_its_file_and_has_the_backends() {
    let postgres = Postgres::start();
    // pgpool keeps its sockets, its pid and its status there.
    let dir = postgres.dir.path().join("pgpool");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
    let (port, backend) = (free_port(), postgres.port);
    let vars =
        json!({"pgpool_port": port, "pgpool_socket_dir": dir, "pgpool_mode": "raw", "pgpool_listen": "127.0.0.1"});
    let members = nodes(&[
        (&format!("127.0.0.1:{backend}"), r#"{"weight": 1}"#),
        (&format!("127.0.0.2:{backend}"), ""),
        (&format!("127.0.0.3:{backend}"), r#"{"weight": 2}"#),
        ("it's 'bad' \\:1", ""),
    ]);
    let text = Example::open("pgpool").render_nodes(&members, vars.as_object().unwrap());
    let own = format!("pid_file_name = '{0}/pid'\nlogdir = '{0}'\npcp_port = {1}\n", dir.display(), free_port());
    let conf = dir.join("pgpool.conf");
    fs::write(&conf, text.clone() + &own).unwrap();
    for empty in ["pcp.conf", "pool_hba.conf"] {
        fs::write(dir.join(empty), "").unwrap();
    }
    let log = dir.join("log");
    let child = Command::new("pgpool")
        .args(["-n", "-f", conf.to_str().unwrap(), "-F", dir.join("pcp.conf").to_str().unwrap()])
        .args(["-a", dir.join("pool_hba.conf").to_str().unwrap()])
        .stderr(fs::File::create(&log).unwrap())
        .stdout(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("pgpool is missing: apt-get install pgpool2 ({error})"));
    let _running = Running(child);
    let port = port.to_string();
    let show = || query(&port, "show pool_nodes").filter(|answer| !answer.is_empty());
    let answer = wait_for("pgpool", show, || fs::read_to_string(&log).unwrap());
    let nodes: Vec<String> = answer
        .lines()
        .map(|line| {
            // node_id|hostname|port|status|pg_status|lb_weight|…
            let columns: Vec<&str> = line.split('|').collect();
            format!("{} {} {} {}", columns[0], columns[1], columns[2], columns[5])
        })
        .collect();
    let expected = [
        format!("0 127.0.0.1 {backend} 0.250000"),
        format!("1 127.0.0.2 {backend} 0.250000"),
        format!("2 127.0.0.3 {backend} 0.500000"),
    ];
    // "i" sorts behind the addresses: slot 3 is the one that is left out.
    assert_eq!(nodes, expected, "{text}");
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

/// Texts that mean something to one of the formats, or to a shell, or to Tera.
const NASTY: [&str; 28] = [
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

fn nasty() -> impl Strategy<Value = String> {
    let piece = prop_oneof![3 => prop::sample::select(&NASTY[..]).prop_map(str::to_owned), 2 => "[a-z0-9.:-]{1,6}", 1 => any::<char>().prop_map(String::from)];
    prop::collection::vec(piece, 1..6).prop_map(|pieces| pieces.concat())
}

fn nasty_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => nasty().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => Just(json!(null)),
        1 => Just(json!([["x"], {"y": "\n"}])),
        1 => nasty().prop_map(|text| json!({"deep": [text]})),
    ]
}

fn nasty_node() -> impl Strategy<Value = (String, Vec<u8>)> {
    let name =
        prop_oneof![nasty(), (nasty(), any::<u16>()).prop_map(|(host, port)| format!("{host}:{port}")), "[a-z]{3}:80"];
    let key = prop_oneof![
        prop::sample::select(&["weight", "ip", "hostname", "host", "port", "name", "status", "slot", "zone"][..])
            .prop_map(str::to_owned),
        nasty(),
    ];
    let data = prop_oneof![
        prop::collection::btree_map(key, nasty_value(), 0..5).prop_map(|map| serde_json::to_vec(&map).unwrap()),
        nasty().prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..20),
    ];
    (name, data)
}

/// The first words of all lines: what a line is about.
fn first_words(text: &str) -> Vec<&str> {
    let mut words: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// The parts of an nginx file that are not in comments.
fn nginx_marks(text: &str) -> String {
    let bare = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    bare.flat_map(str::chars).filter(|c| "{};\"'\\$".contains(*c)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
    /// Whatever members hold, a file keeps its lines, and no line becomes one that its author did not write.
    #[test]
    fn no_member_breaks_out_of_its_line(hostile in prop::collection::vec(nasty_node(), 1..4)) {
        let RosterValue::List(admitted) = seats(&hostile) else { unreachable!() };
        let good = |n: usize| (format!("10.0.0.{n}:80"), br#"{"ip": "10.0.0.1", "hostname": "n"}"#.to_vec());
        for name in EXAMPLES {
            let example = Example::open(name);
            let mut members: Nodes = (0..1).map(good).collect();
            members.extend(hostile.iter().cloned());
            let text = example.render_nodes(&members, &Map::new());
            let clean = example.render_nodes(&(0..=admitted.len()).map(good).collect(), &Map::new());
            prop_assert_eq!(text.lines().count(), clean.lines().count(), "{}: {}", name, text);
            if name != "memcached" && name != "hosts" {
                let known = first_words(&clean);
                let new: Vec<_> = first_words(&text).into_iter().filter(|w| *w != "#" && !known.contains(w)).collect();
                prop_assert!(new.is_empty(), "{}: {:?} in {}", name, new, text);
            }
            match name {
                "haproxy" => for line in text.lines().filter(|line| line.trim_start().starts_with("server ")) {
                    let words = line.split_whitespace().count();
                    prop_assert!(words == 3 || (words == 5 && line.contains(" weight ")), "{}", line);
                },
                "nginx" => {
                    let marks = nginx_marks(&text).replace('"', "");
                    prop_assert_eq!(marks.trim_matches(&['{', '}'][..]).replace(';', ""), "", "{}", text);
                }
                "memcached" => prop_assert!(serde_json::from_str::<Value>(&text).is_ok(), "{}", text),
                "twemproxy" => prop_assert!(serde_norway::from_str::<Value>(&text).is_ok(), "{}", text),
                "hosts" => _ = hosts(&text),
                _ => {}
            }
        }
    }
}

#[test]
fn the_checkers_take_what_hostile_members_leave() {
    let mut members: Nodes = nodes(&[("127.0.0.1:1", "")]);
    for text in NASTY {
        members.push((format!("{text}:80"), serde_json::to_vec(&json!({"weight": text, "zone": text})).unwrap()));
        members.push((format!("n{text}"), text.as_bytes().to_vec()));
    }
    members.sort();
    haproxy_accepts(&Example::open("haproxy").render_nodes(&members, &Map::new()));
    nginx_accepts(&Example::open("nginx").render_nodes(&members, &Map::new()));
    nutcracker_accepts(&Example::open("twemproxy").render_nodes(&members, &Map::new()));
}
