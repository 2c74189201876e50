//! What a running agent reports on its control socket, and which commands it accepts.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::harness::site::{Agent, Site};
use crate::main_job::{member, site_with};

mod concurrent_passes;
mod pass;
mod socket;

const CONFIG: &str = web!(
    r#"wait = "20ms:200ms""#,
    r#"
[[template]]
src = "list.tera"
dest = "out/list"
check_cmd = "! grep poison {{ src }}"
isolate = false
on_drift = "report"
reload_cmd = "echo reloaded >> SITE/reloads; test ! -e SITE/broken"
reload_interval = "0s"
"#
);

fn site(members: u32) -> Site {
    site_with(CONFIG, members)
}

/// An agent whose first file is in place.
fn up(site: &Site) -> Agent {
    let agent = site.start();
    // The file is written before the agent knows of the pending reload: for a moment none seems to be pending.
    agent.until("the first reload", || site.path("reloads").exists());
    agent.until("the socket", || site.run(&["status"]).code() == 0);
    agent.until("the reload's end", || status(site)["templates"][0]["owed_reload"] == false);
    agent
}

fn status(site: &Site) -> Value {
    serde_json::from_str(&site.run(&["status", "--json"]).expect(0).stdout()).unwrap()
}

fn explain(site: &Site, name: &str) -> String {
    site.run(&["explain", name]).expect(0).stdout()
}

/// Removes members at once, so that the loss is held.
fn lose(site: &Site, agent: &Agent, gone: std::ops::RangeInclusive<u32>) {
    // Files whose names begin with a dot are not nodes.
    let (now, next) = (site.path("registry/services/web"), site.path("registry/services/.next"));
    fs::create_dir(&next).unwrap();
    for entry in fs::read_dir(&now).unwrap().map(Result::unwrap) {
        if !gone.clone().any(|n| member(n).ends_with(entry.file_name().to_str().unwrap())) {
            fs::copy(entry.path(), next.join(entry.file_name())).unwrap();
        }
    }
    let left = fs::read_dir(&next).unwrap().count();
    fs::rename(&now, site.path("registry/services/.before")).unwrap();
    fs::rename(&next, &now).unwrap();
    let (of, has) = (format!("hold in effect: {left} of "), format!(" has {left} member"));
    agent.until("it is held", || {
        agent.log().iter().any(|it| it.contains("event=roster_held") && (it.contains(&of) || it.contains(&has)))
    });
}

#[test]
fn status_has_what_scripts_rely_on() {
    let site = site(2);
    let mut agent = up(&site);
    let all = status(&site);
    assert_eq!(all["pid"], agent.pid());
    assert_eq!(all["version"], env!("CARGO_PKG_VERSION"));
    assert!(all["paused"].is_null() && all["services"] == Value::Array(vec![]));
    let time = |value: &Value| humantime::parse_rfc3339(value.as_str().unwrap()).unwrap();
    let age = time(&all["started"]).elapsed().unwrap();
    assert!(age < Duration::from_mins(1), "{age:?}");
    let registry = &all["registries"][0];
    assert_eq!((&registry["name"], &registry["reached"]), (&"default".into(), &true.into()));
    assert!(registry["url"].as_str().unwrap().starts_with("dir:/") && registry["why"].is_null());
    let roster = &all["rosters"][0];
    for (key, value) in [
        ("name", "web".into()),
        ("path", "/services/web".into()),
        ("members", 2.into()),
        ("view_age_s", 0.into()),
        ("fresh", true.into()),
        ("hold", Value::Null),
        ("quarantined", 0.into()),
    ] {
        assert_eq!(roster.get(key), Some(&value), "{key}");
    }
    let template = &all["templates"][0];
    assert_eq!((&template["name"], &template["owed_reload"]), (&"list".into(), &false.into()));
    assert_eq!(template["dest"], *site.path("out/list").to_str().unwrap());
    assert!(template["last_error"].is_null() && template["waiting_for"].is_null());
    time(&template["rendered_at"]);
    let text = site.run(&["status"]).expect(0).stdout();
    assert!(text.contains("roster web /services/web: 2 members, fresh, payload nextdoor\n"), "{text}");
    assert!(text.contains(": up to date, rendered at "), "{text}");
    assert!(explain(&site, "list").contains("  up to date, rendered at "));
    assert!(explain(&site, "web").contains("    10.0.0.1:80\n    10.0.0.2:80\n"));
    let nobody = site.run(&["explain", "nobody"]);
    let said = nobody.expect(64).stderr();
    assert_eq!(said, "rosterd: no template, roster, key or service is named nobody; known names: list, web\n");
    assert!(agent.stop().success());
    assert!(!site.path("agent.sock").exists(), "removed at the end");
}

