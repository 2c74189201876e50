//! Real ZooKeeper servers from Debian's packages on free loopback ports, and a client with blocking calls.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::ops::Range;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::client::{is_done_within, put, soon};
use super::network::Network;
use super::wait::eventually;

mod moving;
mod sessions;

pub use super::client::Zk;

/// The jars that a server needs, as Debian's zookeeper and its dependencies install them.
const JARS: [&str; 14] = [
    "zookeeper",
    "zookeeper-jute",
    "slf4j-api",
    "slf4j-simple",
    "netty-buffer",
    "netty-codec",
    "netty-common",
    "netty-handler",
    "netty-resolver",
    "netty-transport",
    "netty-transport-native-epoll",
    "netty-transport-native-unix-common",
    "metrics-core",
    "snappy-java",
];

/// The directory of the jars of another version of ZooKeeper than Debian's.
const OTHER_JARS: &str = "ROSTERD_ZOOKEEPER_JARS";

/// The time limit for a server to start on a busy machine, and for an ensemble to elect a leader.
pub const START: Duration = Duration::from_mins(1);

/// One server, or an ensemble of three. Dropping it ends all of them.
pub struct ZooKeeper {
    folder: TempDir,
    servers: Vec<Server>,
    /// Additional options of the servers' Java.
    java: Vec<String>,
}

struct Server {
    host: String,
    port: u16,
    /// The command prefix that runs another command on the server's host.
    enter: Vec<String>,
    child: Option<Child>,
    /// Kills the server when this process ends for any reason, because the shared server is never dropped.
    warden: Option<Child>,
}

impl Server {
    fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl ZooKeeper {
    /// One server, started.
    pub fn one() -> Self {
        let mut zookeeper = Self::one_stopped();
        zookeeper.start(0);
        zookeeper.wait_ready();
        zookeeper
    }

    /// One server, not started.
    pub fn one_stopped() -> Self {
        Self::configured(1, "")
    }

    /// One server with these additional lines in its configuration, started. `{folder}` stands for its directory.
    pub fn one_with(lines: &str, prepare: impl FnOnce(&Path)) -> Self {
        Self::one_with_java(lines, &[], prepare)
    }

    /// The same, with these additional options of the server's Java, in which `{folder}` is replaced too.
    pub fn one_with_java(lines: &str, java: &[&str], prepare: impl FnOnce(&Path)) -> Self {
        let mut zookeeper = Self::configured(1, lines);
        let folder = zookeeper.folder.path().display().to_string();
        zookeeper.java = java.iter().map(|option| option.replace("{folder}", &folder)).collect();
        prepare(zookeeper.folder.path());
        zookeeper.started()
    }

    /// An ensemble of three, started.
    pub fn three() -> Self {
        Self::three_with("", &[])
    }

    /// The same, with these additional lines in the configuration, and these additional options of the servers' Java.
    pub fn three_with(lines: &str, java: &[&str]) -> Self {
        let mut zookeeper = Self::configured(3, lines);
        zookeeper.java = java.iter().map(|option| (*option).to_owned()).collect();
        zookeeper.started()
    }

    /// An ensemble with a server on each host of `network`, and these additional lines in its configuration, started.
    pub fn spread(network: &Network, lines: &str) -> Self {
        let host = |index| Server {
            host: Network::address(index),
            port: 2181,
            enter: network.enter(index),
            child: None,
            warden: None,
        };
        Self::on((0..network.len()).map(host).collect(), lines).started()
    }

    fn started(mut self) -> Self {
        for server in 0..self.servers.len() {
            self.start(server);
        }
        self.wait_ready();
        self
    }

    /// Whether the servers are of another version than Debian's 3.8.
    pub fn has_other_version() -> bool {
        std::env::var_os(OTHER_JARS).is_some()
    }

    /// The single server that all tests of this process share. Each test has its own chroot there.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<ZooKeeper> = OnceLock::new();
        SHARED.get_or_init(Self::one)
    }

