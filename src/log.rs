//! What the program says about itself: one event, one line, on standard error.
//!
//! Messages are constant and values are fields, so that logs can be searched. Two looks of the same thing: text for
//! a person, JSON for a machine. In both, no value can end a line or steer a terminal, whoever wrote it into the
//! registry, and no value but `why` and `output` is longer than [`MAX_FIELD`].

use std::borrow::Cow;
use std::env;
use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use crate::config::LogFormat;
use crate::decide::member::is_breaking;

/// The level that is logged when nobody asks for more or less.
pub const DEFAULT_LEVEL: Level = Level::INFO;

/// The most bytes of one field's text, but for `why` and `output`, which are cut where they are made.
pub const MAX_FIELD: usize = 1024;

/// Sends events to standard error from here on. `filter`, else `$ROSTERD_LOG`, else `$RUST_LOG`, else
/// [`DEFAULT_LEVEL`] says which, in the syntax of tracing-subscriber's `Targets`: `debug`, `info,rosterd::act=trace`.
///
/// A filter that cannot be read is said and left out of account. A second call changes nothing, so tests may call it.
pub fn init(format: LogFormat, filter: Option<&str>) {
    // An empty variable counts as unset: unit files make such ones.
    let set = |name: &str| env::var(name).ok().filter(|text| !text.trim().is_empty());
    let wanted = filter.map(str::to_owned).or_else(|| set("ROSTERD_LOG")).or_else(|| set("RUST_LOG"));
    let (filter, wrong) = match wanted.as_deref().map(str::parse::<Targets>) {
        None => (Targets::new().with_default(DEFAULT_LEVEL), None),
        Some(Ok(filter)) => (filter, None),
        Some(Err(why)) => (Targets::new().with_default(DEFAULT_LEVEL), Some(why)),
    };
    let colour = io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let subscriber = Registry::default().with(filter).with(Lines { format, colour, writer: io::stderr });
    // The only error is that there is one already: the first wins.
    let first = tracing::subscriber::set_global_default(subscriber).is_ok();
    if let Some(why) = wrong.filter(|_| first) {
        tracing::warn!(%why, filter = wanted.unwrap_or_default(), default = %DEFAULT_LEVEL, "cannot read the log filter");
    }
}

/// A text without anything that could end a line or steer a terminal: such characters are written as `\n`, `\u{1b}`.
#[must_use]
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_breaking) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_breaking(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// The first `max` bytes of a text, without half a character, and `…` where something is cut.
#[must_use]
pub fn cut(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("{}…", &text[..text.floor_char_boundary(max)]))
}

/// Writes each event as one line.
struct Lines<W> {
    format: LogFormat,
    colour: bool,
    writer: W,
}

impl<S: Subscriber, W: for<'w> MakeWriter<'w> + 'static> Layer<S> for Lines<W> {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut said = Said::default();
        event.record(&mut said);
        let meta = event.metadata();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let line = match self.format {
            LogFormat::Text => text(&utc(now.as_secs(), None), *meta.level(), self.colour, said),
            LogFormat::Json => {
                json(&utc(now.as_secs(), Some(now.subsec_millis())), *meta.level(), meta.target(), &said)
            }
        };
        // In one piece, so that lines of two threads do not mix. There is nowhere to say that this failed.
        let _ = self.writer.make_writer().write_all(line.as_bytes());
    }
}

