//! What the history records.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use nix::sys::signal::Signal;
use nix::unistd::Uid;

use super::{CONFIG, entries, events, generations, join, list, loaded, pinned, status_of, up};
use crate::harness::site::Site;
use crate::main_job::{member, site_with};
use crate::serve::client::get;
use crate::support::inside::{is_inside, run};
use crate::support::random::count;
use crate::support::zookeeper::{ZooKeeper, free_port};

#[test]
fn a_change_is_listed_with_its_view_its_diff_and_its_reload() {
    let (zookeeper, chroot) = (ZooKeeper::shared(), ZooKeeper::shared().chroot());
    let client = zookeeper.client("");
    let path = |number: u32| format!("{chroot}/services/web/10.0.0.{number}:80");
    client.put(&path(1), b"{}");
    let url = format!("url = \"zk://{}{chroot}\"", zookeeper.connect_string());
    let site = Site::new(&CONFIG.replace("url = \"dir:registry\"", &url));
    site.file("templates/list.tera", "{% for m in web %}{{ m.address }}\n{% endfor %}");
    let mut agent = site.start();
    loaded(&agent, &site, &[1]);
    client.put(&path(2), b"{}");
    loaded(&agent, &site, &[1, 2]);

    let written = events(&site, "file_written");
    assert_eq!(written.len(), 2, "{written:?}");
    let view = &written[1]["generation"]["views"][0];
    assert_eq!((&view["path"], &view["members"]), (&"/services/web".into(), &2.into()), "{view}");
    let zxid = view["zxid"].as_str().unwrap();
    let logged = agent.log().iter().any(|line| line.contains("members changed") && line.contains(zxid));
    assert!(logged, "{zxid} is not that of the change:\n{}", agent.log().join("\n"));
    assert!(written[1]["diff"].as_str().unwrap().contains("+10.0.0.2:80\n"), "{}", written[1]);
    agent.until("the reload is recorded", || events(&site, "reload_succeeded").len() == 2);
    assert_eq!(events(&site, "agent_started").len(), 1);

    let number = written[1]["number"].to_string();
    let page = site.run(&["history", "show", &number]).expect(0).stdout();
    for part in ["+10.0.0.2:80", &format!("zxid {zxid}"), "check: passed", "template: list"] {
        assert!(page.contains(part), "{part} is not in:\n{page}");
    }
    let diff = site.run(&["history", "diff", &number, &written[0]["number"].to_string()]);
    assert!(diff.expect(0).stdout().contains("-10.0.0.2:80\n"), "{}", diff.stdout());
    let text = site.run(&["history", "list"]).expect(0).stdout();
    let line = text.lines().find(|line| line.trim_start().starts_with(&number)).unwrap();
    assert!(line.contains("file_written") && line.contains(&format!("/services/web {zxid} (2 members)")), "{line}");
    assert!(!text.contains("agent_started"), "{text}");
    assert!(site.run(&["history", "--since", "1h"]).expect(0).stdout().contains("agent_started"));
    assert_eq!(site.run(&["history", "--since", "0s"]).expect(0).stdout(), "");

    // Without an agent the state directory is read, and nothing in it is changed.
    assert!(agent.stop().success());
    let before = site.tree();
    assert!(site.run(&["history", "list"]).expect(0).stdout().starts_with(&text));
    assert_eq!(site.run(&["history", "show", &number]).expect(0).stdout().lines().count(), page.lines().count());
    site.run(&["history", "diff", "1", &number]).expect(64);
    assert_eq!(events(&site, "agent_stopped").len(), 1);
    assert_eq!(site.tree(), before);
    fs::remove_dir_all(site.path("state")).unwrap();
    site.run(&["history"]).expect(69);
}

#[test]
fn a_failed_check_and_a_failed_reload_are_listed_with_their_output() {
    let (site, agent) = up(CONFIG);
    site.file("forbidden", "10.0.0.2:80\n").file(&member(2), "");
    agent.until("the refusal", || events(&site, "check_refused").len() == 1);
    let refused = &events(&site, "check_refused")[0];
    assert!(refused["fields"]["reason"].as_str().unwrap().contains("10.0.0.2:80"), "{refused}");
    assert!(refused["diff"].as_str().unwrap().contains("+10.0.0.2:80\n"), "what was refused: {refused}");
    agent.until("a repetition", || events(&site, "check_refused")[0]["times"].as_u64() >= Some(2));
    assert_eq!(events(&site, "check_refused").len(), 1, "it is counted");
    site.file("forbidden", "poison\n").file("broken", "no backend\n");
    agent.until("the failure", || events(&site, "reload_failed").len() == 1);
    let failed = &events(&site, "reload_failed")[0];
    assert!(failed["fields"]["reason"].as_str().unwrap().contains("no backend"), "{failed}");
    assert_eq!(failed["templates"][0], "list");
}

