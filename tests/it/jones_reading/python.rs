//! Jones's server and clients, as ports on kazoo.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::support::wait::{PATIENCE, eventually};

fn program(name: &str) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut python = Command::new("python3");
    python.arg(root.join("tests/it/jones").join(name));
    // Where `.ci/install` puts Python's packages.
    python.env("PYTHONPATH", PathBuf::from(root).join("target/python")).env("PYTHONDONTWRITEBYTECODE", "1");
    python
}

/// Calls a method of Jones's server.
pub fn server(servers: &str, service: &str, method: &str, arguments: &[&str]) -> Value {
    let mut python = program("jones_server.py");
    python.args([servers, "changeme", "call", service, method]).args(arguments).stdin(Stdio::null());
    let output = python.output().unwrap();
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{method} {arguments:?}: {errors}");
    serde_json::from_str(&text).unwrap_or_else(|why| panic!("{method}: {why}: {text}"))
}

/// Jones's server with its HTTP routes.
pub struct Server {
    child: Child,
    pub port: u16,
}

impl Server {
    pub fn start(servers: &str) -> Self {
        let mut python = program("jones_server.py");
        python.args([servers, "changeme", "http"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = python.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, port: line.trim().parse().unwrap() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client of a version of Jones. It ends with this value.
pub struct Client {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Client {
    /// `version` is `0.5.4` or `1.0`.
    pub fn start(servers: &str, service: &str, host: &str, version: &str) -> Self {
        let mut python = program("jones_client.py");
        python.args([servers, service, host, version]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = python.spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (stdout, kept) = (child.stdout.take().unwrap(), Arc::clone(&lines));
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                kept.lock().unwrap().push(line);
            }
        });
        Self { child, lines }
    }

    /// Every configuration that it has had so far, and every error.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// Waits until the last line is this one.
    #[track_caller]
    pub fn says(&self, line: &str) {
        let said = || self.lines().last().is_some_and(|last| last == line);
        eventually(PATIENCE, &format!("the client says {line}, but {:?}", self.lines()), said);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
