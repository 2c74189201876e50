//! The configuration, resolved and valid: whatever holds one of these values need not check it again.
//!
//! `file.rs` reads what was written, with a place for every key; `resolve.rs` makes these types of it and reports
//! every problem at once; `problem.rs` draws problems with carets; `delta.rs` says what differs between two of them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::model::filter::Filter;
use crate::model::node_path::{NodePath, Subject};
use crate::payload::Payload;

mod bounds;
mod command;
pub mod delta;
mod dest;
mod exec;
mod file;
pub mod flags;
mod include;
mod interpolate;
pub mod keys;
mod names;
mod per_key;
mod placing;
mod post_write;
pub mod problem;
mod registry;
pub mod resolve;
mod roster;
mod scalar;
mod table;
mod template;
#[cfg(test)]
mod tests;
pub mod url;

pub use bounds::{AboveMax, Bounds};
pub use command::{Command, Reload};
pub use delta::delta;
pub use exec::{ExecConfig, OnExit};
pub use per_key::{Each, LOCAL_NAMES, OnGone};
pub use placing::{Block, MAX_BACKUPS, Method, Placing, Symlink};
pub use post_write::Verify;
pub use problem::{Problem, Problems};
pub use registry::{Auth, RegistryConfig, Watches};
pub use resolve::{Overrides, Refused, load, read};
pub use url::RegistryUrl;

/// A whole configuration: the file and all that it includes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Config {
    /// Where registries are, by name; the first is the default. Never empty for `run` and `render`.
    #[serde(rename = "registry")]
    pub registries: Vec<Arc<RegistryConfig>>,
    /// This agent's own settings.
    pub agent: Agent,
    /// Where status is told.
    pub status: StatusConfig,
    /// `[vars]`, as templates see it.
    pub vars: serde_json::Map<String, serde_json::Value>,
    /// What is followed, by the name that templates use.
    #[serde(rename = "roster")]
    pub rosters: Vec<Arc<RosterConfig>>,
    /// The `where` of each roster that has one, as it is written.
    #[serde(skip)]
    pub wheres: Vec<Where>,
    /// Single nodes, by the name that templates use.
    #[serde(rename = "key")]
    pub keys: Vec<Arc<KeyConfig>>,
    /// What is written.
    #[serde(rename = "template")]
    pub templates: Vec<Arc<TemplateConfig>>,
    /// The program that the agent runs; never one for a command that runs none.
    pub exec: Option<Arc<ExecConfig>>,
}

impl Config {
    /// Gives rosters their filters, by their names.
    pub fn set_filters(&mut self, mut filters: BTreeMap<Arc<str>, Filter>) {
        for roster in &mut self.rosters {
            if let Some(filter) = filters.remove(&roster.name) {
                *roster = Arc::new(RosterConfig { filter: Some(filter), ..RosterConfig::clone(roster) });
            }
        }
    }
}

/// `[agent]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Agent {
    /// Names the default state directory and socket.
    pub name: String,
    /// The lock and, later, what must survive a restart.
    pub state_dir: PathBuf,
    /// Where `src` and includes are found.
    pub template_dir: PathBuf,
    /// How log lines look.
    pub log_format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For a person at a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[status]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusConfig {
    /// The control socket.
    pub socket: PathBuf,
    /// The group that may read there; the socket's own group is the process's when `None`.
    pub group: Option<u32>,
}

impl Default for StatusConfig {
    fn default() -> Self {
        Self { socket: resolve::default_socket(resolve::AGENT_NAME), group: None }
    }
}

/// One `[[roster]]`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RosterConfig {
    /// The variable's name in templates; an identifier.
    pub name: Arc<str>,
    /// The registry's name.
    pub registry: Arc<str>,
    /// What to follow: [`Subject::Members`] or [`Subject::Keyed`].
    #[serde(rename = "path")]
    pub subject: Subject,
    /// How node data is read.
    pub payload: Payload,
    /// How many members there may be.
    #[serde(flatten)]
    pub bounds: Bounds,
    /// Which members are taken when there are more than `max`.
    pub pick: Pick,
    /// How long changes settle.
    pub wait: Wait,
    /// When a loss of members is not believed.
    #[serde(flatten)]
    pub guard: Guard,
    /// `where`, ready to be asked: a load makes it of [`Config::wheres`], once it knows the host.
    #[serde(rename = "where")]
    pub filter: Option<Filter>,
    /// In which order templates see the members.
    pub order: Order,
    /// For how long the number of a member that left is given to no other.
    pub slot_keep: Duration,
}

#[cfg(test)]
impl RosterConfig {
    /// A roster with every default.
    pub fn new(name: &str, registry: &str, subject: Subject) -> Self {
        Self {
            name: Arc::from(name),
            registry: Arc::from(registry),
            subject,
            payload: Payload::default(),
            bounds: Bounds::DEFAULT,
            pick: Pick::First,
            wait: Wait::DEFAULT,
            guard: Guard::DEFAULT,
            filter: None,
            order: Order::Name,
            slot_keep: Duration::ZERO,
        }
    }
}

/// A roster's `where`, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Where {
    /// The roster's name.
    pub roster: Arc<str>,
    /// The expression, with its variables filled in.
    pub text: String,
    /// The file that it stands in.
    pub file: PathBuf,
    /// That file's text.
    pub source: Arc<str>,
    /// The bytes of it that are the whole value.
    pub span: Range<usize>,
}

/// In which order templates see the members. Those that are equal in it are in the order of their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// By the node's name, bytewise.
    Name,
    /// By id, whole numbers first and by size; those without one last.
    Id,
    /// By weight, the lightest first; those without one last.
    Weight,
}

