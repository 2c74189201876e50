//! One entry of the history: an event, or a new content of a file.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::config::TemplateConfig;
use crate::decide::Event;
use crate::decide::publication::ViewVersion;
use crate::log::cut;
use crate::payload::mask_credentials;
use crate::state::journal::ModeAndOwner;

/// The most bytes of a field. The output of a check or a reload is at the end of its `reason`.
const MAX_FIELD: usize = 8 * 1024;

/// The most elements of a list.
const MAX_LIST: usize = 50;

/// The most bytes of a diff in an entry. `history diff` shows all of it while both contents are kept.
pub const MAX_DIFF: usize = 16 * 1024;

/// What was in place: before a file was first written, or what a file should hold already.
pub const FOUND: &str = "file_found";

/// The events that are recorded. A file that was written has an entry with its content instead of its event.
pub const RECORDED: [&str; 37] = [
    "agent_started",
    "agent_stopped",
    "check_failed",
    "check_refused",
    "config_loaded",
    "config_refused",
    "drift_corrected",
    "drift_detected",
    "drift_disputed",
    "drift_resolved",
    "file_pinned",
    "file_removed",
    "file_unpinned",
    "hold_accepted",
    "hold_released",
    "member_isolated",
    "member_readmitted",
    "pause_ended",
    "paused",
    "reload_failed",
    "reload_inherited",
    "reload_succeeded",
    "render_failed",
    "request_refused",
    "restore_failed",
    "resumed",
    "rollback_failed",
    "rollback_reapplied",
    "rollback_refused",
    "rolled_back",
    "roster_held",
    "service_drained",
    "service_undrained",
    "templates_changed",
    "templates_refused",
    "write_blocked",
    "write_failed",
];

/// Fields that can differ each time that the same thing happens again. A client that has no rights chooses its `request`.
const VARYING: [&str; 3] = ["took_ms", "retry_in_s", "request"];

/// How the names of staged files begin.
const STAGED: &str = ".rosterd-";

/// One entry of the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number, from 1. No two entries have the same one.
    pub number: u64,
    /// When it happened, in milliseconds since 1970.
    pub at_ms: u64,
    /// What happened: the name of an event (docs/operations.md), or `file_found` or `file_restored`.
    pub event: String,
    /// The templates whose files it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub templates: Vec<String>,
    /// The other fields of the event.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub fields: Map<String, Value>,
    /// The content that the file has since; `None` for everything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<Generation>,
    /// The difference from the content before; for a refused check, between the file and what was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
    /// If the same happened several times in a row: how often, and the last time in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeated: Option<(u32, u64)>,
}

/// A content of a file. Its number is that of its entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// The SHA-256 digest of the content, in hexadecimal.
    pub digest: String,
    /// The number of bytes.
    pub size: u64,
    /// The views that it was rendered from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub views: Vec<ViewVersion>,
    /// Whether the template's `check_cmd` accepted it; `None` without a `check_cmd`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked: Option<bool>,
    /// After a rollback: the generation that has the same content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<u64>,
    /// The same for all files that were replaced together as a unit, or restored together. For what they replaced, see
    /// [`FileChange::found`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<u64>,
    /// The mode and owner of the file, if this is what was in place before it was first written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub had: Option<ModeAndOwner>,
    /// Whether the content is kept: only in answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<bool>,
}

/// What happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was written.
    Written,
    /// It already had the content.
    Found,
    /// It was restored after a failed reload.
    Restored,
    /// It was not written, because the check did not accept the content.
    Refused,
}

/// A content of a file, to be recorded.
#[derive(Debug)]
pub struct FileChange {
    /// The template.
    pub template: Arc<str>,
    /// The file.
    pub dest: PathBuf,
    /// What happened.
    pub change: Change,
    /// The content: what was rendered, which for a template with `block` is the block.
    pub bytes: Arc<[u8]>,
    /// How long it took.
    pub took_ms: Option<u64>,
    /// The views that it was rendered from.
    pub views: Vec<ViewVersion>,
    /// Whether it was checked.
    pub checked: bool,
    /// The generation that it was rolled back to.
    pub restores: Option<u64>,
    /// The same for all files that were replaced together as a unit, or restored together.
    pub batch: Option<u64>,
    /// The mode and owner of the file, if this is what was in place before it was first written.
    pub had: Option<ModeAndOwner>,
}

