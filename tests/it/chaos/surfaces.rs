//! Everything that shows the state of an agent, compared at a quiet moment.

use serde_json::Value;

use super::at;
use crate::harness::site::{Agent, Site};

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
pub fn agree(site: &Site, agent: &Agent, members: usize, is_held: bool) {
    let status = status(site).unwrap();
    let x = named(at(&status, "/rosters"), "x");
    let shown = (&x["members"], &x["in_registry"]);
    assert_eq!(shown, (&Value::from(members), &Value::from(members)), "{}", agent.log().join("\n"));
    let text = site.run(&["status"]).stdout();
    assert!(text.contains(&format!("roster x /services/x: {members} member")), "{text}");
    assert_eq!(text.contains("roster guarded /services/guarded: HELD"), is_held, "{text}");
    log_agrees(agent, members, is_held);
}

/// Checks that the events since the start of the agent lead to the same state.
fn log_agrees(agent: &Agent, members: usize, is_held: bool) {
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
    assert_eq!((listed, held), (Some(members as u64), is_held), "{}", log.join("\n"));
}
