//! How a program exits: in time, from any state, and with an explanation if the reason is known.

use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{CONFIG, join, running, says, site};
use crate::harness::site::Site;

fn pid(site: &Site, file: &str) -> Option<Pid> {
    site.read(file).trim().parse().ok().map(Pid::from_raw)
}

#[test]
fn the_child_of_a_shell_has_time_to_exit() {
    let config = format!("{CONFIG}[exec]\ncmd = \"/bin/sh SITE/program.sh; true\"\n");
    let site = site(&config);
    // The same signal ends the shell at once.
    let (ending, go) = (site.path("ending"), site.path("go"));
    let slow = format!("touch {}; while [ ! -e {} ]; do sleep 0.01; done; echo term", ending.display(), go.display());
    site.file("program.sh", &site.read("program.sh").replace("echo term", &slow));
    join(&site, "a");
    let mut agent = site.start();
    says(&agent, &site, "started a \n");
    agent.signal(Signal::SIGTERM).until("begins to end", || ending.exists());
    site.file("go", "");
    assert!(agent.ends(Duration::from_secs(5)).success());
    assert_eq!(site.read("said"), "started a \nterm\n");
}

#[test]
fn the_child_of_a_shell_is_killed_after_kill_timeout() {
    let site = site(&format!("{CONFIG}[exec]\ncmd = \"/bin/sh SITE/program.sh; true\"\nkill_timeout = \"200ms\"\n"));
    site.file("program.sh", &format!("trap '' TERM\n{}", site.read("program.sh").replace("; exit 5", "")));
    join(&site, "a");
    let mut agent = site.start();
    says(&agent, &site, "started a \n");
    let pid = site.read("pid");
    join(&site, "b");
    agent.says("program killed").until("starts another", || site.read("said").ends_with("started ab \n"));
    assert!(super::is_gone(&pid), "never two processes");
    assert!(agent.stop().success());
    agent.until("is gone", || super::is_gone(&site.read("pid")));
}

#[test]
fn a_stopped_program_is_continued_to_handle_the_kill_signal() {
    let site = site(&format!("{CONFIG}{}", running("kill_timeout = \"1h\"")));
    join(&site, "a");
    let mut agent = site.start();
    says(&agent, &site, "started a hello\n");
    let pid = pid(&site, "pid").unwrap();
    kill(pid, Signal::SIGSTOP).unwrap();
    let stat = format!("/proc/{pid}/stat");
    agent.until("is stopped", || fs::read_to_string(&stat).unwrap().contains(") T "));
    assert!(agent.stop().success());
    assert_eq!(site.read("said"), "started a hello\nterm\n");
}

#[test]
fn a_program_that_daemonizes_is_reported() {
    // In its group, and outside it.
    for apart in ["", "setsid "] {
        let site = site(&format!("{CONFIG}[exec]\ncmd = [\"/bin/sh\", \"SITE/program.sh\"]\n"));
        let daemon = site.path("daemon").display().to_string();
        let text = format!(
            "[ -e {daemon} ] && exec sleep 300\n{apart}sh -c 'echo $$ > {daemon}; exec sleep 300' &\n\
             while [ ! -s {daemon} ]; do sleep 0.01; done\n"
        );
        site.file("program.sh", &text);
        join(&site, "a");
        let mut agent = site.start();
        agent.says("program exited: exit 0 soon after it started (if it daemonizes, run it in the foreground)");
        let pid = pid(&site, "daemon").unwrap();
        assert!(agent.stop().success());
        if apart.is_empty() {
            agent.until("is killed with its group", || super::is_gone(&pid.to_string()));
        } else {
            kill(pid, Signal::SIGKILL).expect("it is left running");
        }
    }
}

#[test]
fn a_program_that_its_reload_signal_kills_is_reported() {
    let cases = [
        ("[\"sleep\", \"300\"]", "a reload_signal that it does not handle"),
        ("\"sleep 300; true\"", "a reload_signal that its shell does not handle: end the string with `exec PROGRAM`"),
    ];
    for (cmd, said) in cases {
        let site = site(&format!("{CONFIG}[exec]\ncmd = {cmd}\nreload_signal = \"HUP\"\n"));
        join(&site, "a");
        let mut agent = site.start();
        agent.says("program started");
        join(&site, "b");
        agent.says(&format!("program exited: killed by SIGHUP, {said}")).says_times("program started", 2);
        assert!(agent.stop().success());
    }
}
