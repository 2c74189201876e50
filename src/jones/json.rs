//! JSON as Jones and its clients see it: numbers keep their digits, keys keep their order, and text is written as Python's
//! `json.dumps` writes it.

use std::fmt;

use indexmap::IndexMap;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::{Error as _, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

#[cfg(test)]
mod tests;

/// How deep arrays and objects may be nested, as in `serde_json`.
const MAX_DEPTH: usize = 127;

/// The keys of an object with their values. Two objects with the same keys are equal whatever their order.
pub type Object = IndexMap<String, Json>;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it was written.
    Number(Number),
    /// A text.
    Text(String),
    /// An array.
    Array(Vec<Json>),
    /// An object. Of several values for a key, the last one counts, as in Python.
    Object(Object),
}

/// A finite number, as it was written.
#[derive(Debug, Clone)]
pub struct Number(Box<str>);

impl Number {
    /// Whether Python reads it as a `float`.
    fn is_float(&self) -> bool {
        self.0.contains(['.', 'e', 'E'])
    }
}

impl PartialEq for Number {
    /// `1e22` is `1e+22`, but `1` is not `1.0`: clients tell them apart.
    fn eq(&self, other: &Self) -> bool {
        let value = |number: &Self| number.0.parse::<f64>().ok();
        self.0 == other.0 || (self.is_float() && other.is_float() && value(self) == value(other))
    }
}

impl Json {
    /// Parses a value.
    ///
    /// # Errors
    /// It is not JSON, is nested too deeply, or has a number that is not finite: where, and why.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|error| format!("not valid UTF-8: {error}"))?;
        let raw: &RawValue = serde_json::from_str(text).map_err(|error| match non_finite(text) {
            Some(word) => format!("{word} is not a finite number ({error})"),
            None if text.trim().is_empty() => "no data".to_owned(),
            None => error.to_string(),
        })?;
        Self::from_raw(raw, 0)
    }

    /// Parses an object.
    ///
    /// # Errors
    /// The same, or it is another value.
    pub fn parse_object(bytes: &[u8]) -> Result<Object, String> {
        match Self::parse(bytes)? {
            Self::Object(object) => Ok(object),
            other => Err(format!("{}, not an object", other.kind())),
        }
    }

    /// Where bytes that [`Self::parse_object`] refused are wrong: the line and the column, from 1. `reason` is what it said.
    pub fn position(bytes: &[u8], reason: &str) -> (usize, usize) {
        let Ok(text) = std::str::from_utf8(bytes) else { return (1, 1) };
        if let Err(error) = serde_json::from_str::<&RawValue>(text) {
            return (error.line().max(1), error.column().max(1));
        }
        // A number that is not finite begins the reason.
        let at = reason.split(' ').next().and_then(|number| text.find(number)).unwrap_or_default();
        let before = &text[..at];
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        (before.matches('\n').count() + 1, column)
    }

    fn from_raw(raw: &RawValue, depth: usize) -> Result<Self, String> {
        if depth > MAX_DEPTH {
            return Err(format!("nested more than {MAX_DEPTH} levels deep"));
        }
        let text = raw.get();
        let wrong = |error: serde_json::Error| error.to_string();
        Ok(match text.as_bytes().first() {
            Some(b'{') => {
                let Entries(entries) = serde_json::from_str(text).map_err(wrong)?;
                let entries = entries.into_iter().map(|(key, raw)| Ok((key, Self::from_raw(raw, depth + 1)?)));
                Self::Object(entries.collect::<Result<_, String>>()?)
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text).map_err(wrong)?;
                Self::Array(items.into_iter().map(|raw| Self::from_raw(raw, depth + 1)).collect::<Result<_, _>>()?)
            }
            Some(b'"') => Self::Text(serde_json::from_str(text).map_err(wrong)?),
            Some(b't' | b'f') => Self::Bool(text == "true"),
            Some(b'n') => Self::Null,
            _ => {
                let number = Number(text.into());
                if number.is_float() && !text.parse::<f64>().is_ok_and(f64::is_finite) {
                    return Err(format!("{text} is not a finite number"));
                }
                Self::Number(number)
            }
        })
    }

    /// The kind of the value, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }

    /// The text of a string; `None` for another value.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// An integer; `None` for another value.
    pub fn as_integer<T: std::str::FromStr>(&self) -> Option<T> {
        if let Self::Number(number) = self { number.0.parse().ok() } else { None }
    }

    /// The entries of an object; `None` for another value.
    pub fn as_object(&self) -> Option<&Object> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }

    /// The value with keys sorted by name and an entry a line, for people and for files under version control.
    pub fn pretty(&self) -> String {
        let mut out = String::new();
        self.write_pretty(&mut out, 0);
        out
    }

    fn write_pretty(&self, out: &mut String, depth: usize) {
        let indent = |out: &mut String, depth: usize| {
            out.push('\n');
            (0..depth).for_each(|_| out.push_str("  "));
        };
        match self {
            Self::Object(object) if !object.is_empty() => {
                let mut entries: Vec<_> = object.iter().collect();
                entries.sort_by_key(|(key, _)| *key);
                out.push('{');
                for (at, (key, value)) in entries.into_iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    indent(out, depth + 1);
                    out.push_str(&readable(key));
                    out.push_str(": ");
                    value.write_pretty(out, depth + 1);
                }
                indent(out, depth);
                out.push('}');
            }
            Self::Array(items) if items.iter().any(|item| matches!(item, Self::Array(_) | Self::Object(_))) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    indent(out, depth + 1);
                    item.write_pretty(out, depth + 1);
                }
                indent(out, depth);
                out.push(']');
            }
            Self::Array(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { ", " });
                    item.write_pretty(out, depth);
                }
                out.push(']');
            }
            Self::Text(text) => out.push_str(&readable(text)),
            other => out.push_str(&other.to_string()),
        }
    }
}

