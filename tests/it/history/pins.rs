//! Pins across kills, and pins that cannot be read or saved.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use super::{CONFIG, generations, join, list, loaded, pinned, status_of, up};
use crate::harness::site::PATIENCE;
use crate::main_job::member;
use crate::support::random::count;

/// The agent is killed before a call on files during a rollback. The next one has either rolled back or not: the file,
/// the pin and the software agree.
#[test]
fn a_rollback_survives_a_kill_at_any_call() {
    let (mut kills, mut outcomes) = (0, [0, 0]);
    for call in ["renameat", "rename", "fsync", "unlinkat"] {
        for nth in 1..=count(2, 100) {
            let (site, mut agent) = up(CONFIG);
            join(&agent, &site, &[1, 2]);
            let numbers = generations(&site, "list");
            let inject = format!("inject={call}:signal=KILL:when={nth}");
            let mut strace = Command::new("strace");
            strace.args(["-f", "-e", &format!("trace={call}"), "-e", &inject, "-p", &agent.pid().to_string()]);
            let mut strace = strace.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
            let mut lines = BufReader::new(strace.stderr.take().unwrap()).lines().map_while(Result::ok);
            assert!(lines.any(|line| line.contains("attached")), "strace does not attach");
            std::thread::spawn(move || lines.for_each(drop));
            let code = site.run(&["rollback", "list", &numbers[0]]).code();
            let was_killed = code != 0;
            if !was_killed {
                agent.signal(Signal::SIGKILL);
            }
            agent.ends(PATIENCE);
            strace.wait().unwrap();
            // The next change shows whether the file is pinned.
            site.file(&member(3), "");
            let agent = site.start();
            agent.until("the socket", || status_of(&site, "list").is_some());
            let is_pinned = pinned(&site, "list").is_some();
            loaded(&agent, &site, if is_pinned { &[1] } else { &[1, 2, 3] });
            assert_eq!(site.read("out/list"), site.read("seen"), "{call} {nth}");
            assert!(is_pinned || was_killed, "{call} {nth}: a rollback that has succeeded is lost");
            assert!(site.leftovers().is_empty(), "{call} {nth}: {:?}", site.leftovers());
            outcomes[usize::from(is_pinned)] += 1;
            kills += usize::from(was_killed);
            if !was_killed {
                break;
            }
        }
    }
    println!("{kills} kills: {outcomes:?} without and with a pin");
    assert!(kills >= 3 && outcomes[0] > 0 && outcomes[1] > 0, "{kills} {outcomes:?}");
}

#[test]
fn pins_that_cannot_be_read_pause_the_agent() {
    let (site, mut agent) = up(CONFIG);
    join(&agent, &site, &[1, 2]);
    site.run(&["rollback", "list", &generations(&site, "list")[0]]).expect(0);
    assert!(agent.stop().success());
    let saved = site.read("state/pins.json");
    site.file("state/pins.json", &saved[..saved.len() / 2]);
    let alone = site.run(&["render", "--timeout", "5s"]);
    assert!(alone.expect(3).stderr().contains("pinned files would be rendered"), "{}", alone.stderr());
    let mut agent = site.start();
    agent.says("paused for one hour, because pinned files would be rendered");
    agent.until("it is paused", || site.run(&["status"]).stdout().contains("pins.json"));
    assert_eq!(site.read("out/list"), list(&[1]));
    assert!(agent.stop().success());
    site.file("state/pins.json", &saved);
    let agent = site.start();
    agent.until("it is pinned", || status_of(&site, "list").is_some_and(|it| it["pinned"].is_object()));
    drop(agent);
}

#[test]
fn a_pin_that_cannot_be_saved_is_reported() {
    let (site, agent) = up(CONFIG);
    join(&agent, &site, &[1, 2]);
    let numbers = generations(&site, "list");
    // The file cannot be renamed over a directory.
    fs::create_dir_all(site.path("state/pins.json/x")).unwrap();
    let done = site.run(&["rollback", "list", &numbers[0]]);
    assert!(done.expect(1).stderr().contains("a restart undoes that"), "{}", done.stderr());
    assert_eq!((site.read("out/list"), pinned(&site, "list")), (list(&[1]), numbers[0].parse().ok()));
    agent.says("event=state_write_failed");
    fs::remove_dir_all(site.path("state/pins.json")).unwrap();
    site.run(&["resume", "list"]).expect(0);
    loaded(&agent, &site, &[1, 2]);
}

#[test]
fn the_file_of_a_key_stays_pinned_when_the_key_is_gone() {
    let config = "[registry]\nurl = \"dir:registry\"\n\n[[roster]]\nname = \"services\"\npath = \"/services/*\"\n\
                  wait = \"0s:0s\"\nmax_shrink = \"100%\"\n\n[[template]]\nname = \"svc\"\neach = \"services\"\n\
                  src = \"svc.tera\"\ndest = \"out/{{ key }}\"\n";
    let site = crate::harness::site::Site::new(config);
    site.file("templates/svc.tera", "{{ key }} {{ members | length }}\n");
    site.file("registry/services/a/1:1", "").file("registry/services/b/1:1", "");
    let mut agent = site.start();
    agent.until("both files", || site.read("out/a") == "a 1\n" && site.read("out/b") == "b 1\n");
    site.file("registry/services/a/2:2", "");
    agent.until("the change", || site.read("out/a") == "a 2\n");
    site.run(&["rollback", "svc", "1"]).expect(64);
    agent.until("both are recorded", || generations(&site, "svc[a]").len() == 2);
    site.run(&["rollback", "svc[a]", &generations(&site, "svc[a]")[0]]).expect(0);
    fs::remove_dir_all(site.path("registry/services/a")).unwrap();
    fs::remove_dir_all(site.path("registry/services/b")).unwrap();
    agent.until("the other file is removed", || !site.path("out/b").exists());
    assert_eq!(site.read("out/a"), "a 1\n");
    assert!(agent.stop().success());
    let agent = site.start();
    agent.until("the socket", || site.run(&["status"]).code() == 0);
    assert_eq!(site.read("out/a"), "a 1\n");
    site.run(&["resume", "svc[a]"]).expect(0);
    agent.until("it is removed at last", || !site.path("out/a").exists());
}
