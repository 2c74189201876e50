//! Units with the real agent: all files are replaced or none, and the commands that run.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use nix::sys::signal::Signal;

use crate::harness::site::{Agent, Site};

/// Three templates of a unit, and one without a unit. Each check counts the members, and fails above the allowed number
/// of its file. The reload counts its runs.
const EDGE: &str = web!(
    r#"wait = "10ms"
max_shrink = "100%""#,
    r#"
[[template]]
src = "list"
dest = "out/one"
unit = "edge"
reload_cmd = "echo $ROSTERD_CHANGED >> SITE/reloads"
reload_interval = "0s"

[[template]]
src = "list"
dest = "out/two"
unit = "edge"
check_cmd = "! grep poison {{ src }}"
isolate = false
reload_cmd = "echo $ROSTERD_CHANGED >> SITE/reloads"
reload_interval = "0s"

[[template]]
src = "list"
dest = "out/three"
unit = "edge"

[[template]]
src = "list"
dest = "out/alone"
"#
);

fn site(config: &str) -> Site {
    let site = Site::new(config);
    site.file("templates/list", "{% for m in web %}{{ m.name }}\n{% endfor %}");
    site.file("registry/services/web/a", "-");
    site
}

fn shows(site: &Site, names: &[&str], text: &str) -> bool {
    names.iter().all(|name| site.read(&format!("out/{name}")) == text)
}

/// The number of lines in a log of commands.
fn count(site: &Site, log: &str) -> usize {
    site.read(log).lines().count()
}

fn explained(site: &Site, name: &str) -> String {
    site.run(&["explain", name]).expect(0).stdout()
}

const ALL: [&str; 4] = ["one", "two", "three", "alone"];

fn up(site: &Site) -> Agent {
    let agent = site.start();
    agent.until("all files", || shows(site, &ALL, "a\n") && count(site, "reloads") == 1);
    agent
}

#[test]
fn a_failed_check_blocks_its_unit_and_no_other_template() {
    let site = site(EDGE);
    let agent = up(&site);
    let before = ["one", "two", "three"].map(|name| site.fingerprint(&format!("out/{name}")));
    site.file("registry/services/web/poison", "-");
    agent.until("the one outside is updated", || shows(&site, &["alone"], "a\npoison\n"));
    agent.says("check failed; file unchanged");
    agent.until("it is explained", || explained(&site, "one").contains("blocked by another template of its unit"));
    let why = explained(&site, "three");
    assert!(why.contains("unit edge: template two: check failed: ") && why.contains("poison"), "{why}");
    assert!(explained(&site, "two").contains("check failed"), "{}", explained(&site, "two"));
    assert_eq!(["one", "two", "three"].map(|name| site.fingerprint(&format!("out/{name}"))), before);
    assert_eq!((count(&site, "reloads"), site.leftovers().len()), (1, 0));
    // Once it is corrected, all three are replaced together, with one reload.
    fs::rename(site.path("registry/services/web/poison"), site.path("registry/services/web/b")).unwrap();
    agent.until("mended", || shows(&site, &ALL, "a\nb\n") && count(&site, "reloads") == 2);
    let (one, two) = (site.path("out/one"), site.path("out/two"));
    assert_eq!(site.read("reloads").lines().last().unwrap(), format!("{}:{}", one.display(), two.display()));
    assert!(site.leftovers().is_empty());
}

#[test]
fn an_isolated_member_is_excluded_from_its_whole_unit() {
    let site = site(&EDGE.replace("isolate = false\n", ""));
    let agent = up(&site);
    site.file("registry/services/web/b", "-").file("registry/services/web/poison", "-");
    agent.until("the others are served", || shows(&site, &["one", "two", "three"], "a\nb\n"));
    agent.until("the one outside has all", || shows(&site, &["alone"], "a\nb\npoison\n"));
    assert!(explained(&site, "three").contains("poison"), "{}", explained(&site, "three"));
    fs::rename(site.path("registry/services/web/poison"), site.path("registry/services/web/c")).unwrap();
    agent.until("mended", || shows(&site, &ALL, "a\nb\nc\n"));
}

