//! A line as text for a person, or as JSON for a machine.
//!
//! Text is `TIME LEVEL message: WHAT key=value …`, where WHAT is the reason, or else what the line is about. Both forms
//! are searched by `event`, whose names and messages are constant. In both, no value can end a line or steer a terminal,
//! whatever is written in the registry.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tracing::Level;

use super::line::{Line, quoted};
use super::plain;
use crate::decide::member::is_breaking;

/// The form of every line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// For a person, with the level in colour or not.
    Text { colour: bool },
    /// The same for the journal: each line begins with its priority, as sd-daemon(3) has it.
    Journal,
    /// One object a line.
    Json,
}

impl Format {
    /// The line as it was logged at this time, with the line breaks at its end and within.
    pub(super) fn format(self, line: &Line, time: SystemTime) -> String {
        let now = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        match self {
            Self::Text { colour } => text(&utc(now.as_secs(), None), line, "", colour),
            Self::Journal => text(&utc(now.as_secs(), None), line, priority(line.level), false),
            Self::Json => json(&utc(now.as_secs(), Some(now.subsec_millis())), line),
        }
    }
}

/// What the journal takes for a line's priority.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        _ => "<7>",
    }
}

/// What has more lines, a caret under a template's line or a command's output, follows on lines that begin with
/// `    | `, so that none of them can pass for a line of the log.
fn text(time: &str, line: &Line, prefix: &str, colour: bool) -> String {
    let (on, off) = match (colour, line.level) {
        (false, _) => ("", ""),
        (true, Level::ERROR) => ("\x1b[31m", "\x1b[0m"),
        (true, Level::WARN) => ("\x1b[33m", "\x1b[0m"),
        (true, Level::INFO) => ("\x1b[32m", "\x1b[0m"),
        (true, _) => ("\x1b[2m", "\x1b[0m"),
    };
    let mut out = format!("{prefix}{time} {on}{:>5}{off} {}", line.level, plain(&line.message));
    let (head, within) = line.head();
    let (first, rest) = head.split_once('\n').unwrap_or((&head, ""));
    if !first.is_empty() {
        let _ = write!(out, ": {}", plain(first));
    }
    if let Some(event) = line.event {
        let _ = write!(out, " event={event}");
    }
    for (name, value) in line.fields.iter().filter(|(name, _)| !within.contains(name)) {
        let _ = write!(out, " {name}={}", quoted(&plain(&shown(value))));
    }
    out.push('\n');
    for more in rest.lines() {
        let _ = writeln!(out, "{prefix}    | {}", plain(more));
    }
    out
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(shown).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn json(time: &str, line: &Line) -> String {
    let mut out = format!("{{\"timestamp\":\"{time}\",\"level\":\"{}\"", line.level);
    let named = [("event", line.event), ("target", line.target), ("message", Some(&*line.message))];
    let named = named.into_iter().filter_map(|(name, text)| Some((name, Value::from(text?))));
    for (name, value) in named.chain(line.fields.iter().cloned()) {
        let _ = write!(out, ",{}:{value}", Value::from(name));
    }
    out.push('}');
    json_safe(&out) + "\n"
}

/// A line of JSON without anything that could steer a terminal. `serde_json` escapes what is below a space; the rest of
/// what is breaking can only stand in a string.
pub fn json_safe(line: &str) -> String {
    let mut out = String::with_capacity(line.len() + 1);
    for c in line.chars() {
        if is_breaking(c) {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// Seconds since 1970 as RFC 3339 in UTC. Days to a date after Howard Hinnant's `civil_from_days`: years begin in
/// March, so that the leap day is a year's last.
fn utc(seconds: u64, millis: Option<u32>) -> String {
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let millis = millis.map(|millis| format!(".{millis:03}")).unwrap_or_default();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{millis}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::{Event, Quarantine};
    use crate::node::NodePath;

    fn written(format: Format, event: &Event) -> String {
        format.format(&Line::from(event), SystemTime::now())
    }

    /// What stands after the time.
    fn as_text(event: &Event) -> String {
        let line = written(Format::Text { colour: false }, event);
        let (time, rest) = line.split_once(' ').unwrap();
        assert_eq!((time.len(), &time[10..11], &time[19..]), (20, "T", "Z"), "{time}");
        rest.to_owned()
    }

    fn held(roster: &str, reason: &str) -> Event {
        let (roster, path) = (roster.into(), "/services/x".to_owned());
        Event::RosterHeld { roster, path, reason: reason.into(), members: Some(2) }
    }

    #[test]
    fn text_is_for_people() {
        let path = NodePath::parse("/services/x").unwrap();
        let cases = [
            (
                held("x", "/services/x has 0 members, needs at least 1"),
                " WARN roster held: /services/x has 0 members, needs at least 1 event=roster_held roster=x members=2\n",
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
                " INFO reload succeeded: nginx -s reload event=reload_succeeded templates=a,b took_ms=12\n",
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
                " WARN log filter cannot be read event=log_filter_refused filter=\"a \\\"b\"\n",
            ),
        ];
        for (event, line) in cases {
            assert_eq!(as_text(&event), line);
        }
    }

    #[test]
    fn a_change_of_members_names_at_most_ten_each_way() {
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
            " INFO members changed: /services/web: +10.0.0.0:80 -10.0.1.0:80 (3 now) event=members_changed roster=web\n"
        );
        let line = as_text(&change(22, 0, 2));
        assert!(line.contains(" +10.0.0.9:80 and 12 more 2 changed (3 now) "), "{line}");
    }

    #[test]
    fn only_the_level_has_colour() {
        let line = written(Format::Text { colour: true }, &held("\u{1b}[31m", "m"));
        assert!(
            line.contains("\u{1b}[33m WARN\u{1b}[0m roster held: /services/x: m event=roster_held roster=\\u{1b}[31m "),
            "{line:?}"
        );
    }

    #[test]
    fn the_journal_gets_a_priority_with_every_line() {
        let line = written(Format::Journal, &Event::ConfigRefused { reason: "two\nlines".into() });
        assert!(line.starts_with("<3>2") && line.contains("\n<3>    | lines\n"), "{line:?}");
        assert!(written(Format::Journal, &held("x", "m")).starts_with("<4>2"));
        assert!(written(Format::Journal, &Event::AgentStopped {}).starts_with("<6>2"));
    }

    #[test]
    fn no_value_forges_a_line_or_steers_a_terminal() {
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
    fn a_node_with_a_long_name_makes_no_long_line() {
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

    #[test]
    fn dates_are_right_around_leap_days() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_795_174_801, "2026-11-20T11:40:01Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc(seconds, None), date);
        }
    }
}
