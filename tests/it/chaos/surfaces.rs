//! Everything that shows the state of an agent, compared at a quiet moment.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::at;
use crate::harness::site::{Agent, PATIENCE, Site};
use crate::serve::client::get;
use crate::support::wait::holds;

/// `status --json`; `None` if no agent answers.
fn status(site: &Site) -> Option<Value> {
    let ended = site.run(&["status", "--json"]);
    (ended.code() == 0).then(|| serde_json::from_str(&ended.stdout()).unwrap())
}

fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    let items = list.as_array().unwrap();
    items.iter().find(|item| item["name"] == name).unwrap_or_else(|| panic!("no {name} in {list}"))
}

/// Whether nothing is pending, and nothing is wrong but the hold of the guarded roster.
pub fn is_settled(site: &Site, is_held: bool) -> bool {
    let Some(status) = status(site) else { return false };
    let rosters = at(&status, "/rosters");
    let templates = at(&status, "/templates").as_array().unwrap();
    rosters.as_array().unwrap().iter().all(|roster| roster["fresh"] == true)
        && named(rosters, "x")["hold"].is_null()
        && named(rosters, "guarded")["hold"].is_null() != is_held
        && templates.iter().all(|template| template["owed_reload"] == false && template["last_error"].is_null())
        && status["paused"].is_null()
        && at(&status, "/refused").as_array().unwrap().is_empty()
        && at(&status, "/health/problems").as_array().unwrap().len() == usize::from(is_held)
}

/// Checks that whatever shows the state shows the same one.
pub fn agree(site: &Site, agent: &Agent, port: u16, members: usize, is_held: bool) {
    let status = status(site).unwrap();
    let x = named(at(&status, "/rosters"), "x");
    let shown = (&x["members"], &x["in_registry"]);
    assert_eq!(shown, (&Value::from(members), &Value::from(members)), "{}", agent.log().join("\n"));
    let text = site.run(&["status"]).stdout();
    assert!(text.contains(&format!("roster x /services/x: {members} member")), "{text}");
    assert_eq!(text.contains("roster guarded /services/guarded: HELD"), is_held, "{text}");
    log_agrees(agent, members, is_held);
    http_agrees(site, port, members, is_held);
    history_agrees(site, members);
}

/// Checks what HTTP shows.
fn http_agrees(site: &Site, port: u16, members: usize, is_held: bool) {
    // The snapshot that HTTP shows may be 250 ms old, and a status is old as soon as anything changes: both are new each
    // time.
    let mut differ = Vec::new();
    let is_same = holds(PATIENCE, || {
        let shown = serde_json::from_str(&get(port, "/status.json").body).unwrap();
        differ = differences(&status(site).unwrap(), &shown);
        differ.is_empty()
    });
    assert!(is_same, "`status` and HTTP differ:\n{}", differ.join("\n"));
    let metrics = get(port, "/metrics").body;
    for (series, value) in [
        ("rosterd_roster_members{roster=\"x\"}", members),
        ("rosterd_roster_registry_members{roster=\"x\"}", members),
        ("rosterd_roster_fresh{roster=\"x\"}", 1),
        ("rosterd_roster_held{roster=\"x\"}", 0),
        ("rosterd_roster_held{roster=\"guarded\"}", usize::from(is_held)),
        ("rosterd_template_pending_reloads{template=\"list\"}", 0),
        ("rosterd_paused", 0),
        ("rosterd_config_last_load_successful{part=\"configuration\"}", 1),
        ("rosterd_registry_connected{registry=\"default\"}", 1),
    ] {
        let line = format!("{series} {value}.0");
        assert!(metrics.lines().any(|it| it == line), "{line} is not in\n{metrics}");
    }
    let ready = get(port, "/ready");
    assert_eq!(ready.status, if is_held { 503 } else { 200 }, "{}", ready.body);
    let page = get(port, "/").body;
    // Below its problems, the page has past holds too.
    let problems = page.split("<section id=\"problems\"").nth(1).and_then(|it| it.split("</section>").next()).unwrap();
    assert_eq!(problems.contains("/services/guarded has 1 member but needs at least 2"), is_held, "{page}");
    assert!(page.contains("10.0.0.10:80"), "{page}");
}

/// The fields of two statuses that differ, with both values.
fn differences(first: &Value, second: &Value) -> Vec<String> {
    let (mut ours, mut theirs) = (BTreeMap::new(), BTreeMap::new());
    fields("", first, &mut ours);
    fields("", second, &mut theirs);
    let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    let differ = names.into_iter().filter(|name| ours.get(*name) != theirs.get(*name));
    differ.map(|name| format!("{name}: {:?}, {:?}", ours.get(name), theirs.get(name))).collect()
}

/// The fields of a status by their paths, without what changes from second to second.
fn fields(path: &str, value: &Value, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(items) => {
            // The problems name the ages of holds.
            let lasting = items.iter().filter(|(name, _)| !name.ends_with("_s") && *name != "health");
            lasting.for_each(|(name, value)| fields(&format!("{path}/{name}"), value, found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| fields(&format!("{path}/{index}"), value, found));
        }
        _ => drop(found.insert(path.to_owned(), value.clone())),
    }
}

/// Checks that the last content in the history is that of the file, from the view with these members.
fn history_agrees(site: &Site, members: usize) {
    let ended = site.run(&["history", "list", "--json"]);
    let entries = ended.expect(0).stdout();
    let mut entries = entries.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let is_content = |entry: &Value| entry["event"].as_str().is_some_and(|event| event.starts_with("file_"));
    let last = entries.rfind(|entry| entry["generation"].is_object() && is_content(entry)).unwrap();
    let size = site.read("out/list").len();
    assert_eq!(at(&last, "/generation/size"), &Value::from(size), "{last}");
    assert_eq!(at(&last, "/generation/views/0/members"), &Value::from(members), "{last}");
}

/// Checks that the events since the start of the agent lead to the same state.
fn log_agrees(agent: &Agent, members: usize, is_held: bool) {
    // The status shows a hold at once, and the log after `wait`.
    agent.until("the log has the same state", || logged(agent) == (Some(members as u64), is_held));
}

/// The members of one roster, and whether the other one is held, by the log.
fn logged(agent: &Agent) -> (Option<u64>, bool) {
    let (mut listed, mut held) = (None, false);
    let log = agent.log();
    for event in log.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        match (event["event"].as_str().unwrap_or_default(), event["roster"].as_str().unwrap_or_default()) {
            ("roster_loaded" | "members_changed", "x") => listed = event["members"].as_u64(),
            ("roster_held", "guarded") => held = true,
            ("hold_released", "guarded") => held = false,
            _ => {}
        }
    }
    (listed, held)
}
