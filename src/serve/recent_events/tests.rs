use std::time::UNIX_EPOCH;

use super::*;
use crate::model::node_path::NodePath;

fn at(second: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(second)
}

fn changed(roster: &str, added: usize, text: &str) -> Event {
    Event::MembersChanged {
        roster: roster.into(),
        path: NodePath::parse("/services/web").unwrap(),
        added: (0..added).map(|n| format!("{text}{n}")).collect(),
        removed: vec!["gone".to_owned()],
        changed: 1,
        members: added,
        zxid: None,
    }
}

fn released(roster: &str) -> Event {
    Event::HoldReleased { roster: roster.into(), path: "/services/web".to_owned() }
}

#[test]
fn a_change_names_few_members_and_counts_all() {
    let recent = RecentEvents::default();
    recent.record(at(5), &changed("web", 40, "10.0.0."));
    let events = recent.since(at(6));
    let change = events[0].change.as_ref().unwrap();
    assert_eq!((change.added.len(), change.counts, change.members), (MAX_NAMES, (40, 1), 40));
    assert!(events[0].is_about("roster", "web") && !events[0].is_about("template", "web"));
}

#[test]
fn events_older_than_an_hour_are_dropped() {
    let recent = RecentEvents::default();
    recent.record(at(0), &released("web"));
    recent.record(at(3600), &released("web"));
    assert_eq!(recent.since(at(3600)).len(), 2);
    assert_eq!(recent.since(at(3601)).len(), 1, "even before another one is recorded");
    recent.record(at(3601), &released("db"));
    let kept = recent.kept();
    assert_eq!((kept.events.len(), kept.counts.len()), (2, 2));
}

#[test]
fn one_roster_does_not_displace_the_others() {
    let recent = RecentEvents::default();
    recent.record(at(0), &released("quiet"));
    for second in 0..3000 {
        recent.record(at(second), &changed("web", 1, "10.0.0."));
    }
    let events = recent.since(at(3000));
    assert_eq!(events.len(), MAX_OF_ONE + 1);
    assert_eq!((events[0].at, &*events[MAX_OF_ONE].subjects[0].1), (at(2999), "quiet"));
}

#[test]
fn memory_is_bounded_whatever_is_recorded() {
    let recent = RecentEvents::default();
    let hostile = changed("web", 30, &"x".repeat(1000));
    for n in 0..4000 {
        let Event::MembersChanged { path, added, removed, .. } = hostile.clone() else { unreachable!() };
        let roster = format!("r{n}").into();
        let event = Event::MembersChanged { roster, path, added, removed, changed: 0, members: 30, zxid: None };
        recent.record(at(n / 100), &event);
        assert!(recent.kept().bytes <= MAX_BYTES);
    }
    assert!(recent.kept().events.len() < 4000, "the bytes are the limit");
    for n in 0..10_000 {
        recent.record(at(100), &released(&format!("s{n}")));
    }
    let kept = recent.kept();
    assert_eq!(kept.events.len(), MAX_EVENTS);
    assert_eq!(kept.counts.values().sum::<usize>(), MAX_EVENTS);
    assert_eq!(kept.bytes, kept.events.iter().map(|it| it.size()).sum::<usize>());
}

#[test]
fn a_command_concerns_each_of_its_templates() {
    let recent = RecentEvents::default();
    let templates: Vec<Arc<str>> = vec!["a".into(), "b".into()];
    let reason = "exited with 1:\n  \u{1b}[2Jfirst\n  second".to_owned();
    let failed =
        Event::ReloadFailed { command: "reload".to_owned(), templates, reason, took_ms: None, retry_in_s: Some(1) };
    recent.record(at(0), &failed);
    let events = recent.since(at(0));
    assert!(events[0].is_about("template", "a") && events[0].is_about("template", "b"));
    assert_eq!(events[0].text, "a, b: exited with 1:\n  \\u{1b}[2Jfirst\n  second");
}