/// When a loss of members is not believed: mass expiry looks like mass shutdown, and is far more often the cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Guard {
    /// A loss of more than this percentage of the most members in the window holds; 100 turns the guard off.
    pub max_shrink_percent: u8,
    /// How long such a hold lasts at most; never below min.
    pub hold_max: Duration,
}

impl Guard {
    /// `max_shrink = "50%"` and `hold_max = "15m"`, the defaults.
    pub const DEFAULT: Self = Self { max_shrink_percent: 50, hold_max: Duration::from_mins(15) };
}

/// Which members are taken when there are more than `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Pick {
    /// The first by name, bytewise, as zkget does.
    First,
    /// Those that rendezvous hashing by this host's name gives: every host takes others, and keeps them.
    Spread,
}

/// How long changes settle: quiet for `quiet`, but never later than `max` after the first change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Wait {
    /// How long nothing must change.
    pub quiet: Duration,
    /// The longest a change may wait.
    pub max: Duration,
}

impl Wait {
    /// `wait = "200ms:2s"`, the default.
    pub const DEFAULT: Self = Self { quiet: Duration::from_millis(200), max: Duration::from_secs(2) };
    /// `wait = "0s:0s"`.
    #[cfg(test)]
    pub const NONE: Self = Self { quiet: Duration::ZERO, max: Duration::ZERO };
}

/// One `[[key]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyConfig {
    /// The variable's name in templates; an identifier that no roster has.
    pub name: Arc<str>,
    /// The registry's name.
    pub registry: Arc<str>,
    /// The node.
    pub path: NodePath,
    /// How its data is read.
    pub format: KeyFormat,
}

/// How a `[[key]]`'s data is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyFormat {
    /// JSON, RFC 8259.
    Json,
    /// TOML 1.0.
    Toml,
    /// YAML 1.2's JSON-like part: what serde reads.
    Yaml,
    /// UTF-8 text, as it is.
    Text,
}

/// What becomes of a destination that somebody else has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDrift {
    /// It is put right.
    Correct,
    /// It is told, and left until something else has the file replaced.
    Report,
}

/// What becomes of the files of a reload that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnReloadFailure {
    /// They stay, and the reload is tried again.
    Retry,
    /// Those from before stand again, and the same bytes are not tried again until something changes.
    Rollback,
}

/// One `[[template]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TemplateConfig {
    /// Its name in messages; the destination's file name unless given.
    pub name: Arc<str>,
    /// The source's name within the template directory, or an absolute path.
    pub src: PathBuf,
    /// The file that is kept in step; absolute.
    pub dest: PathBuf,
    /// The destination's mode; as it was, else 0644, when `None`.
    #[serde(serialize_with = "delta::octal")]
    pub mode: Option<u32>,
    /// The destination's owner; as it was when `None`.
    pub owner: Option<u32>,
    /// The destination's group; as it was when `None`.
    pub group: Option<u32>,
    /// Run on the staged file; what it refuses is not put in place. Still holds `{{ src }}` and `{{ dest }}`.
    #[serde(rename = "check_cmd")]
    pub check: Option<Command>,
    /// Run after the replacement, with `{{ dest }}` filled in: templates with an equal one share a run.
    #[serde(rename = "reload_cmd")]
    pub reload: Option<Reload>,
    /// How long a check may take.
    pub check_timeout: Duration,
    /// How long a reload may take.
    pub reload_timeout: Duration,
    /// At most one reload per interval; one that comes sooner is deferred, never dropped.
    pub reload_interval: Duration,
    /// How many tries a reload gets; `None` is no end of them.
    pub reload_retries: Option<u32>,
    /// Run after a reload that ended well, to prove it.
    pub verify: Option<Verify>,
    /// The longest that this host's place in the spread of a fleet defers a reload.
    pub splay: Duration,
    /// What becomes of the files of a reload that failed.
    pub on_reload_failure: OnReloadFailure,
    /// The templates of one unit are replaced together or not at all; never with `each`.
    pub unit: Option<Arc<str>>,
    /// Whether missing directories above `dest` are made.
    pub make_dirs: bool,
    /// How the bytes come to `dest`.
    #[serde(flatten)]
    pub placing: Placing,
    /// Added to the clean environment of the template's commands.
    pub env: BTreeMap<String, String>,
    /// What becomes of a destination that somebody else has changed.
    pub on_drift: OnDrift,
    /// Whether members that the check refuses are found and left out.
    pub isolate: bool,
    /// A file for each key of a roster, in place of one; `dest` and `reload` then have a place for the key.
    pub each: Option<Each>,
}

impl TemplateConfig {
    /// The default of `check_timeout` and `reload_timeout`.
    pub const TIMEOUT: Duration = Duration::from_secs(30);
    /// The default of `reload_interval`.
    pub const RELOAD_INTERVAL: Duration = Duration::from_secs(5);

    /// A template with every default, and no commands.
    pub fn new(name: &str, src: impl Into<PathBuf>, dest: impl Into<PathBuf>) -> Self {
        Self {
            name: Arc::from(name),
            src: src.into(),
            dest: dest.into(),
            mode: None,
            owner: None,
            group: None,
            check: None,
            reload: None,
            check_timeout: Self::TIMEOUT,
            reload_timeout: Self::TIMEOUT,
            reload_interval: Self::RELOAD_INTERVAL,
            reload_retries: None,
            verify: None,
            splay: Duration::ZERO,
            on_reload_failure: OnReloadFailure::Retry,
            unit: None,
            make_dirs: false,
            placing: Placing::default(),
            env: BTreeMap::new(),
            on_drift: OnDrift::Correct,
            isolate: true,
            each: None,
        }
    }
}
