//! `/events`.

use std::time::Duration;

use serde_json::Value;

use super::client::Events;
use super::{site, up};
use crate::main_job::member;

/// The value of a field of the last message.
fn last(text: &str, field: &str) -> String {
    let start = format!("{field}: ");
    text.lines().filter_map(|line| line.strip_prefix(&start)).next_back().unwrap().to_owned()
}

#[test]
fn a_stream_shows_a_member_join_as_the_log_does() {
    let (site, port) = site(2);
    let agent = up(&site, port);
    let mut events = Events::open(port, "/events", "");
    assert!(!events.text.contains("event: "), "only what happens from now on: {}", events.text);
    site.file(&member(3), "");
    let text = events.until("event: members_changed\ndata: ").to_owned();
    assert!(text.to_ascii_lowercase().contains("content-type: text/event-stream"), "{text}");
    let text = events.until("event: reload_succeeded\ndata: ");
    let data = text.split("event: members_changed\ndata: ").nth(1).unwrap().lines().next().unwrap();
    let event: Value = serde_json::from_str(data).unwrap();
    assert_eq!((&event["event"], &event["roster"]), (&"members_changed".into(), &"web".into()));
    assert_eq!((&event["added"], &event["members"]), (&serde_json::json!(["10.0.0.3:80"]), &3.into()));
    assert_eq!((&event["level"], &event["message"]), (&"INFO".into(), &"members changed".into()));
    agent.says("event=members_changed");
    assert!(humantime::parse_rfc3339(event["timestamp"].as_str().unwrap()).is_ok());
}

#[test]
fn a_client_that_connects_again_misses_nothing_and_sees_nothing_twice() {
    let (site, port) = site(1);
    let _agent = up(&site, port);
    let mut first = Events::open(port, "/events?after=0", "");
    first.until("event: agent_started\n");
    first.until("event: reload_succeeded\n");
    first.until("\n\n");
    assert!(first.is_quiet(Duration::from_millis(100)));
    let seen = last(&first.text, "id");
    drop(first);
    site.file(&member(2), "");
    for (path, head) in
        [("/events", format!("Last-Event-ID: {seen}\r\n")), (&*format!("/events?after={seen}"), String::new())]
    {
        let mut again = Events::open(port, path, &head);
        let text = again.until("event: reload_succeeded\n");
        assert!(text.contains("event: members_changed\n") && !text.contains("event: agent_started\n"), "{text}");
        assert!(!text.contains(&format!("id: {seen}\n")), "{text}");
    }
    for id in ["-1", "x", "99999999999999999999999", ""] {
        Events::open(port, "/events", &format!("Last-Event-ID: {id}\r\n"));
    }
}