#[test]
fn what_a_person_does_is_listed_with_the_user() {
    let zookeeper = ZooKeeper::shared();
    let url = format!("url = \"zk://{}{}\"", zookeeper.connect_string(), zookeeper.chroot());
    let service =
        "[[service]]\nname = \"s\"\npath = \"/services/s\"\nhost = \"h\"\nport = 1\ncheck = { cmd = \"true\" }\n";
    let roster = CONFIG.replace("max_shrink = \"100%\"", "").replace("web\"\npath", "web\"\nregistry = \"d\"\npath");
    let config =
        roster.replace("[registry]", &format!("[[registry]]\nname = \"z\"\n{url}\n\n[[registry]]\nname = \"d\""));
    let site = Site::new(&format!("{config}\n{service}"));
    site.file("templates/list.tera", "{% for m in web %}{{ m.address }}\n{% endfor %}");
    (1..=8).for_each(|number| _ = site.file(&member(number), ""));
    let agent = site.start();
    loaded(&agent, &site, &[1, 2, 3, 4, 5, 6, 7, 8]);
    agent.says("service registered");
    (3..=8).for_each(|number| _ = site.remove(&member(number)));
    agent.until("the hold", || site.run(&["status"]).stdout().contains("rosterd accept"));
    agent.until("what is held is all", || site.run(&["explain", "web"]).stdout().contains("2 members of"));
    for command in [
        &["accept", "web"][..],
        &["pause", "--reason", "maintenance"],
        &["resume"],
        &["drain", "s", "--reason", "repair"],
        &["undrain", "s"],
    ] {
        site.run(command).expect(0);
    }
    let uid = Uid::effective().as_raw();
    for (event, reason) in [
        ("hold_accepted", None),
        ("paused", Some("maintenance")),
        ("resumed", None),
        ("service_drained", Some("repair")),
        ("service_undrained", None),
    ] {
        let found = events(&site, event);
        assert_eq!(found.len(), 1, "{event}");
        let fields = &found[0]["fields"];
        assert_eq!((fields["uid"].as_u64(), fields["reason"].as_str()), (Some(uid.into()), reason), "{event}");
    }
    assert!(events(&site, "roster_held").iter().all(|entry| entry["fields"]["roster"] == "web"));
    assert!(entries(&site, &["s"]).iter().all(|entry| entry["fields"]["service"] == "s"));
    assert_eq!(entries(&site, &["s"]).len(), 2);
}

#[test]
fn configurations_that_are_loaded_or_refused_are_listed() {
    let (site, agent) = up(CONFIG);
    let good = site.read("rosterd.toml");
    site.file("rosterd.toml", &format!("{good}\nwrong = 1\n"));
    agent.signal(nix::sys::signal::Signal::SIGHUP).says("event=config_refused");
    site.file("rosterd.toml", &format!("{good}\n[history]\ngenerations = 1\n"));
    agent.signal(nix::sys::signal::Signal::SIGHUP).says("history generations: 10 → 1");
    agent.until("it is recorded", || events(&site, "config_loaded").len() == 2);
    let refused = &events(&site, "config_refused")[0];
    assert!(refused["fields"]["reason"].as_str().unwrap().contains("wrong"), "{refused}");
    join(&agent, &site, &[1, 2]);
    let numbers = generations(&site, "list");
    assert!(site.run(&["history", "show", &numbers[0]]).expect(0).stdout().contains("no longer kept"));
}

#[test]
fn the_history_is_bounded() {
    let (site, agent) = up(&format!("{CONFIG}\n[history]\ngenerations = 5\n"));
    let weigh = |weight: usize| _ = site.file(&member(1), &format!("{{\"weight\": {weight}}}"));
    weigh(0);
    site.file("templates/list.tera", "{% for m in web %}{{ m.weight }}\n{% endfor %}");
    let changes = count(60, 2_000);
    for weight in 1..=changes {
        weigh(weight);
        agent.until("the change", || site.read("out/list") == format!("{weight}\n"));
    }
    agent.until("it is recorded", || generations(&site, "list").len() > changes.min(900));
    // The last contents, the entries, and nothing else.
    agent.until("it is pruned", || fs::read_dir(site.path("state/history")).unwrap().count() == 5 + 1);
    let last = generations(&site, "list").split_off(generations(&site, "list").len() - 6);
    site.run(&["history", "diff", &last[0], &last[5]]).expect(1);
    site.run(&["history", "diff", &last[1], &last[5]]).expect(0);
    assert!(entries(&site, &[]).len() <= 2_010, "{}", entries(&site, &[]).len());
    let size = fs::metadata(site.path("state/history/entries")).unwrap().len();
    assert!(size <= 12 * 1024 * 1024, "{size}");
    println!("{changes} changes: {size} bytes");
}

