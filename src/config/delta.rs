//! The differences between two configurations, as text for the log.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::{Config, RegistryUrl};
use crate::model::filter::Filter;
use crate::model::node_path::{NodePath, Subject};
use crate::payload::Payload;

const NULL: &Value = &Value::Null;

/// Keys whose values may be secrets.
const HIDDEN: [&str; 2] = ["env", "secret"];

/// The differences, such as `roster memcached min: 1 → 2`; empty if there are none. They contain no secrets.
#[must_use]
pub fn delta(old: &Config, new: &Config) -> Vec<String> {
    let mut lines = Vec::new();
    match (serde_json::to_value(old), serde_json::to_value(new)) {
        (Ok(old), Ok(new)) => compare(&mut lines, "", false, &old, &new),
        (Err(why), _) | (_, Err(why)) => lines.push(format!("the changes cannot be shown: {why}")),
    }
    lines
}

fn compare(lines: &mut Vec<String>, path: &str, is_hidden: bool, old: &Value, new: &Value) {
    if old == new {
        return;
    }
    let line = match (parts(old), parts(new)) {
        (Some(before), Some(after)) => {
            let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for key in keys {
                let is_hidden = is_hidden || (old.is_object() && HIDDEN.contains(&&**key));
                let path = if path.is_empty() { key.clone() } else { format!("{path} {key}") };
                compare(lines, &path, is_hidden, before.get(key).unwrap_or(&NULL), after.get(key).unwrap_or(&NULL));
            }
            return;
        }
        (None, Some(_)) if old.is_null() => format!("{path} added"),
        (Some(_), None) if new.is_null() => format!("{path} removed"),
        _ if is_hidden => format!("{path} changed"),
        _ => format!("{path}: {} → {}", shown(old), shown(new)),
    };
    lines.push(line);
}

/// The parts that are compared separately: the entries of a table, or the tables of a list by name or index.
fn parts(value: &Value) -> Option<BTreeMap<String, &Value>> {
    match value {
        Value::Object(table) if duration(value).is_none() => {
            Some(table.iter().map(|(key, value)| (key.clone(), value)).collect())
        }
        Value::Array(list) if list.iter().all(Value::is_object) => {
            let name = |at: usize, table: &Value| table["name"].as_str().map_or_else(|| at.to_string(), str::to_owned);
            Some(list.iter().enumerate().map(|(at, table)| (name(at, table), table)).collect())
        }
        _ => None,
    }
}

/// A value in the syntax of the configuration.
fn shown(value: &Value) -> String {
    match duration(value) {
        Some(duration) => format!("\"{}\"", humantime::format_duration(duration)),
        None if value.is_null() => "none".to_owned(),
        None => value.to_string(),
    }
}

/// Reads a duration, which serde writes as a table.
fn duration(value: &Value) -> Option<Duration> {
    value.as_object().and_then(|table| Duration::deserialize(table).ok())
}

/// Writes a file mode in the syntax of the configuration.
#[expect(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
pub fn octal<S: Serializer>(mode: &Option<u32>, to: S) -> Result<S::Ok, S::Error> {
    mode.map(|mode| format!("{mode:04o}")).serialize(to)
}

/// Types that the configuration writes as a string.
macro_rules! text {
    ($($name:ident)*) => { $(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }
    )* };
}

text!(Filter NodePath Payload RegistryUrl Subject);