impl FileChange {
    /// A content that was in place before `batch` replaced it, and the mode and owner of its file. All that a batch
    /// replaced has a batch of its own: the complement.
    pub fn found(template: &TemplateConfig, bytes: Arc<[u8]>, had: ModeAndOwner, batch: Option<u64>) -> Self {
        let batch = batch.map(|batch| !batch);
        Self { change: Change::Found, had: Some(had), ..Self::unchecked(template, bytes, batch) }
    }

    /// A file that was restored after a failed reload. `batch` is the same for all files that were restored together.
    pub fn restored(template: &TemplateConfig, bytes: Vec<u8>, batch: u64) -> Self {
        Self::unchecked(template, bytes.into(), Some(batch))
    }

    fn unchecked(template: &TemplateConfig, bytes: Arc<[u8]>, batch: Option<u64>) -> Self {
        Self {
            template: Arc::clone(&template.name),
            dest: template.dest.clone(),
            change: Change::Restored,
            bytes,
            took_ms: None,
            views: Vec::new(),
            checked: false,
            restores: None,
            batch,
            had: None,
        }
    }
}

/// An event that is to be recorded, with the time when it happened.
#[derive(Debug)]
pub struct Draft {
    pub at_ms: u64,
    pub event: &'static str,
    pub templates: Vec<String>,
    pub fields: Map<String, Value>,
}

impl Draft {
    /// The draft of an event; `None` if it is not recorded.
    pub fn new(event: &Event) -> Option<Self> {
        let name = event.kind().name;
        RECORDED.binary_search(&name).ok()?;
        let (mut templates, mut fields) = (Vec::new(), Map::new());
        for (field, value) in event.fields() {
            match (field, value) {
                (_, Value::Null) => {}
                ("template", Value::String(template)) => templates.push(template),
                ("templates", Value::Array(all)) => {
                    templates.extend(all.iter().filter_map(Value::as_str).map(str::to_owned));
                }
                (_, value) => _ = fields.insert(field.to_owned(), bounded(value)),
            }
        }
        Some(Self { at_ms: millis(SystemTime::now()), event: name, templates, fields })
    }
}

fn bounded(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(cut(&mask_credentials(&text), MAX_FIELD).into_owned()),
        Value::Array(list) => list.into_iter().take(MAX_LIST).map(bounded).collect(),
        other => other,
    }
}

/// Milliseconds since 1970.
pub fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Entry {
    /// When it happened.
    pub fn at(&self) -> SystemTime {
        time(self.at_ms)
    }

    /// When it last happened.
    pub fn last(&self) -> SystemTime {
        self.repeated.map_or_else(|| self.at(), |(_, last)| time(last))
    }

    /// Whether it is about a template, roster or service of this name. The name of a template with `each` includes its
    /// files, `NAME[KEY]`.
    pub fn is_about(&self, name: &str) -> bool {
        let file_of = |template: &String| template.strip_prefix(name).is_some_and(|key| key.starts_with('['));
        let is_template = self.templates.iter().any(|template| template == name || file_of(template));
        is_template || ["roster", "service"].iter().any(|field| self.fields.get(*field).is_some_and(|it| it == name))
    }

    /// Whether a later event says the same once more.
    pub fn is_repeated_by(&self, draft: &Draft) -> bool {
        self.event == draft.event
            && self.templates == draft.templates
            && essence(&self.fields) == essence(&draft.fields)
    }
}

/// The fields that are equal when the same thing happens again.
fn essence(fields: &Map<String, Value>) -> Vec<(&String, Cow<'_, Value>)> {
    let essential = fields.iter().filter(|(name, _)| !VARYING.contains(&name.as_str()));
    essential.map(|(name, value)| (name, value_without_staged(value))).collect()
}

fn value_without_staged(value: &Value) -> Cow<'_, Value> {
    match value {
        Value::String(text) if text.contains(STAGED) => Cow::Owned(Value::String(without_staged(text))),
        other => Cow::Borrowed(other),
    }
}

/// A text without the names of staged files, which differ each time.
fn without_staged(text: &str) -> String {
    let mut parts = text.split(STAGED);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once(".tmp").map_or(part, |(_, rest)| rest))
}

fn time(millis: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis)).unwrap_or(SystemTime::UNIX_EPOCH)
}