#[test]
fn a_history_that_cannot_be_written_stops_nothing_else() {
    const NAME: &str = "history::trail::a_history_that_cannot_be_written_stops_nothing_else";
    if !is_inside(NAME, &["--user", "--map-root-user", "--mount"]) {
        return;
    }
    // No content is dropped, which would make room for the next one.
    let site = crate::main_job::site_with(&format!("{CONFIG}\n[history]\ngenerations = 100\n"), 1);
    site.file("forbidden", "poison\n");
    let directory = site.path("state/history");
    fs::create_dir_all(&directory).unwrap();
    run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k,mode=700", "none"]).arg(&directory));
    let mut agent = site.start();
    loaded(&agent, &site, &[1]);
    assert!(fs::write(directory.join("ballast"), vec![b'x'; 400_000]).is_err(), "the disk is full");
    // There may be room in the last page.
    let mut members = vec![1];
    for number in 2..=40 {
        members.push(number);
        join(&agent, &site, &members);
    }
    agent.says("changes may be missing from the history").says("No space left");
    assert!(agent.said("changes may be missing from the history") <= 2, "it is logged once for each file");
    assert_eq!(generations(&site, "list").len(), 40, "the agent still knows them");
    fs::remove_file(directory.join("ballast")).unwrap();
    members.push(41);
    join(&agent, &site, &members);
    assert!(agent.stop().success());
    assert_eq!(generations(&site, "list").len(), 41, "all of them are on disk");
}

#[test]
fn the_page_has_no_diff_of_a_file_that_not_every_user_may_read() {
    let port = free_port();
    let config = |mode| {
        let status = format!("[status]\nsocket = \"agent.sock\"\nlisten = \"127.0.0.1:{port}\"\n");
        status + &CONFIG.replace("isolate = false", &format!("isolate = false\nmode = \"{mode}\""))
    };
    for (mode, has_diff) in [("0644", true), ("0640", false)] {
        let (site, agent) = up(&config(mode));
        join(&agent, &site, &[1, 2]);
        agent.until("the page shows the file", || get(port, "/").body.contains("file written"));
        let shows = || get(port, "/").body.contains("Last change");
        if has_diff {
            agent.until("the page has the diff", shows);
        } else {
            assert!(!shows(), "{}", get(port, "/").body);
        }
    }
}

#[test]
fn what_was_in_place_before_the_first_write_can_be_put_back() {
    let site = site_with(CONFIG, 1);
    site.file("forbidden", "poison\n").file("out/list", "by hand\n");
    let agent = site.start();
    loaded(&agent, &site, &[1]);
    agent.until("both contents", || generations(&site, "list").len() == 2);
    let numbers = generations(&site, "list");
    assert_eq!(events(&site, "file_found").len(), 1);
    let shown = site.run(&["history", "show", &numbers[1]]).expect(0).stdout();
    assert!(shown.contains("-by hand\n+10.0.0.1:80\n"), "{shown}");
    let diff = site.run(&["history", "diff", &numbers[1], &numbers[0]]).expect(0).stdout();
    assert!(diff.contains("-10.0.0.1:80\n+by hand\n"), "{diff}");
    let listed = site.run(&["history", "list"]).expect(0).stdout();
    assert!(
        listed.lines().filter(|line| line.ends_with(", kept") || line.ends_with(": kept")).count() == 2,
        "{listed}"
    );
    site.run(&["rollback", "list", &numbers[0]]).expect(0);
    assert_eq!((site.read("out/list"), site.read("seen")), ("by hand\n".to_owned(), "by hand\n".to_owned()));
    site.run(&["resume", "list"]).expect(0);
    agent.until("the members again", || site.read("out/list") == list(&[1]));
    assert_eq!(events(&site, "file_found").len(), 1, "only before the first write");
}