#[test]
fn a_lost_registry_is_named_with_its_reason() {
    let site = site(2);
    let agent = up(&site);
    fs::rename(site.path("registry"), site.path("gone")).unwrap();
    // At first the connection is suspended, then it is reported as unreachable.
    agent.until("away", || status(&site)["registries"][0]["reached"] == false);
    let all = status(&site);
    assert_eq!(all["rosters"][0]["fresh"], false);
    assert!(!all["registries"][0]["why"].as_str().unwrap().is_empty());
    assert!(all["rosters"][0]["view_age_s"].as_u64().is_some_and(|age| age < 60));
    assert_eq!(all["rosters"][0]["members"], 2, "the last known-good ones");
    assert!(explain(&site, "list").contains("registry default is unreachable ("), "{}", explain(&site, "list"));
    assert!(site.run(&["status"]).expect(0).stdout().contains("UNREACHABLE: "));
    fs::rename(site.path("gone"), site.path("registry")).unwrap();
    agent.until("fresh", || status(&site)["rosters"][0]["fresh"] == true);
}

#[test]
fn a_failed_check_and_a_pending_reload_are_shown_with_their_output() {
    let site = site(1);
    let agent = up(&site);
    site.file("templates/list.tera", "{% for m in web %}{{ m.name }}\n{% endfor %}");
    site.file("registry/services/web/poison", "-");
    // Both must be in one answer, because a retry may run between two.
    agent.until("a failed check", || {
        let text = explain(&site, "list");
        ["check failed", "; retry", "      poison\n"].iter().all(|words| text.contains(words))
    });
    let last = status(&site)["templates"][0]["last_error"].as_str().unwrap().to_owned();
    assert!(last.contains("poison"), "{last}");
    site.file("broken", "");
    site.remove("registry/services/web/poison").file(&member(3), "");
    agent.until("a pending reload", || status(&site)["templates"][0]["owed_reload"] == true);
    agent.until("a failed one", || {
        let text = explain(&site, "list");
        text.contains("reload pending: ") && text.contains("`, failed ")
    });
    // Sometimes it is running.
    let waits = |site: &Site| status(site)["templates"][0]["waiting_for"].as_str().unwrap_or_default().to_owned();
    agent.until("pending", || waits(&site).contains("reload pending: "));
    site.remove("broken");
    agent.until("not pending", || status(&site)["templates"][0]["owed_reload"] == false);
    assert!(explain(&site, "list").contains("up to date"));
}

#[test]
fn accept_admits_only_the_view_that_was_shown() {
    let site = site(8);
    let agent = up(&site);
    assert!(site.run(&["accept", "web"]).expect(0).stdout().contains("web is not held"));
    site.run(&["accept", "nobody"]).expect(64);
    lose(&site, &agent, 3..=8);
    let text = explain(&site, "web");
    assert!(
        text.contains("with `rosterd accept web -c ")
            && text.contains("`, 2 members of /services/web would remain\n  would be removed (6):\n"),
        "{text}"
    );
    site.remove(&member(2));
    // `explain` would make it the view that was shown.
    agent.says("hold in effect: 1 of 8 members of /services/web remain");
    // A monitoring plugin shows nobody what would be accepted.
    assert_ne!(site.run(&["status", "--check"]).code(), 0);
    let other = site.run(&["accept", "web"]);
    assert!(other.expect(3).stderr().contains("has changed since it was last reviewed"), "{}", other.stderr());
    site.file(&member(9), "");
    assert_eq!(site.read("out/list").lines().count(), 8);
    agent.until("the whole change", || {
        let text = explain(&site, "web");
        text.contains("  would be removed (7):\n    10.0.0.2:80\n")
            && text.contains("  would be added (1):\n    10.0.0.9:80\n")
    });
    let hold = || status(&site)["rosters"][0]["hold"].clone();
    agent.until("a settled one", || hold()["reason"].as_str().unwrap().starts_with("2 of 8 members"));
    let hold = hold();
    assert_eq!(hold["acceptable"], true);
    assert!(hold["since"].is_string() && hold["until"].is_string());
    assert!(site.run(&["status"]).expect(0).stdout().contains("HELD"));
    site.run(&["accept", "web"]).expect(0);
    agent.until("the accepted members", || site.read("out/list") == "10.0.0.1:80\n10.0.0.9:80\n");
    assert!(status(&site)["rosters"][0]["hold"].is_null());
}

