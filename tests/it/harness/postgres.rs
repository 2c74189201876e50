//! Real `PostgreSQL` servers, and pgpool in front of them.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::examples::{run, said};
use crate::support::wait::holds;
use crate::support::zookeeper::free_port;

/// Ends a process and its children when it is dropped.
pub struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Its children notice when their parent is gone; TERM lets it end them first.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        holds(Duration::from_secs(5), || self.0.try_wait().is_ok_and(|status| status.is_some()));
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until `check` returns a value, and returns it. Fails after 20 s with the text of `why`.
pub fn wait_for<T>(what: &str, mut check: impl FnMut() -> Option<T>, why: impl Fn() -> String) -> T {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(Instant::now() < end, "{what} did not come: {}", why());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A `PostgreSQL`.
pub struct Postgres {
    running: Option<Running>,
    pub dir: TempDir,
    pub port: u16,
    listen: String,
}

impl Postgres {
    /// A new one that listens on these addresses.
    pub fn start(listen: &str) -> Self {
        Self::created(listen, "initdb", &["-A", "trust", "-N"])
    }

    /// A standby of another one.
    pub fn standby(primary: &Self) -> Self {
        let (host, port) = ("127.0.0.1", primary.port.to_string());
        Self::created(host, "pg_basebackup", &["-h", host, "-p", &port, "-U", "postgres", "-R", "-N", "-c", "fast"])
    }

    fn created(listen: &str, program: &str, arguments: &[&str]) -> Self {
        let (dir, listen) = (TempDir::new().unwrap(), listen.to_owned());
        let mut postgres = Self { running: None, dir, port: free_port(), listen };
        let made = postgres.program(program).args(arguments).arg("-D").arg(postgres.data()).output().unwrap();
        assert!(made.status.success(), "{}", said(&made));
        postgres.run();
        postgres
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Starts it, also again after `stop`, and waits until it answers.
    pub fn run(&mut self) {
        let (log, port) = (self.dir.path().join("log"), self.port.to_string());
        let child = self
            .program("postgres")
            .arg("-D")
            .arg(self.data())
            .args(["-p", &port, "-c", &format!("listen_addresses={}", self.listen)])
            .args(["-c", "unix_socket_directories=", "-c", "fsync=off"])
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        self.running = Some(Running(child));
        let ready = || query(&port, "select 1").ok().filter(|answer| answer == "1");
        wait_for("PostgreSQL", ready, || fs::read_to_string(&log).unwrap());
    }

    /// Stops it once its sessions have ended.
    pub fn stop(&mut self) {
        self.running = None;
    }

    /// One of `PostgreSQL`'s programs. Debian does not put them in PATH, and they refuse to run as root.
    fn program(&self, name: &str) -> Command {
        let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let found = versions.map(|version| version.path().join("bin").join(name)).find(|path| path.exists());
        let path = found.unwrap_or_else(|| panic!("{name} is missing: apt-get install postgresql"));
        let id = |arguments: &[&str]| -> u32 {
            String::from_utf8(run("id", "coreutils", arguments).stdout).unwrap().trim().parse().unwrap()
        };
        let mut command = Command::new(path);
        command.env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::null()).current_dir("/");
        if id(&["-u"]) == 0 {
            let (user, group) = (id(&["-u", "postgres"]), id(&["-g", "postgres"]));
            chown(self.dir.path(), Some(user), Some(group)).unwrap();
            command.uid(user).gid(group);
        }
        command
    }
}

/// The output of psql, unaligned and without headings, or what it printed when the query failed.
pub fn query(port: &str, sql: &str) -> Result<String, String> {
    let arguments = ["-w", "-h", "127.0.0.1", "-p", port, "-U", "postgres", "-d", "postgres", "-Atc", sql];
    let output: Output = run("psql", "postgresql-client", &arguments);
    let answer = || String::from_utf8(output.stdout.clone()).unwrap().trim().to_owned();
    output.status.success().then(answer).ok_or_else(|| said(&output))
}

/// Starts pgpool with `pgpool.conf` and `pcp.conf` in a directory. It writes its log to `log` there.
pub fn pgpool(dir: &Path) -> Running {
    fs::write(dir.join("pool_hba.conf"), "").unwrap();
    let child = Command::new("pgpool")
        .arg("-n")
        .arg("-f")
        .arg(dir.join("pgpool.conf"))
        .arg("-F")
        .arg(dir.join("pcp.conf"))
        .arg("-a")
        .arg(dir.join("pool_hba.conf"))
        .stderr(fs::File::create(dir.join("log")).unwrap())
        .stdout(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("pgpool is missing: apt-get install pgpool2 ({error})"));
    Running(child)
}
