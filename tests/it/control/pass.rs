//! `render` and `diff` while an agent runs.

use std::fs;

use nix::sys::signal::Signal;

use super::{CONFIG, lose, site, site_with, status, up};

#[test]
fn render_goes_through_the_running_agent() {
    let site = site(2);
    let agent = up(&site);
    let before = site.reloads();
    let same = site.run(&["render", "--detailed-exitcode"]);
    assert!(same.expect(0).stderr().contains("by=agent"), "{}", same.stderr());
    site.run(&["diff"]).expect(0);
    assert_eq!(site.reloads(), before);
    fs::write(site.path("out/list"), "by hand\n").unwrap();
    let diff = site.run(&["diff"]);
    assert!(diff.expect(2).stdout().contains("-by hand\n+10.0.0.1:80\n"), "{}", diff.stdout());
    site.run(&["render", "--dry-run"]).expect(0);
    assert_eq!(site.read("out/list"), "by hand\n");
    let render = site.run(&["render", "list", "--diff", "--no-reload", "--detailed-exitcode"]);
    assert!(render.expect(2).stdout().contains("-by hand\n"), "{}", render.stdout());
    assert!(render.stderr().contains("event=file_written"), "{}", render.stderr());
    assert_eq!((site.read("out/list").lines().count(), site.reloads()), (2, before), "no reload");
    fs::write(site.path("out/list"), "by hand\n").unwrap();
    site.run(&["render"]).expect(0);
    assert_eq!((site.read("out/list").lines().count(), site.reloads()), (2, before + 1), "the reload was waited for");
    site.run(&["render", "nobody"]).expect(64);
    site.file("broken", "");
    fs::write(site.path("out/list"), "by hand\n").unwrap();
    let owed = site.run(&["render"]);
    assert!(owed.expect(1).stderr().contains("a reload is still pending"), "{}", owed.stderr());
    drop(agent);
}

#[test]
fn render_through_the_agent_holds_and_waits_as_without_it() {
    let site = site(8);
    let agent = up(&site);
    lose(&site, &agent, 3..=8);
    let held = site.run(&["render"]);
    assert!(held.expect(3).stderr().contains("of 8 members of /services/web remain"), "{}", held.stderr());
    site.run(&["render", "--held-ok"]).expect(0);
    site.run(&["diff"]).expect(3);
    assert!(site.read("out/list").lines().count() > 2, "without the agent the loss would have been admitted");
    fs::rename(site.path("registry"), site.path("gone")).unwrap();
    agent.until("stale", || status(&site)["rosters"][0]["fresh"] == false);
    let before = site.fingerprint("out/list");
    let away = site.run(&["render", "--timeout", "300ms", "--held-ok"]);
    assert!(away.expect(4).stderr().contains("no answer from the registry in time"), "{}", away.stderr());
    assert_eq!(site.fingerprint("out/list"), before);
    fs::write(site.path("out/list"), "by hand\n").unwrap();
    site.run(&["render", "--timeout", "300ms", "--held-ok", "--max-stale", "0s"]).expect(4);
    site.run(&["render", "--held-ok", "--max-stale", "1h"]).expect(0);
    assert_eq!(site.fingerprint("out/list").3, before.3, "the last known-good members are used");
}

#[test]
fn render_makes_the_agent_apply_an_edited_configuration() {
    let site = site(2);
    let agent = up(&site);
    let second = "[[template]]\nsrc = \"more.tera\"\ndest = \"out/more\"\n";
    site.file("templates/more.tera", "{{ web | length }}\n");
    site.file("rosterd.toml", &format!("{}\n{second}", site.read("rosterd.toml")));
    let diff = site.run(&["diff"]);
    assert!(diff.expect(2).stderr().contains("dry run is not using the running agent"), "{}", diff.stderr());
    assert!(diff.stdout().contains("+2\n"));
    assert_eq!(status(&site)["templates"].as_array().unwrap().len(), 1, "a dry run applies nothing");
    let render = site.run(&["render"]);
    assert!(render.expect(0).stderr().contains("by=agent"), "{}", render.stderr());
    assert_eq!(site.read("out/more"), "2\n");
    assert_eq!(status(&site)["templates"].as_array().unwrap().len(), 2);
    drop(agent);
}

#[test]
fn a_copied_configuration_elsewhere_does_not_use_the_agent() {
    let config = format!("[status]\nsocket = \"SITE/agent.sock\"\n{CONFIG}");
    let site = site_with(&config, 1);
    let agent = up(&site);
    // Its state directory, registry and destination are next to it.
    site.file("other/rosterd.toml", &site.read("rosterd.toml"));
    site.file("other/templates/list.tera", &site.read("templates/list.tera"));
    site.file("other/registry/services/web/10.9.9.9:80", "").file("other/out/x", "");
    let diff = site.run(&["-c", "other/rosterd.toml", "diff"]);
    assert!(diff.expect(2).stdout().contains("+10.9.9.9:80\n"), "{}", diff.stderr());
    assert!(diff.stderr().contains("the running agent uses a different state directory"), "{}", diff.stderr());
    drop(agent);
}

#[test]
fn a_locked_state_directory_without_a_socket_exits_5_and_names_the_pid() {
    let site = site(1);
    let agent = up(&site);
    // The socket of an agent with another state directory.
    let other = site.read("rosterd.toml").replace("\"state\"", "\"state2\"").replace("out/list", "out/list2");
    site.file("other.toml", &other);
    let alone = site.run(&["-c", "other.toml", "render"]);
    assert!(!alone.expect(0).stderr().contains("by=agent"), "{}", alone.stderr());
    assert_eq!(site.read("out/list2"), "10.0.0.1:80\n");
    site.file("deaf.toml", &site.read("rosterd.toml").replace("agent.sock", "nowhere.sock"));
    let locked = site.run(&["-c", "deaf.toml", "render"]);
    assert!(locked.expect(5).stderr().contains(&format!("process {}", agent.pid())), "{}", locked.stderr());
    site.run(&["-c", "deaf.toml", "diff"]).expect(0);
}

#[test]
fn a_pass_waits_for_a_long_check_but_not_for_a_frozen_agent() {
    let site = site_with(&CONFIG.replace("! grep poison {{ src }}", "test ! -e SITE/slow || sleep 11"), 2);
    let agent = up(&site);
    site.file("slow", "");
    fs::write(site.path("out/list"), "by hand\n").unwrap();
    // Longer than the wait for the lock of a state directory.
    let render = site.run(&["render"]);
    assert!(render.expect(0).stderr().contains("by=agent"), "{}", render.stderr());
    assert_eq!(site.read("out/list").lines().count(), 2);
    agent.signal(Signal::SIGSTOP);
    let frozen = site.run(&["render"]);
    assert!(frozen.expect(5).stderr().contains(&format!("process {}", agent.pid())), "{}", frozen.stderr());
    agent.signal(Signal::SIGCONT);
}
