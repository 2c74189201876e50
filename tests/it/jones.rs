//! Jones's configuration trees in a real ZooKeeper, beside ports of Jones's server and clients.

use std::collections::BTreeMap;
use std::fs::{Permissions, set_permissions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use zookeeper_client::{Client, Stat};

use crate::harness::site::{Ended, PATIENCE, Site};
use crate::support::wait::holds;
use crate::support::zookeeper::{Zk, ZooKeeper};

mod access;
mod editing;
mod explain;
mod first_service;
mod fleet;
mod frozen;
mod jones_server;
mod races;
mod record;
mod size;
mod suite;
mod trial;
mod web;

/// A directory whose configuration has a chroot of the shared server as its registry, and a client in that chroot.
struct Scene {
    site: Site,
    client: Zk,
    servers: String,
}

impl Scene {
    fn new() -> Self {
        let shared = ZooKeeper::shared();
        let chroot = shared.chroot();
        let servers = format!("{}{chroot}", shared.connect_string());
        let scene = Self { site: Site::new(""), client: shared.client(&chroot), servers };
        scene.configure("", "");
        scene.client.put("/services", b"");
        scene
    }

    /// `registry` is added to `[registry]`, and `rest` follows it.
    fn configure(&self, registry: &str, rest: &str) {
        self.site.configure(&format!("[registry]\nurl = \"zk://{}\"\n{registry}\n{rest}", self.servers));
    }

    /// Uses this digest credential, `user:secret`.
    fn authenticate(&self, credential: &str) {
        self.site.file("auth", &format!("{credential}\n"));
        set_permissions(self.site.path("auth"), Permissions::from_mode(0o600)).unwrap();
        self.configure("auth = [{ scheme = \"digest\", file = \"auth\" }]", "");
    }

    /// A service with the environments parent and parent/child1, and h1 in the latter.
    fn pycon() -> Self {
        let scene = Self::new();
        scene.ok(&["init", "pycon"]);
        scene.write(&["set", "pycon", "locale=\"Canada\"", "times=0"]);
        scene.write(&["create", "pycon/parent"]);
        scene.write(&["create", "pycon/parent/child1"]);
        scene.write(&["associate", "pycon/parent/child1", "h1"]);
        scene
    }

    /// Runs `rosterd jones` as ada.
    fn jones(&self, args: &[&str]) -> Ended {
        self.site.run_with_env(&[("USER", "ada")], &[&["jones"], args].concat())
    }

    /// Its standard output; it succeeds.
    fn ok(&self, args: &[&str]) -> String {
        self.jones(args).expect(0).stdout()
    }

    /// The same for a write, which is not asked for.
    fn write(&self, args: &[&str]) -> String {
        self.ok(&[args, &["--yes"]].concat())
    }

    fn node(&self, path: &str) -> Option<(String, Stat)> {
        let path = path.to_owned();
        let found = self.client.run(|client| async move { client.get_data(&path).await.ok() })?;
        Some((String::from_utf8(found.0).unwrap(), found.1))
    }

    fn text(&self, path: &str) -> String {
        self.node(path).unwrap_or_else(|| panic!("no node {path}")).0
    }

    /// Every node with its data and its metadata.
    fn dump(&self) -> BTreeMap<String, (Vec<u8>, Stat)> {
        self.client.run(dump)
    }

    /// Runs a command that changes nothing, and returns its standard error.
    fn refused(&self, args: &[&str], code: i32) -> String {
        let before = self.dump();
        let ended = self.jones(args);
        ended.expect(code);
        assert_eq!(self.dump(), before, "{args:?} wrote something");
        ended.stderr()
    }

    /// Calls Jones's server, which writes with the password `changeme`.
    fn server(&self, service: &str, method: &str, args: &[&str]) -> String {
        let call = [&[&*self.servers, "changeme", "call", service, method], args].concat();
        let output = python("jones_server.py", &call).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{method}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts a client of Jones: `0.5.4` or `1.0`.
    fn client(&self, service: &str, host: &str, version: &str) -> JonesClient {
        let args = [&*self.servers, service, host, version];
        let mut child = python("jones_client.py", &args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (stdout, kept) = (child.stdout.take().unwrap(), Arc::clone(&lines));
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                kept.lock().unwrap().push(line);
            }
        });
        JonesClient { child, lines }
    }
}

async fn dump(client: Client) -> BTreeMap<String, (Vec<u8>, Stat)> {
    let (mut all, mut paths) = (BTreeMap::new(), vec![String::new()]);
    while let Some(path) = paths.pop() {
        let name = if path.is_empty() { "/" } else { &path };
        // A node may go away meanwhile.
        let Ok((data, stat)) = client.get_data(name).await else { continue };
        paths.extend(client.list_children(name).await.unwrap_or_default().iter().map(|name| format!("{path}/{name}")));
        all.insert(path, (data, stat));
    }
    all
}

fn python(script: &str, args: &[&str]) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script: PathBuf = root.join("tests/it/jones").join(script);
    let mut python = Command::new("python3");
    python.arg(script).args(args).env("PYTHONPATH", root.join("target/python"));
    python
}

/// A running client of Jones, and the configurations that it has used.
struct JonesClient {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl JonesClient {
    /// Waits until the last configuration is this one. The client goes on after an error.
    #[track_caller]
    fn uses(&self, wanted: &str) {
        let last = || self.lines.lock().unwrap().iter().rfind(|line| !line.starts_with("error: ")).cloned();
        let is_so = holds(PATIENCE, || last().is_some_and(|line| line == wanted));
        assert!(is_so, "the client does not use {wanted}: {:?}", self.lines.lock().unwrap());
    }
}

impl Drop for JonesClient {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
