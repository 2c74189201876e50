//! Orphaned descendants of the agent: it reaps them, and never confuses them with its own commands.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{join, site, status};
use crate::harness::site::{Agent, PATIENCE, Site};
use crate::support::wait::holds;

/// Runs the agent as the first process of a container.
pub const FIRST: [&str; 7] =
    ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// How many templates are checked at the same time.
const TEMPLATES: usize = 10;

/// The children of a process, and whether each has exited.
pub fn children(parent: u32) -> Vec<(u32, bool)> {
    let stats =
        fs::read_dir("/proc").unwrap().flatten().filter_map(|it| fs::read_to_string(it.path().join("stat")).ok());
    let child = |stat: String| {
        let (first, fields) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        let pid = first.split(' ').next()?.parse().ok()?;
        (fields[1] == parent.to_string()).then_some((pid, fields[0] == "Z"))
    };
    stats.filter_map(child).collect()
}

/// A program that creates short-lived orphans until a file `enough` exists.
fn orphanage() -> Site {
    let mut config = super::CONFIG.replace("[[template]]", "[[unused]]");
    config.truncate(config.find("[[unused]]").unwrap());
    for n in 0..TEMPLATES {
        let check = "case $(cat {{ src }}) in *bad*) exit 3;; esac";
        let _ = write!(config, "[[template]]\nsrc = \"web.tera\"\ndest = \"out/{n}.cfg\"\ncheck_cmd = \"{check}\"\n");
    }
    config.push_str("[exec]\ncmd = [\"/bin/sh\", \"SITE/program.sh\"]\n");
    let site = site(&config);
    let folder = site.path("").to_string_lossy().into_owned();
    let program = "while [ ! -e SITE/enough ]; do (sleep 0.001 &); echo one >> SITE/made; done; exec sleep 300";
    site.file("program.sh", &program.replace("SITE/", &folder));
    site
}

/// While orphans exit, every check gets the exit status of its own command. No zombie is left at the end.
fn prove(site: &Site, agent: &Agent, pid: impl Fn() -> Option<u32>) {
    agent.says("program started");
    let pid = pid().expect("the agent's own process");
    let members = |of: &str| {
        fs::remove_dir_all(site.path("registry/services/web")).unwrap();
        join(site, of);
    };
    for round in 0..crate::support::random::count(5, 100) {
        let good = format!("good{round}");
        members(&good);
        agent.until("every good one passes", || (0..TEMPLATES).all(|n| site.read(&format!("out/{n}.cfg")) == good));
        members(&format!("bad{round}"));
        agent.until("every bad one fails", || {
            let status = status(site);
            let failed =
                |it: &serde_json::Value| it["last_error"].as_str().is_some_and(|why| why.contains("exited with 3"));
            status["templates"].as_array().is_some_and(|all| all.iter().all(failed))
        });
    }
    // Any other result of a check would be another process's exit status.
    let failures = agent.said("check failed");
    assert_eq!(agent.said("exited with 3"), failures, "{}", agent.log().join("\n"));
    let many = crate::support::random::count(200, 2000);
    agent.until("many orphans", || site.read("made").lines().count() >= many);
    site.file("enough", "");
    let zombies = || children(pid).into_iter().filter(|(_, ended)| *ended).count();
    assert!(holds(PATIENCE, || zombies() == 0), "{} zombies", zombies());
}

#[test]
fn the_first_process_of_a_container_leaves_no_zombie() {
    let site = orphanage();
    join(&site, "good");
    let mut agent = site.start_by(&FIRST);
    agent.says("program started");
    let pid = children(agent.pid()).first().map(|(pid, _)| *pid);
    prove(&site, &agent, || pid);
    // The kernel delivers no signal to a first process that has no handler for it.
    kill(Pid::from_raw(pid.unwrap().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert!(agent.ends(Duration::from_secs(5)).success());
    agent.says("agent stopping event=agent_stopping signal=SIGTERM").says("event=program_stopped signal=SIGTERM");
}

#[test]
fn the_first_process_of_a_container_passes_the_exit_code_on() {
    for (cmd, code) in [("exit 7", 7), ("kill -KILL $$", 137)] {
        let site = site(&format!("{}[exec]\ncmd = \"{cmd}\"\non_exit = \"stop\"\n", super::CONFIG));
        join(&site, "a");
        assert_eq!(site.start_by(&FIRST).ends(PATIENCE).code(), Some(code));
    }
}

#[test]
fn an_agent_with_a_program_leaves_no_zombie() {
    let site = orphanage();
    join(&site, "good");
    let mut agent = site.start();
    let pid = agent.pid();
    prove(&site, &agent, || Some(pid));
    assert!(agent.stop().success());
}
