//! A destination that another process has changed is noticed and reported, and corrected or left.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use crate::harness::site::{Agent, Site};

const CONFIG: &str = web!(
    r#"wait = "0s:0s""#,
    r#"
[[template]]
name = "kept"
src = "list.tera"
dest = "out/kept"
mode = "0640"
reload_cmd = "echo kept >> SITE/reloads"
reload_interval = "0s"

[[template]]
name = "told"
src = "list.tera"
dest = "out/told"
on_drift = "report"
"#
);

const RIGHT: &str = "on_drift=correct";
const LEFT: &str = "on_drift=report";

fn site() -> Site {
    let site = Site::new(CONFIG);
    site.file("templates/list.tera", "{% for m in web %}{{ m.name }}\n{% endfor %}");
    site.file("registry/services/web/a:1", "").file("registry/services/web/b:2", "");
    site
}

fn started(site: &Site) -> Agent {
    let agent = site.start();
    agent.says("event=reload_succeeded");
    agent.until("both files are written", || agent.said("event=file_written") == 2);
    agent
}

fn template(site: &Site, number: usize) -> Value {
    let status: Value = serde_json::from_str(&site.run(&["status", "--json"]).expect(0).stdout()).unwrap();
    status["templates"][number].clone()
}

fn reloads(site: &Site) -> usize {
    site.read("reloads").lines().count()
}