#[test]
fn below_min_is_never_accepted() {
    let site = site_with(&CONFIG.replace("wait =", "min = 3\nwait ="), 8);
    let agent = up(&site);
    let before = site.fingerprint("out/list");
    lose(&site, &agent, 3..=8);
    let few = site.run(&["accept", "web"]);
    assert!(few.expect(3).stderr().contains("/services/web has 2 members but needs at least 3"), "{}", few.stderr());
    assert_eq!(status(&site)["rosters"][0]["hold"]["acceptable"], false);
    assert_eq!(site.fingerprint("out/list"), before);
}

#[test]
fn a_pause_stops_replacements_and_survives_a_restart_until_resumed() {
    let site = site(1);
    let mut agent = up(&site);
    let before = site.fingerprint("out/list");
    assert!(site.run(&["resume"]).expect(0).stdout().contains("not paused"));
    site.run(&["pause", "--for", "0s"]).expect(64);
    assert!(site.run(&["pause", "--for", "2years"]).expect(64).stderr().contains("must not be longer than a year"));
    let paused = site.run(&["pause", "--for", "2h", "--reason", "mending\u{1b}[2J it"]);
    assert!(paused.expect(0).stdout().starts_with("paused until "), "{}", paused.stdout());
    site.file(&member(2), "");
    agent.until("the change is seen", || status(&site)["rosters"][0]["members"] == 2);
    let why = explain(&site, "list");
    assert!(why.contains("paused until ") && why.contains("mending\\u{1b}[2J it"), "{why}");
    assert!(site.run(&["status"]).expect(0).stdout().contains("PAUSED since "));
    let shown = status(&site)["paused"].clone();
    assert_eq!((&shown["reason"], &shown["uid"]), (&"mending\u{1b}[2J it".into(), &0.into()));
    let refused = site.run(&["render"]);
    assert!(refused.expect(3).stderr().contains("paused until "), "{}", refused.stderr());
    let diff = site.run(&["diff"]);
    assert!(diff.expect(2).stdout().contains("+10.0.0.2:80\n"), "{}", diff.stderr());
    assert!(agent.stop().success());
    let alone = site.run(&["render"]);
    assert!(alone.expect(3).stderr().contains("pause.json"), "{}", alone.stderr());
    site.run(&["diff"]).expect(2);
    let mut agent = site.start();
    agent.says("file replacement paused");
    agent.until("an answer", || site.run(&["status"]).code() == 0);
    agent.until("a view", || status(&site)["rosters"][0]["fresh"] == true);
    let until = |paused: &Value| humantime::parse_rfc3339(paused["until"].as_str().unwrap()).unwrap();
    let moved = until(&status(&site)["paused"]).duration_since(until(&shown)).unwrap_or_default();
    assert!(moved <= Duration::from_secs(2), "{moved:?}");
    assert_eq!(site.fingerprint("out/list"), before);
    agent.signal(Signal::SIGKILL);
    agent.ends(Duration::from_secs(5));
    let agent = site.start();
    agent.until("a killed one's socket is replaced", || site.run(&["resume"]).code() == 0);
    agent.until("the change", || site.read("out/list").lines().count() == 2);
    assert!(status(&site)["paused"].is_null() && !site.path("state/pause.json").exists());
}

#[test]
fn a_pause_ends_by_time() {
    let site = site(1);
    let agent = up(&site);
    site.run(&["pause", "--for", "1s"]).expect(0);
    site.file(&member(2), "");
    agent.says("pause ended");
    agent.until("the change", || site.read("out/list").lines().count() == 2);
    agent.until("and it is forgotten", || !site.path("state/pause.json").exists());
}

/// The exit code and the line of `status --check`.
fn check(site: &Site) -> (i32, String) {
    let check = site.run(&["status", "--check"]);
    assert_eq!((check.stdout().lines().count(), check.stderr().as_str()), (1, ""), "{}", check.stdout());
    (check.code(), check.stdout())
}

