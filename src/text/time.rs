//! Times on the wall clock: as RFC 3339 in UTC, and for a person.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;

#[cfg(test)]
mod tests;

/// The zone of the local time that a person reads beside UTC.
#[derive(Debug, Clone)]
pub struct Zone(TimeZone);

impl Zone {
    /// The zone of `$TZ`, else of this host, else UTC.
    pub fn system() -> Self {
        Self(TimeZone::try_system().unwrap_or(TimeZone::UTC))
    }

    /// A zone in which no local time is shown.
    #[cfg(test)]
    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// The local time, with its date if that is another one than in UTC; `None` if the local time is UTC.
    fn local(&self, time: SystemTime) -> Option<String> {
        let time = Timestamp::try_from(formattable(time)).ok()?;
        let local = time.to_zoned_datetime(self.0.clone());
        let same_date = local.date() == time.to_zoned_datetime(TimeZone::UTC).date();
        let format = if same_date { "%H:%M:%S %Z" } else { "%Y-%m-%d %H:%M:%S %Z" };
        (!local.offset().is_zero()).then(|| local.strftime(format).to_string())
    }
}

/// A time to the second: `2026-11-20T11:40:01Z`.
pub fn utc(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(formattable(time)).to_string()
}

/// A time to the millisecond: `2026-11-20T11:40:01.250Z`.
pub fn utc_millis(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(formattable(time)).to_string()
}

/// A time that is over at `now`: `2026-11-20T11:40:01Z (12:40:01 CET, 3m ago)`. A later one counts as now.
pub fn past(time: SystemTime, now: SystemTime, zone: &Zone) -> String {
    with_local(time, zone, &format!("{} ago", rough(now.duration_since(time).unwrap_or_default())))
}

/// A time that is to come at `now`: `2026-11-20T11:40:01Z (12:40:01 CET, in 14m)`.
pub fn to_come(time: SystemTime, now: SystemTime, zone: &Zone) -> String {
    with_local(time, zone, &from_now(time.duration_since(now).unwrap_or_default()))
}

fn with_local(time: SystemTime, zone: &Zone, distance: &str) -> String {
    let local = zone.local(time).map(|local| format!("{local}, ")).unwrap_or_default();
    format!("{} ({local}{distance})", utc(time))
}

/// A time from now as text, at least one second: "in 3s".
pub fn from_now(time: Duration) -> String {
    format!("in {}", rough(time.max(Duration::from_secs(1))))
}

/// A duration as precisely as a person wants it: "1m 15s", "14m", "2h 5m", "3d 4h".
pub fn rough(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let parts = match seconds {
        0..60 => return format!("{seconds}s"),
        60..600 => [(minutes, 'm'), (seconds % 60, 's')],
        600..172_800 => [(hours, 'h'), (minutes % 60, 'm')],
        _ => [(days, 'd'), (hours % 24, 'h')],
    };
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    parts.map(|(count, unit)| format!("{count}{unit}")).collect::<Vec<_>>().join(" ")
}

/// The nearest time that the formatter takes: the years 1970 to 9999.
fn formattable(time: SystemTime) -> SystemTime {
    let year_9999 = SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    time.clamp(SystemTime::UNIX_EPOCH, year_9999)
}

/// A time as `2026-11-20 10:07:29` in the zone of this host.
pub fn local_datetime(time: SystemTime) -> String {
    let Ok(stamp) = Timestamp::try_from(formattable(time)) else { return String::new() };
    stamp.to_zoned_datetime(Zone::system().0).strftime("%Y-%m-%d %H:%M:%S").to_string()
}
