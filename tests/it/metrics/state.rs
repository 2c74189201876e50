//! What the metrics show of the state: the same as `status`, and nothing of what is gone.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{Metrics, Scene, get};

/// What `status --json` shows, as the metrics that show the same.
fn expected(status: &Value) -> BTreeMap<String, f64> {
    let mut all = BTreeMap::new();
    let mut add = |name: String, value: &Value| {
        let value = value.as_bool().map(f64::from).or(value.as_f64());
        all.extend(value.map(|value| (format!("rosterd_{name}"), value)));
    };
    let list = |name: &str| status[name].as_array().unwrap().clone();
    add("paused".to_owned(), &(!status["paused"].is_null()).into());
    for it in list("registries") {
        add(format!("registry_connected{{registry={}}}", it["name"]), &it["reached"]);
    }
    for it in list("rosters") {
        for (metric, field) in [
            ("members", "members"),
            ("registry_members", "in_registry"),
            ("fresh", "fresh"),
            ("quarantined_nodes", "quarantined"),
            ("filtered_members", "filtered"),
            ("filter_errors", "filter_errors"),
        ] {
            add(format!("roster_{metric}{{roster={}}}", it["name"]), &it[field]);
        }
        add(format!("roster_held{{roster={}}}", it["name"]), &(!it["hold"].is_null()).into());
    }
    for it in list("keys") {
        add(format!("key_fresh{{key={}}}", it["name"]), &it["fresh"]);
        add(format!("key_held{{key={}}}", it["name"]), &(!it["hold"].is_null()).into());
    }
    for it in list("templates") {
        let name = &it["name"];
        add(format!("template_files{{template={name},state={}}}", it["state"]), &1.into());
        add(format!("template_pending_reloads{{template={name}}}"), &u64::from(it["owed_reload"] == true).into());
        let failures = it["reload"]["failures"].as_u64().unwrap_or_default();
        add(format!("template_reload_failures{{template={name}}}"), &failures.into());
        let drifted = u64::from(!it["drifted_since"].is_null());
        add(format!("template_drifted_files{{template={name}}}"), &drifted.into());
        let left_out = it["left_out"].as_array().unwrap().len();
        add(format!("template_isolated_members{{template={name}}}"), &left_out.into());
        if let Some(at) = it["rendered_at"].as_str() {
            let at = humantime::parse_rfc3339(at).unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
            add(format!("template_rendered_timestamp_seconds{{template={name}}}"), &at.as_secs().into());
        }
    }
    for it in list("services") {
        for field in ["up", "registered", "drained"] {
            add(format!("service_{field}{{service={}}}", it["name"]), &it[field]);
        }
    }
    let refused = list("refused").iter().any(|it| it["what"] == "configuration");
    add("config_last_load_successful{part=\"configuration\"}".to_owned(), &(!refused).into());
    all
}

/// The metrics, and what they show differently than `status` at the same moment.
pub fn compared(scene: &Scene) -> (Metrics, Vec<String>) {
    let ask = || serde_json::from_str::<Value>(&scene.site.run(&["status", "--json"]).stdout()).unwrap();
    let before = expected(&ask());
    let metrics = scene.scrape().unwrap();
    if expected(&ask()) != before {
        return (metrics, vec!["the state is changing".to_owned()]);
    }
    // Times of status are cut to seconds.
    let near = |name: &str, value: f64, found: Option<f64>| {
        let most = if name.contains("timestamp") { 1.0 } else { 0.0 };
        found.is_some_and(|found| (found - value).abs() <= most)
    };
    let wrong = before.iter().filter(|(name, value)| !near(name, **value, metrics.get(name)));
    let wrong = wrong.map(|(name, value)| format!("{name} is {:?}, not {value}", metrics.get(name))).collect();
    (metrics, wrong)
}

const EACH: &str = r#"
[[roster]]
name = "all"
path = "/services/*"

[[roster]]
name = "web"
path = "/services/web"

[[template]]
name = "per_key"
src = "key.tera"
dest = "out/{{ key }}.cfg"
each = "all"
check_cmd = "true"

[[template]]
name = "single"
src = "web.tera"
dest = "out/web"

[[service]]
name = "own"
path = "/own"
host = "h"
port = 1
check = { cmd = "true" }
"#;

