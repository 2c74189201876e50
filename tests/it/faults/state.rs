//! What befalls the state directory and the journal below an agent at work: it is said, no reload is lost, and the agent puts
//! things right by itself.

use std::fs;
use std::process::Command;

use nix::sys::signal::Signal;

use super::file_becomes;
use crate::harness::site::{Agent, PATIENCE, Site};
use crate::support::inside::{is_inside, run};

/// Software that takes up nothing before somebody is ready.
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

/// The agent is killed, and the next one takes up what it owed, with nobody to say who the members are.
fn takes_up(mut agent: Agent, site: &Site) {
    agent.signal(Signal::SIGKILL);
    agent.ends(PATIENCE);
    fs::rename(site.path("registry"), site.path("away")).unwrap();
    site.file("ready", "");
    let mut next = site.start();
    next.until("it is taken up", || site.read("taken") == "a:1\n");
    assert!(next.stop().success());
}

#[test]
fn a_state_directory_that_is_removed_is_told_of_and_made_anew_with_what_is_owed() {
    let site = scene();
    let agent = owing(&site);
    fs::remove_dir_all(site.path("state")).unwrap();
    // It looks once a minute, and when it is asked to.
    agent.signal(Signal::SIGHUP).says("event=state_dir_replaced");
    agent.until("what is owed is noted anew", || site.read("state/journal").contains("out/list"));
    let second = site.run(&["run"]);
    assert_eq!((second.code(), second.stderr().contains(&agent.pid().to_string())), (5, true), "{}", second.stderr());
    takes_up(agent, &site);
}

#[test]
fn a_disk_that_is_mounted_on_the_state_directory_is_told_of_and_gets_what_is_owed() {
    const NAME: &str = "faults::state::a_disk_that_is_mounted_on_the_state_directory_is_told_of_and_gets_what_is_owed";
    if !is_inside(NAME, &["--user", "--map-root-user", "--mount"]) {
        return;
    }
    let site = scene();
    let agent = owing(&site);
    run(Command::new("mount").args(["-t", "tmpfs", "-o", "mode=700", "none"]).arg(site.path("state")));
    agent.signal(Signal::SIGHUP).says("event=state_dir_replaced");
    agent.until("what is owed is noted there", || site.read("state/journal").contains("out/list"));
    takes_up(agent, &site);
}

#[test]
fn a_file_size_limit_ends_no_agent() {
    let site = scene();
    site.file("ready", "");
    // So much takes the journal's line of a few updates.
    let agent = site.start_by(&["prlimit", "--fsize=3000"]);
    let _ = file_becomes(&agent, &site, "out/list", "a:1\n");
    let mut list = "a:1\n".to_owned();
    for number in 0..crate::support::random::count(12, 100) {
        let name = format!("b{number:03}:1");
        site.file(&format!("registry/services/web/{name}"), "");
        list.extend([&*name, "\n"]);
        let _ = file_becomes(&agent, &site, "out/list", &list);
        agent.until("it is taken up", || site.read("taken") == list);
    }
    assert!(fs::metadata(site.path("state/journal")).unwrap().len() <= 3000);
}

#[test]
fn an_agent_without_descriptors_keeps_the_file_and_goes_on_when_it_has_some() {
    let site = scene();
    site.file("ready", "");
    let agent = site.start();
    let _ = file_becomes(&agent, &site, "out/list", "a:1\n");
    agent.until("it is taken up", || site.read("taken") == "a:1\n");
    let limit = |most: &str| {
        run(Command::new("prlimit").arg(format!("--pid={}", agent.pid())).arg(format!("--nofile={most}:")));
    };
    let open = fs::read_dir(format!("/proc/{}/fd", agent.pid())).unwrap();
    let highest = open.map(|fd| fd.unwrap().file_name().to_str().unwrap().parse::<usize>().unwrap()).max().unwrap();
    let mut list = "a:1\n".to_owned();
    // Each time it comes one step further.
    for spare in 0..crate::support::random::count(6, 16) {
        let before = site.fingerprint("out/list");
        let said = agent.said("Too many open files");
        limit(&(highest + 1 + spare).to_string());
        let name = format!("b{spare:02}:1");
        site.file(&format!("registry/services/web/{name}"), "");
        list.extend([&*name, "\n"]);
        agent.until("it meets the limit, or has enough", || {
            agent.said("Too many open files") > said || site.read("taken") == list
        });
        let now = site.fingerprint("out/list");
        assert!(now == before || now.3 == list.as_bytes(), "{spare}: {now:?}");
        limit("1024");
        let _ = file_becomes(&agent, &site, "out/list", &list);
        agent.until("it is taken up", || site.read("taken") == list);
        assert!(site.leftovers().is_empty(), "{spare}: {:?}", site.leftovers());
    }
    assert_eq!(agent.said("event=member_quarantined"), 0, "the members are readable");
}

/// A file that is overwritten, of which a killed agent has left a part, and which cannot be finished at the start.
#[test]
fn an_overwriting_that_was_cut_off_is_finished_as_soon_as_it_can_be() {
    let site = scene();
    site.configure(&CONFIG.replace("reload_interval", "write = \"inplace\"\nreload_interval"));
    site.file("out/list", "something else that is longer");
    let mut agent = owing(&site);
    // The journal knows of it, and what it was overwritten with lies there once more.
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
    next.until("it is taken up", || site.read("taken") == "a:1\n");
    assert!(site.leftovers().is_empty());
    assert!(next.stop().success());
}
