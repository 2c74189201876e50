//! The resolved, valid configuration. Its users need not validate it again.
//!
//! `file.rs` reads what was written, with a place for every key; `resolve.rs` makes these types of it and reports
//! every problem at once; `problem.rs` draws problems with carets; `delta.rs` says what differs between two of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::model::filter::Filter;
use crate::model::node_path::Subject;
use crate::payload::Payload;

mod auth;
mod bounds;
mod command;
pub mod delta;
mod dest;
mod exec;
mod file;
pub mod flags;
mod history;
mod http;
mod include;
mod interpolate;
mod jones;
mod jones_check;
mod jones_web;
pub mod keys;
mod kind;
mod lock;
mod names;
pub mod path;
mod per_key;
mod placing;
mod post_write;
pub mod problem;
mod reference;
mod registry;
pub mod resolve;
mod roster;
mod scalar;
pub mod schema;
mod service;
mod services;
mod table;
mod template;
#[cfg(test)]
mod tests;
pub mod trust;
mod unit;
pub mod url;
pub mod web;
pub mod zk_watcher;

pub use auth::Auth;
pub use bounds::{AboveMax, Bounds};
pub use command::{Command, Placeholder, Reload};
pub use delta::delta;
pub use exec::{ExecConfig, OnExit};
pub use jones_check::{JonesCheck, JonesConfig};
pub use jones_web::{Grants, JonesWeb, WebAuth};
pub use keys::MAX_BACKUPS;
pub use lock::{LOCKS, LockConfig, key_name};
pub use per_key::{Each, LOCAL_NAMES, OnGone};
pub use placing::{Block, Method, Placing, Symlink};
pub use post_write::Verify;
pub use problem::{Problem, Problems};
pub use reference::description;
pub use registry::{RegistryConfig, Watches};
pub use resolve::{Overrides, PathOverrides, Refused, load, read};
pub use roster::check_roster_name;
pub use service::{Check, DataCommand, HttpCheck, ServiceConfig, ServiceFormat};
pub use trust::Trust;
pub use unit::{NEEDS_UNIT, STAGED, UnitPaths, not_in_unit};
pub use url::{RegistryUrl, exhibitor};

/// The configuration of the main file and all included files.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Config {
    /// The registries; the first is the default. Never empty for `run` and `render`.
    #[serde(rename = "registry")]
    pub registries: Vec<Arc<RegistryConfig>>,
    /// The settings of the agent.
    pub agent: Agent,
    /// The control socket and HTTP.
    pub status: StatusConfig,
    /// How much of the history is kept.
    pub history: HistoryConfig,
    /// `[vars]`, as templates see it.
    pub vars: serde_json::Map<String, serde_json::Value>,
    /// The rosters.
    #[serde(rename = "roster")]
    pub rosters: Vec<Arc<RosterConfig>>,
    /// The source of the `where` of each roster that has one.
    #[serde(skip)]
    pub wheres: Vec<Where>,
    /// The keys.
    #[serde(rename = "key")]
    pub keys: Vec<Arc<KeyConfig>>,
    /// The templates.
    #[serde(rename = "template")]
    pub templates: Vec<Arc<TemplateConfig>>,
    /// What is registered.
    #[serde(rename = "service")]
    pub services: Vec<Arc<ServiceConfig>>,
    /// The locks that the agent contends for.
    #[serde(rename = "lock")]
    pub locks: Vec<Arc<LockConfig>>,
    /// The program that the agent runs; `None` for commands that run no program.
    pub exec: Option<Arc<ExecConfig>>,
    /// What belongs to Jones.
    pub jones: JonesConfig,
}

impl Config {
    /// Sets the filters of rosters, by name.
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
    /// The name in the default paths of the state directory and the socket.
    pub name: String,
    /// The directory of the lock and of state that is kept across restarts.
    pub state_dir: PathBuf,
    /// The directory of `src` and of included templates.
    pub template_dir: PathBuf,
    /// Directories that are used although other users may write to them.
    pub trust: Trust,
    /// The format of log lines.
    pub log_format: LogFormat,
    /// What happens to the registered nodes when the agent stops.
    pub on_stop: OnStop,
}

