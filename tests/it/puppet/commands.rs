//! The real Puppet with files of its own in a site.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::symlink;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use crate::harness::site::Site;
use crate::support::docs::root;

/// The process that has loaded Puppet. It ends when its standard input is closed.
struct Loaded {
    _child: Child,
    requests: ChildStdin,
    exits: BufReader<ChildStdout>,
}

impl Loaded {
    fn start() -> Self {
        let mut ruby = Command::new("ruby");
        ruby.arg(root().join("tests/it/puppet/commands.rb")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = ruby.stderr(Stdio::null()).spawn().expect("puppet is installed");
        let (requests, exits) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { _child: child, requests, exits }
    }
}

/// What a command printed, and its exit code.
pub struct Applied {
    pub code: i32,
    pub said: String,
}

impl Applied {
    /// Checks the exit code of `--detailed-exitcodes`: 0 nothing changed, 1 the catalog failed, 2 something changed,
    /// 4 a resource failed, 6 both.
    pub fn expect(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "{}", self.said);
        self
    }

    pub fn says(&self, text: &str) -> &Self {
        assert!(self.said.contains(text), "{text:?} is missing:\n{}", self.said);
        self
    }
}

/// Prepares a site for `apply`: the modules, hiera with this data, and a node without facts, which take seconds.
pub fn prepare(site: &Site, hiera: &str) {
    let dir = site.path("").display().to_string();
    site.file(
        "hiera.yaml",
        "version: 5\nhierarchy: [{ name: all, path: data.yaml }]\ndefaults: { datadir: ., data_hash: yaml_data }\n",
    );
    site.file("data.yaml", &hiera.replace("SITE/", &dir).replace("ROSTERD", env!("CARGO_BIN_EXE_rosterd")));
    site.file("var/yaml/facts/node.yaml", "--- !ruby/object:Puppet::Node::Facts\nname: node\nvalues: {}\n");
    for new in ["modules", "code/environments/production"] {
        std::fs::create_dir_all(site.path(new)).unwrap();
    }
    for (name, source) in [("rosterd", "puppet"), ("zk_watcher", "puppet-zk_watcher")] {
        symlink(root().join("packaging").join(source), site.path("modules").join(name)).unwrap();
    }
}

/// Applies a manifest, in which `SITE/` is the directory of the site.
pub fn apply(site: &Site, manifest: &str, options: &[&str]) -> Applied {
    let dir = site.path("").display().to_string();
    site.file("site.pp", &manifest.replace("SITE/", &dir).replace("ROSTERD", env!("CARGO_BIN_EXE_rosterd")));
    let files = [("confdir", "conf"), ("codedir", "code"), ("vardir", "var"), ("modulepath", "modules")];
    let mut args: Vec<String> = files.iter().map(|(option, name)| format!("--{option}={dir}{name}")).collect();
    args.push(format!("--hiera_config={dir}hiera.yaml"));
    let fixed = ["--color=false", "--certname=node", "--facts_terminus=yaml", "--detailed-exitcodes", "--show_diff"];
    args.extend(fixed.iter().chain(options).map(|arg| (*arg).to_owned()));
    args.push(format!("{dir}site.pp"));
    run(site, "apply", &args)
}

/// Runs one of Puppet's commands.
pub fn run(site: &Site, command: &str, args: &[String]) -> Applied {
    static LOADED: OnceLock<Mutex<Loaded>> = OnceLock::new();
    let args: Vec<&str> = [command].into_iter().chain(args.iter().map(String::as_str)).collect();
    let output = site.path("puppet.log");
    let request = serde_json::json!([args, output]).to_string();
    let mut exit = String::new();
    {
        let mut loaded = LOADED.get_or_init(|| Mutex::new(Loaded::start())).lock().unwrap();
        writeln!(loaded.requests, "{request}").unwrap();
        loaded.exits.read_line(&mut exit).unwrap();
    }
    let said = String::from_utf8_lossy(&std::fs::read(output).unwrap()).into_owned();
    println!("{said}");
    Applied { code: exit.trim().parse().expect("Puppet is loaded"), said }
}
