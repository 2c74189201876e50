//! Signals that come while the agent starts.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::exec::orphans::{FIRST, children};
use crate::harness::site::{Agent, Site};
use crate::support::random::count;

/// As many templates as make a start take a while.
const TEMPLATES: usize = 300;

const PROGRAM: &str = "[exec]\ncmd = [\"sleep\", \"300\"]\n";

fn site(more: &str) -> Site {
    let mut config = web!("", "").to_owned();
    for n in 0..TEMPLATES {
        let _ = write!(config, "[[template]]\nsrc = \"{n}.tera\"\ndest = \"out/{n}\"\n");
    }
    let site = Site::new(&format!("{config}{more}"));
    site.file("registry/services/web/a", "-");
    for n in 0..TEMPLATES {
        site.file(&format!("templates/{n}.tera"), "{% for m in web %}{{ m.name }}{% endfor %}");
    }
    site
}

/// A set of signals of a process, as the system shows it.
fn mask(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or("0");
    u64::from_str_radix(line.trim(), 16).unwrap()
}

/// Waits until the program has begun: before that, nothing in it can block or handle a signal.
fn await_main(pid: u32) {
    let hup = 1 << (Signal::SIGHUP as i32 - 1);
    while (mask(pid, "SigBlk") | mask(pid, "SigCgt")) & hup == 0 {
        std::thread::yield_now();
    }
}

fn send(pid: u32, signal: Signal, after: Duration) {
    await_main(pid);
    std::thread::sleep(after);
    kill(Pid::from_raw(pid.try_into().unwrap()), signal).unwrap();
}

/// Checks that the signal does what it does at any other time.
fn check(mut agent: Agent, pid: u32, signal: Signal, after: Duration) {
    println!("{signal} {after:?} after the start");
    send(pid, signal, after);
    if signal != Signal::SIGTERM {
        agent.says(if signal == Signal::SIGHUP { "template_count=300 changes=0" } else { "event=agent_started" });
        kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGTERM).unwrap();
    }
    let end = agent.ends(Duration::from_secs(5));
    assert!(end.success(), "{signal} {after:?} after the start: {end}\n{}", agent.log().join("\n"));
}

#[test]
fn no_signal_is_lost_or_ends_an_agent_that_starts() {
    let (alone, supervisor) = (site(""), site(PROGRAM));
    for signal in [Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGTERM] {
        for (n, after) in (0..=200).step_by(count(40, 1)).map(Duration::from_millis).enumerate() {
            let agent = [&alone, &supervisor][n % 2].start();
            let pid = agent.pid();
            check(agent, pid, signal, after);
        }
    }
}

#[test]
fn no_signal_is_lost_by_the_first_process_of_a_container() {
    let site = site(PROGRAM);
    for after in (0..=200).step_by(count(100, 10)).map(Duration::from_millis) {
        for signal in [Signal::SIGHUP, Signal::SIGTERM] {
            let agent = site.start_by(&FIRST);
            let is_agent =
                |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|it| it == "rosterd\n");
            let first = || children(agent.pid()).into_iter().map(|(pid, _)| pid).find(is_agent);
            agent.until("the first process", || first().is_some());
            let pid = first().unwrap();
            check(agent, pid, signal, after);
        }
    }
}

#[test]
fn a_stop_is_heard_while_a_file_hangs() {
    let site = Site::new(web!("", ""));
    // Nobody writes into it.
    nix::unistd::mkfifo(&site.path("hangs.toml"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut agent = site.start_with(&["-c", "hangs.toml", "run"]);
    await_main(agent.pid());
    assert!(agent.stop().success());
}

#[test]
fn other_commands_end_by_a_signal() {
    let site = Site::new(web!("", ""));
    site.file("registry/services/other", "");
    let mut waiting = site.start_with(&["get", "/services/web", "--wait-for", "1"]);
    // Its first handler is installed while the signals are still blocked.
    let has_begun = || mask(waiting.pid(), "SigCgt") & (1 << (Signal::SIGXFSZ as i32 - 1)) != 0;
    waiting.until("nothing is blocked", || has_begun() && mask(waiting.pid(), "SigBlk") == 0);
    waiting.signal(Signal::SIGTERM);
    assert_eq!(waiting.ends(Duration::from_secs(5)).code(), None);
}