/// What happens to the registered nodes when the agent stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnStop {
    /// They are deleted.
    Deregister,
    /// They stay for the timeout of the session, so that the next agent can continue it.
    Keep,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text for a terminal.
    Text,
    /// One JSON object per line.
    Json,
}

/// `[status]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusConfig {
    /// The control socket.
    pub socket: PathBuf,
    /// The group that may connect to the socket; the group of the process if `None`.
    pub group: Option<u32>,
    /// HTTP; `None` if it is off.
    #[serde(flatten)]
    pub http: Option<HttpConfig>,
}

/// HTTP, read only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HttpConfig {
    /// The address and port.
    pub listen: SocketAddr,
    /// Names and addresses that a request may have as its host, besides those of loopback and of the connection itself;
    /// names in lower case.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
}

impl Default for StatusConfig {
    fn default() -> Self {
        Self { socket: resolve::default_socket(resolve::AGENT_NAME), group: None, http: None }
    }
}

/// `[history]`: which contents of files are kept for `rosterd rollback`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct HistoryConfig {
    /// The last contents of each file.
    pub generations: usize,
    /// The most bytes of all contents together.
    pub max_size: u64,
}

impl Default for HistoryConfig {
    fn default() -> Self {
        Self { generations: 10, max_size: 64 * 1024 * 1024 }
    }
}

/// One `[[roster]]`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RosterConfig {
    /// The name of the variable in templates; an identifier.
    pub name: Arc<str>,
    /// The name of the registry.
    pub registry: Arc<str>,
    /// The watched path: [`Subject::Members`] or [`Subject::Keyed`].
    #[serde(rename = "path")]
    pub subject: Subject,
    /// The format of the nodes.
    pub payload: Payload,
    /// The allowed number of members.
    #[serde(flatten)]
    pub bounds: Bounds,
    /// Which members are used if there are more than `max`.
    pub pick: Pick,
    /// How long changes settle before they are used.
    pub wait: Wait,
    /// When a loss of members is treated as suspicious.
    #[serde(flatten)]
    pub guard: Guard,
    /// The compiled `where`. The load sets it from [`Config::wheres`] when it knows the host.
    #[serde(rename = "where")]
    pub filter: Option<Filter>,
    /// The order of the members in templates.
    pub order: Order,
    /// How long the slot of a removed member stays reserved.
    pub slot_keep: Duration,
}

impl RosterConfig {
    /// A roster with the defaults.
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

/// The source of the `where` of a roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Where {
    /// The name of the roster.
    pub roster: Arc<str>,
    /// Whether the roster has keys, so that `key` is the key of the member.
    pub is_keyed: bool,
    /// The expression, with variables interpolated.
    pub text: String,
    /// The file that contains it.
    pub file: PathBuf,
    /// The text of that file.
    pub source: Arc<str>,
    /// The byte range of the value in that text.
    pub span: Range<usize>,
}

/// The order of the members in templates. Ties are ordered by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// By node name, bytewise.
    Name,
    /// By id: integers first, in numeric order; members without an id last.
    Id,
    /// By weight, ascending; members without a weight last.
    Weight,
}

/// When a loss of members is treated as suspicious. A mass expiry of sessions looks like a mass shutdown, but is far
/// more common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Guard {
    /// The roster is held if it loses more than this percentage of the largest member count in the window; 100 turns
    /// the guard off.
    pub max_shrink_percent: u8,
    /// The maximum duration of such a hold. It never releases a roster below `min`.
    pub hold_max: Duration,
}

impl Guard {
    /// `max_shrink = "50%"` and `hold_max = "15m"`, the defaults.
    pub const DEFAULT: Self = Self { max_shrink_percent: 50, hold_max: Duration::from_mins(15) };
}

/// Which members are used if there are more than `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Pick {
    /// The first by name, bytewise, as in zkget.
    First,
    /// Rendezvous hashing with the name of this host: each host uses different members, and keeps them.
    Spread,
}

