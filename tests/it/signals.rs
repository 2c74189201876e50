//! Signals that come while the agent starts.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::time::ClockId;
use nix::unistd::Pid;

use crate::exec::orphans::{FIRST, children};
use crate::harness::site::{Agent, PATIENCE, Site};
use crate::support::random::count;
use crate::support::wait::holds;

/// As many templates as make a start take a while.
const TEMPLATES: usize = 300;

/// As many words as make reading a command line take a while.
const WORDS: usize = 20_000;

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

fn bit(signal: Signal) -> u64 {
    1 << (signal as i32 - 1)
}

/// How long a process has run on a processor.
fn run_time(pid: u32) -> Duration {
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(pid.try_into().unwrap()));
    clock.and_then(ClockId::now).map(Duration::from).unwrap_or_default()
}

/// Waits until the program has begun: before that, nothing in it can block or handle a signal. It has begun after 3 ms
/// of its own time, whatever it does first: less than it takes to read the command line of these tests.
fn await_main(pid: u32) {
    // The last thing before `main` is that the runtime of the language ignores SIGPIPE.
    while mask(pid, "SigIgn") & bit(Signal::SIGPIPE) == 0 {
        std::thread::yield_now();
    }
    let begun = run_time(pid);
    while (mask(pid, "SigBlk") | mask(pid, "SigCgt")) & bit(Signal::SIGHUP) == 0
        && run_time(pid) < begun + Duration::from_millis(3)
    {
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
        let heard = if signal == Signal::SIGHUP { "changes=0" } else { "event=agent_started" };
        // Many agents start one after another, each with the files of 300 templates to sync.
        let is_over = holds(PATIENCE * 3, || agent.said(heard) > 0 || !agent.is_running());
        let is_there = is_over && agent.said(heard) > 0 && agent.is_running();
        assert!(is_there, "{signal} {after:?} after the start ends the agent:\n{}", agent.log().join("\n"));
        kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGTERM).unwrap();
    }
    let end = agent.ends(Duration::from_secs(5));
    assert!(end.success(), "{signal} {after:?} after the start: {end}\n{}", agent.log().join("\n"));
}

const SIGNALS: [Signal; 4] = [Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGTERM];

#[test]
fn a_signal_is_kept_while_the_command_line_is_read() {
    let site = Site::new(web!("", ""));
    site.file("registry/services/web/a", "");
    let words = ["run", "--", "sh", "-c", "exec sleep 300"].into_iter().chain(std::iter::repeat_n("word", WORDS));
    let words: Vec<&str> = words.collect();
    for signal in SIGNALS {
        let agent = site.start_with(&words);
        let pid = agent.pid();
        check(agent, pid, signal, Duration::ZERO);
    }
}

#[test]
fn no_signal_is_lost_or_ends_an_agent_that_starts() {
    let (alone, supervisor) = (site(""), site(PROGRAM));
    for signal in SIGNALS {
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
    let has_begun = || mask(waiting.pid(), "SigCgt") & bit(Signal::SIGXFSZ) != 0;
    waiting.until("nothing is blocked", || has_begun() && mask(waiting.pid(), "SigBlk") == 0);
    waiting.signal(Signal::SIGTERM);
    assert_eq!(waiting.ends(Duration::from_secs(5)).code(), None);
}

#[test]
fn a_pass_that_a_signal_stops_exits_with_1_whatever_it_waits_for() {
    let site = Site::new(web!("", ""));
    let frozen = site.start();
    frozen.until("the socket", || site.run(&["status"]).code() == 0);
    frozen.signal(Signal::SIGSTOP);
    nix::unistd::mkfifo(&site.path("hangs.toml"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for args in [&["render"][..], &["diff"], &["-c", "hangs.toml", "render"]] {
        let mut pass = site.start_with(args);
        pass.until("it has handlers", || mask(pass.pid(), "SigCgt") & bit(Signal::SIGTERM) != 0);
        pass.signal(Signal::SIGTERM);
        assert_eq!(pass.ends(Duration::from_secs(5)).code(), Some(1), "{args:?}");
    }
}
