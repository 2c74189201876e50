//! Faults of the state directory and the journal of a running agent: they are reported, no reload is lost, and the
//! agent recovers by itself.

use std::fs;
use std::process::Command;

use nix::sys::signal::Signal;

use super::file_becomes;
use crate::harness::site::{Agent, PATIENCE, Site};
use crate::support::inside::{is_inside, run};

/// Software that loads nothing until a file `ready` exists.
const CONFIG: &str = web!(
    r#"wait = "0s:0s""#,
    r#"
[[template]]
src = "list.tera"
dest = "out/list"
reload_cmd = "test -e SITE/ready && cp SITE/out/list SITE/taken"
reload_interval = "0s"
"#
);

fn scene() -> Site {
    let site = Site::new(CONFIG);
    site.file("templates/list.tera", "{% for m in web %}{{ m.name }}\n{% endfor %}");
    site.file("registry/services/web/a:1", "");
    site
}

/// An agent whose file is in place, and whose reload fails.
fn owing(site: &Site) -> Agent {
    let agent = site.start();
    let _ = file_becomes(&agent, site, "out/list", "a:1\n");
    agent.says("reload failed");
    agent
}

/// The agent is killed, and the next one runs the pending reload without a registry.
fn takes_up(mut agent: Agent, site: &Site) {
    agent.signal(Signal::SIGKILL);
    agent.ends(PATIENCE);
    fs::rename(site.path("registry"), site.path("away")).unwrap();
    site.file("ready", "");
    let mut next = site.start();
    next.until("it is loaded", || site.read("taken") == "a:1\n");
    assert!(next.stop().success());
}

#[test]
fn a_removed_state_directory_is_recreated_with_pending_reloads() {
    let site = scene();
    let agent = owing(&site);
    // It goes away at once, while the history and failing reloads go on writing.
    fs::rename(site.path("state"), site.path("removed")).unwrap();
    fs::remove_dir_all(site.path("removed")).unwrap();
    // The directory is checked once a minute, and on request.
    agent.signal(Signal::SIGHUP).says("event=state_dir_replaced");
    agent.until("the pending reload is recorded again", || site.read("state/journal").contains("out/list"));
    let second = site.run(&["run"]);
    assert_eq!((second.code(), second.stderr().contains(&agent.pid().to_string())), (5, true), "{}", second.stderr());
    takes_up(agent, &site);
}

#[test]
fn pending_reloads_survive_a_mount_over_the_state_directory() {
    const NAME: &str = "faults::state_dir::pending_reloads_survive_a_mount_over_the_state_directory";
    if !is_inside(NAME, &["--user", "--map-root-user", "--mount"]) {
        return;
    }
    let site = scene();
    let agent = owing(&site);
    run(Command::new("mount").args(["-t", "tmpfs", "-o", "mode=700", "none"]).arg(site.path("state")));
    agent.signal(Signal::SIGHUP).says("event=state_dir_replaced");
    agent.until("the pending reload is recorded there", || site.read("state/journal").contains("out/list"));
    takes_up(agent, &site);
}

#[test]
fn a_file_size_limit_does_not_end_the_agent() {
    let site = scene();
    site.file("ready", "");
    // The limit fits the journal entries of a few updates.
    let agent = site.start_by(&["prlimit", "--fsize=3000"]);
    let _ = file_becomes(&agent, &site, "out/list", "a:1\n");
    let mut list = "a:1\n".to_owned();
    for number in 0..crate::support::random::count(12, 100) {
        let name = format!("b{number:03}:1");
        site.file(&format!("registry/services/web/{name}"), "");
        list.extend([&*name, "\n"]);
        let _ = file_becomes(&agent, &site, "out/list", &list);
        agent.until("it is loaded", || site.read("taken") == list);
    }
    assert!(fs::metadata(site.path("state/journal")).unwrap().len() <= 3000);
}

#[test]
fn an_agent_recovers_from_a_lack_of_descriptors() {
    let site = scene();
    site.file("ready", "");
    let agent = site.start();
    let _ = file_becomes(&agent, &site, "out/list", "a:1\n");
    agent.until("it is loaded", || site.read("taken") == "a:1\n");
    let limit = |most: &str| {
        run(Command::new("prlimit").arg(format!("--pid={}", agent.pid())).arg(format!("--nofile={most}:")));
    };
    let open = fs::read_dir(format!("/proc/{}/fd", agent.pid())).unwrap();
    let highest = open.map(|fd| fd.unwrap().file_name().to_str().unwrap().parse::<usize>().unwrap()).max().unwrap();
    let mut list = "a:1\n".to_owned();
    // Each time it gets one step further.
    for spare in 0..crate::support::random::count(6, 16) {
        let before = site.fingerprint("out/list");
        let said = agent.said("Too many open files");
        limit(&(highest + 1 + spare).to_string());
        let name = format!("b{spare:02}:1");
        site.file(&format!("registry/services/web/{name}"), "");
        list.extend([&*name, "\n"]);
        agent.until("it reaches the limit or succeeds", || {
            agent.said("Too many open files") > said || site.read("taken") == list
        });
        let now = site.fingerprint("out/list");
        assert!(now == before || now.3 == list.as_bytes(), "{spare}: {now:?}");
        limit("1024");
        let _ = file_becomes(&agent, &site, "out/list", &list);
        agent.until("it is loaded", || site.read("taken") == list);
        assert!(site.leftovers().is_empty(), "{spare}: {:?}", site.leftovers());
    }
    assert_eq!(agent.said("event=member_quarantined"), 0, "the members are readable");
}

/// A file that a killed agent has overwritten partly, and that cannot be finished at the start.
#[test]
fn an_interrupted_overwrite_is_finished_as_soon_as_possible() {
    let site = scene();
    site.configure(&CONFIG.replace("reload_interval", "write = \"inplace\"\nreload_interval"));
    site.file("out/list", "something else that is longer");
    let mut agent = owing(&site);
    // The journal has its entry, and the staged file exists again.
    let journal = site.read("state/journal");
    let (_, rest) = journal.rsplit_once(".rosterd-").unwrap();
    let staged = format!("out/.rosterd-{}", &rest[..rest.find('"').unwrap()]);
    agent.signal(Signal::SIGKILL);
    agent.ends(PATIENCE);
    fs::write(site.path(&staged), "a:1\n").unwrap();
    fs::remove_file(site.path("out/list")).unwrap();
    fs::create_dir(site.path("out/list")).unwrap();
    fs::rename(site.path("registry"), site.path("away")).unwrap();
    site.file("ready", "");
    site.run(&["render", "--timeout", "0s"]).expect(1);
    assert!(site.path(&staged).exists());
    let mut next = site.start();
    next.says("interrupted write cannot be finished");
    fs::remove_dir(site.path("out/list")).unwrap();
    fs::write(site.path("out/list"), "a:1\nthing else").unwrap();
    let _ = file_becomes(&next, &site, "out/list", "a:1\n");
    next.until("it is loaded", || site.read("taken") == "a:1\n");
    assert!(site.leftovers().is_empty());
    assert!(next.stop().success());
}
