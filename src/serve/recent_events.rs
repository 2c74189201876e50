//! The events of the last hour, in bounded memory, for the page: who came and went, and how checks and reloads ended.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::decide::Event;
use crate::decide::event::Kind;
use crate::log::{cut, sentence};
use crate::report::words::field;

#[cfg(test)]
mod tests;

/// How long an event is kept.
pub const WINDOW: Duration = Duration::from_hours(1);

/// The most events that are kept.
const MAX_EVENTS: usize = 5000;

/// The most bytes of their texts.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The most events of one roster, template, service or registry, so that one that changes all the time does not
/// displace the others.
const MAX_OF_ONE: usize = 200;

/// The most bytes of the text of one event. A reason can have the output of a command.
const MAX_TEXT: usize = 4096;

/// The most members that are named of those that came or went with one event.
const MAX_NAMES: usize = 10;

/// Events that only list the configuration, or that nothing follows from.
const LEFT_OUT: [&str; 4] = ["watch_started", "template_loaded", "file_unchanged", "config_changed"];

/// What an event is about, by the name of its field: `("roster", "web")`.
pub type Subject = (&'static str, Arc<str>);

/// An event that was recorded.
#[derive(Debug, PartialEq, Eq)]
pub struct RecentEvent {
    /// When.
    pub at: SystemTime,
    /// Its kind.
    pub kind: &'static Kind,
    /// The text after its message. Further lines have the end of a command's output.
    pub text: String,
    /// What it is about.
    pub subjects: Vec<Subject>,
    /// The change of a roster's members, if it is one.
    pub change: Option<MemberChange>,
}

/// A change of a roster's members.
#[derive(Debug, PartialEq, Eq)]
pub struct MemberChange {
    /// The path: a roster can have several.
    pub path: String,
    /// The first members that came.
    pub added: Vec<String>,
    /// The first members that went.
    pub removed: Vec<String>,
    /// How many came and went.
    pub counts: (usize, usize),
    /// The number of members whose data changed.
    pub changed: usize,
    /// The number of members afterwards.
    pub members: usize,
}

/// The events of the last hour.
#[derive(Debug, Default)]
pub struct RecentEvents(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// The oldest first.
    events: VecDeque<Arc<RecentEvent>>,
    bytes: usize,
    counts: BTreeMap<Subject, usize>,
}

impl RecentEvents {
    /// Records every event, until there will be none. If this is too slow, the oldest are lost; the log has them.
    pub async fn collect(&self, mut events: Receiver<Arc<Event>>) {
        loop {
            match events.recv().await {
                Ok(event) => self.record(SystemTime::now(), &event),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Records an event.
    pub fn record(&self, at: SystemTime, event: &Event) {
        self.kept().record(at, event);
    }

    /// The events of the hour before this time, the newest first.
    pub fn since(&self, now: SystemTime) -> Vec<Arc<RecentEvent>> {
        self.kept().events.iter().rev().filter(|it| !is_older(it, now)).cloned().collect()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn record(&mut self, at: SystemTime, event: &Event) {
        if LEFT_OUT.contains(&event.kind().name) {
            return;
        }
        let new = RecentEvent::new(at, event);
        if let Some(subject) = new.subjects.first() {
            if self.counts.get(subject).is_some_and(|count| *count >= MAX_OF_ONE) {
                let oldest = self.events.iter().position(|it| it.subjects.first() == Some(subject));
                let oldest = oldest.and_then(|at| self.events.remove(at));
                self.forget(oldest);
            }
            *self.counts.entry(subject.clone()).or_default() += 1;
        }
        self.bytes += new.size();
        self.events.push_back(Arc::new(new));
        while self.events.len() > MAX_EVENTS || self.bytes > MAX_BYTES || self.is_first_older(at) {
            let first = self.events.pop_front();
            self.forget(first);
        }
    }

    fn is_first_older(&self, now: SystemTime) -> bool {
        self.events.front().is_some_and(|it| is_older(it, now))
    }

    fn forget(&mut self, event: Option<Arc<RecentEvent>>) {
        let Some(event) = event else { return };
        self.bytes = self.bytes.saturating_sub(event.size());
        if let Some(subject) = event.subjects.first()
            && let Some(count) = self.counts.get_mut(subject)
        {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(subject);
            }
        }
    }
}

fn is_older(event: &RecentEvent, now: SystemTime) -> bool {
    now.duration_since(event.at).is_ok_and(|age| age > WINDOW)
}

impl RecentEvent {
    fn new(at: SystemTime, event: &Event) -> Self {
        Self {
            at,
            kind: event.kind(),
            text: cut(&sentence(event), MAX_TEXT).into_owned(),
            subjects: subjects(event),
            change: MemberChange::new(event),
        }
    }

    /// Whether it is about this.
    #[cfg(test)]
    fn is_about(&self, kind: &str, name: &str) -> bool {
        self.subjects.iter().any(|(of, it)| *of == kind && **it == *name)
    }

    /// Its size in bytes, without the parts that are the same for each.
    fn size(&self) -> usize {
        let names = self.change.iter().flat_map(|it| it.added.iter().chain(&it.removed).chain([&it.path]));
        self.text.len()
            + names.map(String::len).sum::<usize>()
            + self.subjects.iter().map(|(_, name)| name.len()).sum::<usize>()
    }
}

/// What an event is about. An event of a template's member is about the template first.
fn subjects(event: &Event) -> Vec<Subject> {
    let fields = event.fields();
    let of = |wanted: &'static str| {
        let values = fields.iter().filter(move |(name, _)| *name == wanted).map(|(_, value)| value);
        values.filter_map(|value| value.as_str()).map(Arc::<str>::from).collect::<Vec<_>>()
    };
    let lists = fields.iter().filter(|(name, _)| *name == "templates").filter_map(|(_, value)| value.as_array());
    let listed = lists.flatten().filter_map(|name| name.as_str()).map(|name| ("template", Arc::from(name)));
    let named = ["template", "roster", "service", "registry"]
        .into_iter()
        .flat_map(|kind| of(kind).into_iter().map(move |name| (kind, name)));
    named.chain(listed.take(MAX_NAMES)).collect()
}

impl MemberChange {
    fn new(event: &Event) -> Option<Self> {
        let Event::MembersChanged { path, added, removed, changed, members, .. } = event else { return None };
        let named = |names: &[String]| names.iter().take(MAX_NAMES).map(|name| field(name)).collect();
        Some(Self {
            path: field(path.as_str()),
            added: named(added),
            removed: named(removed),
            counts: (added.len(), removed.len()),
            changed: *changed,
            members: *members,
        })
    }
}
