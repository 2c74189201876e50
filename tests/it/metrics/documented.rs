//! Every metric is in the manual; rules, dashboard and manual name no other.

use std::collections::BTreeSet;
use std::fs;

use super::promtool::{Cases, History, RULES};
use super::{Metrics, Scene, family};
use crate::harness::site::Agent;
use crate::support::docs::{code, text};

const MANUAL: &str = "docs/metrics.md";

/// A configuration for which every metric has a series.
const CONFIG: &str = r#"
[exec]
cmd = "sleep 1000"

[[roster]]
name = "web"
path = "/services/web"

[[key]]
name = "settings"
path = "/config/app"
format = "json"

[[template]]
src = "web.tera"
dest = "out/web"
check_cmd = "true"
reload_cmd = "true"

[[template]]
src = "web.tera"
dest = "out/directory"

[[lock]]
path = "/leader"

[[service]]
name = "own"
path = "/services/own"
host = "h"
port = 1
check = { cmd = "true" }
"#;

/// An agent with a series of every metric.
fn up() -> (Scene, Agent) {
    let scene = Scene::new(CONFIG);
    scene.site.file("templates/web.tera", "{{ settings.a }} {{ web | length }}");
    fs::create_dir(scene.site.path("out/directory")).unwrap();
    let agent = scene.up();
    agent.says("event=write_failed");
    scene.until(&agent, "rosterd_service_up{service=\"own\"}", 1.0);
    scene.until(&agent, "rosterd_template_files{template=\"web\",state=\"up_to_date\"}", 1.0);
    (scene, agent)
}

/// The names of metrics in an expression or a text.
fn metrics(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let own = words.filter(|word| ["rosterd_", "process_"].iter().any(|prefix| word.starts_with(prefix)));
    own.map(|word| family(word).to_owned()).collect()
}

fn dashboard() -> serde_json::Value {
    serde_json::from_str(&text("packaging/prometheus/rosterd.dashboard.json")).unwrap()
}

/// Every expression of the dashboard.
fn expressions(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(text) if name == "expr" || name == "query" || name == "definition" => {
                        found.push(text.to_owned());
                    }
                    _ => expressions(value, found),
                }
            }
        }
        serde_json::Value::Array(list) => list.iter().for_each(|value| expressions(value, found)),
        _ => {}
    }
}

#[test]
fn every_metric_is_in_the_manual_and_no_other_is_named_anywhere() {
    let (scene, _agent) = up();
    let live: BTreeSet<String> = scene.scrape().unwrap().names().map(str::to_owned).collect();
    let rows = text(MANUAL);
    let rows = rows.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let documented: BTreeSet<String> = rows.map(|(name, _)| name.to_owned()).collect();
    let missing: Vec<_> = live.difference(&documented).collect();
    assert!(missing.is_empty(), "{MANUAL} lacks {missing:#?}");
    let unknown: Vec<_> = documented.difference(&live).collect();
    assert!(unknown.is_empty(), "{MANUAL} has {unknown:#?}");

    let rules = text(RULES);
    let rules: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).collect();
    let mut queries = Vec::new();
    expressions(&dashboard(), &mut queries);
    assert!(queries.len() > 10, "{queries:?}");
    let manuals = ["docs/alerts.md", "packaging/prometheus/README.md", MANUAL].map(text);
    let quoted: Vec<String> =
        manuals.iter().flat_map(|text| text.split('`').skip(1).step_by(2)).map(str::to_owned).collect();
    for (place, named) in [
        ("rules", metrics(&rules.join(" "))),
        ("dashboard", metrics(&queries.join(" "))),
        ("manual", metrics(&quoted.join(" "))),
    ] {
        let unknown: Vec<_> = named.difference(&live).collect();
        assert!(unknown.is_empty(), "{place}: {unknown:?}");
    }
    // Labels and their values are in the manual too.
    let manual = text(MANUAL);
    let words: BTreeSet<&str> = code(&manual).collect();
    let labels = scene.scrape().unwrap();
    for series in labels.0.keys().filter_map(|series| series.split_once('{')) {
        for label in series.1.trim_end_matches('}').split("\",") {
            let name = label.split('=').next().unwrap();
            assert!(words.contains(name), "{MANUAL} does not tell of the label {name}");
        }
    }
}

/// The words in each part of a text between two marks.
fn between<'a>(text: &'a str, open: &str, close: char) -> BTreeSet<&'a str> {
    let parts = text.split(open).skip(1).filter_map(|part| part.split(close).next());
    parts.flat_map(|part| part.split(", ")).map(str::trim).collect()
}

/// The labels that the series of these metrics have, each of the metrics.
fn labels_of<'a>(live: &'a Metrics, names: &BTreeSet<String>) -> BTreeSet<&'a str> {
    let has_name = |series: &str| names.contains(family(series.split('{').next().unwrap()));
    let labels = live.0.keys().filter(|series| has_name(series)).filter_map(|series| series.split_once('{'));
    labels.flat_map(|(_, labels)| labels.split("\",")).map(|label| label.split('=').next().unwrap()).collect()
}

#[test]
fn every_panel_of_the_dashboard_has_a_series_and_names_only_its_labels() {
    let (scene, _agent) = up();
    let live = scene.scrape().unwrap();
    let dashboard = dashboard();
    let (mut ids, mut queries) = (BTreeSet::new(), Vec::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its id is used twice");
        let mut of_panel = BTreeSet::new();
        for target in panel["targets"].as_array().into_iter().flatten() {
            assert!(of_panel.insert(target["refId"].as_str().unwrap()), "{title}: a refId is used twice");
            let (expr, legend) = (target["expr"].as_str().unwrap(), target["legendFormat"].as_str().unwrap());
            let mut known = labels_of(&live, &metrics(expr));
            known.extend(["instance", "job"]);
            let by = between(expr, "by (", ')');
            assert!(by.is_subset(&(&known | &BTreeSet::from(["le"]))), "{title}: {by:?} of {known:?}");
            let shown = between(legend, "{{", '}');
            assert!(shown.is_subset(if by.is_empty() { &known } else { &by }), "{title}: {shown:?} of {expr}");
            queries.push(expr.to_owned());
        }
        assert_eq!(of_panel.is_empty(), panel["type"] == "row", "{title}");
    }
    // A series that is wrong only now and then is there before it is compared.
    let variables = [
        ("$instance", "host:9189"),
        ("$roster", "web"),
        ("$template", "web"),
        ("$__rate_interval", "5m"),
        (" > 0", ""),
        (" == 0", ""),
    ];
    let queries: Vec<String> = queries
        .iter()
        .map(|query| variables.iter().fold(query.clone(), |query, (name, value)| query.replace(name, value)))
        .collect();
    assert!(queries.iter().all(|query| !query.contains('$')), "an unknown variable: {queries:#?}");
    let mut cases = Cases::default();
    cases.have_results(&History::default().then(Some(&live), 70), &queries);
    cases.check();
}
