//! A disk that becomes full or read-only under a running agent: the file stays, the agent reports the reason, and
//! retries until it succeeds.

use std::fs;
use std::process::Command;

use super::file_becomes;
use crate::harness::site::{Agent, Site};
use crate::support::inside::{is_inside, run};

const CONFIG: &str = web!(
    r#"wait = "0s:0s""#,
    r#"
[[template]]
src = "list.tera"
dest = "out/list"
reload_cmd = "echo reloaded >> SITE/reloads"
reload_interval = "0s"
"#
);

/// One more member joins while nothing can be written, and existing files do not change.
#[track_caller]
fn keeps(agent: &Agent, site: &Site, member: &str, why: &str) {
    let (before, reloads) = (site.fingerprint("out/list"), site.reloads());
    site.file(&format!("registry/services/web/{member}"), "");
    agent.says(why);
    agent.until("status shows the reason", || site.run(&["status"]).stdout().contains(why));
    assert_eq!((site.fingerprint("out/list"), site.reloads()), (before, reloads), "{}", agent.log().join("\n"));
    assert!(site.leftovers().is_empty(), "{:?}", site.leftovers());
}

#[test]
fn a_full_or_read_only_disk_is_reported_and_the_file_written_later() {
    const NAME: &str = "faults::full_disk::a_full_or_read_only_disk_is_reported_and_the_file_written_later";
    if !is_inside(NAME, &["--user", "--map-root-user", "--mount"]) {
        return;
    }
    let site = Site::new(CONFIG);
    let out = site.path("out");
    let mount = |options: &str| run(Command::new("mount").args(["-t", "tmpfs", "-o", options, "none"]).arg(&out));
    mount("size=64k,mode=755");
    site.file("templates/list.tera", "{% for m in web %}{{ m.name }}\n{% endfor %}");
    site.file("registry/services/web/a:1", "");
    let mut agent = site.start();
    let _ = file_becomes(&agent, &site, "out/list", "a:1\n");
    agent.until("the first reload", || site.reloads() == 1);
    assert!(fs::write(site.path("out/ballast"), vec![b'x'; 100_000]).is_err(), "the disk is full");
    keeps(&agent, &site, "b:1", "No space left");
    agent.says("see df");
    site.remove("out/ballast");
    let took = file_becomes(&agent, &site, "out/list", "a:1\nb:1\n");
    println!("put right {took:?} after there was room");
    agent.until("its reload", || site.reloads() == 2);
    mount("remount,ro");
    keeps(&agent, &site, "c:1", "Read-only file system");
    mount("remount,rw");
    let took = file_becomes(&agent, &site, "out/list", "a:1\nb:1\nc:1\n");
    println!("put right {took:?} after it could be written");
    agent.until("its reload", || site.reloads() == 3);
    assert!(agent.stop().success());
}

#[test]
fn with_a_full_state_directory_files_stay_unchanged_until_it_has_room() {
    const NAME: &str = "faults::full_disk::with_a_full_state_directory_files_stay_unchanged_until_it_has_room";
    if !is_inside(NAME, &["--user", "--map-root-user", "--mount"]) {
        return;
    }
    let site = Site::new(CONFIG);
    let state = site.path("state");
    fs::create_dir(&state).unwrap();
    run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k,mode=700", "none"]).arg(&state));
    site.file("templates/list.tera", "{% for m in web %}{{ m.name }}\n{% endfor %}");
    site.file("registry/services/web/a:1", "");
    let mut agent = site.start();
    let _ = file_becomes(&agent, &site, "out/list", "a:1\n");
    agent.until("the first reload", || site.reloads() == 1);
    assert!(fs::write(site.path("state/ballast"), vec![b'x'; 100_000]).is_err(), "the disk is full");
    // There is still room in the last page of the journal.
    let (mut list, mut number) = ("a:1\n".to_owned(), 0);
    let cannot = || site.run(&["status"]).stdout().contains("No space left");
    while !cannot() {
        number += 1;
        let name = format!("c{number:02}:1\n");
        list += &name;
        site.file(&format!("registry/services/web/{}", name.trim()), "");
        agent.until("it is replaced, or cannot be", || site.read("out/list") == list || cannot());
        assert!(number < 40, "the disk never fills up");
    }
    assert!(list.starts_with(&site.read("out/list")) && site.leftovers().is_empty());
    site.remove("state/ballast");
    let _ = file_becomes(&agent, &site, "out/list", &list);
    assert!(agent.stop().success());
}
