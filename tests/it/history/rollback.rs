//! Rollbacks to generations that can, and cannot, be put in place.

use std::fs;

use super::{CONFIG, entries, events, generations, join, list, loaded, pinned, status_of, up};
use crate::harness::haproxy::HaProxy;
use crate::harness::site::{PATIENCE, Site};
use crate::main_job::member;
use crate::support::zookeeper::ZooKeeper;
use nix::sys::signal::Signal;

const HAPROXY: &str = r#"
[registry]
url = "zk://SERVERS"

[[roster]]
name = "web"
path = "/services/web"
wait = "0s:0s"

[[template]]
src = "haproxy.cfg.tera"
dest = "out/haproxy.cfg"
check_cmd = "haproxy -c -q -f {{ src }}"
reload_cmd = "RELOAD"
reload_interval = "0s"
"#;

const TEMPLATE: &str = "defaults\n    mode tcp\n    timeout connect 1s\n    timeout client 1s\n    timeout server 1s\n\
                        listen web\n    bind 127.0.0.1:PORT\n\
                        {% for m in web %}    server {{ m.name | haproxy_name }} {{ m.address }}\n{% endfor %}";

/// From a change that a person rolls back, through a kill, to the newest content.
#[test]
fn haproxy_is_rolled_back_and_stays_so_until_it_is_resumed() {
    let (zookeeper, chroot, haproxy) = (ZooKeeper::shared(), ZooKeeper::shared().chroot(), HaProxy::new());
    let client = zookeeper.client("");
    let path = |number: u32| format!("{chroot}/services/web/127.0.0.{number}:80");
    (1..=2).for_each(|number| client.put(&path(number), b"{}"));
    let config = HAPROXY.replace("SERVERS", &format!("{}{chroot}", zookeeper.connect_string()));
    let site = Site::new(&config.replace("RELOAD", &haproxy.reload_command("{{ dest }}")));
    site.file("templates/haproxy.cfg.tera", &TEMPLATE.replace("PORT", &haproxy.port().to_string()));
    site.run(&["render", "--no-reload"]).expect(0);
    haproxy.start(&site.path("out/haproxy.cfg"));
    let mut agent = site.start();
    agent.says("event=file_unchanged");
    let old = site.read("out/haproxy.cfg");
    client.put(&path(3), b"{}");
    agent.until("the change", || haproxy.reloads() == 1);
    agent.until("the end of its reload", || status_of(&site, "haproxy.cfg").unwrap()["owed_reload"] == false);
    let newest = site.read("out/haproxy.cfg");

    let numbers = generations(&site, "haproxy.cfg");
    assert_eq!(numbers.len(), 2, "what `render` wrote is in the history, too");
    let done = site.run(&["rollback", "haproxy.cfg", &numbers[0], "--reason", "502s since 11:40"]);
    assert!(done.expect(0).stdout().contains("`rosterd resume haproxy.cfg -c "), "{}", done.stdout());
    assert_eq!((site.read("out/haproxy.cfg"), haproxy.reloads()), (old.clone(), 2), "the reload was waited for");
    client.put(&path(4), b"{}");
    let shows = |text: &str| site.run(&["explain", "haproxy.cfg"]).expect(0).stdout().contains(text);
    agent.until("a change is withheld", || shows("the file keeps that content, without 1 change since then"));
    let uid = nix::unistd::Uid::effective();
    assert!(
        shows(&format!("pinned to generation {}", numbers[0])) && shows(&format!("by uid {uid}: 502s since 11:40"))
    );
    assert!(site.run(&["status"]).stdout().contains("pinned to generation"), "{}", site.run(&["status"]).stdout());
    assert_eq!(site.run(&["status", "--check"]).code(), 1);
    let beside = site.run(&["render", "haproxy.cfg"]);
    assert!(beside.expect(3).stderr().contains("event=write_pinned"), "{}", beside.stderr());
    assert!(site.run(&["diff"]).expect(2).stdout().contains("+    server 127.0.0.4"), "what `resume` would write");

    agent.signal(Signal::SIGKILL);
    agent.ends(PATIENCE);
    let alone = site.run(&["render"]);
    assert!(alone.expect(3).stderr().contains("event=write_pinned"), "{}", alone.stderr());
    fs::write(site.path("out/haproxy.cfg"), "edited while no agent ran\n").unwrap();
    let agent = site.start();
    agent.until("corrected", || site.read("out/haproxy.cfg") == old);
    agent.until("its reload", || haproxy.reloads() == 3);
    assert_eq!(pinned(&site, "haproxy.cfg"), numbers[0].parse().ok());
    agent.signal(Signal::SIGHUP).says_times("configuration loaded", 2);
    client.put(&path(5), b"{}");
    agent.until("both changes are withheld", || shows("changes since then") && agent.said("members changed") > 0);
    fs::write(site.path("out/haproxy.cfg"), "edited\n").unwrap();
    agent.until("drift is corrected to the pinned content", || haproxy.reloads() == 4);
    assert_eq!(site.read("out/haproxy.cfg"), old);

    let resumed = site.run(&["resume", "haproxy.cfg"]);
    assert_eq!(resumed.expect(0).stdout(), "no longer pinned, and rendered again: haproxy.cfg\n");
    agent.until("the newest", || haproxy.reloads() == 5);
    let now = site.read("out/haproxy.cfg");
    assert!(now.starts_with(&newest) && now.lines().count() == newest.lines().count() + 2, "{now}");
    assert!(site.run(&["resume", "haproxy.cfg"]).expect(0).stdout().contains("is not pinned"));
    for (event, count) in [("file_pinned", 1), ("file_unpinned", 1)] {
        let found = events(&site, event);
        assert_eq!((found.len(), found[0]["fields"]["uid"].as_u64()), (count, Some(uid.as_raw().into())), "{event}");
    }
}

