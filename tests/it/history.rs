//! The history and rollbacks, with the real agent.

use serde_json::Value;

use crate::harness::site::{Agent, Site};
use crate::main_job::{member, site_with};

mod pins;
mod rollback;
mod trail;

/// The check and the reload print what they refuse.
const CONFIG: &str = web!(
    r#"wait = "0s:0s"
max_shrink = "100%""#,
    r#"
[[template]]
src = "list.tera"
dest = "out/list"
check_cmd = "! grep -sf SITE/forbidden {{ src }}"
isolate = false
reload_cmd = "echo reloaded >> SITE/reloads; cat {{ dest }} > SITE/seen; ! cat SITE/broken"
reload_interval = "0s"
"#
);

/// The content of the file for the members with these numbers.
fn list(numbers: &[u32]) -> String {
    let mut lines: Vec<String> = numbers.iter().map(|number| format!("10.0.0.{number}:80\n")).collect();
    lines.sort();
    lines.concat()
}

/// A site with the first member, and an agent that has loaded it.
fn up(config: &str) -> (Site, Agent) {
    let site = site_with(config, 1);
    site.file("forbidden", "poison\n");
    let agent = site.start();
    loaded(&agent, &site, &[1]);
    (site, agent)
}

/// Waits until the software has loaded these members, and the socket answers that nothing is pending.
#[track_caller]
fn loaded(agent: &Agent, site: &Site, numbers: &[u32]) {
    agent.until("it is loaded", || site.read("seen") == list(numbers));
    agent.until("the reload's end", || status_of(site, "list").is_some_and(|it| it["owed_reload"] == false));
}

/// One more member joins.
#[track_caller]
fn join(agent: &Agent, site: &Site, numbers: &[u32]) {
    site.file(&member(*numbers.last().unwrap()), "");
    loaded(agent, site, numbers);
}

/// The status of a template; `None` if no agent answers.
fn status_of(site: &Site, name: &str) -> Option<Value> {
    let status = site.run(&["status", "--json"]);
    let status: Value = serde_json::from_str(&status.stdout()).ok().filter(|_| status.code() == 0)?;
    status["templates"].as_array()?.iter().find(|template| template["name"] == name).cloned()
}

/// The generation that a template is pinned to.
fn pinned(site: &Site, name: &str) -> Option<u64> {
    status_of(site, name).unwrap()["pinned"]["generation"].as_u64()
}

/// The history, as `--json` prints it.
fn entries(site: &Site, args: &[&str]) -> Vec<Value> {
    let all: Vec<&str> = ["history"].into_iter().chain(args.iter().copied()).chain(["--json"]).collect();
    site.run(&all).expect(0).stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The entries of an event.
fn events(site: &Site, event: &str) -> Vec<Value> {
    entries(site, &[]).into_iter().filter(|entry| entry["event"] == event).collect()
}

/// The numbers of the generations of a template, the oldest first.
fn generations(site: &Site, name: &str) -> Vec<String> {
    let all = entries(site, &[name]).into_iter().filter(|entry| entry["generation"].is_object());
    all.map(|entry| entry["number"].to_string()).collect()
}
