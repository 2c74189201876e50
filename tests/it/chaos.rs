//! Random faults of the servers, the network, the disk, the agent, its configuration and its commands. Whenever they have
//! ended and everything is quiet, the file is what the registry holds, and everything that shows the state agrees.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::harness::site::{Agent, Site};
use crate::support::inside::{is_inside, run};
use crate::support::random;
use crate::support::wait::eventually;
use crate::support::zookeeper::{ZooKeeper, free_port};

mod surfaces;

/// How long a site may need to become quiet after its faults have ended: servers elect, reloads are retried with pauses.
const QUIET: Duration = Duration::from_mins(3);

const CONFIG: &str = r#"
[registry]
url = "zk://SERVERS"
session_timeout = "2s"

[[roster]]
name = "x"
path = "/services/x"
wait = "20ms:200ms"
max_shrink = "100%"

[[roster]]
name = "guarded"
path = "/services/guarded"
min = 2

[[template]]
src = "list.tera"
dest = "out/list"
check_cmd = "test ! -e SITE/check-fails"
reload_cmd = "test ! -e SITE/reload-fails && cat SITE/out/list > SITE/seen"
reload_interval = "0s"

[[template]]
src = "guarded.tera"
dest = "out/guarded"
"#;

/// A member of the list by its last octet. Two digits, so that the order of the numbers is the order of the names.
fn member(number: usize) -> String {
    format!("/services/x/10.0.0.{number}:80")
}

/// A fault. All but a storm last until the end of the round.
#[derive(Debug, Clone, Copy)]
enum Fault {
    ServerKilled(usize),
    ServerFrozen(usize),
    AllFrozen,
    DiskFull,
    DiskReadOnly,
    CheckFails,
    ReloadFails,
    ConfigRefused,
    AgentFrozen,
    AgentKilled,
    AgentStopped,
    Hup,
    Paused,
    Storm,
}

impl Fault {
    fn any(rng: &mut fastrand::Rng) -> Self {
        match rng.u8(..14) {
            0 => Self::ServerKilled(rng.usize(..3)),
            1 => Self::ServerFrozen(rng.usize(..3)),
            2 => Self::AllFrozen,
            3 => Self::DiskFull,
            4 => Self::DiskReadOnly,
            5 => Self::CheckFails,
            6 => Self::ReloadFails,
            7 => Self::ConfigRefused,
            8 => Self::AgentFrozen,
            9 => Self::AgentKilled,
            10 => Self::AgentStopped,
            11 => Self::Hup,
            12 => Self::Paused,
            _ => Self::Storm,
        }
    }
}

struct Chaos {
    servers: ZooKeeper,
    site: Site,
    /// The port of HTTP.
    port: u16,
    agent: Agent,
    members: BTreeSet<usize>,
    /// The number of members of the guarded roster: it is held with one.
    guarded: usize,
}

