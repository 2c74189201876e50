//! Every metric is in the manual; rules, dashboard and manual name no other.

use std::collections::BTreeSet;
use std::fs;

use super::promtool::RULES;
use super::{Scene, family};
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

/// The names of metrics in an expression or a text.
fn metrics(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let own = words.filter(|word| ["rosterd_", "process_"].iter().any(|prefix| word.starts_with(prefix)));
    own.map(|word| family(word).to_owned()).collect()
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
    let scene = Scene::new(CONFIG);
    scene.site.file("templates/web.tera", "{{ settings.a }} {{ web | length }}");
    fs::create_dir(scene.site.path("out/directory")).unwrap();
    let agent = scene.up();
    agent.says("event=write_failed");
    scene.until(&agent, "rosterd_service_up{service=\"own\"}", 1.0);
    scene.until(&agent, "rosterd_template_files{template=\"web\",state=\"up_to_date\"}", 1.0);
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
    let dashboard = serde_json::from_str(&text("packaging/prometheus/rosterd.dashboard.json")).unwrap();
    let mut queries = Vec::new();
    expressions(&dashboard, &mut queries);
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
