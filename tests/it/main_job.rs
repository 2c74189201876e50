//! The main job with a directory registry: from a change of the registry to the replaced file and its reload.

use std::fmt::Write as _;
use std::fs;

use nix::sys::signal::Signal;

use crate::harness::site::Site;

const CONFIG: &str = web!(
    r#"wait = "20ms:200ms""#,
    r#"
[[template]]
src = "list.tera"
dest = "out/list"
check_cmd = "grep -q . {{ src }} && ! grep -q poison {{ src }}"
reload_cmd = "echo reloaded >> SITE/reloads; cat {{ dest }} > SITE/seen"
reload_interval = "0s"
"#
);

/// The file of a member by its last octet: 10.0.0.1:80 is 1.
pub fn member(number: u32) -> String {
    format!("registry/services/web/10.0.0.{number}:80")
}

/// A directory with this many members in its registry, and the template `list.tera` that lists them.
pub fn site_with(config: &str, members: u32) -> Site {
    let site = Site::new(config);
    site.file("templates/list.tera", "{% for m in web %}{{ m.address }}\n{% endfor %}");
    (1..=members).for_each(|number| _ = site.file(&member(number), ""));
    site
}

fn site(config: &str) -> Site {
    site_with(config, 2)
}

#[test]
fn a_change_reaches_the_file_and_the_software() {
    let site = site(CONFIG);
    let mut agent = site.start();
    agent.until("the first file", || site.read("seen") == "10.0.0.1:80\n10.0.0.2:80\n");
    agent.says("watching: /services/web event=watch_started").says("event=file_written").says("event=reload_succeeded");
    site.file(&member(3), "");
    agent.until("a join", || site.read("seen").ends_with("10.0.0.3:80\n"));
    site.remove(&member(1));
    agent.until("a leave", || site.read("seen") == "10.0.0.2:80\n10.0.0.3:80\n");
    assert_eq!(site.reloads(), 3, "{:?}", agent.log());
    assert_eq!(site.read("out/list"), site.read("seen"));
    assert!(agent.stop().success());
    assert!(site.leftovers().is_empty());
}

#[test]
fn below_min_absent_and_unreachable_leave_the_file_unchanged() {
    let site = site(CONFIG);
    let agent = site.start();
    agent.until("the first file", || site.reloads() == 1);
    let before = site.fingerprint("out/list");
    fs::remove_file(site.path(&member(1))).unwrap();
    agent.until("one member", || site.reloads() == 2);
    let before_one = site.fingerprint("out/list");
    assert_ne!(before, before_one);
    site.remove(&member(2));
    agent.says("hold in effect: /services/web has 0 members but needs at least 1 ");
    fs::remove_dir(site.path("registry/services/web")).unwrap();
    agent.says("hold in effect: /services/web has 0 members but needs at least 1: the path does not exist");
    fs::rename(site.path("registry"), site.path("elsewhere")).unwrap();
    agent.says("registry unreachable; files that depend on it stay as they are: ");
    assert_eq!(site.fingerprint("out/list"), before_one);
    assert_eq!(site.reloads(), 2);
    site.file("elsewhere/services/web/10.0.0.9:80", "");
    fs::rename(site.path("elsewhere"), site.path("registry")).unwrap();
    agent.until("members again", || site.read("seen") == "10.0.0.9:80\n");
    agent.says("hold released: /services/web");
}

#[test]
fn a_failed_check_leaves_the_file_unchanged_until_the_next_change() {
    let site = site(&CONFIG.replace("[[template]]\n", "[[template]]\nisolate = false\n"));
    let mut agent = site.start();
    agent.until("the first file", || site.reloads() == 1);
    let before = site.fingerprint("out/list");
    site.file("registry/services/web/poison:80", "");
    agent.says("check failed; file unchanged");
    assert_eq!(site.fingerprint("out/list"), before);
    site.remove("registry/services/web/poison:80").file(&member(3), "");
    agent.until("the good change", || site.read("seen").ends_with("10.0.0.3:80\n"));
    // A running agent may be just writing its state.
    assert!(agent.stop().success());
    assert!(site.leftovers().is_empty());
}

