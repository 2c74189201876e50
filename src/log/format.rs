//! A line as text for a person, or as JSON for a machine.
//!
//! Text is `TIME LEVEL message: WHAT key=value …`, where WHAT is the reason, or else what the line is about. Both forms
//! are searched by `event`, whose names and messages are constant. In both, no value can end a line or steer a terminal,
//! whatever is written in the registry.

use std::fmt::Write as _;
use std::time::SystemTime;

use serde_json::Value;
use tracing::Level;

use super::line::{Line, quoted};
use super::plain;
use crate::model::quarantine::is_breaking;
use crate::text::time::{utc, utc_millis};

#[cfg(test)]
mod tests;

/// The form of every line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For a person, with the level in colour or not.
    Text { colour: bool },
    /// The same for the journal: each line begins with its priority, as sd-daemon(3) has it.
    Journal,
    /// One object a line.
    Json,
}

impl Format {
    /// The line as it was logged at this time, with the line breaks at its end and within.
    pub fn format(self, line: &Line, time: SystemTime) -> String {
        match self {
            Self::Text { colour } => text(&utc(time), line, "", colour),
            Self::Journal => text(&utc(time), line, priority(line.level), false),
            Self::Json => json(&utc_millis(time), line),
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
