//! The history as text, for `rosterd history` and `rosterd history show`.

use std::fmt::Write as _;
use std::time::SystemTime;

use serde_json::{Map, Value};

use super::entry::Entry;
use crate::decide::report::plural;
use crate::log::{cut, plain};
use crate::report::words::field;
use crate::text::one_line;
use crate::text::time::{Zone, past, utc, utc_millis};

/// The most bytes of the details in a list.
const MAX_DETAILS: usize = 200;

/// Fields that a list names after everything else, or not at all.
const NAMED: [&str; 8] = ["dest", "reason", "uid", "roster", "service", "path", "command", "took_ms"];

/// One line of the list: `41  2026-11-20T11:40:01Z  file_written  haproxy: /services/web 0x120 (3 members)`.
pub fn line(entry: &Entry) -> String {
    let names = match entry.templates.as_slice() {
        [] => ["roster", "service"].iter().find_map(|name| text_of(entry, name)).unwrap_or_default(),
        names => names.join(", "),
    };
    let names = field(&names);
    let details = details(entry);
    let separator = if names.is_empty() || details.is_empty() { "" } else { ": " };
    let times = entry.repeated.map(|(times, _)| format!(" ({times} times, last at {})", utc(entry.last())));
    let (number, at, event) = (entry.number, utc(entry.at()), &entry.event);
    let line = format!("{number:>6}  {at}  {event:<18} {names}{separator}{details}{}", times.unwrap_or_default());
    line.trim_end().to_owned()
}

fn details(entry: &Entry) -> String {
    let mut parts = Vec::new();
    if let Some(generation) = &entry.generation {
        let views = generation.views.iter().map(|view| {
            let zxid = view.zxid.as_ref().map(|zxid| format!(" {zxid}")).unwrap_or_default();
            let held = if view.held { ", held" } else { "" };
            let members =
                view.members.map(|members| format!(" ({}{held})", plural(members, "member"))).unwrap_or_default();
            format!("{}{zxid}{members}", view.path)
        });
        parts.extend(generation.restores.map(|number| format!("rolled back to {number}")));
        parts.extend(views);
        parts.extend(entry.diff.as_deref().map(changed_lines));
        parts.extend((generation.kept == Some(true)).then(|| "kept".to_owned()));
    }
    parts.extend(text_of(entry, "command").map(|command| one_line(&command)));
    let rest = entry.fields.iter().filter(|(name, _)| !NAMED.contains(&name.as_str()));
    parts.extend(rest.map(|(name, value)| format!("{name}={}", shown(value))));
    parts.extend(text_of(entry, "uid").map(|uid| format!("by uid {uid}")));
    parts.extend(text_of(entry, "reason"));
    cut(&plain(&one_line(&parts.join(", "))), MAX_DETAILS).into_owned()
}

/// The number of lines that a diff adds and removes: `+2 -1`.
fn changed_lines(diff: &str) -> String {
    // The first two lines name the file.
    let count = |sign| diff.lines().skip(2).filter(|line| line.starts_with(sign)).count();
    format!("+{} -{}", count('+'), count('-'))
}

fn text_of(entry: &Entry, name: &str) -> Option<String> {
    entry.fields.get(name).map(shown)
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(shown).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// Everything about one entry.
pub fn page(entry: &Entry, is_kept: bool, now: SystemTime, zone: &Zone) -> String {
    let mut out = format!("entry {}: {}\n", entry.number, entry.event);
    let mut put = |name: &str, value: &str| {
        let mut lines = value.lines();
        let _ = writeln!(out, "  {name}: {}", plain(lines.next().unwrap_or_default()));
        lines.for_each(|line| _ = writeln!(out, "    {}", plain(line)));
    };
    put("time", &past(entry.at(), now, zone));
    if let Some((times, _)) = entry.repeated {
        put("repeated", &format!("{times} times, last at {}", past(entry.last(), now, zone)));
    }
    if !entry.templates.is_empty() {
        put(if entry.templates.len() == 1 { "template" } else { "templates" }, &entry.templates.join(", "));
    }
    for (name, value) in &entry.fields {
        put(name, &shown(value));
    }
    if let Some(generation) = &entry.generation {
        for view in &generation.views {
            let zxid = view.zxid.as_deref().unwrap_or("unknown");
            let members =
                view.members.map(|members| format!(", {} in use", plural(members, "member"))).unwrap_or_default();
            let held = if view.held { ", held" } else { "" };
            put("view", &format!("{} at {}, zxid {zxid}{members}{held}", view.name, view.path));
        }
        if generation.checked == Some(true) {
            put("check", "passed");
        }
        if let Some(number) = generation.restores {
            put("rolled back to", &format!("generation {number}"));
        }
        put("content", &format!("{} bytes, SHA-256 {}", generation.size, generation.digest));
        if !is_kept {
            put("", "the content is no longer kept");
        }
    }
    if let Some(diff) = &entry.diff {
        out.push('\n');
        diff.lines().for_each(|line| _ = writeln!(out, "{}", plain(line)));
    }
    out
}

/// An entry for `--json`: times are RFC 3339.
pub fn json(entry: &Entry) -> Value {
    let Ok(Value::Object(written)) = serde_json::to_value(entry) else { return Value::Null };
    let mut object = Map::new();
    for (name, value) in written {
        match name.as_str() {
            "at_ms" => _ = object.insert("time".to_owned(), utc_millis(entry.at()).into()),
            "repeated" => {
                object.extend([
                    ("times".to_owned(), entry.repeated.map_or(1, |(times, _)| times).into()),
                    ("last_time".to_owned(), utc_millis(entry.last()).into()),
                ]);
            }
            _ => _ = object.insert(name, value),
        }
    }
    Value::Object(object)
}
