//! Sessions and processes that end while the lock is held.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::*;
use crate::support::random;

/// Holds the lock until it is asked to end.
const HOLD: &str =
    "trap 'echo ended >> log; exit 9' TERM; echo $$ > pid; echo began >> log; while :; do sleep 0.05; done";

fn began(scene: &Scene) {
    eventually(PATIENCE, "the command runs", || scene.site.read("log").contains("began"));
}

#[test]
fn a_deleted_node_ends_the_command_unless_it_is_to_go_on() {
    for (options, code) in [(&[][..], 9), (&["--on-loss", "continue"][..], 9)] {
        let scene = Scene::new();
        let mut own = scene.contend("own", options, HOLD);
        began(&scene);
        let node = format!("{PATH}/{}", scene.nodes()[0]);
        scene.client.remove(&node);
        own.says("/locks/deploy: lock lost, its node was deleted: another may hold it now");
        // Another one can have it at once, and this one does not contend again.
        scene.run(&["--wait-for", "60s"], &["true"]).expect(0);
        if !options.is_empty() {
            assert!(!scene.site.read("log").contains("ended"), "it goes on");
            own.signal(Signal::SIGTERM);
        }
        assert_eq!(own.ends(PATIENCE).code(), Some(code));
        assert!(scene.site.read("log").contains("ended"));
        scene.line_is(&[]);
    }
}

#[test]
fn a_server_that_is_away_for_a_moment_costs_nothing_and_for_longer_the_lock() {
    let mut server = ZooKeeper::one();
    let site = Site::new("");
    let url = format!("zk://{}", server.connect_string());
    let args = ["lock", PATH, "--registry", &url, "--session-timeout", "60s", "--", "sh", "-c", HOLD];
    let mut own = site.start_with(&args);
    eventually(PATIENCE, "the command runs", || site.read("log").contains("began"));
    server.stop(0);
    own.says("/locks/deploy: connection lost; the lock is kept until the session expires");
    server.start(0);
    server.wait_ready();
    own.says("/locks/deploy: lock still held");
    assert_eq!(own.stop().code(), Some(9));

    let args = ["lock", PATH, "--registry", &url, "--session-timeout", "2s", "--", "sh", "-c", HOLD];
    let mut own = site.start_with(&args);
    eventually(PATIENCE, "it runs again", || site.read("log").matches("began").count() == 2);
    server.stop(0);
    let stopped = Instant::now();
    own.says("/locks/deploy: lock lost, the session expired: another may hold it now; sending TERM to the command");
    println!("lost after {:?}", stopped.elapsed());
    assert!(stopped.elapsed() < Duration::from_secs(4), "{:?}", stopped.elapsed());
    assert_eq!(own.ends(PATIENCE).code(), Some(9));
}

#[test]
fn the_lock_of_a_killed_rosterd_is_free_after_the_session_timeout() {
    let scene = Scene::new();
    let own = scene.contend("own", &[], HOLD);
    began(&scene);
    let next = scene.kazoo("next", "Lock");
    scene.line_is(&["holds own", "waits next"]);
    let killed = Instant::now();
    own.signal(Signal::SIGKILL);
    next.says("held");
    let took = killed.elapsed();
    println!("free after {took:?}");
    assert!(took > Duration::from_secs(2) && took < Duration::from_secs(6), "{took:?}");
    // The command goes on, as documented.
    let command = Pid::from_raw(scene.site.read("pid").trim().parse().unwrap());
    kill(command, Signal::SIGKILL).unwrap();
}

/// Contends again and again, each time in a process group of its own.
fn contend(site: &Site, url: &str, is_over: &AtomicBool) {
    let script =
        "trap 'echo end r$$ 0 >> log; exit' TERM; echo begin r$$ $PPID >> log; sleep 0.1; echo end r$$ 0 >> log";
    while !is_over.load(Ordering::Relaxed) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rosterd"));
        command
            .args(["lock", PATH, "--registry", url, "--session-timeout", "6s", "--wait-for", "2m", "-q"])
            .args(["--", "sh", "-c", script]);
        command.current_dir(site.path("")).stdin(Stdio::null());
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.status().unwrap();
    }
}

/// Ends the contenders, also when the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn add(site: &Site, line: &str) {
    let mut log = OpenOptions::new().append(true).open(site.path("log")).unwrap();
    writeln!(log, "{line}").unwrap();
}

/// The holder of rosterd at this moment, and its process group.
fn holder(site: &Site) -> Option<(String, Pid)> {
    let log = site.read("log");
    let mut words = log.lines().next_back()?.split(' ');
    let (event, name, pid) = (words.next()?, words.next()?, words.next()?);
    (event == "begin" && name.starts_with('r')).then(|| (name.to_owned(), Pid::from_raw(pid.parse().unwrap())))
}

#[test]
fn never_two_hold_the_lock_through_restarts_expiries_and_kills() {
    let mut server = ZooKeeper::one();
    let site = Site::new("");
    site.file("log", "");
    let (servers, url) = (server.connect_string(), format!("zk://{}", server.connect_string()));
    let log = site.path("log").display().to_string();
    let kazoo = |name| Kazoo::start(&servers, PATH, name, &["Lock", &log, "0.1"], "");
    let _kazoos = [kazoo("k1"), kazoo("k2"), kazoo("k3")];
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _over = Over(&is_over);
        for _ in 0..3 {
            scope.spawn(|| contend(&site, &url, &is_over));
        }
        let goes_on = |site: &Site| {
            let lines = site.read("log").lines().count();
            eventually(PATIENCE * 3, "the lock goes on", || site.read("log").lines().count() > lines + 12);
        };
        goes_on(&site);
        for round in 0..random::count(3, 30) {
            if round % 3 == 0 {
                server.stop(0);
                server.start(0);
                server.wait_ready();
            } else {
                let mut found = None;
                eventually(PATIENCE, "rosterd holds the lock", || {
                    found = holder(&site);
                    found.is_some()
                });
                let (name, group) = found.unwrap();
                if round % 3 == 1 {
                    let _ = killpg(group, Signal::SIGKILL);
                    add(&site, &format!("dead {name} 0"));
                } else if killpg(group, Signal::SIGSTOP).is_ok() {
                    // Its command is stopped too. Its session expires, and others go on; it learns of that when it
                    // continues.
                    add(&site, &format!("dead {name} 0"));
                    goes_on(&site);
                    let _ = killpg(group, Signal::SIGCONT);
                }
            }
            goes_on(&site);
        }
    });
    let (mut holder, mut dead, mut count) = (None, BTreeSet::new(), 0);
    for line in site.read("log").lines() {
        let mut words = line.split(' ');
        let (event, name) = (words.next().unwrap(), words.next().unwrap().to_owned());
        match event {
            "begin" => {
                assert_eq!(holder.replace(name.clone()), None, "two holders at {line}:\n{}", site.read("log"));
                count += 1;
            }
            "end" if dead.contains(&name) => {}
            _ => {
                if holder.as_ref() == Some(&name) {
                    holder = None;
                }
                if event == "dead" {
                    dead.insert(name);
                }
            }
        }
    }
    println!("{count} holders");
}
