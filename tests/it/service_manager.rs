//! Notifications to a service manager, for which the test stands in.

use std::fs::{self, OpenOptions};
use std::io::Read as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::signal::Signal;

use crate::harness::site::{Agent, PATIENCE, Site};
use crate::support::examples::run;
use crate::support::wait::holds;

/// No registry answers here.
const CONFIG: &str = "[registry]\nurl = \"zk://127.0.0.1:1\"\n\n[[roster]]\npath = \"/services/web\"\n";

/// How long the agent may be silent.
const WATCHDOG: Duration = Duration::from_millis(200);

/// What a service manager heard.
struct Manager {
    /// The value of the variable.
    name: String,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Manager {
    fn at(name: &str) -> Self {
        let address = match name.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name),
            None => SocketAddr::from_pathname(name),
        };
        let socket = UnixDatagram::bind_addr(&address.unwrap()).unwrap();
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = Arc::clone(&lines);
        std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(length) = socket.recv(&mut buffer) {
                let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
                heard.lock().unwrap().extend(text.lines().map(str::to_owned));
            }
        });
        Self { name: name.to_owned(), lines }
    }

    fn beside(site: &Site) -> Self {
        Self::at(site.path("notify.sock").to_str().unwrap())
    }

    /// Starts an agent with this manager and a watchdog.
    fn start(&self, site: &Site) -> Agent {
        let watchdog = format!("WATCHDOG_USEC={}", WATCHDOG.as_micros());
        site.start_by(&["env", &format!("NOTIFY_SOCKET={}", self.name), &watchdog])
    }

    fn heard(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// What it heard, without what is repeated.
    fn phases(&self) -> Vec<String> {
        let lines =
            self.heard().into_iter().filter(|line| !line.starts_with("WATCHDOG") && !line.starts_with("STATUS"));
        lines.map(|line| line.split("USEC=").next().unwrap().to_owned()).collect()
    }

    fn count(&self, text: &str) -> usize {
        self.heard().iter().filter(|line| line.contains(text)).count()
    }

    fn hears(&self, text: &str, times: usize) {
        assert!(holds(PATIENCE, || self.count(text) >= times), "{text} {times} times: {:?}", self.heard());
    }
}

#[test]
fn the_agent_is_ready_when_it_has_the_lock_and_the_socket_but_does_not_wait_for_the_registry() {
    let site = Site::new(CONFIG);
    let mut first = site.start();
    first.says("event=config_loaded");
    // The second one waits for the lock: it opens its file again and again.
    let opened = Inotify::init(InitFlags::empty()).unwrap();
    opened.add_watch(&site.path("state/lock"), AddWatchFlags::IN_OPEN).unwrap();
    let manager = Manager::beside(&site);
    let mut second = manager.start(&site);
    opened.read_events().unwrap();
    opened.read_events().unwrap();
    assert_eq!(manager.heard(), [""; 0]);
    assert!(first.stop().success());
    manager.hears("READY=1", 1);
    assert!(site.run(&["status"]).expect(0).stdout().contains("UNREACHABLE"));
    manager.hears("STATUS=CRITICAL: ", 1);
    assert!(second.stop().success());
    assert_eq!(manager.phases(), ["READY=1", "STOPPING=1"]);
}

#[test]
fn a_reload_is_announced_and_ends_also_if_it_is_refused() {
    let name = format!("@rosterd-test-{}", std::process::id());
    let config = CONFIG.replace("zk://127.0.0.1:1", "dir:out") + "min = 0\n";
    let (site, manager) = (Site::new(&config), Manager::at(&name));
    let mut agent = manager.start(&site);
    manager.hears("READY=1", 1);
    let good = site.read("rosterd.toml");
    agent.signal(Signal::SIGHUP);
    manager.hears("READY=1", 2);
    agent.says("changes=0");
    manager.hears("STATUS=OK: ", 1);
    site.file("rosterd.toml", "nonsense\n");
    agent.signal(Signal::SIGHUP);
    manager.hears("READY=1", 3);
    manager.hears("STATUS=WARNING: ", 1);
    site.file("rosterd.toml", &good);
    // A restart of an agent without services.
    agent.signal(Signal::SIGUSR2);
    assert!(agent.ends(Duration::from_secs(5)).success());
    manager.hears("STOPPING=1", 1);
    let reload = ["RELOADING=1", "MONOTONIC_", "READY=1"];
    assert_eq!(manager.phases(), [&["READY=1"][..], &reload, &reload, &["STOPPING=1"]].concat());
}

