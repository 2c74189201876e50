//! One `[[key]]`: a node's data as a value for templates.

use std::sync::Arc;

use serde_json::Value;

use super::hold::{Hold, Reason};
use super::moment::Moment;
use super::notice::Notice;
use crate::config::{KeyConfig, KeyFormat};
use crate::sighting::{Bytes, Seen};

/// A key's state.
#[derive(Debug, Clone)]
pub struct Key {
    config: Arc<KeyConfig>,
    good: Option<Arc<Value>>,
    hold: Option<Hold>,
    seen: bool,
}

impl Key {
    /// A key that nothing is known of.
    pub fn new(config: Arc<KeyConfig>) -> Self {
        Self { config, good: None, hold: None, seen: false }
    }

    /// How it is configured.
    pub fn config(&self) -> &Arc<KeyConfig> {
        &self.config
    }

    /// Its node was read. Says whether templates see something else than before.
    pub fn reset(&mut self, now: Moment, seen: &Seen<Bytes>, notices: &mut Vec<Notice>) -> bool {
        self.seen = true;
        let reason = match seen {
            Seen::Absent => Reason::KeyAbsent,
            Seen::Unreadable(why) => Reason::Unreadable(Arc::clone(why)),
            Seen::Present(bytes) => match parse(self.config.format, bytes) {
                Ok(value) => return self.admit(value, notices),
                Err(why) => Reason::KeyMalformed(why),
            },
        };
        if self.hold.as_ref().is_none_or(|hold| hold.reason != reason) {
            let why = reason.of(&self.config.path);
            let kept = self.good.as_ref().map(|_| 1);
            notices.push(Notice::Holding { roster: Arc::clone(&self.config.name), why, kept });
        }
        let since = self.hold.take().map_or(now, |hold| hold.since);
        self.hold = Some(Hold { reason, since });
        false
    }

    fn admit(&mut self, value: Value, notices: &mut Vec<Notice>) -> bool {
        if self.hold.take().is_some() {
            let (roster, path) = (Arc::clone(&self.config.name), self.config.path.to_string());
            notices.push(Notice::Released { roster, path });
        }
        let changed = self.good.as_deref() != Some(&value);
        if changed {
            self.good = Some(Arc::new(value));
        }
        changed
    }

    /// What templates see; `None` while there never was good data.
    pub fn value(&self) -> Option<&Arc<Value>> {
        self.good.as_ref()
    }

    /// The hold in force.
    pub fn hold(&self) -> Option<&Hold> {
        self.hold.as_ref()
    }

    /// Whether the registry has said anything of it since the agent began.
    pub fn is_seen(&self) -> bool {
        self.seen
    }
}

fn parse(format: KeyFormat, bytes: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| format!("it is not UTF-8: {error}"))?;
    match format {
        KeyFormat::Text => Ok(Value::String(text.to_owned())),
        KeyFormat::Json => serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}")),
        KeyFormat::Yaml => serde_norway::from_str(text).map_err(|error| format!("it is not YAML: {error}")),
        KeyFormat::Toml => toml::from_str(text).map_err(|error| format!("it is not TOML: {}", error.message())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_format_is_read() {
        let cases: [(KeyFormat, &str, Value); 4] = [
            (KeyFormat::Json, r#"{"a": [1]}"#, json!({"a": [1]})),
            (KeyFormat::Toml, "a = [1]\n", json!({"a": [1]})),
            (KeyFormat::Yaml, "a:\n- 1\n", json!({"a": [1]})),
            (KeyFormat::Text, "a: 1\n", json!("a: 1\n")),
        ];
        for (format, text, value) in cases {
            assert_eq!(parse(format, text.as_bytes()), Ok(value));
        }
        for format in [KeyFormat::Json, KeyFormat::Toml, KeyFormat::Yaml] {
            assert!(parse(format, b"{ [").is_err(), "{format:?}");
        }
        assert!(parse(KeyFormat::Text, b"\xff").is_err());
        assert!(parse(KeyFormat::Json, b"").is_err(), "empty is not null");
    }
}
