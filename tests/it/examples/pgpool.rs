//! pgpool, started with its file for a real `PostgreSQL`.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::support::examples::{Example, nodes, run, said};

/// Kills a process and its children when the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Its children notice when their parent is gone; TERM lets it end them first.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end && self.0.try_wait().is_ok_and(|status| status.is_none()) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until `check` returns a value, and returns it. Fails after 20 s with the text of `why`.
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

/// A `PostgreSQL` that listens on three loopback addresses, as three backends.
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

    /// One of `PostgreSQL`'s programs. Debian does not put them in PATH, and they refuse to run as root.
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
            let (user, group) = (id(&["-u", "postgres"]), id(&["-g", "postgres"]));
            chown(dir.path(), Some(user), Some(group)).unwrap();
            command.uid(user).gid(group);
        }
        command
    }
}

/// The output of psql, unaligned and without headings; `None` if the query failed.
fn query(port: &str, sql: &str) -> Option<String> {
    let arguments = ["-w", "-h", "127.0.0.1", "-p", port, "-U", "postgres", "-d", "postgres", "-Atc", sql];
    let output = run("psql", "postgresql-client", &arguments);
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

#[test]
fn pgpool_starts_with_its_file_and_the_backends() {
    let postgres = Postgres::start();
    // pgpool keeps its sockets, its pid and its status in this directory.
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
    // "i" sorts after the addresses, so slot 3 is not included.
    assert_eq!(nodes, expected, "{text}");
}