#[test]
fn a_refused_configuration_is_shown_until_a_corrected_one_is_loaded() {
    let site = site(2);
    let agent = up(&site);
    agent.until("all is well", || check(&site) == (0, "ROSTERD OK: 1 template, 1 roster, 2 members\n".to_owned()));
    assert_eq!(status(&site)["refused"], Value::Array(vec![]));
    let good = site.read("rosterd.toml");
    let line = good.lines().count() + 1;
    site.file("rosterd.toml", &format!("{good}oops = 1\n"));
    agent.signal(Signal::SIGHUP).says("event=config_refused");
    let place = format!("{}:{line}", site.path("rosterd.toml").display());
    let text = site.run(&["status"]).expect(0).stdout();
    assert!(text.lines().next().unwrap().ends_with(": WARNING, 1 problem"), "{text}");
    let shown = text.lines().find(|line| line.starts_with("WARNING: configuration rejected at ")).unwrap();
    assert!(shown.contains(&format!(": {place}: ")) && shown.contains("oops"), "{shown}");
    let (code, said) = check(&site);
    assert!(code == 1 && said.starts_with("ROSTERD WARNING: configuration rejected at "), "{code} {said}");
    let refused = status(&site)["refused"][0].clone();
    assert_eq!((&refused["what"], &refused["at"]), (&"configuration".into(), &place.into()));
    for name in ["list", "web"] {
        assert!(explain(&site, name).contains("  configuration rejected at "), "{}", explain(&site, name));
    }
    let since = refused["since"].clone();
    agent.signal(Signal::SIGHUP).says_times("event=config_refused", 2);
    assert_eq!(status(&site)["refused"][0]["since"], since);
    site.file("rosterd.toml", &good);
    agent.signal(Signal::SIGHUP).says("changes=0");
    assert_eq!((status(&site)["refused"].clone(), check(&site).0), (Value::Array(vec![]), 0));

    let template = site.read("templates/list.tera");
    site.file("templates/list.tera", "{% for m in web %}\n{{ m.name }}\n");
    agent.says("event=templates_refused");
    let refused = status(&site)["refused"][0].clone();
    assert_eq!(refused["what"], "templates");
    assert!(refused["at"].as_str().unwrap().contains("templates/list.tera:"), "{refused}");
    assert!(site.run(&["status"]).expect(0).stdout().contains("WARNING: templates rejected at "));
    site.file("templates/list.tera", &template);
    agent.until("it is in use again", || check(&site).0 == 0);
}

#[test]
fn a_monitoring_plugin_gets_one_line_and_its_exit_code() {
    let config = CONFIG.replace("reload_interval = \"0s\"", "reload_interval = \"1h\"");
    let site = site_with(&config, 8);
    let agent = site.start();
    agent.until("all is well", || site.path("agent.sock").exists() && check(&site).0 == 0);
    // A reload that waits for its time is no problem.
    site.file(&member(9), "");
    agent.until("the file", || site.read("out/list").lines().count() == 9);
    agent.until("a reload waits", || {
        let text = site.run(&["status"]).stdout();
        text.contains(": up to date, rendered at ")
            && text.contains("  reload pending: `")
            && text.contains(", delayed by `reload_interval`")
    });
    assert_eq!(check(&site).0, 0);
    lose(&site, &agent, 3..=9);
    let (code, said) = check(&site);
    assert!(code == 1 && said.starts_with("ROSTERD WARNING: web held since "), "{code} {said}");
    let text = site.run_with_env(&[("TZ", "XST-3")], &["status"]).expect(0).stdout();
    assert!(text.contains(": HELD, 9 in use (last known-good), 2 in the registry, fresh"), "{text}");
    let held = text.lines().find(|line| line.starts_with("  held since ")).unwrap();
    assert!(held.contains(" XST, ") && held.contains(" ago): ") && held.contains(" (in 1"), "{held}");
    site.run(&["accept", "web"]).expect(0);
    site.file("registry/services/web/poison", "-");
    agent.until("a failed check", || check(&site).0 == 2);
    let (_, said) = check(&site);
    assert!(
        said.starts_with("ROSTERD CRITICAL: template list: check failed") && said.contains("exited with 1"),
        "{said}"
    );
    drop(agent);
    let (code, said) = check(&site);
    assert!(code == 3 && said.starts_with("ROSTERD UNKNOWN: no agent answers at "), "{code} {said}");
    site.file("rosterd.toml", "[");
    assert_eq!(check(&site).0, 3);
    site.run(&["status", "--check", "--json"]).expect(64);
}
