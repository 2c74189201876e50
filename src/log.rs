//! The log, with one line for each event on standard error, and the stream of events for other parts of the agent.

use std::borrow::Cow;
use std::env;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::sync::{Arc, LazyLock, OnceLock, PoisonError, RwLock};
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

/// The level if no filter is set.
pub const DEFAULT_LEVEL: Level = Level::INFO;

/// How many events a subscriber may be behind. Beyond that it loses the oldest, and its receiver reports how many.
pub const BACKLOG: usize = 1024;

/// The target of events in a filter.
const TARGET: &str = "rosterd";

static LOG: OnceLock<Log> = OnceLock::new();

static OBSERVERS: RwLock<Vec<Observer>> = RwLock::new(Vec::new());

type Observer = Box<dyn Fn(&Event) + Send + Sync>;

static EVENTS: LazyLock<broadcast::Sender<Arc<Event>>> = LazyLock::new(|| broadcast::channel(BACKLOG).0);

/// Which lines are logged, and where.
struct Log {
    format: Format,
    filter: Targets,
}

/// Logs events from now on. `filter`, else `$ROSTERD_LOG`, else `$RUST_LOG`, else [`DEFAULT_LEVEL`] selects them, in
/// the syntax of tracing-subscriber's `Targets`: `debug`, `info,rosterd::act=trace`.
///
/// A filter that cannot be read is logged and ignored. A second call changes nothing, so tests may call it.
pub fn init(format: LogFormat, filter: Option<&str>) {
    // An empty variable counts as unset, because unit files set empty variables.
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
    // The only error is that there is a subscriber already. It then gets the messages of libraries and `debug!`.
    let _ = tracing::subscriber::set_global_default(Registry::default().with(filter).with(Traces));
    if let Some(why) = wrong {
        emit(Event::LogFilterRefused { filter: wanted.unwrap_or_default(), reason: why.to_string() });
    }
}

/// Logs an event, and passes it to the observers and, unless it is a detail, to every subscriber. Never blocks.
pub fn emit(event: Event) {
    if let Some(log) = LOG.get()
        && log.filter.would_enable(TARGET, &level(event.kind().severity))
    {
        log.write(&Line::from(&event));
    }
    for observer in &*OBSERVERS.read().unwrap_or_else(PoisonError::into_inner) {
        observer(&event);
    }
    if EVENTS.receiver_count() > 0 && event.kind().severity > Severity::Debug {
        // The last subscriber may just have been dropped.
        let _ = EVENTS.send(Arc::new(event));
    }
}

/// Calls a function with every event from now on, before [`emit`] returns. Unlike a subscriber, it misses none. It runs on
/// the thread of the event: it must be quick, and must not emit.
pub fn observe(observer: impl Fn(&Event) + Send + Sync + 'static) {
    OBSERVERS.write().unwrap_or_else(PoisonError::into_inner).push(Box::new(observer));
}

/// Every event from now on, but for details ([`Severity::Debug`]). A subscriber that falls more than [`BACKLOG`] events behind loses the oldest, and its
/// receiver reports how many.
pub fn subscribe() -> Receiver<Arc<Event>> {
    EVENTS.subscribe()
}

/// An event as a line of the JSON log, without its end.
pub fn json_line(event: &Event, time: SystemTime) -> String {
    let mut line = Format::Json.format(&Line::from(event), time);
    line.truncate(line.trim_end().len());
    line
}

/// What a line of the log has after the message of an event: its subject and the reason. Further lines have the end of a
/// command's output. No line has control characters.
pub fn sentence(event: &Event) -> String {
    let (text, _) = Line::from(event).head();
    text.lines().map(plain).collect::<Vec<_>>().join("\n")
}

fn level(severity: Severity) -> Level {
    match severity {
        Severity::Debug => Level::DEBUG,
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

/// Whether standard error is the journal's: `$JOURNAL_STREAM` is then its device and inode (systemd.exec(5)).
fn is_journal() -> bool {
    let Ok(named) = env::var("JOURNAL_STREAM") else { return false };
    nix::sys::stat::fstat(io::stderr().as_fd()).is_ok_and(|stat| named == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// Logs the messages of libraries and `debug!`, which are not events.
struct Traces;

impl<S: Subscriber> Layer<S> for Traces {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if let Some(log) = LOG.get() {
            log.write(&Line::from(event));
        }
    }
}

/// Escapes every character that could end a line or control a terminal, as `\n` or `\u{1b}`.
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

/// The first `max` bytes of a text, up to a character boundary, with `…` if the text is longer.
#[must_use]
pub fn cut(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("{}…", &text[..text.floor_char_boundary(max)]))
}