#[test]
fn a_generation_that_the_check_refuses_now_changes_nothing() {
    let strict = "test ! -e SITE/strict || grep -c . {{ src }} | grep -x 2 || { echo too few; exit 1; }";
    let (site, agent) = up(&CONFIG.replace("! grep -sf SITE/forbidden {{ src }}", strict));
    join(&agent, &site, &[1, 2]);
    let numbers = generations(&site, "list");
    site.file("strict", "");
    let before = (site.fingerprint("out/list"), site.reloads());
    let refused = site.run(&["rollback", "list", &numbers[0]]);
    let why = refused.expect(1).stderr();
    assert!(why.contains("check failed") && why.contains("too few"), "{why}");
    assert_eq!((site.fingerprint("out/list"), site.reloads()), before);
    assert_eq!((pinned(&site, "list"), status_of(&site, "list").unwrap()["last_error"].is_null()), (None, true));
    let recorded = &events(&site, "rollback_refused")[0];
    assert!(recorded["diff"].as_str().unwrap().contains("-10.0.0.2:80"), "{recorded}");
    site.remove("strict");
    join(&agent, &site, &[1, 2, 3]);
}

#[test]
fn a_rollback_whose_reload_fails_says_so_and_stays_pinned() {
    let (site, agent) = up(CONFIG);
    join(&agent, &site, &[1, 2]);
    let numbers = generations(&site, "list");
    site.file("broken", "no backend\n");
    let failed = site.run(&["rollback", "list", &numbers[0]]);
    assert!(failed.expect(1).stderr().contains("its reload failed") && failed.stderr().contains("no backend"));
    assert_eq!((site.read("out/list"), pinned(&site, "list")), (list(&[1]), numbers[0].parse().ok()));
    site.remove("broken");
    agent.until("the retry", || status_of(&site, "list").unwrap()["owed_reload"] == false);
}

#[test]
fn a_rollback_whose_reload_fails_is_undone_with_on_reload_failure_rollback() {
    let (site, agent) = up(&CONFIG.replace("isolate = false", "isolate = false\non_reload_failure = \"rollback\""));
    join(&agent, &site, &[1, 2]);
    let numbers = generations(&site, "list");
    // Software that fails with one member only.
    let reload = site.read("rosterd.toml").replace("! cat", "grep -q 0.2 ");
    site.file("rosterd.toml", &reload.replace("broken\"", "seen\""));
    agent.signal(Signal::SIGHUP).says("configuration changed");
    let failed = site.run(&["rollback", "list", &numbers[0]]);
    assert!(failed.expect(1).stderr().contains("the previous file was restored"), "{}", failed.stderr());
    assert_eq!((site.read("out/list"), pinned(&site, "list")), (list(&[1, 2]), None));
    assert_eq!(events(&site, "file_restored").len(), 1);
    // The next change is rendered as always.
    site.file(&member(3), "");
    agent.until("the change", || site.read("out/list") == list(&[1, 2, 3]));
}