#[test]
fn a_request_for_one_template_includes_its_unit() {
    // The test does not wait for a drift correction: files that are changed by hand are requested by hand.
    let left_so = "\non_drift = \"report\"\n";
    let site = site(
        &EDGE
            .replace("\nunit = \"edge\"\n", &format!("\nunit = \"edge\"{left_so}"))
            .replace("\"out/alone\"\n", &format!("\"out/alone\"{left_so}")),
    );
    let alone = site.run(&["render", "three"]);
    alone.expect(0);
    assert!(shows(&site, &["one", "two", "three"], "a\n") && !site.path("out/alone").exists());
    assert_eq!(count(&site, "reloads"), 1, "in a single pass too");
    let agent = site.start();
    agent.says_times("event=file_unchanged", 3).until("the one outside", || shows(&site, &["alone"], "a\n"));
    for name in ["one", "two", "alone"] {
        fs::write(site.path("out").join(name), "by hand\n").unwrap();
    }
    let through = site.run(&["render", "three"]);
    assert!(through.expect(0).stderr().contains("by=agent"), "{}", through.stderr());
    assert!(shows(&site, &["one", "two", "three"], "a\n") && shows(&site, &["alone"], "by hand\n"));
    assert_eq!(count(&site, "reloads"), 2, "the reload was waited for");
    site.file("registry/services/web/poison", "-");
    agent.says("check failed; file unchanged");
    let failed = site.run(&["render", "three"]);
    assert!(failed.expect(1).stderr().contains("template two: check failed"), "{}", failed.stderr());
}

#[test]
fn a_template_without_a_view_blocks_its_unit() {
    let more = "[[roster]]\nname = \"db\"\npath = \"/services/db\"\n\n[[template]]\nsrc = \"db\"\ndest = \"out/db\"\nunit = \"edge\"\n";
    let site = site(&format!("{EDGE}\n{more}"));
    site.file("templates/db", "{{ db | length }}\n");
    let agent = site.start();
    agent.until("the one outside", || shows(&site, &["alone"], "a\n"));
    agent.until("it is explained", || {
        explained(&site, "one").contains("blocked by unit edge: template db is waiting for db")
    });
    let pass = site.run(&["render", "one"]);
    assert!(pass.expect(3).stderr().contains("event=template_waiting template=one needs=db"), "{}", pass.stderr());
    assert!(!site.path("out/one").exists());
    site.file("registry/services/db/x", "-");
    agent.until("all at once", || shows(&site, &ALL, "a\n") && shows(&site, &["db"], "1\n"));
}

#[test]
fn a_failed_verify_is_followed_by_another_reload() {
    let site = site(web!(
        r#""#,
        r#"
[[template]]
src = "list"
dest = "out/one"
reload_cmd = "echo >> SITE/reloads"
reload_interval = "0s"
verify_cmd = "test -e SITE/healthy || { echo no answer on port 80; exit 1; }"
"#
    ));
    let agent = site.start();
    agent.says_times("reload failed; still pending", 2);
    let why = explained(&site, "one");
    assert!(why.contains("`, failed ") && why.contains("no answer on port 80"), "{why}");
    assert!(count(&site, "reloads") >= 2, "it exited with 0 each time, and was run again");
    site.file("healthy", "");
    agent.until("it is verified", || {
        agent.said("event=reload_succeeded") == 1 && explained(&site, "one").contains("up to date")
    });
}

#[test]
fn a_reload_that_fails_twice_and_passes_runs_three_times() {
    let site = site(&EDGE.replace("SITE/reloads\"", "SITE/reloads; test $(wc -l < SITE/reloads) -ge 3\""));
    let agent = site.start();
    agent.says("event=reload_succeeded");
    assert_eq!((count(&site, "reloads"), agent.said("reload failed; still pending")), (3, 2));
    let lines = site.read("reloads");
    assert!(lines.lines().all(|line| line == lines.lines().next().unwrap()), "each for both files: {lines}");
}

/// One of the templates is rolled back if its software refuses it.
const BACK: &str = web!(
    r#"wait = "10ms""#,
    r#"
[[template]]
src = "list"
dest = "out/one"
unit = "edge"
reload_cmd = "cat SITE/out/one SITE/out/two | tr '\\n' ' ' >> SITE/reloads; echo >> SITE/reloads; ! grep poison SITE/out/one"
reload_interval = "0s"
on_reload_failure = "rollback"

[[template]]
src = "list"
dest = "out/two"
unit = "edge"
"#
);

