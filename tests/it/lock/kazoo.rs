//! A contender of kazoo, as a process.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::support::wait::{PATIENCE, holds};

/// Killed when dropped.
pub struct Kazoo {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Kazoo {
    /// `more`: the kind of lock, then `once`, or a file and seconds.
    pub fn start(servers: &str, path: &str, identifier: &str, more: &[&str], credential: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut python = Command::new("python3");
        python.arg(root.join("tests/it/lock/kazoo_lock.py")).args([servers, path, identifier]).args(more);
        // Where `.ci/install` puts Python's packages.
        python.env("PYTHONPATH", root.join("target/python")).env("PYTHONDONTWRITEBYTECODE", "1");
        python.env("CREDENTIAL", credential).stdin(Stdio::piped()).stdout(Stdio::piped());
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

    pub fn has_said(&self, line: &str) -> bool {
        self.lines.lock().unwrap().iter().any(|said| said == line)
    }

    #[track_caller]
    pub fn says(&self, line: &str) {
        assert!(holds(PATIENCE, || self.has_said(line)), "kazoo does not say {line}: {:?}", self.lines.lock().unwrap());
    }

    /// Sends a command, and waits for this answer.
    #[track_caller]
    pub fn answers(&mut self, command: &str, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{command}").unwrap();
        self.says(line);
    }
}

impl Drop for Kazoo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
