//! `/ready` and its reasons.

use std::fs;

use super::client::get;
use super::{site, up};
use crate::harness::site::{Agent, Site};
use crate::main_job::member;

/// Reduces the members to the first of `all`, at once, so that the loss is held.
pub fn lose(site: &Site, agent: &Agent, all: u32) {
    for number in 1..=all {
        site.file(&member(number), "");
    }
    agent.until("all members", || site.read("out/list").lines().count() == all as usize);
    let (now, next) = (site.path("registry/services/web"), site.path("registry/services/.next"));
    fs::create_dir(&next).unwrap();
    fs::write(next.join("10.0.0.1:80"), "").unwrap();
    fs::rename(&now, site.path("registry/services/.before")).unwrap();
    fs::rename(&next, &now).unwrap();
    agent.says("event=roster_held");
}

/// Waits until `/ready` is 503 with a line that contains this.
fn refuses(agent: &Agent, port: u16, reason: &str) -> String {
    let answer = || get(port, "/ready");
    agent.until(reason, || answer().status == 503 && answer().body.lines().any(|line| line.contains(reason)));
    answer().body
}

fn is_ready(agent: &Agent, port: u16) {
    agent.until("it is ready", || get(port, "/ready").status == 200);
}

#[test]
fn a_hold_is_a_reason_until_it_is_accepted() {
    let (site, port) = site(8);
    let agent = up(&site, port);
    lose(&site, &agent, 8);
    let body = refuses(&agent, port, "web held since ");
    // In the words of `explain`, but for the age.
    let reason = "keeping the last 8 known-good members: 1 of 8 members of /services/web remain";
    assert!(body.contains(reason) && body.lines().count() == 1, "{body}");
    assert!(site.run(&["explain", "list"]).expect(0).stdout().contains(reason));
    site.run(&["explain", "web"]).expect(0);
    site.run(&["accept", "web"]).expect(0);
    is_ready(&agent, port);
}

#[test]
fn whatever_keeps_a_file_or_its_software_back_is_a_reason() {
    let (site, port) = site(2);
    let agent = up(&site, port);
    site.file("registry/services/web/poison:80", "");
    let body = refuses(&agent, port, "template list: check failed");
    assert!(body.lines().all(|line| !line.is_empty()), "one line a reason: {body}");
    site.remove("registry/services/web/poison:80");
    is_ready(&agent, port);

    site.file("broken", "").file(&member(3), "");
    refuses(&agent, port, "list: reload pending: `");
    site.remove("broken");
    is_ready(&agent, port);

    site.run(&["pause"]).expect(0);
    refuses(&agent, port, "paused until ");
    site.run(&["resume"]).expect(0);
    is_ready(&agent, port);

    fs::rename(site.path("registry"), site.path("gone")).unwrap();
    refuses(&agent, port, "registry default is unreachable");
    refuses(&agent, port, "web is stale, read ");
    fs::rename(site.path("gone"), site.path("registry")).unwrap();
    is_ready(&agent, port);

    let template = site.read("templates/list.tera");
    site.file("templates/list.tera", "{% for m in web %}\n");
    refuses(&agent, port, "templates rejected at ");
    site.file("templates/list.tera", &template);
    is_ready(&agent, port);
}

#[test]
fn before_the_first_file_it_is_not_ready_but_alive() {
    let (site, port) = site(0);
    fs::create_dir_all(site.path("registry/services/web")).unwrap();
    let agent = site.start();
    agent.says("event=http_listening");
    refuses(&agent, port, "template list: not rendered yet");
    refuses(&agent, port, "/services/web has 0 members");
    assert_eq!(get(port, "/live").status, 200);
    site.file(&member(1), "");
    is_ready(&agent, port);
}
