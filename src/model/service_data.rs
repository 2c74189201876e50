//! The data that a service adds to its node: JSON whose keys keep their order.

use std::fmt::Write as _;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

#[cfg(test)]
mod tests;

/// The entries of a JSON object in order, each value as compact ASCII JSON, as Python's `json.dumps` writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ServiceData(Vec<(String, String)>);

impl ServiceData {
    /// Parses a text as zk_watcher does: JSON, or `key=value` pairs with commas between them, of which only those with one
    /// `=` count. With `trims`, spaces around keys and values do not count; `zk_watcher` keeps them.
    ///
    /// # Errors
    /// The text is JSON, but neither an object nor a string: `zk_watcher` cannot register that.
    pub fn parse(text: &str, trims: bool) -> Result<Self, &'static str> {
        if let Ok(Entries(entries)) = serde_json::from_str::<Entries>(text) {
            let entries = entries.into_iter().map(|(key, value)| (key, ascii(value.get())));
            return Ok(Self::default().with(entries));
        }
        match serde_json::from_str::<Value>(text) {
            Ok(Value::String(text)) => return Ok(Self::default().with([("string_value".to_owned(), quoted(&text))])),
            Ok(_) => return Err("JSON that is not an object"),
            Err(_) => {}
        }
        let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
        let trimmed = |text: &str| if trims { text.trim().to_owned() } else { text.to_owned() };
        let pairs = pairs.filter(|(_, value)| !value.contains('='));
        Ok(Self::default().with(pairs.map(|(key, value)| (trimmed(key), quoted(&trimmed(value))))))
    }

    /// These entries after those that are there. A key that is there keeps its place and gets the new value.
    #[must_use]
    pub fn with(mut self, entries: impl IntoIterator<Item = (String, String)>) -> Self {
        for (key, value) in entries {
            match self.0.iter_mut().find(|(known, _)| *known == key) {
                Some((_, known)) => *known = value,
                None => self.0.push((key, value)),
            }
        }
        self
    }

    /// Adds a value.
    #[must_use]
    pub fn with_value(self, key: &str, value: &Value) -> Self {
        self.with([(key.to_owned(), ascii(&value.to_string()))])
    }

    /// The entries.
    pub fn entries(&self) -> &[(String, String)] {
        &self.0
    }

    /// The object as compact ASCII JSON.
    pub fn to_json(&self) -> String {
        let entries: Vec<String> = self.0.iter().map(|(key, value)| format!("{}:{value}", quoted(key))).collect();
        format!("{{{}}}", entries.join(","))
    }
}

/// The entries of a JSON object, in order.
struct Entries(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Entries;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        from.deserialize_map(Read)
    }
}

/// Valid JSON without spaces between its tokens, and with ASCII strings.
fn ascii(json: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(json.len()), json);
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            let end = string_end(rest);
            let (string, after) = rest.split_at(end);
            out.push_str(
                &serde_json::from_str::<String>(string).map_or_else(|_| string.to_owned(), |text| quoted(&text)),
            );
            rest = after;
            continue;
        }
        if !first.is_ascii_whitespace() {
            out.push(first);
        }
        rest = &rest[first.len_utf8()..];
    }
    out
}

/// The length of the string at the beginning of valid JSON.
fn string_end(json: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in json.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    json.len()
}

/// A string of JSON with only ASCII characters.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for unit in text.encode_utf16() {
        match char::from_u32(u32::from(unit)) {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some('\u{8}') => out.push_str("\\b"),
            Some('\u{c}') => out.push_str("\\f"),
            Some(plain @ ' '..='~') => out.push(plain),
            // Writing to a string cannot fail.
            _ => _ = write!(out, "\\u{unit:04x}"),
        }
    }
    out.push('"');
    out
}
