//! Support for these tests: a directory and a file thread for each, waiting for conditions, and running one test again
//! in another environment (a mount namespace, a umask, under strace).

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Output};
use std::time::{Duration, Instant};

use crate::act::files::{Writer, publish};
use crate::config::{Command, TemplateConfig};
use crate::decide::{Failure, Outcome, Stage};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A child process that ends with the test.
pub struct Ended(pub Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub struct Bench {
    pub directory: TempDir,
    pub writer: Writer,
    pub stop: CancellationToken,
}

impl Bench {
    pub fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("rosterd-act-").tempdir().unwrap();
        Self { directory, writer: Writer::start().unwrap(), stop: CancellationToken::new() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A plain template for a destination in the directory.
    pub fn template(&self, name: &str) -> TemplateConfig {
        template(self.path(name))
    }

    pub async fn publish(&self, template: &TemplateConfig, bytes: &[u8]) -> Outcome {
        publish(&self.writer, template, bytes.to_owned(), &self.stop, &mut None).await
    }

    /// Publishes what must fail at this stage; returns the message.
    pub async fn failure_at(&self, template: &TemplateConfig, bytes: &[u8], at: Stage) -> String {
        let Outcome::Failed(Failure { stage, message, .. }) = self.publish(template, bytes).await else {
            panic!("it did not fail");
        };
        assert_eq!(stage, at, "{message}");
        message
    }

    /// Like [`Self::failure_at`], and checks that nothing is left behind.
    pub async fn failure(&self, template: &TemplateConfig, bytes: &[u8], at: Stage) -> String {
        let message = self.failure_at(template, bytes, at).await;
        assert_eq!(staged_in(template.dest.parent().unwrap()), [""; 0], "{message}");
        message
    }
}

pub fn template(dest: PathBuf) -> TemplateConfig {
    let name = dest.file_name().unwrap().to_str().unwrap().to_owned();
    TemplateConfig::new(&name, "x.tera", dest)
}

pub fn shell(text: impl Into<String>) -> Command {
    Command::Shell(text.into())
}

/// The names of staged files in a directory.
pub fn staged_in(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(".rosterd-")).collect()
}

/// What shows that a file is untouched: inode, bytes, mtime.
pub fn identity(path: &Path) -> (u64, Vec<u8>, i64, i64) {
    let stat = fs::symlink_metadata(path).unwrap();
    (stat.ino(), fs::read(path).unwrap(), stat.mtime(), stat.mtime_nsec())
}

pub fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

pub fn is_root() -> bool {
    nix::unistd::Uid::effective().is_root()
}

/// Waits for a condition; fails after 10 s.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < end, "not within 10 s: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Living processes with this text in their environment.
pub fn alive(entry: &str) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    let numbers = processes.filter_map(|name| name.parse::<i32>().ok());
    let has_it = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|one| one == entry.as_bytes())
    };
    numbers.filter(has_it).map(Pid::from_raw).collect()
}

/// Ends what a test deliberately leaves running.
pub struct Sweep(pub String);

impl Drop for Sweep {
    fn drop(&mut self) {
        for pid in alive(&self.0) {
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
}

const CHILD: &str = "ROSTERD_ACT_TEST_CHILD";

/// Whether this is the second run of a test, in the environment that `again` made.
pub fn is_again() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Runs the named test again as the last arguments of another command.
pub fn again(test: &str, wrapper: &[&str]) -> Output {
    let mut process = Process::new(wrapper[0]);
    process.args(&wrapper[1..]).arg(std::env::current_exe().unwrap());
    process.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(CHILD, "1").env("RUST_BACKTRACE", "0");
    process.output().unwrap_or_else(|error| panic!("{}: {error}", wrapper[0]))
}

/// Like [`again`]; the test must pass.
pub fn passes_again(test: &str, wrapper: &[&str]) {
    let output = again(test, wrapper);
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success() && said.contains("1 passed"), "{wrapper:?}: {said}");
}