#[test]
fn what_the_configuration_no_longer_has_is_gone_and_what_it_adds_begins_at_zero() {
    let scene = Scene::new(EACH);
    scene.site.file("templates/key.tera", "{{ key }} {{ members | length }}");
    scene.site.file("templates/web.tera", "{{ web | length }}");
    let mut agent = scene.up();
    let up_to_date = "rosterd_template_files{template=\"per_key\",state=\"up_to_date\"}";
    scene.until(&agent, up_to_date, 3.0);
    scene.until(&agent, "rosterd_service_registered{service=\"own\"}", 1.0);
    scene.until(&agent, "rosterd_template_files{template=\"single\",state=\"up_to_date\"}", 1.0);
    let before = scene.scrape().unwrap();
    assert_eq!(before.value("rosterd_template_writes_total{template=\"per_key\",outcome=\"written\"}"), 3.0);
    assert_eq!(before.value("rosterd_template_checks_total{template=\"per_key\",outcome=\"passed\"}"), 3.0);
    assert_eq!(before.value("rosterd_template_render_duration_seconds_count{template=\"per_key\"}"), 3.0);
    assert_eq!(before.get("rosterd_template_checks_total{template=\"single\",outcome=\"passed\"}"), None);
    assert!(!before.0.keys().any(|name| name.contains('[') || name.contains("10.0.0.")), "{before:?}");
    let own = |name: &&String| ["\"own\"", "\"web\"", "\"single\""].iter().any(|label| name.contains(label));
    assert!(before.0.keys().filter(own).count() > 20);
    let rest = EACH.split("[[roster]]\nname = \"web\"").next().unwrap();
    let per_key = EACH.split("[[template]]").nth(1).unwrap().replace("name = \"per_key\"", "name = \"other\"");
    scene.configure(&format!(
        "{rest}[[template]]{}[[template]]{per_key}",
        EACH.split("[[template]]").nth(1).unwrap().replace("{{ key }}.cfg", "{{ key }}.conf")
    ));
    agent.signal(Signal::SIGHUP).says_times("event=config_loaded", 2);
    scene.until(&agent, "rosterd_template_files{template=\"other\",state=\"up_to_date\"}", 3.0);
    scene.until(&agent, up_to_date, 3.0);
    let after = scene.scrape().unwrap();
    assert_eq!(after.0.keys().filter(own).collect::<Vec<_>>(), Vec::<&String>::new());
    assert_eq!(after.value("rosterd_template_writes_total{template=\"per_key\",outcome=\"written\"}"), 6.0);
    assert_eq!(after.value("rosterd_template_writes_total{template=\"other\",outcome=\"failed\"}"), 0.0);
    assert_eq!(after.value("rosterd_config_loads_total{part=\"configuration\",outcome=\"accepted\"}"), 2.0);
    assert!(agent.stop().success());
}

#[test]
fn counters_of_the_session_count_requests_and_events() {
    let scene = Scene::new(EACH);
    scene.site.file("templates/key.tera", "{{ key }} {{ members | length }}");
    scene.site.file("templates/web.tera", "{{ web | length }}");
    let agent = scene.up();
    let count =
        |name: &str| scene.scrape().unwrap().value(&format!("rosterd_registry_{name}_total{{registry=\"default\"}}"));
    scene.until(&agent, "rosterd_roster_members{roster=\"web\"}", 4.0);
    let (requests, events) = (count("requests"), count("watch_events"));
    assert!(requests > 3.0);
    scene.client.put("/services/web/10.0.0.7:80", b"");
    scene.until(&agent, "rosterd_roster_members{roster=\"web\"}", 5.0);
    assert!(count("requests") > requests && count("watch_events") > events);
    assert_eq!(count("reconnects") + count("session_expirations"), 0.0);
    let metrics = scene.scrape().unwrap();
    let state =
        |state| metrics.value(&format!("rosterd_registry_session_state{{registry=\"default\",state=\"{state}\"}}"));
    assert_eq!((state("connected"), state("suspended"), state("lost")), (1.0, 0.0, 0.0));
    assert_eq!(metrics.value("rosterd_roster_member_changes_total{roster=\"web\",change=\"added\"}"), 1.0);
}

#[test]
fn promtool_accepts_the_answer_and_each_client_gets_its_format() {
    let scene = Scene::new(super::faults::CONFIG);
    for name in ["web", "zones", "settings"] {
        scene.site.file(&format!("templates/{name}.tera"), "x");
    }
    let agent = scene.up();
    scene.until(&agent, "rosterd_service_registered{service=\"own\"}", 1.0);
    let (head, text) = get(scene.port, "*/*").unwrap();
    assert!(head.to_lowercase().contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    let file = scene.site.path("metrics");
    fs::write(&file, &text).unwrap();
    let stdin = Stdio::from(fs::File::open(&file).unwrap());
    let output = Command::new("promtool").args(["check", "metrics"]).stdin(stdin).output().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success() && said.is_empty(), "{said}");
    let (head, text) = get(scene.port, "application/openmetrics-text;version=1.0.0,*/*;q=0.1").unwrap();
    let kind = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert!(head.to_lowercase().contains(kind), "{head}");
    assert!(text.ends_with("\n# EOF\n"), "{text}");
}
