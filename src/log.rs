//! The log: one event, one line, on standard error. And the stream of events, which other parts subscribe to.

use std::borrow::Cow;
use std::env;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::SystemTime;

use tokio::sync::broadcast::{self, Receiver};
use tracing::{Level, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use crate::config::LogFormat;
use crate::decide::{Event, Severity};
use crate::model::quarantine::is_breaking;

mod format;
mod line;
#[cfg(test)]
mod tests;

pub use format::json_safe;

use format::Format;
use line::Line;

/// The level that is logged when nobody asks for more or less.
pub const DEFAULT_LEVEL: Level = Level::INFO;

/// How many events a subscriber may be behind: it loses the oldest beyond that, and learns how many.
pub const BACKLOG: usize = 1024;

/// What a filter knows events by.
const TARGET: &str = "rosterd";

static LOG: OnceLock<Log> = OnceLock::new();

static EVENTS: LazyLock<broadcast::Sender<Arc<Event>>> = LazyLock::new(|| broadcast::channel(BACKLOG).0);

/// Where lines go, and which ones.
struct Log {
    format: Format,
    filter: Targets,
}

/// Logs events from here on. `filter`, else `$ROSTERD_LOG`, else `$RUST_LOG`, else [`DEFAULT_LEVEL`] says which, in the
/// syntax of tracing-subscriber's `Targets`: `debug`, `info,rosterd::act=trace`.
///
/// A filter that cannot be read is logged and ignored. A second call changes nothing, so tests may call it.
pub fn init(format: LogFormat, filter: Option<&str>) {
    // An empty variable counts as unset: unit files make such ones.
    let set = |name: &str| env::var(name).ok().filter(|text| !text.trim().is_empty());
    let wanted = filter.map(str::to_owned).or_else(|| set("ROSTERD_LOG")).or_else(|| set("RUST_LOG"));
    let (filter, wrong) = match wanted.as_deref().map(str::parse::<Targets>) {
        None => (Targets::new().with_default(DEFAULT_LEVEL), None),
        Some(Ok(filter)) => (filter, None),
        Some(Err(why)) => (Targets::new().with_default(DEFAULT_LEVEL), Some(why)),
    };
    let format = match format {
        LogFormat::Json => Format::Json,
        LogFormat::Text if is_journal() => Format::Journal,
        LogFormat::Text => {
            let no_colour = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            Format::Text { colour: io::stderr().is_terminal() && !no_colour }
        }
    };
    if LOG.set(Log { format, filter: filter.clone() }).is_err() {
        return;
    }
    // The only error is that there is a subscriber already, which then gets what libraries and `debug!` say.
    let _ = tracing::subscriber::set_global_default(Registry::default().with(filter).with(Traces));
    if let Some(why) = wrong {
        emit(Event::LogFilterRefused { filter: wanted.unwrap_or_default(), reason: why.to_string() });
    }
}

/// Logs an event, and hands it to every subscriber. Never waits.
pub fn emit(event: Event) {
    if let Some(log) = LOG.get()
        && log.filter.would_enable(TARGET, &level(event.kind().severity))
    {
        log.write(&Line::from(&event));
    }
    if EVENTS.receiver_count() > 0 {
        // The last subscriber may have gone just now.
        let _ = EVENTS.send(Arc::new(event));
    }
}

/// Every event from here on. A subscriber that falls more than [`BACKLOG`] events behind loses the oldest, and its
/// receiver says how many.
#[cfg_attr(not(test), expect(dead_code, reason = "metrics and an audit trail are to read it"))]
pub fn subscribe() -> Receiver<Arc<Event>> {
    EVENTS.subscribe()
}

fn level(severity: Severity) -> Level {
    match severity {
        Severity::Info => Level::INFO,
        Severity::Warn => Level::WARN,
        Severity::Error => Level::ERROR,
    }
}

impl Log {
    fn write(&self, line: &Line) {
        let text = self.format.format(line, SystemTime::now());
        // In one piece, so that lines of two threads do not mix. There is nowhere to log that this failed.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
}

/// Whether standard error is the journal's, as systemd.exec(5) says how to find out: `$JOURNAL_STREAM` is its device and
/// inode.
fn is_journal() -> bool {
    let Ok(named) = env::var("JOURNAL_STREAM") else { return false };
    nix::sys::stat::fstat(io::stderr().as_fd()).is_ok_and(|stat| named == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// Logs what is no event: what libraries and `debug!` say.
struct Traces;

impl<S: Subscriber> Layer<S> for Traces {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if let Some(log) = LOG.get() {
            log.write(&Line::from(event));
        }
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