/// A way to change a file without the agent, and how it is reported.
type Tampering = (fn(&Path), &'static str);

/// Changes a file in each way, but not so often that the corrections back off.
fn put_right(ways: &[Tampering]) {
    let site = site();
    let agent = started(&site);
    let dest = site.path("out/kept");
    for (done, (tamper, said)) in ways.iter().enumerate() {
        tamper(&dest);
        agent.until(said, || agent.said(said) > 0 && agent.said(RIGHT) > done);
        agent.until("its reload has run", || reloads(&site) == done + 2);
        agent.until("it is up to date", || template(&site, 0)["waiting_for"] == Value::Null);
        assert_eq!(site.read("out/kept"), "a:1\nb:2\n", "{said}");
        assert_eq!(fs::metadata(&dest).unwrap().permissions().mode() & 0o7777, 0o640, "{said}");
        assert_eq!(template(&site, 0)["drifted_since"], Value::Null, "{said}");
    }
    assert_eq!(agent.said(LEFT), 0);
}

#[test]
fn changed_content_is_corrected_and_reloaded() {
    put_right(&[
        (|dest| fs::write(dest, "edited in place").unwrap(), "its size changed from "),
        (
            |dest| {
                let other = dest.with_file_name("other");
                fs::write(&other, "another file").unwrap();
                fs::rename(other, dest).unwrap();
            },
            "it was replaced by a file of mode ",
        ),
        (|dest| fs::remove_file(dest).unwrap(), "it was deleted"),
    ]);
}

#[test]
fn changed_permissions_are_corrected_and_reloaded() {
    put_right(&[
        (
            |dest| fs::set_permissions(dest, Permissions::from_mode(0o666)).unwrap(),
            "its mode changed from 0640 to 0666",
        ),
        // The other file has the same bytes, so only its mode differs.
        (
            |dest| {
                let other = dest.with_file_name("other");
                fs::write(&other, "a:1\nb:2\n").unwrap();
                fs::set_permissions(&other, Permissions::from_mode(0o600)).unwrap();
                fs::rename(other, dest).unwrap();
            },
            "it was replaced by a file of mode 0600",
        ),
        (|dest| fs::write(dest, "").unwrap(), " to 0 bytes"),
    ]);
}

#[test]
fn a_touch_and_an_unconfigured_mode_are_not_drift() {
    let site = site();
    let agent = started(&site);
    let (kept, told) = (site.path("out/kept"), site.path("out/told"));
    let inode = site.fingerprint("out/kept").0;
    // A touch, and a changed mode of a file whose mode is not configured.
    fs::File::options().append(true).open(&kept).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    fs::set_permissions(&told, Permissions::from_mode(0o600)).unwrap();
    // A later change of another file is noticed by a check of all files.
    fs::write(&told, "by hand").unwrap();
    agent.says(LEFT);
    assert_eq!(agent.said("file changed by another process"), 1, "{}", agent.log().join("\n"));
    assert_eq!((site.fingerprint("out/kept").0, reloads(&site)), (inode, 1));
    // A file that is restored by hand is no longer reported.
    fs::write(&told, "a:1\nb:2\n").unwrap();
    agent.says("external change undone by another process");
    assert_eq!(template(&site, 1)["drifted_since"], Value::Null);
    assert_eq!(fs::metadata(&told).unwrap().permissions().mode() & 0o7777, 0o600);
}

#[test]
fn a_recreated_directory_is_watched_again() {
    let site = site();
    site.file("rosterd.toml", &site.read("rosterd.toml").replace("mode = \"0640\"", "make_dirs = true"));
    let agent = started(&site);
    for way in 0..2 {
        if way == 0 {
            fs::remove_dir_all(site.path("out")).unwrap();
        } else {
            fs::rename(site.path("out"), site.path("away")).unwrap();
        }
        agent.until("the file is there again", || site.read("out/kept") == "a:1\nb:2\n");
        agent.until("it is up to date", || template(&site, 0)["waiting_for"] == Value::Null);
        fs::write(site.path("out/kept"), "by hand").unwrap();
        agent.until("the new directory is watched", || site.read("out/kept") == "a:1\nb:2\n");
    }
}

#[test]
fn a_special_file_at_a_destination_does_not_block() {
    let site = site();
    let agent = started(&site);
    let dest = site.path("out/kept");
    for (number, kind) in ["fifo", "folder", "link"].into_iter().enumerate() {
        fs::remove_file(&dest).unwrap();
        match kind {
            "fifo" => nix::unistd::mkfifo(&dest, nix::sys::stat::Mode::S_IRWXU).unwrap(),
            "folder" => fs::create_dir(&dest).unwrap(),
            _ => std::os::unix::fs::symlink(site.path("elsewhere"), &dest).unwrap(),
        }
        agent.until(kind, || agent.said("a regular file") > number && template(&site, 0)["last_error"].is_string());
        match kind {
            "folder" => fs::remove_dir(&dest).unwrap(),
            _ => fs::remove_file(&dest).unwrap(),
        }
        agent.until("it is corrected", || site.read("out/kept") == "a:1\nb:2\n");
        agent.until("it is up to date", || template(&site, 0)["drifted_since"] == Value::Null);
    }
    assert!(!site.path("elsewhere").exists());
}

#[test]
fn a_link_and_its_target_are_both_watched() {
    let site = site();
    site.file("rosterd.toml", &site.read("rosterd.toml").replace("mode = \"0640\"", "symlink = \"follow\""));
    site.file("real/kept", "");
    std::os::unix::fs::symlink(site.path("real/kept"), site.path("out/kept")).unwrap();
    let agent = started(&site);
    fs::write(site.path("real/kept"), "by hand").unwrap();
    agent.until("the target is corrected", || site.read("real/kept") == "a:1\nb:2\n");
    agent.until("it is up to date", || template(&site, 0)["drifted_since"] == Value::Null);
    // Some editors replace a link by a file.
    site.file("out/kept", "by hand");
    agent.until("the file that programs read is corrected", || site.read("out/kept") == "a:1\nb:2\n");
}

#[test]
fn with_report_a_drift_is_shown_and_left_until_members_change() {
    let site = site();
    let agent = started(&site);
    fs::write(site.path("out/told"), "by hand").unwrap();
    agent.says(LEFT);
    // Another file is corrected at once, which shows that no correction of this one is pending.
    fs::remove_file(site.path("out/kept")).unwrap();
    agent.until("the other file is corrected", || site.read("out/kept") == "a:1\nb:2\n");
    assert_eq!(site.read("out/told"), "by hand");
    let told = template(&site, 1);
    assert!(told["drifted_since"].is_string(), "{told}");
    let explained = site.run(&["explain", "told"]).expect(0).stdout();
    assert!(
        explained.contains("changed by another process, detected at ") && explained.contains(" to 7 bytes"),
        "{explained}"
    );
    site.file("registry/services/web/c:3", "");
    agent.until("a change of members replaces it", || site.read("out/told") == "a:1\nb:2\nc:3\n");
    agent.until("its drift is resolved", || template(&site, 1)["drifted_since"] == Value::Null);
}

#[test]
fn the_agents_own_writes_are_not_drift() {
    let site = site();
    let agent = started(&site);
    for number in 1..=20 {
        site.file(&format!("registry/services/web/n:{number}"), "");
        let line = format!("n:{number}\n");
        agent.until(&line, || site.read("out/kept").contains(&line) && site.read("out/told").contains(&line));
    }
    // A change by another process is noticed by a later check.
    fs::remove_file(site.path("out/told")).unwrap();
    agent.says(LEFT);
    let said = agent.said("file changed by another process");
    assert_eq!(said, 1, "{}", agent.log().join("\n"));
}

#[test]
fn edits_outside_a_block_and_writes_in_place_are_not_drift() {
    let site = site();
    let more = "\n[[template]]\nname = \"hosts\"\nsrc = \"list.tera\"\ndest = \"out/hosts\"\nblock = \"x\"\n\
                \n[[template]]\nname = \"over\"\nsrc = \"list.tera\"\ndest = \"out/over\"\nwrite = \"inplace\"\n";
    site.file("rosterd.toml", &format!("{}{more}", site.read("rosterd.toml")));
    site.file("out/hosts", "127.0.0.1 localhost\n").file("out/over", "");
    let agent = site.start();
    let all = || agent.said("event=file_written") == 4;
    agent.until("all files are written", all);
    // By a rename, so that no check sees an incomplete file.
    let put = |name: &str, text: &str| {
        site.file("out/other", text);
        fs::rename(site.path("out/other"), site.path(name)).unwrap();
    };
    for number in 1..=5 {
        put("out/hosts", &site.read("out/hosts").replace("localhost", &format!("localhost h{number}")));
        site.file(&format!("registry/services/web/n:{number}"), "");
        let line = format!("n:{number}\n");
        agent.until(&line, || ["out/hosts", "out/over"].iter().all(|file| site.read(file).contains(&line)));
    }
    // A change by another process is noticed by a later check.
    put("out/hosts", &site.read("out/hosts").replace("a:1\n", ""));
    agent.until("the block is corrected", || site.read("out/hosts").contains("a:1\n"));
    put("out/over", "by hand");
    agent.until("the other file is corrected", || site.read("out/over").starts_with("a:1\n"));
    assert!(agent.said("hosts: its block x was changed: ") > 0, "{}", agent.log().join("\n"));
    assert_eq!(agent.said("file changed by another process"), 2, "{}", agent.log().join("\n"));
    assert!(site.read("out/hosts").starts_with("127.0.0.1 localhost h5 h4 h3 h2 h1\n"), "{}", site.read("out/hosts"));
}

#[test]
fn corrections_of_a_file_that_another_tool_keeps_writing_back_off() {
    let site = site();
    let agent = started(&site);
    let dest = site.path("out/kept");
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0.. {
                if is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
                fs::write(&dest, format!("by another tool, {number}\n")).unwrap();
                std::thread::yield_now();
            }
        });
        let waits = crate::support::wait::holds(crate::harness::site::PATIENCE, || {
            agent.said("corrected 3 times recently; is another tool managing it?") > 0
        });
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(waits, "{}", agent.log().join("\n"));
    });
    let told = template(&site, 0);
    assert!(told["waiting_for"].as_str().is_some_and(|why| why.contains("is another tool managing it?")), "{told}");
    agent.until("the agent writes last", || site.read("out/kept") == "a:1\nb:2\n");
    agent.until("it is up to date", || template(&site, 0)["waiting_for"] == Value::Null);
    assert!(reloads(&site) <= 1 + 3 + 1, "{} reloads", reloads(&site));
}