/// What an event says.
#[derive(Default)]
struct Said {
    message: String,
    fields: Vec<(&'static str, Value)>,
}

impl Said {
    fn put(&mut self, field: &Field, value: Value) {
        let value = match (field.name(), value) {
            ("message", Value::String(text)) => {
                self.message = text;
                return;
            }
            ("why" | "output", value) => value,
            (_, Value::String(text)) => Value::String(cut(&text, MAX_FIELD).into_owned()),
            (_, value) => value,
        };
        self.fields.push((field.name(), value));
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.fields.iter().position(|(known, _)| *known == name)?;
        Some(shown(&self.fields.remove(at).1))
    }
}

impl Visit for Said {
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

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `TIME LEVEL message: why key=value …`. What has more lines, a caret under a template's line or a command's output,
/// follows on lines that begin with `    | `, so that none of them can pass for a line of the log.
fn text(time: &str, level: Level, colour: bool, mut said: Said) -> String {
    let (on, off) = match (colour, level) {
        (false, _) => ("", ""),
        (true, Level::ERROR) => ("\x1b[31m", "\x1b[0m"),
        (true, Level::WARN) => ("\x1b[33m", "\x1b[0m"),
        (true, Level::INFO) => ("\x1b[32m", "\x1b[0m"),
        (true, _) => ("\x1b[2m", "\x1b[0m"),
    };
    let mut line = format!("{time} {on}{level:>5}{off} {}", plain(&said.message));
    let mut below = String::new();
    if let Some(why) = said.take("why") {
        let (first, rest) = why.split_once('\n').unwrap_or((&why, ""));
        line.push_str(": ");
        line.push_str(&plain(first));
        push_block(&mut below, rest);
    }
    if let Some(output) = said.take("output") {
        push_block(&mut below, &output);
    }
    for (name, value) in &said.fields {
        let _ = write!(line, " {name}={}", quoted(&plain(&shown(value))));
    }
    line.push('\n');
    line.push_str(&below);
    line
}

fn push_block(below: &mut String, lines: &str) {
    for line in lines.lines() {
        let _ = writeln!(below, "    | {}", plain(line));
    }
}

/// Quoted only where a reader could not see its end.
fn quoted(text: &str) -> Cow<'_, str> {
    if text.is_empty() || text.contains([' ', '"']) {
        Cow::Owned(format!("\"{}\"", text.replace('"', "\\\"")))
    } else {
        Cow::Borrowed(text)
    }
}

fn json(time: &str, level: Level, target: &str, said: &Said) -> String {
    let mut line = format!(
        "{{\"timestamp\":\"{time}\",\"level\":\"{level}\",\"target\":{},\"message\":{}",
        Value::from(target),
        Value::from(&*said.message)
    );
    for (name, value) in &said.fields {
        let _ = write!(line, ",{}:{value}", Value::from(*name));
    }
    line.push('}');
    json_safe(&line) + "\n"
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

/// Seconds since 1970 as RFC 3339 in UTC. Days to a date after Howard Hinnant's `civil_from_days`: years begin in
/// March, so that the leap day is a year's last.
fn utc(seconds: u64, millis: Option<u32>) -> String {
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let millis = millis.map(|millis| format!(".{millis:03}")).unwrap_or_default();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{millis}Z")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(format: LogFormat, colour: bool, say: impl FnOnce()) -> String {
        let paper = Paper::default();
        let page = paper.clone();
        let lines = Lines { format, colour, writer: move || page.clone() };
        tracing::subscriber::with_default(Registry::default().with(lines), say);
        String::from_utf8(paper.0.lock().unwrap().clone()).unwrap()
    }

    /// What stands after the time.
    fn as_text(say: impl FnOnce()) -> String {
        let line = written(LogFormat::Text, false, say);
        let (time, rest) = line.split_once(' ').unwrap();
        assert_eq!((time.len(), &time[10..11], &time[19..]), (20, "T", "Z"), "{time}");
        rest.to_owned()
    }

    #[test]
    fn text_is_for_people() {
        let why = "/services/x has 0 members, needs at least 1: the path does not exist";
        assert_eq!(
            as_text(|| tracing::warn!(why = %why, roster = "x", "holding")),
            " WARN holding: /services/x has 0 members, needs at least 1: the path does not exist roster=x\n"
        );
        assert_eq!(
            as_text(|| tracing::info!(n = 3, ok = true, cmd = "nginx -t", none = "", say = "a\"b", "done")),
            " INFO done n=3 ok=true cmd=\"nginx -t\" none=\"\" say=\"a\\\"b\"\n"
        );
        assert_eq!(
            as_text(|| tracing::error!(output = "one\ntwo \u{1b}[2J\n", why = "exit status 1\n  ^ here", "failed")),
            "ERROR failed: exit status 1\n    |   ^ here\n    | one\n    | two \\u{1b}[2J\n"
        );
    }

    #[test]
    fn only_the_level_has_colour() {
        let line = written(LogFormat::Text, true, || tracing::warn!(a = "\u{1b}[31m", "m"));
        assert!(line.contains("\u{1b}[33m WARN\u{1b}[0m m a=\\u{1b}[31m\n"), "{line:?}");
    }

    #[test]
    fn no_value_forges_a_line_or_steers_a_terminal() {
        let all: Vec<char> = (0u8..32).chain(0x7f..=0x9f).map(char::from).chain(['\u{2028}', '\u{2029}']).collect();
        for c in all {
            let hostile = format!("a{c}2026-11-20T00:00:00Z  INFO all is well");
            let say = || tracing::warn!(why = %hostile, output = %hostile, name = %hostile, "holding");
            let text = written(LogFormat::Text, false, say);
            let say = || tracing::warn!(why = %hostile, output = %hostile, name = %hostile, "holding");
            let json = written(LogFormat::Json, false, say);
            for line in text.lines().chain(json.lines()) {
                assert!(!line.chars().any(is_breaking), "{c:?}: {line:?}");
            }
            let forged = text.lines().skip(1).filter(|line| !line.starts_with("    | ")).count();
            assert_eq!((forged, json.lines().count()), (0, 1), "{c:?}: {text:?}");
            let object: Value = serde_json::from_str(&json).unwrap();
            assert_eq!(object["name"], *hostile, "{c:?}");
        }
    }

    #[test]
    fn a_long_value_is_cut_and_a_reason_is_not() {
        let long = "é".repeat(3000);
        let line = as_text(|| tracing::warn!(name = %long, "m"));
        assert_eq!(line.len(), " WARN m name=".len() + MAX_FIELD + "…\n".len());
        assert!(as_text(|| tracing::warn!(why = %long, "m")).len() > 6000);
        assert_eq!(cut("aé", 2), "a…");
    }

    #[test]
    fn json_is_one_object_a_line() {
        let line = written(LogFormat::Json, false, || tracing::info!(n = 3, x = 0.5, why = "b\nc", "replaced"));
        let object: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (line.lines().count(), &object["level"], &object["message"]),
            (1, &"INFO".into(), &"replaced".into())
        );
        assert_eq!((&object["n"], &object["x"], &object["why"]), (&3.into(), &0.5.into(), &"b\nc".into()));
        assert_eq!(object["timestamp"].as_str().unwrap().len(), "2026-11-20T11:40:01.000Z".len());
    }

    #[test]
    fn dates_are_right_around_leap_days() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_795_174_801, "2026-11-20T11:40:01Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc(seconds, None), date);
        }
    }

    #[test]
    fn a_second_init_and_a_wrong_filter_do_no_harm() {
        // "off" first: the first one stays for the whole test program.
        init(LogFormat::Text, Some("off"));
        init(LogFormat::Json, Some("rosterd=[[["));
    }

    #[test]
    fn a_node_with_a_long_name_makes_no_long_line() {
        let name = format!("/services/web/postgres://u:secret@h/{}", "x".repeat(900_000));
        let line = as_text(|| {
            crate::say::notice(&crate::decide::Notice::Quarantined {
                roster: "web".into(),
                path: crate::node::NodePath::parse("/services/web").unwrap().child(&name),
                why: crate::decide::Quarantine::TooLarge { bytes: name.len() },
            });
        });
        assert!(line.contains("left out") && line.len() < 1024 && !line.contains("secret"), "{} bytes", line.len());
        let line = as_text(|| {
            crate::say::notice(&crate::decide::Notice::Holding { roster: "web".into(), why: name.clone(), kept: None });
        });
        assert!(line.contains("holding") && line.len() < 2048, "{} bytes", line.len());
    }
}
