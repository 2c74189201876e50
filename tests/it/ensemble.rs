//! The main job with real ZooKeeper servers and the real binary.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::harness::site::{Agent, PATIENCE, Site};
use crate::support::wait::holds;
use crate::support::zookeeper::ZooKeeper;

mod access;
mod outage;
mod sessions;
mod unreadable;

/// How the log line of an unreachable registry begins.
pub const AWAY: &str = "registry unreachable; files that depend on it stay as they are: ";

pub const CONFIG: &str = r#"
[registry]
url = "zk://SERVERS"
session_timeout = "4s"

[[roster]]
name = "x"
path = "/services/x"
wait = "20ms:200ms"

[[template]]
src = "list.tera"
dest = "out/list"
reload_cmd = "echo reloaded >> SITE/reloads; cat {{ dest }} > SITE/seen"
reload_interval = "0s"
"#;

/// A directory whose registry is at `servers`, which may end in a chroot.
pub fn site(config: &str, servers: &str) -> Site {
    let site = Site::new(&config.replace("SERVERS", servers));
    site.file("templates/list.tera", "{% for m in x %}{{ m.address }}\n{% endfor %}");
    site
}

/// The same in a chroot.
fn site_at(servers: &str, chroot: &str) -> Site {
    site(CONFIG, &format!("{servers}{chroot}"))
}

/// The path of a member by its last octet: 10.0.0.1:80 is 1.
pub fn member(number: usize) -> String {
    format!("/services/x/10.0.0.{number}:80")
}

/// The content of the file for these members.
pub fn list(numbers: impl IntoIterator<Item = usize>) -> String {
    numbers.into_iter().fold(String::new(), |list, number| list + &format!("10.0.0.{number}:80\n"))
}

/// Waits until the software has loaded these members.
#[track_caller]
pub fn becomes(agent: &Agent, site: &Site, numbers: impl IntoIterator<Item = usize>) {
    let wanted = list(numbers);
    agent.until(&format!("the software has {wanted:?}"), || site.read("seen") == wanted);
}

#[test]
fn below_min_and_absent_paths_are_held_with_a_clear_reason() {
    let shared = ZooKeeper::shared();
    let chroot = shared.chroot();
    let client = shared.client(&chroot);
    client.put(&member(1), b"");
    let site = site_at(&shared.connect_string(), &chroot);
    let mut agent = site.start();
    becomes(&agent, &site, [1]);
    let before = site.fingerprint("out/list");
    client.remove(&member(1));
    agent.says("hold in effect: /services/x has 0 members but needs at least 1 ");
    client.remove("/services/x");
    agent.says("hold in effect: /services/x has 0 members but needs at least 1: the path does not exist");
    assert_eq!(site.fingerprint("out/list"), before);
    // A single pass reports the same, and so does an agent that never saw a member.
    let pass = site_at(&shared.connect_string(), &chroot).run(&["render"]);
    let words = "hold in effect: /services/x has 0 members but needs at least 1: the path does not exist";
    assert!(pass.expect(3).stderr().contains(words), "{}", pass.stderr());
    assert!(agent.stop().success());
    let agent = site.start();
    agent.says(words);
    assert_eq!((site.fingerprint("out/list"), site.reloads()), (before, 1));
    client.put(&member(2), b"");
    agent.says("hold released: /services/x");
    becomes(&agent, &site, [2]);
}

#[test]
fn hup_adds_a_roster_in_the_same_session() {
    let server = ZooKeeper::one();
    server.put_soon(&member(1), b"");
    server.put_soon("/services/y/10.9.9.9:90", b"");
    let own = server.sessions();
    let site = site(CONFIG, &server.connect_string());
    let mut agent = site.start();
    becomes(&agent, &site, [1]);
    let session = &server.sessions() - &own;
    assert_eq!(session.len(), 1, "{session:?}");
    let before = site.fingerprint("out/list");
    let more = "[[roster]]\nname = \"y\"\npath = \"/services/y\"\n\n\
        [[template]]\nsrc = \"more.tera\"\ndest = \"out/more\"\n";
    site.file("templates/more.tera", "{% for m in y %}{{ m.address }}\n{% endfor %}");
    site.file("rosterd.toml", &format!("{}\n{more}", site.read("rosterd.toml")));
    agent.signal(Signal::SIGHUP).says("configuration changed: ");
    agent.until("the new roster's file", || site.read("out/more") == "10.9.9.9:90\n");
    assert_eq!(&server.sessions() - &own, session);
    assert_eq!((site.fingerprint("out/list"), site.reloads()), (before, 1));
    server.put_soon(&member(2), b"");
    becomes(&agent, &site, [1, 2]);
    // The session is closed at the end, so the server need not wait until it expires.
    assert!(agent.stop().success());
    assert!(holds(Duration::from_secs(5), || server.sessions().is_disjoint(&session)));
}

#[test]
fn an_agent_continues_after_a_killed_one() {
    let shared = ZooKeeper::shared();
    let chroot = shared.chroot();
    let client = shared.client(&chroot);
    client.put(&member(1), b"");
    let site = site_at(&shared.connect_string(), &chroot);
    // A reload may run once more if its agent is killed before the reload is cleared.
    let is_crossed_out = || site.read("state/journal").lines().last().is_some_and(|line| line.contains("\"gone\""));
    let mut agent = site.start();
    becomes(&agent, &site, [1]);
    let before = site.fingerprint("out/list");
    agent.until("no reload is pending", is_crossed_out);
    agent.signal(Signal::SIGKILL);
    agent.ends(PATIENCE);
    assert_eq!(site.fingerprint("out/list"), before);
    let mut agent = site.start();
    agent.says("event=file_unchanged");
    assert_eq!((site.fingerprint("out/list"), site.reloads()), (before, 1));
    agent.signal(Signal::SIGKILL);
    agent.ends(PATIENCE);
    client.put(&member(2), b"");
    let mut agent = site.start();
    becomes(&agent, &site, [1, 2]);
    assert!(agent.stop().success());
    assert_eq!(site.reloads(), 2);
    assert!(site.leftovers().is_empty());
}
