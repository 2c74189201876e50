//! Times on the wall clock, as RFC 3339 in UTC.

use std::time::{Duration, SystemTime};

#[cfg(test)]
mod tests;

/// A time to the second: `2026-11-20T11:40:01Z`.
pub fn utc(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(formattable(time)).to_string()
}

/// A time to the millisecond: `2026-11-20T11:40:01.250Z`.
pub fn utc_millis(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(formattable(time)).to_string()
}

/// The nearest time that the formatter takes: the years 1970 to 9999.
fn formattable(time: SystemTime) -> SystemTime {
    let year_9999 = SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    time.clamp(SystemTime::UNIX_EPOCH, year_9999)
}
