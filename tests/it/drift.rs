//! A destination that somebody else has changed is noticed, said, and put right, or left.

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

/// A way to change a file behind the agent's back, and what is said of it.
type Tampering = (fn(&Path), &'static str);

/// Tampers with a file, not so often that it would have to wait to be put right.
fn put_right(ways: &[Tampering]) {
    let site = site();
    let agent = started(&site);
    let dest = site.path("out/kept");
    for (done, (tamper, said)) in ways.iter().enumerate() {
        tamper(&dest);
        agent.until(said, || agent.said(said) > 0 && agent.said(RIGHT) > done);
        agent.until("its reload has run", || reloads(&site) == done + 2);
        agent.until("nothing is said of it any more", || template(&site, 0)["waiting_for"] == Value::Null);
        assert_eq!(site.read("out/kept"), "a:1\nb:2\n", "{said}");
        assert_eq!(fs::metadata(&dest).unwrap().permissions().mode() & 0o7777, 0o640, "{said}");
        assert_eq!(template(&site, 0)["drifted_since"], Value::Null, "{said}");
    }
    assert_eq!(agent.said(LEFT), 0);
}

#[test]
fn what_somebody_else_wrote_in_a_file_is_put_right_and_reloaded() {
    put_right(&[
        (|dest| fs::write(dest, "edited in place").unwrap(), "its size is "),
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
fn whom_somebody_else_lets_read_a_file_is_put_right_and_reloaded() {
    put_right(&[
        (|dest| fs::set_permissions(dest, Permissions::from_mode(0o666)).unwrap(), "its mode is 0666, was 0640"),
        // With the same bytes in another file its mode is what differs.
        (
            |dest| {
                let other = dest.with_file_name("other");
                fs::write(&other, "a:1\nb:2\n").unwrap();
                fs::set_permissions(&other, Permissions::from_mode(0o600)).unwrap();
                fs::rename(other, dest).unwrap();
            },
            "it was replaced by a file of mode 0600",
        ),
        (|dest| fs::write(dest, "").unwrap(), "its size is 0 bytes"),
    ]);
}

#[test]
fn what_only_looks_changed_is_nothing_to_speak_of() {
    let site = site();
    let agent = started(&site);
    let (kept, told) = (site.path("out/kept"), site.path("out/told"));
    let inode = site.fingerprint("out/kept").0;
    // A touch; and of a file whose mode is not configured, a mode that somebody has chosen.
    fs::File::options().append(true).open(&kept).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    fs::set_permissions(&told, Permissions::from_mode(0o600)).unwrap();
    // What is noticed of another file after that was seen by a look at all of them.
    fs::write(&told, "by hand").unwrap();
    agent.says(LEFT);
    assert_eq!(agent.said("file changed by another process"), 1, "{}", agent.log().join("\n"));
    assert_eq!((site.fingerprint("out/kept").0, reloads(&site)), (inode, 1));
    // Put back by hand it has not drifted any more.
    fs::write(&told, "a:1\nb:2\n").unwrap();
    agent.says("external change undone by another process");
    assert_eq!(template(&site, 1)["drifted_since"], Value::Null);
    assert_eq!(fs::metadata(&told).unwrap().permissions().mode() & 0o7777, 0o600);
}

#[test]
fn a_folder_that_is_made_anew_is_watched_as_the_old_one_was() {
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
        agent.until("and right", || template(&site, 0)["waiting_for"] == Value::Null);
        fs::write(site.path("out/kept"), "by hand").unwrap();
        agent.until("the new folder is watched", || site.read("out/kept") == "a:1\nb:2\n");
    }
}

#[test]
fn what_took_the_place_of_a_file_is_never_waited_for() {
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
        agent.until("it is right again", || site.read("out/kept") == "a:1\nb:2\n");
        agent.until("and in step", || template(&site, 0)["drifted_since"] == Value::Null);
    }
    assert!(!site.path("elsewhere").exists());
}

#[test]
fn a_file_behind_a_link_is_watched_where_it_is_and_so_is_the_link() {
    let site = site();
    site.file("rosterd.toml", &site.read("rosterd.toml").replace("mode = \"0640\"", "symlink = \"follow\""));
    site.file("real/kept", "");
    std::os::unix::fs::symlink(site.path("real/kept"), site.path("out/kept")).unwrap();
    let agent = started(&site);
    fs::write(site.path("real/kept"), "by hand").unwrap();
    agent.until("it is put right where it is", || site.read("real/kept") == "a:1\nb:2\n");
    agent.until("and in step", || template(&site, 0)["drifted_since"] == Value::Null);
    // An editor that does not know of links puts its own file in place of one.
    site.file("out/kept", "by hand");
    agent.until("what programs read is put right", || site.read("out/kept") == "a:1\nb:2\n");
}

#[test]
fn with_report_it_is_shown_and_left_until_something_changes() {
    let site = site();
    let agent = started(&site);
    fs::write(site.path("out/told"), "by hand").unwrap();
    agent.says(LEFT);
    // What is put right at once in another file shows that nothing is on its way for this one.
    fs::remove_file(site.path("out/kept")).unwrap();
    agent.until("the other file is put right", || site.read("out/kept") == "a:1\nb:2\n");
    assert_eq!(site.read("out/told"), "by hand");
    let told = template(&site, 1);
    assert!(told["drifted_since"].is_string(), "{told}");
    let explained = site.run(&["explain", "told"]).expect(0).stdout();
    assert!(
        explained.contains("changed by another process since") && explained.contains("its size is 7 bytes"),
        "{explained}"
    );
    site.file("registry/services/web/c:3", "");
    agent.until("a change of members replaces it", || site.read("out/told") == "a:1\nb:2\nc:3\n");
    agent.until("and it has not drifted any more", || template(&site, 1)["drifted_since"] == Value::Null);
}

#[test]
fn what_the_agent_writes_itself_is_nobody_elses_doing() {
    let site = site();
    let agent = started(&site);
    for number in 0..20 {
        site.file(&format!("registry/services/web/n:{number}"), "");
        let line = format!("n:{number}\n");
        agent.until(&line, || site.read("out/kept").contains(&line) && site.read("out/told").contains(&line));
    }
    // One that is somebody else's is noticed, by a look after all of that.
    fs::remove_file(site.path("out/told")).unwrap();
    agent.says(LEFT);
    let said = agent.said("file changed by another process");
    assert_eq!(said, 1, "{}", agent.log().join("\n"));
}

#[test]
fn of_a_file_with_a_block_only_the_block_drifts_and_one_written_in_place_is_known_by_what_was_written() {
    let site = site();
    let more = "\n[[template]]\nname = \"hosts\"\nsrc = \"list.tera\"\ndest = \"out/hosts\"\nblock = \"x\"\n\
                \n[[template]]\nname = \"over\"\nsrc = \"list.tera\"\ndest = \"out/over\"\nwrite = \"inplace\"\n";
    site.file("rosterd.toml", &format!("{}{more}", site.read("rosterd.toml")));
    site.file("out/hosts", "127.0.0.1 localhost\n").file("out/over", "");
    let agent = site.start();
    let all = || agent.said("event=file_written") == 4;
    agent.until("all files are written", all);
    // At once, so that no look finds half of it.
    let put = |name: &str, text: &str| {
        site.file("out/other", text);
        fs::rename(site.path("out/other"), site.path(name)).unwrap();
    };
    for number in 0..5 {
        put("out/hosts", &site.read("out/hosts").replace("localhost", &format!("localhost h{number}")));
        site.file(&format!("registry/services/web/n:{number}"), "");
        let line = format!("n:{number}\n");
        agent.until(&line, || ["out/hosts", "out/over"].iter().all(|file| site.read(file).contains(&line)));
    }
    // One that is somebody else's is noticed, by a look after all of that.
    put("out/hosts", &site.read("out/hosts").replace("a:1\n", ""));
    agent.until("the block is put right", || site.read("out/hosts").contains("a:1\n"));
    put("out/over", "by hand");
    agent.until("the other file is put right", || site.read("out/over").starts_with("a:1\n"));
    assert!(agent.said("hosts: its block x was changed: ") > 0, "{}", agent.log().join("\n"));
    assert_eq!(agent.said("file changed by another process"), 2, "{}", agent.log().join("\n"));
    assert!(site.read("out/hosts").starts_with("127.0.0.1 localhost h4 h3 h2 h1 h0\n"), "{}", site.read("out/hosts"));
}

#[test]
fn a_file_that_another_tool_writes_all_the_time_does_not_reload_without_end() {
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
            agent.said("rewritten 3 times recently: is another tool managing it?") > 0
        });
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(waits, "{}", agent.log().join("\n"));
    });
    let told = template(&site, 0);
    assert!(told["waiting_for"].as_str().is_some_and(|why| why.contains("is another tool managing it?")), "{told}");
    agent.until("the last word is the agent's", || site.read("out/kept") == "a:1\nb:2\n");
    agent.until("and in step", || template(&site, 0)["waiting_for"] == Value::Null);
    assert!(reloads(&site) <= 1 + 3 + 1, "{} reloads", reloads(&site));
}
