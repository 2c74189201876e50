//! Each alert fires when its cause is there, on a real ZooKeeper.

use std::collections::BTreeSet;

use super::faults::Faults;
use super::promtool::{Cases, History, RULES, promtool};
use super::{Metrics, Scene};
use crate::support::docs::{root, text};
use crate::support::zookeeper::ZooKeeper;

/// Long enough for every alert but those of an hour and more.
const SOME: usize = 25;

/// An hour of this.
fn an_hour(of: &Metrics) -> History {
    History::default().then(Some(of), 60)
}

#[test]
fn the_rules_are_valid() {
    promtool(&["check", "rules", root().join(RULES).to_str().unwrap()]);
    promtool(&["test", "rules", root().join("packaging/prometheus/rosterd.rules.test.yml").to_str().unwrap()]);
}

/// The alerts of [`RULES`].
fn alerts() -> BTreeSet<String> {
    text(RULES).lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).map(str::to_owned).collect()
}

#[test]
fn each_alert_has_a_severity_and_its_part_of_the_manual() {
    let (rules, manual) = (text(RULES), text("docs/alerts.md"));
    for rule in rules.split("- alert: ").skip(1) {
        let name = rule.lines().next().unwrap();
        for key in ["severity: ", "summary: ", "description: "] {
            assert_eq!(rule.matches(key).count(), 1, "{name}: {key}");
        }
        let anchor = format!("runbook_url: docs/alerts.md#{}\n", name.to_lowercase());
        assert!(rule.contains(&anchor), "{name}: {anchor}");
        let section = manual.split("\n### ").find(|section| section.lines().next() == Some(name));
        let section = section.unwrap_or_else(|| panic!("docs/alerts.md has no ### {name}"));
        assert!(section.contains("`rosterd ") || section.contains("`journalctl"), "{name}: what to look at");
    }
    let sections = manual.lines().filter_map(|line| line.strip_prefix("### ")).map(str::to_owned);
    assert_eq!(sections.collect::<BTreeSet<_>>(), alerts());
}

/// Which alerts the tests of this file bring about.
const ELSEWHERE: [&str; 5] =
    ["RosterdDown", "RosterdRestarts", "RosterdRegistryUnreachable", "RosterdSessionsExpire", "RosterdProgramDown"];

#[test]
fn each_fault_of_an_agent_fires_its_alerts_and_no_others() {
    let faults = Faults::new();
    let healthy = faults.scene.scrape().unwrap();
    let mut cases = Cases::default();
    cases.fire_at_the_end(&an_hour(&healthy).then(Some(&healthy), SOME), &[]);
    let (mut fired, mut last) = (Vec::new(), healthy.clone());
    for (fault, metrics, alerts) in faults.each() {
        println!("{fault}: {alerts:?}");
        fired.extend_from_slice(alerts);
        cases.fire_at_the_end(&an_hour(&healthy).then(Some(&metrics), SOME), &fired);
        last = metrics;
    }
    let slow = ["RosterdTemplateNotUpToDate", "RosterdReloadPending", "RosterdServiceDrained", "RosterdPaused"];
    let day: Vec<&str> = fired.iter().copied().filter(|name| *name != "RosterdStateNotSaved").chain(slow).collect();
    cases.fire_at_the_end(&an_hour(&healthy).then(Some(&last), 26 * 60), &day);
    cases.check();
    fired.extend(slow);
    fired.extend(ELSEWHERE);
    assert_eq!(fired.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(), alerts());
}

const SMALL: &str = r#"
[[roster]]
name = "web"
path = "/services/web"

[[template]]
src = "web.tera"
dest = "out/web"
"#;

#[test]
fn a_program_that_does_not_run_fires_an_alert() {
    let scene = Scene::new(&format!("{SMALL}\n[exec]\ncmd = \"while test ! -e SITE/gone; do sleep 0.05; done\"\n"));
    scene.site.file("templates/web.tera", "{{ web | length }}");
    let agent = scene.up();
    let healthy = scene.until(&agent, "rosterd_program_running", 1.0);
    scene.site.file("gone", "");
    let gone = scene.until(&agent, "rosterd_program_running", 0.0);
    let mut cases = Cases::default();
    cases.fire_at_the_end(&an_hour(&healthy).then(Some(&healthy), SOME), &[]);
    cases.fire_at_the_end(&an_hour(&healthy).then(Some(&gone), SOME), &["RosterdProgramDown"]);
    cases.check();
}

#[test]
fn a_lost_registry_lost_sessions_and_a_lost_agent_fire_alerts() {
    let mut zookeeper = ZooKeeper::one();
    let scene = Scene::on(&zookeeper, SMALL);
    let short = scene.site.read("rosterd.toml").replace("\"4s\"", "\"1s\"");
    scene.site.file("rosterd.toml", &short).file("templates/web.tera", "{{ web | length }}");
    let mut agent = scene.up();
    let (connected, fresh) =
        ("rosterd_registry_connected{registry=\"default\"}", "rosterd_roster_fresh{roster=\"web\"}");
    let expired = "rosterd_registry_session_expirations_total{registry=\"default\"}";
    let well = [(connected, 1.0), (fresh, 1.0), ("rosterd_template_files{template=\"web\",state=\"up_to_date\"}", 1.0)];
    let healthy = scene.until_all(&agent, &well);
    assert_eq!((healthy.value(expired), healthy.value(fresh)), (0.0, 1.0));
    let mut cases = Cases::default();
    for count in 1..=3 {
        zookeeper.freeze(0);
        scene.until(&agent, expired, f64::from(count));
        zookeeper.thaw(0);
        scene.until_all(&agent, &well);
    }
    let after = scene.until_all(&agent, &well);
    cases.fire_at_the_end(&an_hour(&healthy).then(Some(&after), SOME), &["RosterdSessionsExpire"]);
    assert!(after.value("rosterd_registry_reconnects_total{registry=\"default\"}") >= 3.0);
    zookeeper.stop(0);
    let away = scene.until_all(&agent, &[(connected, 0.0), (fresh, 0.0)]);
    cases.fire_at_the_end(&an_hour(&after).then(Some(&away), SOME), &["RosterdRegistryUnreachable"]);
    zookeeper.start(0);
    zookeeper.wait_ready();
    let mut history = an_hour(&scene.until_all(&agent, &well));
    for _ in 0..4 {
        drop(agent);
        assert_eq!(scene.scrape(), None);
        history = history.then(None, 1);
        agent = scene.up();
        history = history.then(Some(&scene.until_all(&agent, &well)), 2);
    }
    cases.fire_at_the_end(&history, &["RosterdRestarts"]);
    drop(agent);
    cases.fire_at_the_end(&an_hour(&healthy).then(scene.scrape().as_ref(), SOME), &["RosterdDown"]);
    cases.check();
}