impl Chaos {
    fn new() -> Self {
        let servers = ZooKeeper::three();
        let port = free_port();
        let status = format!("[status]\nsocket = \"agent.sock\"\nlisten = \"127.0.0.1:{port}\"\n");
        let site = Site::new(&(status + &CONFIG.replace("SERVERS", &servers.connect_string())));
        let config = site.read("rosterd.toml").replace("[agent]\n", "[agent]\nlog_format = \"json\"\n");
        site.file("rosterd.toml", &config);
        run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k,mode=755", "none"]).arg(site.path("out")));
        site.file("templates/list.tera", "{% for m in x %}{{ m.address }} {{ m.weight }}\n{% endfor %}");
        site.file("templates/guarded.tera", "{% for m in guarded %}{{ m.name }}\n{% endfor %}");
        servers.put_soon(&member(10), br#"{"weight": 1}"#);
        (0..3).for_each(|number| servers.put_soon(&format!("/services/guarded/{number}:80"), b""));
        let agent = site.start();
        let members = BTreeSet::from([10]);
        Self { servers, site, port, agent, members, guarded: 3 }
    }

    fn begin(&mut self, fault: Fault) {
        match fault {
            Fault::ServerKilled(index) => self.servers.stop(index),
            Fault::ServerFrozen(index) => self.servers.freeze(index),
            Fault::AllFrozen => (0..3).for_each(|index| self.servers.freeze(index)),
            Fault::DiskFull => {
                // Fails with the first byte that has no room.
                let _ = fs::write(self.site.path("out/ballast"), vec![b'x'; 1 << 20]);
            }
            Fault::DiskReadOnly => self.remount("ro"),
            Fault::CheckFails => drop(self.site.file("check-fails", "")),
            Fault::ReloadFails => drop(self.site.file("reload-fails", "")),
            Fault::ConfigRefused => {
                self.site.file("conf.d/wrong.toml", "unknown = 1\n");
                self.agent.signal(Signal::SIGHUP);
            }
            Fault::AgentFrozen => drop(self.agent.signal(Signal::SIGSTOP)),
            Fault::AgentKilled => {
                self.agent.signal(Signal::SIGKILL);
                self.agent.ends(Duration::from_secs(5));
            }
            Fault::AgentStopped => assert!(self.agent.stop().success(), "{}", self.agent.log().join("\n")),
            Fault::Hup => drop(self.agent.signal(Signal::SIGHUP)),
            Fault::Paused => {
                // The agent may be frozen or stopped by another fault of the round.
                let _ = self.site.run(&["pause", "--reason", "chaos"]).code();
            }
            Fault::Storm => {}
        }
    }

    fn remount(&self, option: &str) {
        run(Command::new("mount").args(["-o", &format!("remount,{option}")]).arg(self.site.path("out")));
    }

    /// Ends a fault.
    fn end(&mut self, fault: Fault) {
        match fault {
            Fault::ServerKilled(index) => self.servers.start(index),
            Fault::ServerFrozen(index) => self.servers.thaw(index),
            Fault::AllFrozen => (0..3).for_each(|index| self.servers.thaw(index)),
            Fault::DiskFull => drop(fs::remove_file(self.site.path("out/ballast"))),
            Fault::DiskReadOnly => self.remount("rw"),
            Fault::CheckFails => drop(self.site.remove("check-fails")),
            Fault::ReloadFails => drop(self.site.remove("reload-fails")),
            Fault::ConfigRefused => {
                self.site.remove("conf.d/wrong.toml");
                // Another fault may have ended the agent.
                if self.agent.is_running() {
                    self.agent.signal(Signal::SIGHUP);
                }
            }
            Fault::AgentFrozen => drop(self.agent.signal(Signal::SIGCONT)),
            Fault::AgentKilled | Fault::AgentStopped => self.agent = self.site.start(),
            Fault::Hup | Fault::Storm => {}
            Fault::Paused => {
                eventually(QUIET, "the agent resumes", || self.site.run(&["resume"]).code() == 0);
            }
        }
    }

    /// Changes the members, as many times as the fault says.
    fn change(&mut self, rng: &mut fastrand::Rng, times: usize) {
        for _ in 0..times {
            let number = rng.usize(11..60);
            if self.members.remove(&number) {
                self.servers.remove_soon(&member(number));
            } else {
                self.members.insert(number);
                self.servers.put_soon(&member(number), br#"{"weight": 1}"#);
            }
        }
    }

    /// Sets the members of the guarded roster.
    fn guard(&mut self, count: usize) {
        for number in 0..3 {
            let path = format!("/services/guarded/{number}:80");
            if number < count { self.servers.put_soon(&path, b"") } else { self.servers.remove_soon(&path) }
        }
        self.guarded = count;
    }

    /// One round: faults, changes while they last, their end, and quiet.
    fn round(&mut self, rng: &mut fastrand::Rng) {
        let mut faults: Vec<Fault> = Vec::new();
        for _ in 0..rng.usize(1..=3) {
            let fault = Fault::any(rng);
            let kind = std::mem::discriminant(&fault);
            // One server at a time, and each kind once: their ends must not undo each other.
            let is_of_servers =
                |fault: &Fault| matches!(fault, Fault::ServerKilled(_) | Fault::ServerFrozen(_) | Fault::AllFrozen);
            let is_of_agent =
                |fault: &Fault| matches!(fault, Fault::AgentFrozen | Fault::AgentKilled | Fault::AgentStopped);
            let is_of_disk = |fault: &Fault| matches!(fault, Fault::DiskFull | Fault::DiskReadOnly);
            let clashes = |other: &Fault| {
                std::mem::discriminant(other) == kind
                    || is_of_servers(other) && is_of_servers(&fault)
                    || is_of_agent(other) && is_of_agent(&fault)
                    || is_of_disk(other) && is_of_disk(&fault)
                    // A command to an agent that cannot answer, and a signal to one that is gone.
                    || is_of_agent(other) && matches!(fault, Fault::Hup | Fault::ConfigRefused | Fault::Paused)
            };
            if !faults.iter().any(clashes) {
                faults.push(fault);
                self.begin(fault);
            }
        }
        println!("{faults:?}");
        let times = if faults.iter().any(|fault| matches!(fault, Fault::Storm)) { 60 } else { rng.usize(1..5) };
        let is_writable = !faults.iter().any(|fault| matches!(fault, Fault::AllFrozen));
        if is_writable {
            self.change(rng, times);
        }
        // `resume` needs an agent that answers.
        faults.sort_by_key(|fault| matches!(fault, Fault::Paused));
        for fault in faults {
            self.end(fault);
        }
        self.servers.wait_ready();
        self.change(rng, 1);
        if rng.bool() {
            self.guard(rng.usize(1..=3));
        }
        self.quiet();
    }

    /// Whether the file of the guarded roster is right: with too few members it keeps what it had.
    fn has_guarded(&self) -> bool {
        let lines = self.site.read("out/guarded").lines().count();
        if self.guarded == 1 { lines >= 2 } else { lines == self.guarded }
    }

    /// Waits until the agent has nothing left to do. Then every file is right.
    fn quiet(&self) {
        let began = Instant::now();
        let list: String =
            self.members.iter().fold(String::new(), |list, number| list + &format!("10.0.0.{number}:80 1\n"));
        let mut last = String::new();
        let is_quiet = crate::support::wait::holds(QUIET, || {
            last = self.site.run(&["status"]).stdout();
            self.site.read("out/list") == list
                && self.site.read("seen") == list
                && self.has_guarded()
                && surfaces::is_settled(&self.site, self.guarded == 1)
        });
        let log = self.agent.log().join("\n");
        assert!(is_quiet, "wanted:\n{list}\nfound:\n{}\n{last}\n{log}", self.site.read("out/list"));
        println!("quiet after {:?}", began.elapsed());
    }
}

#[test]
fn after_random_faults_the_file_is_right_and_everything_that_shows_the_state_agrees() {
    const NAME: &str = "chaos::after_random_faults_the_file_is_right_and_everything_that_shows_the_state_agrees";
    if !is_inside(NAME, &["--user", "--map-root-user", "--mount"]) {
        return;
    }
    let mut rng = random::rng();
    let (moments, limit) = random::count((20, Duration::ZERO), (200, Duration::from_hours(1)));
    let mut chaos = Chaos::new();
    chaos.quiet();
    let began = Instant::now();
    let mut rounds = 0;
    // The moments that are promised, and then until the time is over.
    while rounds < moments || random::count(false, began.elapsed() < limit) {
        chaos.round(&mut rng);
        surfaces::agree(&chaos.site, &chaos.agent, chaos.port, chaos.members.len(), chaos.guarded == 1);
        rounds += 1;
    }
    println!("{rounds} rounds in {:?}", began.elapsed());
    assert!(chaos.site.leftovers().is_empty(), "{:?}", chaos.site.leftovers());
    assert!(chaos.agent.stop().success());
}

/// A field of a JSON value by its path.
fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {value}"))
}
