//! A directory for a single test with a configuration, in which the real binary runs.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

pub use crate::support::wait::PATIENCE;
use crate::support::wait::holds;

/// The time limit for a command, including its own `--timeout` and its wait for the lock.
const LIMIT: Duration = Duration::from_secs(90);

/// The directory of a test. Relative paths in its files are relative to it.
pub struct Site {
    dir: TempDir,
}

impl Site {
    /// A directory with `rosterd.toml`, and with `state_dir` and the socket in it. `SITE` in the text is replaced by
    /// the absolute path of the directory, because commands run in `/`.
    pub fn new(config: &str) -> Self {
        let site = Self { dir: tempfile::Builder::new().prefix("rosterd-it-").tempdir().unwrap() };
        site.begin(config);
        site
    }

    /// The same directory, emptied except for this configuration.
    pub fn begin_again(&self, config: &str) {
        for path in fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
        }
        self.begin(config);
    }

    fn begin(&self, config: &str) {
        self.configure(config);
        fs::create_dir(self.path("out")).unwrap();
    }

    pub fn configure(&self, config: &str) {
        let config = config.replace("SITE", &self.dir.path().to_string_lossy());
        // Agents of other tests have their own sockets.
        let status = if config.contains("[status]") { "" } else { "[status]\nsocket = \"agent.sock\"\n\n" };
        self.file("rosterd.toml", &format!("[agent]\nstate_dir = \"state\"\n\n{status}{config}"));
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file as an editor does, by a rename.
    pub fn file(&self, name: &str, text: &str) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let fresh = path.with_file_name(format!(".{}.new", path.file_name().unwrap().to_string_lossy()));
        fs::write(&fresh, text).unwrap();
        fs::rename(fresh, path).unwrap();
        self
    }

    pub fn remove(&self, name: &str) -> &Self {
        fs::remove_file(self.path(name)).unwrap();
        self
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// How many times a `reload_cmd` that appends a line to `reloads` has run.
    pub fn reloads(&self) -> usize {
        self.read("reloads").lines().count()
    }

    /// What must not change if a file is left alone: its inode, its times and its bytes.
    pub fn fingerprint(&self, name: &str) -> (u64, i64, i64, Vec<u8>) {
        let meta = fs::metadata(self.path(name)).unwrap();
        (meta.ino(), meta.mtime(), meta.mtime_nsec(), fs::read(self.path(name)).unwrap())
    }

    /// Every file with its content, and every directory.
    pub fn tree(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        fn walk(dir: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
            for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    walk(&path, found);
                }
                found.insert(path.clone(), fs::read(&path).unwrap_or_default());
            }
        }
        let mut found = BTreeMap::new();
        walk(self.dir.path(), &mut found);
        found
    }

    /// Leftover temporary files, anywhere in the directory.
    pub fn leftovers(&self) -> Vec<PathBuf> {
        fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(dir).unwrap().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    walk(&path, found);
                } else if entry.file_name().to_string_lossy().starts_with(".rosterd-") {
                    found.push(path);
                }
            }
        }
        let mut found = Vec::new();
        walk(self.dir.path(), &mut found);
        found
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rosterd"));
        command.args(args).current_dir(self.dir.path()).stdin(Stdio::null());
        command.env_remove("ROSTERD_REGISTRY").env_remove("RUST_LOG").env("ROSTERD_CONFIG", self.path("rosterd.toml"));
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, args: &[&str]) -> Ended {
        ended(&mut self.command(args))
    }

    /// Runs a command to its end, without a configuration file on its command line.
    pub fn run_without_config(&self, args: &[&str]) -> Ended {
        ended(self.command(args).env_remove("ROSTERD_CONFIG"))
    }

    /// Runs a command to its end with these variables in its environment.
    pub fn run_with_env(&self, env: &[(&str, &str)], args: &[&str]) -> Ended {
        ended(self.command(args).envs(env.iter().copied()))
    }

    /// Starts the agent.
    pub fn start(&self) -> Agent {
        self.start_with(&["run"])
    }

    /// Starts the agent with these arguments.
    pub fn start_with(&self, args: &[&str]) -> Agent {
        Self::started(self.command(args))
    }

    /// Starts the agent through a program that executes it.
    pub fn start_by(&self, program: &[&str]) -> Agent {
        let mut command = self.command_by(program);
        command.stdin(Stdio::null());
        Self::started(command)
    }

    /// Starts the agent on a terminal of its own.
    pub fn start_on(&self, terminal: OwnedFd) -> Agent {
        let mut command = self.command_by(&["setsid", "--ctty"]);
        command.stdin(terminal);
        Self::started(command)
    }

    fn command_by(&self, program: &[&str]) -> Command {
        let agent = self.command(&["run"]);
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).arg(agent.get_program()).args(agent.get_args()).current_dir(self.dir.path());
        for (name, value) in agent.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    fn started(mut command: Command) -> Agent {
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (stderr, kept) = (child.stderr.take().unwrap(), Arc::clone(&lines));
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                kept.lock().unwrap().push(line);
            }
        });
        Agent { child, lines }
    }
}

/// Runs a command to its end. One that hangs is killed, and its test fails.
fn ended(command: &mut Command) -> Ended {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_raw(child.id().try_into().unwrap());
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || tell.send(child.wait_with_output()));
    let output = told.recv_timeout(LIMIT).unwrap_or_else(|_| {
        kill(pid, Signal::SIGKILL).unwrap();
        panic!("{command:?} does not end");
    });
    Ended(output.unwrap())
}

/// A command that has exited.
pub struct Ended(Output);

impl Ended {
    pub fn code(&self) -> i32 {
        self.0.status.code().unwrap_or(-1)
    }

    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    /// Checks the exit code. If it is wrong, the output is shown.
    pub fn expect(&self, code: i32) -> &Self {
        assert_eq!(self.code(), code, "\nstdout: {}\nstderr: {}", self.stdout(), self.stderr());
        self
    }
}

/// A running agent; killed when dropped.
pub struct Agent {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Agent {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// How many log lines contain this text.
    pub fn said(&self, text: &str) -> usize {
        self.lines.lock().unwrap().iter().filter(|line| line.contains(text)).count()
    }

    /// Waits until a log line contains this text.
    pub fn says(&self, text: &str) -> &Self {
        self.says_times(text, 1)
    }

    /// Waits until this many log lines contain this text.
    pub fn says_times(&self, text: &str, times: usize) -> &Self {
        let said = holds(PATIENCE, || self.said(text) >= times);
        assert!(said, "the agent did not log {text:?} {times} times:\n{}", self.log().join("\n"));
        self
    }

    /// Waits for a condition, and shows the log if it does not come true.
    pub fn until(&self, what: &str, condition: impl Fn() -> bool) -> &Self {
        assert!(holds(PATIENCE, condition), "{what}:\n{}", self.log().join("\n"));
        self
    }

    pub fn signal(&self, signal: Signal) -> &Self {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
        self
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends TERM and waits for the exit, at most the 5 s that are documented.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.ends(Duration::from_secs(5))
    }

    /// Waits for the exit.
    pub fn ends(&mut self, limit: Duration) -> ExitStatus {
        let ended = holds(limit, || self.child.try_wait().unwrap().is_some());
        assert!(ended, "the agent does not exit:\n{}", self.log().join("\n"));
        self.child.wait().unwrap()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