#[test]
fn unknown_and_pruned_generations_are_refused() {
    let other = "\n[[template]]\nsrc = \"list.tera\"\ndest = \"out/other\"\n\n[history]\ngenerations = 2\n";
    let (site, agent) = up(&format!("{CONFIG}{other}"));
    join(&agent, &site, &[1, 2]);
    join(&agent, &site, &[1, 2, 3]);
    let (numbers, others) = (generations(&site, "list"), generations(&site, "other"));
    let started = events(&site, "agent_started")[0]["number"].to_string();
    for (name, number, code, why) in [
        ("list", "999", 64, "there is no entry 999: the history has 1 to"),
        ("list", &started, 64, "(agent_started) is not a generation of a file"),
        ("list", &others[1], 64, "is a generation of other, not of list"),
        ("list", &numbers[0], 1, "is no longer kept"),
        ("nobody", &numbers[1], 64, "no template is named nobody; known templates: list, other"),
        ("list", "-1", 64, ""),
        ("list", "18446744073709551616", 64, ""),
    ] {
        let refused = site.run(&["rollback", name, number]);
        assert!(refused.expect(code).stderr().contains(why), "{name} {number}: {}", refused.stderr());
    }
    site.run(&["history", "diff", &numbers[0], &numbers[1]]).expect(1);
    site.run(&["history", "show", "999"]).expect(64);
    site.run(&["pause"]).expect(0);
    assert!(site.run(&["rollback", "list", &numbers[1]]).expect(3).stderr().contains("paused until"));
    assert_eq!(site.read("out/list"), list(&[1, 2, 3]));
    site.run(&["resume", "nobody"]).expect(64);
    drop(agent);
}

#[test]
fn a_unit_is_rolled_back_as_a_whole() {
    let mate = "\n[[template]]\nsrc = \"count.tera\"\ndest = \"out/count\"\nunit = \"edge\"\n";
    let config = format!("{}{mate}", CONFIG.replace("isolate = false", "isolate = false\nunit = \"edge\""));
    let site = crate::main_job::site_with(&config, 1);
    site.file("forbidden", "poison\n").file("templates/count.tera", "{{ web | length }}\n");
    let agent = site.start();
    loaded(&agent, &site, &[1]);
    join(&agent, &site, &[1, 2]);
    join(&agent, &site, &[1, 2, 3]);
    let numbers = generations(&site, "list");
    let done = site.run(&["rollback", "list", &numbers[1]]);
    assert!(done.expect(0).stdout().contains("with count of its unit"), "{}", done.stdout());
    assert_eq!((site.read("out/list"), site.read("out/count")), (list(&[1, 2]), "2\n".to_owned()));
    assert!(pinned(&site, "count").is_some());
    // The other one by its own name, and back.
    let counts = generations(&site, "count");
    site.run(&["rollback", "count", &counts[0]]).expect(0);
    assert_eq!((site.read("out/list"), site.read("out/count")), (list(&[1]), "1\n".to_owned()));
    site.run(&["resume", "count"]).expect(0);
    loaded(&agent, &site, &[1, 2, 3]);
    assert_eq!((pinned(&site, "list"), pinned(&site, "count")), (None, None));
    let together = entries(&site, &[]).into_iter().filter(|entry| entry["generation"]["batch"].is_u64()).count();
    assert!(together >= 6, "{together}");
}

#[test]
fn two_rollbacks_at_the_same_time_end_in_one_of_them() {
    let (site, agent) = up(CONFIG);
    join(&agent, &site, &[1, 2]);
    join(&agent, &site, &[1, 2, 3]);
    let numbers = generations(&site, "list");
    for _ in 0..5 {
        let codes: Vec<i32> = std::thread::scope(|scope| {
            let run = |number: &'_ String| {
                let (site, number) = (&site, number.clone());
                scope.spawn(move || site.run(&["rollback", "list", &number]).code())
            };
            numbers.iter().map(run).collect::<Vec<_>>().into_iter().map(|it| it.join().unwrap()).collect()
        });
        assert!(codes.contains(&0) && codes.iter().all(|code| [0, 1].contains(code)), "{codes:?}");
        let generation = pinned(&site, "list").unwrap().to_string();
        let at = numbers.iter().position(|number| *number == generation).unwrap();
        assert_eq!(site.read("out/list"), list(&[1, 2, 3][..=at]));
    }
}

#[test]
fn a_rollback_says_what_it_waits_for() {
    let (site, agent) = up(&CONFIG.replace("reload_interval = \"0s\"", "reload_interval = \"4s\""));
    join(&agent, &site, &[1, 2]);
    let numbers = generations(&site, "list");
    let done = site.run(&["rollback", "list", &numbers[0]]);
    let said = done.expect(0).stderr();
    assert!(said.contains("rosterd: rollback of list in progress: reload pending: "), "{said}");
    assert!(said.contains("delayed by `reload_interval`"), "{said}");
}
