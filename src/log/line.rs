//! A line of the log, before it is text or JSON.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use serde_json::Value;
use tracing::Level;
use tracing::field::{Field, Visit};

use super::cut;
use crate::decide::Event;
use crate::decide::hold::plural;
use crate::payload::mask_credentials;
use crate::text::one_line;

/// The most bytes of one field's text, except `reason`, which is cut where it is made.
pub const MAX_FIELD: usize = 1024;

/// The most bytes of a text that comes from a registry.
const MAX_NAME: usize = 256;

/// The most names of a list. The number of the others follows them.
const MAX_LIST: usize = 10;

/// Fields that can be the subject of a line. In text, the first one that a line has precedes the reason. Templates come
/// before their command, which may be a script of many lines.
const SUBJECTS: [&str; 9] = ["path", "dest", "templates", "command", "file", "member", "change", "socket", "listen"];

/// One line of the log.
#[derive(Debug)]
pub struct Line {
    pub level: Level,
    /// The event's name; `None` if the line is not an event.
    pub event: Option<&'static str>,
    /// The module that logged the line; `None` for an event.
    pub target: Option<&'static str>,
    pub message: Cow<'static, str>,
    /// No value is null.
    pub fields: Vec<(&'static str, Value)>,
}

impl From<&Event> for Line {
    fn from(event: &Event) -> Self {
        let kind = event.kind();
        // The reason of a hold contains a path, which other programs chose.
        let max_reason = if matches!(event, Event::RosterHeld { .. }) { MAX_FIELD } else { usize::MAX };
        let fields = event.fields().into_iter().filter(|(_, value)| !value.is_null());
        let fields = fields.map(|(name, value)| (name, shown(name, value, max_reason)));
        Self {
            level: super::level(kind.severity),
            event: Some(kind.name),
            target: None,
            message: Cow::Borrowed(kind.message),
            fields: fields.collect(),
        }
    }
}

/// A field without the passwords in its URLs, and cut to its maximum length.
fn shown(name: &str, value: Value, max_reason: usize) -> Value {
    match value {
        Value::String(text) => {
            let max = match name {
                "reason" => max_reason,
                "path" | "key" | "member" | "added" | "removed" => MAX_NAME,
                _ => MAX_FIELD,
            };
            Value::String(cut(&mask_credentials(&text), max).into_owned())
        }
        Value::Array(list) => {
            let more = list.len().saturating_sub(MAX_LIST);
            let mut few: Vec<_> = list.into_iter().take(MAX_LIST).map(|value| shown(name, value, 0)).collect();
            few.extend((more > 0).then(|| Value::from(format!("and {more} more"))));
            Value::Array(few)
        }
        other => other,
    }
}

impl From<&tracing::Event<'_>> for Line {
    fn from(event: &tracing::Event<'_>) -> Self {
        let meta = event.metadata();
        let mut line = Self {
            level: *meta.level(),
            event: None,
            target: Some(meta.target()),
            message: Cow::Borrowed(""),
            fields: Vec::new(),
        };
        event.record(&mut line);
        line
    }
}

impl Line {
    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = Cow::Owned(text),
            (name, value) => self.fields.push((name, shown(name, value, usize::MAX))),
        }
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The text after the message, and the fields that it contains.
    pub fn head(&self) -> (String, Vec<&'static str>) {
        if self.event == Some("members_changed") {
            return (self.membership(), vec!["path", "added", "removed", "changed", "members"]);
        }
        let subject = SUBJECTS.into_iter().find_map(|name| Some((name, joined(name, self.get(name)?, ", "))));
        let reason = self.get("reason").and_then(Value::as_str);
        match (subject, reason) {
            (None, None) => (String::new(), Vec::new()),
            (Some((name, subject)), None) => (subject, vec![name]),
            (None, Some(reason)) => (reason.to_owned(), vec!["reason"]),
            // Most reasons already name their subject.
            (Some((name, subject)), Some(reason))
                if !matches!(name, "member" | "templates") && reason.contains(&*subject) =>
            {
                (reason.to_owned(), vec![name, "reason"])
            }
            (Some((name, subject)), Some(reason)) => (format!("{subject}: {reason}"), vec![name, "reason"]),
        }
    }

    /// `/services/web: +10.0.0.3:80 -10.0.0.2:80 1 updated (3 members now)`.
    fn membership(&self) -> String {
        let get = |name| self.get(name).unwrap_or(&Value::Null);
        let mut text = format!("{}:", get("path").as_str().unwrap_or_default());
        for (sign, name) in [("+", "added"), ("-", "removed")] {
            for (at, member) in get(name).as_array().into_iter().flatten().filter_map(Value::as_str).enumerate() {
                // After the last name comes the number of the others.
                let sign = if at < MAX_LIST { sign } else { "" };
                let _ = write!(text, " {sign}{}", if sign.is_empty() { Cow::Borrowed(member) } else { quoted(member) });
            }
        }
        if let Some(changed) = get("changed").as_u64().filter(|changed| *changed > 0) {
            let _ = write!(text, " {changed} updated");
        }
        let members = get("members").as_u64().unwrap_or_default();
        let _ = write!(text, " ({} now)", plural(usize::try_from(members).unwrap_or(usize::MAX), "member"));
        text
    }
}

/// The text of a field.
pub fn as_text(name: &str, value: &Value) -> String {
    joined(name, value, ",")
}

/// The text of a value, with this between the elements of a list. A command of many lines is shortened to one.
fn joined(name: &str, value: &Value, separator: &str) -> String {
    match value {
        Value::String(text) if name == "command" => one_line(text),
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(|value| as_text(name, value)).collect::<Vec<_>>().join(separator),
        other => other.to_string(),
    }
}

/// Quotes a text if its end would not be clear.
pub fn quoted(text: &str) -> Cow<'_, str> {
    if text.is_empty() || text.contains([' ', '"']) {
        Cow::Owned(format!("\"{}\"", text.replace('"', "\\\"")))
    } else {
        Cow::Borrowed(text)
    }
}

impl Visit for Line {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, Value::from(value));
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Value::from(value));
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, Value::from(value));
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Value::from(value));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Value::from(value));
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, Value::from(format!("{value:?}")));
    }
}