#[test]
fn changes_during_a_reload_are_not_lost() {
    let blocked = "reload_cmd = \"while test -e SITE/block; do sleep 0.01; done; ";
    let site = site(&CONFIG.replace("reload_cmd = \"", blocked));
    site.file("block", "");
    let agent = site.start();
    agent.until("the first file", || !site.read("out/list").is_empty());
    for n in 3..8 {
        site.file(&member(n), "");
        agent.until("the change in the file", || site.read("out/list").contains(&format!("10.0.0.{n}:80")));
    }
    assert_eq!(site.read("seen"), "", "the first reload is still running");
    site.remove("block");
    agent.until("the last change in the software", || site.read("seen").ends_with("10.0.0.7:80\n"));
}

#[test]
fn a_reload_that_fails_is_retried_until_it_succeeds() {
    let site = site(&CONFIG.replace("echo reloaded", "test -e SITE/mended || exit 3; echo reloaded"));
    let agent = site.start();
    agent.says("reload failed; still pending").says("exit");
    assert_eq!(site.read("out/list"), "10.0.0.1:80\n10.0.0.2:80\n", "the file is in place");
    site.file("mended", "");
    agent.until("the reload", || site.reloads() == 1);
}

#[test]
fn an_edited_template_is_used_if_it_is_valid() {
    let site = site(CONFIG);
    let agent = site.start();
    agent.until("the first file", || site.reloads() == 1);
    let before = site.fingerprint("out/list");
    site.file("templates/list.tera", "{% for m in web %}broken");
    agent.says("templates rejected; the previous ones are still in use");
    assert_eq!(site.fingerprint("out/list"), before);
    site.file("templates/list.tera", "{% for m in web %}server {{ m.address }}\n{% endfor %}");
    agent.until("the new template", || site.read("seen").starts_with("server 10.0.0.1:80\n"));
}

#[test]
fn hup_applies_a_valid_configuration_and_refuses_an_invalid_one() {
    let site = site(CONFIG);
    let agent = site.start();
    agent.until("the first file", || site.reloads() == 1);
    let good = site.read("rosterd.toml");
    let before = site.fingerprint("out/list");
    site.file("rosterd.toml", &good.replace("wait =", "min = 9\nwiat ="));
    agent.signal(Signal::SIGHUP).says("configuration rejected; the previous one is still in use");
    assert_eq!(site.fingerprint("out/list"), before);
    site.file("rosterd.toml", &good.replace("wait =", "max = 1\nwait ="));
    agent.signal(Signal::SIGHUP).says("configuration changed: ");
    agent.until("the new bounds", || site.read("seen") == "10.0.0.1:80\n");
    assert_eq!(agent.said("watching: /services/web"), 1, "the watch is the one from the start");
    site.file(&member(0), "");
    agent.until("a change after the HUP", || site.read("seen") == "10.0.0.0:80\n");
}

#[test]
fn a_state_directory_has_at_most_one_agent() {
    let site = site(CONFIG);
    let mut first = site.start();
    first.until("the first file", || site.reloads() == 1);
    let second = site.run(&["run"]);
    second.expect(5);
    assert!(second.stderr().contains(&first.pid().to_string()), "the pid is named: {}", second.stderr());
    site.run(&["diff"]).expect(0);
    assert!(first.is_running());
}

#[test]
fn term_ends_the_agent_in_time_during_a_hanging_reload() {
    let hanging = "trap '' TERM; touch SITE/started; while :; do sleep 1; done; echo reloaded";
    let site = site(&CONFIG.replace("echo reloaded", hanging));
    let mut agent = site.start();
    agent.until("the reload begins", || site.path("started").exists());
    assert!(agent.stop().success());
    assert!(site.leftovers().is_empty());
}

#[test]
fn a_template_that_renders_endlessly_does_not_block_others() {
    let mut config = CONFIG.to_owned();
    for n in 0..=std::thread::available_parallelism().unwrap().get() {
        // Its name sorts first, so it is rendered first.
        write!(config, "\n[[template]]\nname = \"a{n}\"\nsrc = \"endless.tera\"\ndest = \"out/endless{n}\"\n").unwrap();
    }
    let site = site_with(&config, 1);
    let turns = "{% for a in range(end=99999) %}{% for b in range(end=99999) %}{% endfor %}{% endfor %}";
    site.file("templates/endless.tera", turns);
    let agent = site.start();
    agent.until("the file of the other template", || site.read("seen") == "10.0.0.1:80\n");
    site.file(&member(2), "");
    agent.until("a change of its file", || site.read("seen").ends_with("10.0.0.2:80\n"));
    assert_eq!(site.read("out/endless0"), "");
}