/// A change is used after `quiet` without another change, but at most `max` after the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Wait {
    /// The time without changes.
    pub quiet: Duration,
    /// The maximum delay of a change.
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
    /// The name of the variable in templates; an identifier that no roster uses.
    pub name: Arc<str>,
    /// The name of the registry.
    pub registry: Arc<str>,
    /// The watched node: [`Subject::Node`] or [`Subject::Mapped`], whose host is empty until the load knows the full
    /// name of this host.
    #[serde(rename = "path")]
    pub subject: Subject,
    /// The format of its data.
    pub format: KeyFormat,
}

/// The format of the data of a `[[key]]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyFormat {
    /// JSON, RFC 8259.
    Json,
    /// TOML 1.0.
    Toml,
    /// YAML 1.2, as far as serde supports it.
    Yaml,
    /// UTF-8 text.
    Text,
    /// A JSON object: the view of a host in Jones.
    Jones(Unmapped),
    /// A `[[lock]]`.
    Lock,
}

/// What a host reads that `nodemaps` of Jones does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unmapped {
    /// The configuration of the root environment, as Jones's clients do.
    Root,
    /// What it read before.
    Hold,
}

/// What to do when another process changed a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDrift {
    /// Restore it.
    Correct,
    /// Log it, and leave the file until it is replaced for another reason.
    Report,
}

/// What to do with the files when their reload fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnReloadFailure {
    /// Keep them and retry the reload.
    Retry,
    /// Restore the previous files, and do not retry the same content until something changes.
    Rollback,
}

/// One `[[template]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TemplateConfig {
    /// The name in messages. Default: the file name of the destination.
    pub name: Arc<str>,
    /// The source: a path in the template directory, or an absolute path.
    pub src: PathBuf,
    /// The destination; absolute.
    pub dest: PathBuf,
    /// The mode of the destination. `None` keeps the current one, or 0644 for a new file.
    #[serde(serialize_with = "delta::octal")]
    pub mode: Option<u32>,
    /// The owner of the destination; `None` keeps the current one.
    pub owner: Option<u32>,
    /// The group of the destination; `None` keeps the current one.
    pub group: Option<u32>,
    /// Checks the staged file; a refused file is not put in place. Contains the placeholders `{{ src }}` and `{{ dest
    /// }}`.
    #[serde(rename = "check_cmd")]
    pub check: Option<Command>,
    /// Runs after the replacement, with `{{ dest }}` substituted. Templates with equal commands share a run.
    #[serde(rename = "reload_cmd")]
    pub reload: Option<Reload>,
    /// The timeout of the check.
    pub check_timeout: Duration,
    /// The timeout of the reload.
    pub reload_timeout: Duration,
    /// The minimum time between two reloads. An earlier one is deferred, never dropped.
    pub reload_interval: Duration,
    /// The maximum number of attempts of a reload; unlimited if `None`.
    pub reload_retries: Option<u32>,
    /// Verifies a successful reload.
    pub verify: Option<Verify>,
    /// The maximum delay of a reload, so that a fleet does not reload at once.
    pub splay: Duration,
    /// What to do with the files when their reload fails.
    pub on_reload_failure: OnReloadFailure,
    /// The unit: its templates are replaced together or not at all. Never with `each`.
    pub unit: Option<Arc<str>>,
    /// Whether to create missing parent directories of `dest`.
    pub make_dirs: bool,
    /// How the file is written.
    #[serde(flatten)]
    pub placing: Placing,
    /// Added to the clean environment of the commands.
    pub env: BTreeMap<String, String>,
    /// What to do when another process changed the destination.
    pub on_drift: OnDrift,
    /// Whether to find and leave out members with which the file cannot be rendered, or that the check rejects.
    pub isolate: bool,
    /// One file for each key of a roster; `dest` and `reload` then contain `{{ key }}`.
    pub each: Option<Each>,
}

impl TemplateConfig {
    /// The default of `check_timeout` and `reload_timeout`.
    pub const TIMEOUT: Duration = Duration::from_secs(30);
    /// The default of `reload_interval`.
    pub const RELOAD_INTERVAL: Duration = Duration::from_secs(5);

    /// Whether `check_cmd` names files of the unit with `staged`.
    pub fn check_names_staged(&self) -> bool {
        self.check.as_ref().is_some_and(|check| check.staged().next().is_some())
    }

    /// A template with the defaults and no commands.
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
