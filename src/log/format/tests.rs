use super::*;
use crate::decide::Event;
use crate::model::node_path::NodePath;
use crate::model::quarantine::Quarantine;

fn written(format: Format, event: &Event) -> String {
    format.format(&Line::from(event), SystemTime::now())
}

/// The line without its timestamp.
fn as_text(event: &Event) -> String {
    let line = written(Format::Text { colour: false }, event);
    let (time, rest) = line.split_once(' ').unwrap();
    assert_eq!((time.len(), &time[10..11], &time[19..]), (20, "T", "Z"), "{time}");
    rest.to_owned()
}

fn held(roster: &str, reason: &str) -> Event {
    let (roster, path) = (roster.into(), "/services/x".to_owned());
    Event::RosterHeld { roster, path, reason: reason.into(), kept: Some(2) }
}

#[test]
fn text_lines_are_readable() {
    let path = NodePath::parse("/services/x").unwrap();
    let cases = [
        (
            held("x", "/services/x has 0 members but needs at least 1"),
            " WARN hold in effect: /services/x has 0 members but needs at least 1 event=roster_held roster=x kept=2\n",
        ),
        (
            Event::MemberQuarantined {
                roster: "x".into(),
                path: path.child("n1"),
                reason: Quarantine::Undecodable("no \"host\"".into()),
            },
            " WARN member quarantined: /services/x/n1: no \"host\" event=member_quarantined roster=x\n",
        ),
        (
            Event::ReloadSucceeded {
                command: "nginx -s reload".into(),
                templates: vec!["a".into(), "b".into()],
                took_ms: 12,
            },
            " INFO reload succeeded: a, b event=reload_succeeded command=\"nginx -s reload\" took_ms=12\n",
        ),
        (
            Event::ReloadFailed {
                command: "set -e\nnginx -t\nnginx -s reload\n".into(),
                templates: vec!["a".into()],
                reason: "reload \"set -e …\" exited with 1:\n  a".into(),
                took_ms: None,
                retry_in_s: Some(1),
            },
            "ERROR reload failed; still pending: a: reload \"set -e …\" exited with 1: event=reload_failed command=\"set -e …\" retry_in_s=1\n    |   a\n",
        ),
        (
            Event::RollbackFailed { reason: "exit status 1\n  ^ here\n\u{1b}[2J\n".into() },
            "ERROR rollback failed; files stay as they are: exit status 1 event=rollback_failed\n    |   ^ here\n    | \\u{1b}[2J\n",
        ),
        (
            Event::SignalReceived { signal: "USR1", forwarded: true },
            " INFO signal received event=signal_received signal=USR1 forwarded=true\n",
        ),
        (Event::TemplatesChanged {}, " INFO templates changed event=templates_changed\n"),
        (
            Event::LogFilterRefused { filter: "a \"b".into(), reason: String::new() },
            " WARN invalid log filter event=log_filter_refused filter=\"a \\\"b\"\n",
        ),
    ];
    for (event, line) in cases {
        assert_eq!(as_text(&event), line);
    }
}

#[test]
fn a_change_of_members_names_at_most_ten_added_and_ten_removed() {
    let change = |added: u32, removed: u32, changed| Event::MembersChanged {
        roster: "web".into(),
        path: NodePath::parse("/services/web").unwrap(),
        added: (0..added).map(|n| format!("10.0.0.{n}:80")).collect(),
        removed: (0..removed).map(|n| format!("10.0.1.{n}:80")).collect(),
        changed,
        members: 3,
        zxid: None,
    };
    assert_eq!(
        as_text(&change(1, 1, 0)),
        " INFO members changed: /services/web: +10.0.0.0:80 -10.0.1.0:80 (3 members now) event=members_changed roster=web\n"
    );
    let line = as_text(&change(22, 0, 2));
    assert!(line.contains(" +10.0.0.9:80 and 12 more 2 updated (3 members now) "), "{line}");
}