#[test]
fn a_failed_reload_is_rolled_back_and_not_retried_until_a_change() {
    let site = site(BACK);
    let agent = site.start();
    agent.until("the first", || agent.said("event=reload_succeeded") == 1);
    site.file("registry/services/web/poison", "-");
    agent.says("event=rolled_back");
    agent.until("the old files are reloaded", || agent.said("event=reload_succeeded") == 2);
    assert!(shows(&site, &["one", "two"], "a\n") && site.leftovers().is_empty());
    assert_eq!(site.read("reloads"), "a a \na poison a poison \na a \n", "each once");
    let why = explained(&site, "two");
    assert!(why.contains("rolled back after a failed reload") && why.contains("poison"), "{why}");
    // A general request, for example by a timer, does not retry the same content.
    let asked = site.run(&["render"]);
    assert!(asked.expect(1).stderr().contains("poison"), "{}", asked.stderr());
    assert!(shows(&site, &["one", "two"], "a\n") && site.read("reloads").lines().count() == 3);
    // Changed content is tried, and refused again.
    site.file("registry/services/web/b", "-");
    agent.until("the change is tried", || agent.said("event=rolled_back") == 2);
    agent.until("the old files are reloaded", || agent.said("event=reload_succeeded") == 3);
    assert_eq!(site.read("reloads").lines().skip(3).collect::<Vec<_>>(), ["a b poison a b poison ", "a a "]);
    site.remove("registry/services/web/poison");
    agent.until("mended", || shows(&site, &["one", "two"], "a\nb\n") && agent.said("event=reload_succeeded") == 4);
    agent.until("it is explained", || explained(&site, "two").contains("up to date"));
}

#[test]
fn drift_of_a_rolled_back_unit_is_corrected_and_naming_it_retries_it() {
    let site = site(BACK);
    let mut agent = site.start();
    agent.until("the first", || agent.said("event=reload_succeeded") == 1);
    site.file("registry/services/web/poison", "-");
    agent.until("the old files are reloaded", || agent.said("event=reload_succeeded") == 2);
    let edit = |agent: &Agent, name: &str| {
        let said = agent.said("event=rollback_reapplied");
        fs::write(site.path("out").join(name), "by hand\n").unwrap();
        agent.says_times("event=rollback_reapplied", said + 1);
        assert!(shows(&site, &["one", "two"], "a\n"));
    };
    edit(&agent, "two");
    edit(&agent, "one");
    agent.until("it is reloaded", || agent.said("event=reload_succeeded") == 3);
    assert!(explained(&site, "one").contains("rolled back after a failed reload"), "{}", explained(&site, "one"));
    // An edit while no agent ran is seen by the next one.
    assert!(agent.stop().success());
    fs::write(site.path("out/two"), "by hand\n").unwrap();
    let agent = site.start();
    agent.says("event=rollback_reapplied");
    assert!(shows(&site, &["one", "two"], "a\n"));
    edit(&agent, "two");
    // Naming one of the templates requests it explicitly.
    let tries = || site.read("reloads").lines().filter(|line| line.contains("poison")).count();
    assert_eq!((tries(), site.run(&["render"]).expect(1).code()), (1, 1));
    assert_eq!(tries(), 1);
    site.run(&["render", "two"]).expect(1);
    agent.until("it was tried and rolled back", || tries() == 2 && shows(&site, &["one", "two"], "a\n"));
    agent.until("the old files are reloaded", || agent.said("event=reload_succeeded") >= 1);
}

#[test]
fn a_corrected_reload_command_retries_the_failed_version() {
    let site = site(BACK);
    let agent = site.start();
    agent.until("the first", || agent.said("event=reload_succeeded") == 1);
    site.file("registry/services/web/poison", "-");
    agent.until("the old files are reloaded", || agent.said("event=reload_succeeded") == 2);
    // A changed configuration, but of other templates.
    site.file("rosterd.toml", &site.read("rosterd.toml").replace("wait = \"10ms\"", "wait = \"20ms\""));
    agent.signal(Signal::SIGHUP);
    agent.says("configuration changed: roster web ");
    site.run(&["render"]).expect(1);
    assert!(shows(&site, &["one", "two"], "a\n"));
    site.file("rosterd.toml", &site.read("rosterd.toml").replace("! grep poison", "grep -q poison"));
    agent.signal(Signal::SIGHUP);
    agent.until("it is in place", || {
        shows(&site, &["one", "two"], "a\npoison\n") && agent.said("event=reload_succeeded") == 3
    });
    site.run(&["render"]).expect(0);
}