/// Both by the name of either, and never one of them with the new content of the other.
#[test]
fn what_was_in_place_before_a_unit_was_written_can_be_put_back_together() {
    let mate = "\n[[template]]\nsrc = \"count.tera\"\ndest = \"out/count\"\nunit = \"edge\"\n";
    let config = format!("{}{mate}", CONFIG.replace("isolate = false", "isolate = false\nunit = \"edge\""));
    let start = |old: &[&str]| {
        let site = site_with(&config, 1);
        site.file("forbidden", "poison\n").file("templates/count.tera", "{{ web | length }}\n");
        for dest in old {
            site.file(dest, "by hand\n");
        }
        let agent = site.start();
        loaded(&agent, &site, &[1]);
        agent.until("all contents", || events(&site, "file_written").len() == 2);
        (site, agent)
    };
    let files = |site: &Site| (site.read("out/list"), site.read("out/count"));
    let written = (list(&[1]), "1\n".to_owned());

    let (site, agent) = start(&["out/list", "out/count"]);
    for (name, mate) in [("list", "count"), ("count", "list")] {
        let done = site.run(&["rollback", name, &generations(&site, name)[0]]);
        assert!(done.expect(0).stdout().contains(&format!("with {mate} of its unit")), "{}", done.stdout());
        assert_eq!(files(&site), ("by hand\n".to_owned(), "by hand\n".to_owned()), "{name}");
        site.run(&["resume", name]).expect(0);
        agent.until("the members again", || files(&site) == written);
    }

    // A file that did not exist cannot be put back.
    let (site, _agent) = start(&["out/list"]);
    let refused = site.run(&["rollback", "list", &generations(&site, "list")[0]]);
    let why = "the history has nothing that was in the file of count before rosterd wrote it: remove `unit` from list";
    assert!(refused.expect(1).stderr().contains(why), "{}", refused.stderr());
    assert_eq!((files(&site), pinned(&site, "list")), (written, None));
}

#[test]
fn what_was_in_place_is_not_put_back_where_more_users_may_read_it() {
    let with_mode = |mode| CONFIG.replace("isolate = false", &format!("isolate = false\nmode = \"{mode}\""));
    let site = site_with(CONFIG, 1);
    site.file("forbidden", "poison\n").file("out/list", "password\n");
    let mode = || fs::metadata(site.path("out/list")).unwrap().permissions().mode() & 0o777;
    fs::set_permissions(site.path("out/list"), fs::Permissions::from_mode(0o600)).unwrap();
    let agent = site.start();
    loaded(&agent, &site, &[1]);
    agent.until("both contents", || generations(&site, "list").len() == 2);
    let first = &generations(&site, "list")[0];

    site.configure(&with_mode("0644"));
    agent.signal(Signal::SIGHUP).until("everyone may read it", || mode() == 0o644);
    let refused = site.run(&["rollback", "list", first]);
    assert!(refused.expect(1).stderr().contains("set mode = \"0600\""), "{}", refused.stderr());
    assert_eq!((site.read("out/list"), pinned(&site, "list")), (list(&[1]), None));

    site.configure(&with_mode("0600"));
    agent.signal(Signal::SIGHUP).until("only the owner may read it", || mode() == 0o600);
    site.run(&["rollback", "list", first]).expect(0);
    assert_eq!((site.read("out/list"), mode()), ("password\n".to_owned(), 0o600));
    // Nor is the file that has it opened.
    site.configure(&with_mode("0644"));
    let error = || status_of(&site, "list").map(|it| it["last_error"].to_string()).unwrap_or_default();
    agent.signal(Signal::SIGHUP).until("the refusal", || error().contains("put the old content back"));
    assert_eq!((site.read("out/list"), mode()), ("password\n".to_owned(), 0o600));
}

/// A copy in the history could be put back under the new mode.
#[test]
fn a_file_that_becomes_readable_for_more_users_is_not_kept() {
    for (mode, kept) in [("0644", 1), ("0640", 1), ("0600", 0), ("0400", 0)] {
        let site = site_with(&CONFIG.replace("isolate = false", "isolate = false\nmode = \"0640\""), 1);
        site.file("forbidden", "poison\n").file("out/list", "password\n");
        let permissions = fs::Permissions::from_mode(u32::from_str_radix(mode, 8).unwrap());
        fs::set_permissions(site.path("out/list"), permissions).unwrap();
        let agent = site.start();
        loaded(&agent, &site, &[1]);
        agent.until("the new content", || !events(&site, "file_written").is_empty());
        assert_eq!(events(&site, "file_found").len(), kept, "{mode}");
        let contents = site.tree().into_iter().filter(|(path, bytes)| {
            path.starts_with(site.path("state")) && bytes.windows(8).any(|part| part == b"password")
        });
        assert_eq!(contents.count() > 0, kept == 1, "{mode}");
    }
}