/// Whether the agent's event loop waits for a reader of its log.
fn is_blocked(agent: &Agent) -> bool {
    // The system call and its first argument: write to standard error.
    fs::read_to_string(format!("/proc/{}/syscall", agent.pid())).unwrap().starts_with("1 0x2 ")
}

#[test]
fn the_watchdog_is_fed_only_while_the_event_loop_makes_progress() {
    let (site, log) = (Site::new(CONFIG), "log");
    let manager = Manager::beside(&site);
    // A log that nobody reads holds the loop up as soon as the pipe is full.
    run("mkfifo", "coreutils", &[site.path(log).to_str().unwrap()]);
    let mut options = OpenOptions::new();
    let pipe = options.read(true).write(true).custom_flags(nix::libc::O_NONBLOCK).open(site.path(log)).unwrap();
    nix::fcntl::fcntl(&pipe, nix::fcntl::FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    let shell = format!("exec \"$@\" 2>{}", site.path(log).display());
    let variables = [format!("NOTIFY_SOCKET={}", manager.name), format!("WATCHDOG_USEC={}", WATCHDOG.as_micros())];
    let mut agent = site.start_by(&["env", &variables[0], &variables[1], "sh", "-c", &shell, "sh"]);
    manager.hears("WATCHDOG=1", 5);
    let vars = (0..200).fold(String::new(), |text, n| text + &format!("variable_{n} = 1\n"));
    site.file("rosterd.toml", &format!("{}[vars]\n{vars}", site.read("rosterd.toml")));
    agent.signal(Signal::SIGHUP);
    agent.until("the loop is blocked", || is_blocked(&agent));
    // What was on its way has arrived after this time.
    std::thread::sleep(WATCHDOG);
    let before = manager.count("WATCHDOG=1");
    std::thread::sleep(WATCHDOG * 2);
    assert_eq!(manager.count("WATCHDOG=1"), before);
    assert!(is_blocked(&agent));
    let mut reader = &pipe;
    let mut buffer = [0; 4096];
    let is_back = || {
        while reader.read(&mut buffer).is_ok() {}
        manager.count("WATCHDOG=1") > before + 3
    };
    assert!(holds(PATIENCE, is_back), "{:?}", manager.heard());
    manager.hears("READY=1", 2);
    assert!(agent.stop().success());
}

#[test]
fn a_watchdog_of_another_process_is_not_fed_and_the_program_does_not_inherit_the_socket() {
    let exec = "[exec]\ncmd = \"env > SITE/out/env; exec sleep 1000\"\n";
    let site = Site::new(&format!("{}{exec}", CONFIG.split("[[roster]]").next().unwrap()));
    let manager = Manager::beside(&site);
    let socket = format!("NOTIFY_SOCKET={}", manager.name);
    let mut agent = site.start_by(&["env", &socket, "WATCHDOG_PID=1", "WATCHDOG_USEC=1000"]);
    manager.hears("READY=1", 1);
    agent.until("the program runs", || site.read("out/env").contains("PATH="));
    assert!(!site.read("out/env").contains("NOTIFY_SOCKET") && !site.read("out/env").contains("WATCHDOG"));
    assert!(agent.stop().success());
    assert_eq!(manager.count("WATCHDOG"), 0);
}
