//! Formats a line as text for a person, or as JSON for a machine.
//!
//! Text is `TIME LEVEL message: WHAT key=value …`, where WHAT is the reason, or else the subject of the line. The names
//! and messages of events are constant, so both forms can be searched by `event`. In both, no value can end a line or
//! control a terminal, whatever the registry contains.

use std::fmt::Write as _;
use std::time::SystemTime;

use serde_json::Value;
use tracing::Level;

use super::line::{Line, as_text, quoted};
use super::plain;
use crate::model::quarantine::is_breaking;
use crate::text::time::{utc, utc_millis};

#[cfg(test)]
mod tests;

/// The form of every line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For a person, with the level coloured or not.
    Text { colour: bool },
    /// The same for the journal: each line begins with its priority (sd-daemon(3)).
    Journal,
    /// One object per line.
    Json,
}

impl Format {
    /// The text of a line that was logged at this time, including the final line break.
    pub fn format(self, line: &Line, time: SystemTime) -> String {
        match self {
            Self::Text { colour } => text(&utc(time), line, "", colour),
            Self::Journal => text(&utc(time), line, priority(line.level), false),
            Self::Json => json(&utc_millis(time), line),
        }
    }
}

/// The priority of a line in the journal.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        _ => "<7>",
    }
}

/// Further lines of a reason, such as a command's output, begin with `    | `, so that none of them looks like a line
/// of the log.
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
        let _ = write!(out, " {name}={}", quoted(&plain(&as_text(name, value))));
    }
    out.push('\n');
    for more in rest.lines() {
        let _ = writeln!(out, "{prefix}    | {}", plain(more));
    }
    out
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

/// Escapes every character in a line of JSON that could control a terminal. `serde_json` escapes characters below the
/// space. Other such characters occur only in strings.
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