#[test]
fn naming_a_file_in_a_single_pass_retries_it() {
    let site = site(BACK);
    site.run(&["render"]).expect(0);
    site.file("registry/services/web/poison", "-");
    let tries = || site.read("reloads").lines().filter(|line| line.contains("poison")).count();
    for (args, tried) in
        [(&["render"][..], 1), (&["render"], 1), (&["render", "--no-reload"], 1), (&["render", "two"], 2)]
    {
        site.run(args).expect(1);
        assert_eq!(tries(), tried, "{args:?}");
        assert!(shows(&site, &["one", "two"], "a\n"), "{args:?}");
    }
    // The software is corrected, and the members are unchanged.
    site.file(
        "rosterd.toml",
        &fs::read_to_string(site.path("rosterd.toml")).unwrap().replace("! grep poison", "grep -q poison"),
    );
    site.run(&["render", "one"]).expect(0);
    assert!(shows(&site, &["one", "two"], "a\npoison\n"));
    site.run(&["render"]).expect(0);
}

#[test]
fn a_single_pass_rolls_back_and_removes_a_new_file() {
    let site = site(BACK);
    site.run(&["render"]).expect(0);
    site.remove("out/two").file("registry/services/web/poison", "-");
    let pass = site.run(&["render"]);
    assert!(pass.expect(1).stderr().contains("event=rolled_back"), "{}", pass.stderr());
    assert!(shows(&site, &["one"], "a\n") && !site.path("out/two").exists());
    assert_eq!(site.read("reloads").lines().count(), 3, "{}", pass.stderr());
}

#[test]
fn without_earlier_files_nothing_is_rolled_back() {
    let site = site(BACK);
    site.file("registry/services/web/poison", "-");
    let pass = site.run(&["render"]);
    assert!(!pass.expect(1).stderr().contains("event=rolled_back"), "{}", pass.stderr());
    assert!(shows(&site, &["one", "two"], "a\npoison\n"), "software that never ran has no other file to start with");
    let agent = site.start();
    agent.says("reload failed; still pending");
    site.remove("registry/services/web/poison");
    agent.says("event=reload_succeeded");
    assert!(shows(&site, &["one", "two"], "a\n"));
    assert_eq!(agent.said("event=rolled_back"), 0);
}

#[test]
fn a_rollback_is_not_drift() {
    let site = site(web!(
        r#"wait = "10ms"
max_shrink = "100%""#,
        r#"
[[template]]
src = "list"
dest = "out/link"
symlink = "follow"
backup = 1
reload_cmd = "! grep poison SITE/out/link"
reload_interval = "0s"
on_reload_failure = "rollback"

[[template]]
src = "list"
dest = "out/mounted"
write = "inplace"
reload_cmd = "! grep poison SITE/out/link"
reload_interval = "0s"
on_reload_failure = "rollback"
"#
    ));
    site.file("out/target", "").file("out/mounted", "");
    symlink("target", site.path("out/link")).unwrap();
    let mounted = site.fingerprint("out/mounted").0;
    let agent = site.start();
    agent.until("the first", || agent.said("event=reload_succeeded") == 1);
    site.file("registry/services/web/poison", "-");
    agent.says("event=rolled_back");
    agent.until("the old files are reloaded", || agent.said("event=reload_succeeded") == 2);
    assert!(shows(&site, &["target", "mounted"], "a\n"));
    assert_eq!(site.read("out/.target.rosterd-1.bak"), "a\n", "a failed version is not backed up");
    fs::set_permissions(site.path("out/mounted"), Permissions::from_mode(0o600)).unwrap();
    agent.says("file changed by another process").says("event=rollback_reapplied");
    agent.until("that is reloaded", || agent.said("event=reload_succeeded") == 3);
    site.remove("registry/services/web/poison").file("registry/services/web/b", "-");
    agent.until("mended", || {
        shows(&site, &["target", "mounted"], "a\nb\n") && agent.said("event=reload_succeeded") == 4
    });
    assert!(site.path("out/link").is_symlink() && site.fingerprint("out/mounted").0 == mounted);
    assert_eq!(agent.said("file changed by another process"), 1, "only the edit by hand");
}
