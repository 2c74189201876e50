//! What commands and programs inherit: signals, descriptors and the terminal.

use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

use nix::pty::openpty;
use nix::sys::signal::Signal;

use super::{CONFIG, join, running, says, site};

/// Signals that the agent or the Rust runtime ignores, but that have their default action in other processes.
const RESET: [Signal; 2] = [Signal::SIGPIPE, Signal::SIGXFSZ];

/// The kinds of processes that an agent starts.
const STARTED: [&str; 3] = ["check", "reload", "program"];

/// A configuration in which each of them is this command, with its kind in place of `WHO`.
fn each(command: &str) -> String {
    let of = |who: &str| command.replace("WHO", who);
    let (check, reload, program) = (of("check"), of("reload"), of("program"));
    format!("{CONFIG}check_cmd = {check}\nreload_cmd = {reload}\n[exec]\ncmd = {program}\n")
}

#[test]
fn commands_and_programs_start_with_default_signals() {
    // Without a shell, which would reset signals. The file of the first program is kept.
    let site = site(&each("[\"cp\", \"-n\", \"/proc/self/status\", \"SITE/WHO\"]"));
    join(&site, "a");
    let mut agent = site.start();
    for who in STARTED {
        agent.until(who, || site.read(who).contains("SigCgt:\t0") && site.read(who).ends_with('\n'));
        let mask = |what: &str| {
            let all = site.read(who);
            let line = all.lines().find_map(|line| line.strip_prefix(what)).unwrap().trim().to_owned();
            u64::from_str_radix(&line, 16).unwrap()
        };
        assert_eq!(mask("SigBlk:"), 0, "{who}");
        for signal in RESET {
            assert_eq!(mask("SigIgn:") & (1 << (signal as i32 - 1)), 0, "{who} ignores {signal}");
        }
    }
    assert!(agent.stop().success());
}

#[test]
fn commands_and_programs_inherit_no_descriptor_of_the_agent() {
    let site = site(&each("\"ls -l /proc/$$/fd > SITE/WHO.new; mv SITE/WHO.new SITE/WHO\""));
    join(&site, "a");
    let mut agent = site.start();
    for who in STARTED {
        agent.until(who, || site.read(who).contains(" 2 -> "));
        // Event queues, watches, sockets, the lock and the journal.
        for own in ["anon_inode", "socket:", "/state/"] {
            assert!(!site.read(who).contains(own), "{who} has {own} open:\n{}", site.read(who));
        }
    }
    assert!(agent.stop().success());
}

#[test]
fn a_program_reading_from_the_terminal_is_not_stopped() {
    let site = site(&format!("{CONFIG}{}", running("kill_timeout = \"1h\"")));
    let read = format!("read line || echo nothing >> {}\n", site.path("said").display());
    site.file("program.sh", &format!("{read}{}", site.read("program.sh")));
    join(&site, "a");
    let pair = openpty(None, None).unwrap();
    let mut agent = site.start_on(pair.slave);
    says(&agent, &site, "nothing\nstarted a hello\n");
    File::from(pair.master.try_clone().unwrap()).write_all(b"\x03").unwrap();
    assert!(agent.ends(Duration::from_secs(5)).success());
    agent.says("agent stopping event=agent_stopping signal=SIGINT");
    assert_eq!(site.read("said"), "nothing\nstarted a hello\nterm\n");
}