    /// Creates a chroot that no other test uses.
    pub fn chroot(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let chroot = format!("/test-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.client("").put(&chroot, b"");
        chroot
    }

    fn configured(count: usize, lines: &str) -> Self {
        let host = Ipv4Addr::LOCALHOST.to_string();
        let server = |_| Server { host: host.clone(), port: free_port(), enter: vec![], child: None, warden: None };
        Self::on((0..count).map(server).collect(), lines)
    }

    fn on(servers: Vec<Server>, lines: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let peers: String = if servers.len() == 1 {
            String::new()
        } else {
            let peer =
                |(i, server): (usize, &Server)| format!("server.{i}={}:{}:{}", server.host, free_port(), free_port());
            servers.iter().enumerate().map(peer).collect::<Vec<_>>().join("\n")
        };
        for (index, server) in servers.iter().enumerate() {
            let data = folder.path().join(format!("data{index}"));
            fs::create_dir(&data).unwrap();
            fs::write(data.join("myid"), index.to_string()).unwrap();
            let text = format!(
                "tickTime=200\ninitLimit=50\nsyncLimit=10\ndataDir={}\nclientPort={}\nclientPortAddress={}\n\
                 minSessionTimeout=400\nmaxSessionTimeout=60000\nmaxClientCnxns=0\nadmin.enableServer=false\n\
                 4lw.commands.whitelist=*\nforceSync=no\n{}\n{peers}",
                data.display(),
                server.port,
                server.host,
                lines.replace("{folder}", &folder.path().display().to_string()),
            );
            fs::write(folder.path().join(format!("{index}.cfg")), text).unwrap();
        }
        Self { folder, servers, java: Vec::new() }
    }

    /// The directory of the servers' files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `host:port` of each server.
    pub fn servers(&self) -> Vec<String> {
        self.servers.iter().map(Server::address).collect()
    }

    /// The connect string for `zk://`, without a chroot.
    pub fn connect_string(&self) -> String {
        self.servers().join(",")
    }

    /// Starts a server, which may not be ready at once.
    pub fn start(&mut self, index: usize) {
        let log = File::create(self.folder.path().join(format!("{index}.log"))).unwrap();
        let debian = || JARS.map(|jar| format!("/usr/share/java/{jar}.jar")).join(":");
        let classpath = std::env::var(OTHER_JARS).map_or_else(|_| debian(), |directory| format!("{directory}/*"));
        let mut words = self.servers[index].enter.iter().map(String::as_str).chain(["java"]);
        let child = Command::new(words.next().unwrap())
            .args(words)
            .args(["-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"])
            .args(["-Dzookeeper.admin.enableServer=false", "-Dzookeeper.jmx.log4j.disable=true"])
            // Servers that were frozen or cut off together repeat their votes soon, not after up to a minute.
            .arg("-Dzookeeper.fastleader.maxNotificationInterval=1000")
            .args(&self.java)
            .arg("-cp")
            .arg(classpath)
            .arg("org.apache.zookeeper.server.quorum.QuorumPeerMain")
            .arg(self.folder.path().join(format!("{index}.cfg")))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("java and ZooKeeper's jars are installed");
        self.servers[index].warden = Some(warden(&child, self.folder.path()));
        self.servers[index].child = Some(child);
    }

    /// Kills a server, as a power cut would.
    pub fn stop(&mut self, index: usize) {
        if let Some(mut warden) = self.servers[index].warden.take() {
            warden.kill().unwrap();
            warden.wait().unwrap();
        }
        if let Some(mut child) = self.servers[index].child.take() {
            // SIGKILL ends it at once even after SIGSTOP.
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Freezes a server; its connections stay open.
    pub fn freeze(&self, index: usize) {
        self.signal(index, Signal::SIGSTOP);
    }

    /// Resumes a frozen server.
    pub fn thaw(&self, index: usize) {
        self.signal(index, Signal::SIGCONT);
    }

    fn signal(&self, index: usize, signal: Signal) {
        let child = self.servers[index].child.as_ref().expect("the server runs");
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
    }

    /// Waits until every started server serves clients.
    pub fn wait_ready(&self) {
        for (index, server) in self.servers.iter().enumerate().filter(|(_, server)| server.child.is_some()) {
            eventually(START, &format!("server {index} serves: {}", self.log(index).display()), || {
                word(server, "srvr").is_ok_and(|answer| answer.contains("Mode:"))
            });
        }
    }

    /// The running server that is the leader.
    pub fn leader(&self) -> usize {
        let leads = |server: &Server| word(server, "srvr").is_ok_and(|answer| answer.contains("Mode: leader"));
        let mut leader = None;
        eventually(START, "a leader", || {
            leader = self.servers.iter().position(|server| server.child.is_some() && leads(server));
            leader.is_some()
        });
        leader.unwrap()
    }

    /// The mode that a server reports: `standalone`, `leader`, `follower`, `read-only`; `None` while it does not serve.
    pub fn mode(&self, index: usize) -> Option<String> {
        let answer = word(&self.servers[index], "srvr").ok()?;
        answer.lines().find_map(|line| line.strip_prefix("Mode: ")).map(str::to_owned)
    }

    /// Waits until a server reports this mode.
    pub fn wait_mode(&self, index: usize, mode: &str) {
        eventually(START, &format!("server {index} is {mode}"), || self.mode(index).as_deref() == Some(mode));
    }

    /// Saves a copy of a stopped server's data.
    pub fn save(&self, index: usize) {
        self.copy(&format!("data{index}"), &format!("saved{index}"));
    }

    /// Restores the saved data of a stopped server.
    pub fn restore(&self, index: usize) {
        self.copy(&format!("saved{index}"), &format!("data{index}"));
    }

    fn copy(&self, from: &str, to: &str) {
        let to = self.folder.path().join(to);
        let _ = fs::remove_dir_all(&to);
        let copied = Command::new("cp").arg("-a").arg(self.folder.path().join(from)).arg(to).status().unwrap();
        assert!(copied.success(), "cp -a {from}");
    }

    /// Creates a node, or sets its data, as soon as a running server accepts that.
    pub fn put_soon(&self, path: &str, data: &[u8]) {
        let up = (0..self.servers.len()).filter(|index| self.servers[*index].child.is_some());
        self.put_soon_at(&up.collect::<Vec<_>>(), path, data);
    }

    /// The same through these servers only.
    pub fn put_soon_at(&self, servers: &[usize], path: &str, data: &[u8]) {
        let servers: Vec<String> = servers.iter().map(|index| self.servers[*index].address()).collect();
        let (path, data) = (path.to_owned(), data.to_vec());
        soon(&servers.join(","), &format!("a quorum takes {path}"), move |client| {
            let (path, data) = (path.clone(), data.clone());
            async move { put(&client, &path, &data).await }
        });
    }

    /// Deletes a node as soon as a running server accepts that.
    pub fn remove_soon(&self, path: &str) {
        let up = self.servers.iter().filter(|server| server.child.is_some()).map(Server::address);
        let path = path.to_owned();
        soon(&up.collect::<Vec<_>>().join(","), &format!("a quorum deletes {path}"), move |client| {
            let path = path.clone();
            async move {
                match client.delete(&path, None).await {
                    Err(zookeeper_client::Error::NoNode) => Ok(()),
                    done => done,
                }
            }
        });
    }

    /// Waits until a server has everything that its leader has.
    pub fn sync_soon(&self, index: usize) {
        let server = &self.servers[index];
        let what = format!("server {index} is in touch with the others");
        soon(&server.address(), &what, |client| async move { client.sync("/").await });
    }

    /// Waits until every server has everything that its leader has, and has this node, if one is named.
    ///
    /// Requests that arrive while servers of version 3.8 synchronize can stop the ensemble for good: it has a leader, but
    /// its followers never acknowledge a proposal that they got too early. The leader is then restarted.
    pub fn recover(&mut self, node: Option<&str>) {
        let is_done = |server: &str, node: Option<String>| {
            is_done_within(START, server, move |client| {
                let node = node.clone();
                async move {
                    match node {
                        Some(path) => put(&client, &path, b"").await,
                        None => client.sync("/").await,
                    }
                }
            })
        };
        let is_recovered = |servers: &[String]| {
            node.is_none_or(|path| is_done(&servers.join(","), Some(path.to_owned())))
                && servers.iter().all(|server| is_done(server, None))
        };
        let servers = self.servers();
        if !is_recovered(&servers) {
            let leader = self.leader();
            self.stop(leader);
            self.start(leader);
            assert!(is_recovered(&servers), "the ensemble has no quorum: {}", self.log(0).display());
        }
    }

    fn log(&self, index: usize) -> PathBuf {
        self.folder.path().join(format!("{index}.log"))
    }

    /// A client whose paths are below `chroot`, which may be empty.
    pub fn client(&self, chroot: &str) -> Zk {
        Zk::connect(&format!("{}{chroot}", self.connect_string()))
    }
}

impl Drop for ZooKeeper {
    fn drop(&mut self) {
        for index in 0..self.servers.len() {
            self.stop(index);
        }
    }
}

/// A shell that waits for the end of its input, which comes when this process ends. It then kills the server and
/// removes its directory.
fn warden(server: &Child, folder: &Path) -> Child {
    let script = "read -r _; grep -q QuorumPeerMain \"/proc/$1/cmdline\" && kill -KILL \"$1\"; rm -rf \"$2\"";
    Command::new("sh")
        .args(["-c", script, "sh", &server.id().to_string()])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The answer of a server to a four-letter word.
fn word(server: &Server, word: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(server.address())?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(word.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// How many ports a process of the tests claims at a time.
const CLAIM: u16 = 50;

/// A free port that nobody else is given: neither another test, nor another process that runs tests at the same time. So
/// it stays free while a server is stopped. It is outside the kernel's ephemeral range.
pub fn free_port() -> u16 {
    static CLAIMED: Mutex<(Range<u16>, Vec<UnixListener>)> = Mutex::new((0..0, Vec::new()));
    let mut claimed = CLAIMED.lock().unwrap();
    let (ports, claims) = &mut *claimed;
    loop {
        let free = ports.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
        if let Some(port) = free {
            return port;
        }
        let (free, claim) = claim();
        *ports = free;
        claims.push(claim);
    }
}

/// Ports that no other process claims until this one ends. A claim is a socket in the abstract namespace, which is
/// there once for each network, as ports are.
fn claim() -> (Range<u16>, UnixListener) {
    // Each process begins elsewhere: what is left of an earlier one may still use its ports.
    let first = std::process::id() % 400;
    let mut starts = (0..400).map(|number| 10_000 + u16::try_from((first + number) % 400).unwrap() * CLAIM);
    let claim = |start: u16| {
        let name = SocketAddr::from_abstract_name(format!("rosterd-test-ports-{start}")).unwrap();
        Some((start..start + CLAIM, UnixListener::bind_addr(&name).ok()?))
    };
    starts.find_map(claim).expect("no ports are left")
}
