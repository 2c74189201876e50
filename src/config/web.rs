//! What only a registry that is one web object has: `interval`, `timeout`, and a header as its credential.

use std::time::Duration;

use super::RegistryUrl;
use super::problem::ValueError;
use super::table::Table;

/// The default of `interval`.
pub const INTERVAL: Duration = Duration::from_mins(1);

/// The default of `timeout`.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// The least `interval`: a shorter one would be a load test of the server.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// The keys that apply to web registries only, and those that do not apply to them.
const ONLY_WEB: [&str; 2] = ["interval", "timeout"];
const NEVER_WEB: [&str; 3] = ["session_timeout", "watches", "exhibitor"];

/// Reads `interval` and `timeout`, and rejects keys that have no effect with this URL.
pub fn polling(table: &Table<'_>, url: Option<&RegistryUrl>) -> (Duration, Duration) {
    let interval = table.get("interval").and_then(|value| {
        let interval = value.timeout("\"1m\"")?;
        if interval < MIN_INTERVAL {
            value.reject(ValueError::new("`interval` is shorter than 100 ms", "write interval = \"1m\""));
            return None;
        }
        Some(interval)
    });
    let timeout = table.get("timeout").and_then(|value| value.timeout("\"10s\""));
    let is_web = matches!(url, Some(RegistryUrl::Web(_)));
    let (keys, why) = if is_web {
        (&NEVER_WEB[..], "does not apply to a web registry")
    } else {
        (&ONLY_WEB[..], "applies to a web registry only")
    };
    for value in keys.iter().filter_map(|key| table.get(key)).filter(|_| url.is_some()) {
        value.reject(ValueError::new(format!("`{}` {why}", value.key), "remove it"));
    }
    (interval.unwrap_or(INTERVAL), timeout.unwrap_or(TIMEOUT))
}

/// Splits the line of a credential, `Name: value`; `None` if it is not a valid header.
pub fn header(line: &[u8]) -> Option<(&str, &str)> {
    let (name, value) = std::str::from_utf8(line).ok()?.split_once(':')?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let value = value.trim();
    (is_name && value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')).then_some((name, value))
}