impl Serialize for Json {
    /// As it is written, with all digits. Only for a serializer of `serde_json` that writes text.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.to_string()).map_err(S::Error::custom)?.serialize(to)
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Json {
    fn from(number: i64) -> Self {
        Self::Number(Number(number.to_string().into()))
    }
}

impl fmt::Display for Json {
    /// As Python's `json.dumps` writes it, but numbers keep their digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(Number(digits)) => f.write_str(digits),
            Self::Text(text) => write_text(f, text),
            Self::Array(items) => {
                f.write_str("[")?;
                for (at, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if at == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            Self::Object(object) => write_object(f, object),
        }
    }
}

fn write_object(f: &mut impl fmt::Write, object: &Object) -> fmt::Result {
    f.write_str("{")?;
    for (at, (key, value)) in object.iter().enumerate() {
        f.write_str(if at == 0 { "" } else { ", " })?;
        write_text(f, key)?;
        write!(f, ": {value}")?;
    }
    f.write_str("}")
}

/// An object as Jones stores it.
pub fn bytes(object: &Object) -> Vec<u8> {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_object(&mut out, object);
    out.into_bytes()
}

/// A string in ASCII, as Python writes it by default.
fn write_text(f: &mut impl fmt::Write, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            '\u{8}' => f.write_str("\\b")?,
            '\u{c}' => f.write_str("\\f")?,
            ' '..='~' => f.write_char(c)?,
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(f, "\\u{unit:04x}")?;
                }
            }
        }
    }
    f.write_char('"')
}

/// A string for people: only what does not print is escaped.
fn readable(text: &str) -> String {
    let is_plain = |c: char| {
        !c.is_control() && !('\u{200b}'..='\u{202e}').contains(&c) && !matches!(c, '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if is_plain(c) => out.push(c),
            c => {
                let mut escaped = String::new();
                let _ = write_text(&mut escaped, c.encode_utf8(&mut [0; 4]));
                out.push_str(escaped.trim_matches('"'));
            }
        }
    }
    out.push('"');
    out
}

/// The first `NaN` or `Infinity` outside of a string. Python reads and writes both.
fn non_finite(text: &str) -> Option<&'static str> {
    let (mut rest, mut is_text) = (text, false);
    while let Some(c) = rest.chars().next() {
        match c {
            '"' => is_text = !is_text,
            '\\' if is_text => rest = &rest[1..],
            _ if !is_text => {
                let found = ["NaN", "-Infinity", "Infinity"].into_iter().find(|word| rest.starts_with(word));
                if found.is_some() {
                    return found;
                }
            }
            _ => {}
        }
        rest = rest.get(rest.chars().next().map_or(1, char::len_utf8)..)?;
    }
    None
}

/// The entries of an object in their order, with their values unread.
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Visit)
    }
}