#[test]
fn only_the_level_has_colour() {
    let line = written(Format::Text { colour: true }, &held("\u{1b}[31m", "m"));
    assert!(
        line.contains("\u{1b}[33m WARN\u{1b}[0m hold in effect: /services/x: m event=roster_held roster=\\u{1b}[31m "),
        "{line:?}"
    );
}

#[test]
fn every_line_for_the_journal_has_a_priority() {
    let line = written(Format::Journal, &Event::ConfigRefused { reason: "two\nlines".into() });
    assert!(line.starts_with("<3>2") && line.contains("\n<3>    | lines\n"), "{line:?}");
    assert!(written(Format::Journal, &held("x", "m")).starts_with("<4>2"));
    assert!(written(Format::Journal, &Event::AgentStopped {}).starts_with("<6>2"));
}

#[test]
fn no_value_forges_a_line_or_controls_a_terminal() {
    let all: Vec<char> = (0u8..32).chain(0x7f..=0x9f).map(char::from).chain(['\u{2028}', '\u{2029}']).collect();
    for c in all {
        let hostile = format!("a{c}2026-11-20T00:00:00Z  INFO all is well");
        for format in [Format::Text { colour: false }, Format::Journal, Format::Json] {
            let text = written(format, &held(&hostile, &hostile));
            for line in text.lines() {
                assert!(!line.chars().any(is_breaking), "{c:?}: {line:?}");
            }
            let forged =
                text.lines().skip(1).filter(|line| !line.trim_start_matches("<4>").starts_with("    | ")).count();
            assert_eq!(forged, 0, "{c:?}: {text:?}");
            if format == Format::Json {
                let object: Value = serde_json::from_str(&text).unwrap();
                assert_eq!((text.lines().count(), &object["roster"]), (1, &Value::from(&*hostile)), "{c:?}");
            }
        }
    }
}

#[test]
fn a_long_value_is_cut_and_a_reason_is_not() {
    let long = "é".repeat(3000);
    let line = as_text(&Event::ReloadInherited { command: "c".into(), template: long.as_str().into() });
    assert!(line.ends_with(&format!("template={}…\n", "é".repeat(512))), "{line}");
    assert!(as_text(&Event::RollbackFailed { reason: long }).len() > 6000);
}

#[test]
fn a_long_node_name_is_truncated() {
    let name = format!("/services/web/postgres://u:secret@h/{}", "x".repeat(900_000));
    let line = as_text(&Event::MemberQuarantined {
        roster: "web".into(),
        path: NodePath::parse("/services/web").unwrap().child(&name),
        reason: Quarantine::TooLarge { bytes: name.len() },
    });
    assert!(line.contains("quarantined") && line.len() < 1024 && !line.contains("secret"), "{} bytes", line.len());
    let line = as_text(&held("web", &name));
    assert!(line.contains("held") && line.len() < 2048 && !line.contains("secret"), "{} bytes", line.len());
}

#[test]
fn json_is_one_object_a_line() {
    let event = Event::WriteFailed {
        template: "t".into(),
        dest: "/etc/t".into(),
        reason: "b\nc".into(),
        errno: None,
        retry_in_s: Some(3),
    };
    let line = written(Format::Json, &event);
    let object: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (line.lines().count(), &object["level"], &object["event"]),
        (1, &"ERROR".into(), &"write_failed".into())
    );
    assert_eq!(
        (&object["retry_in_s"], &object["reason"], &object["dest"]),
        (&3.into(), &"b\nc".into(), &"/etc/t".into())
    );
    assert_eq!(object["message"], "write failed; file unchanged");
    assert_eq!(object["timestamp"].as_str().unwrap().len(), "2026-11-20T11:40:01.000Z".len());
    let without = written(Format::Json, &Event::RosterStale { roster: "x".into(), path: "/x".into(), age_s: None });
    assert!(!without.contains("age_s"), "{without}");
}
