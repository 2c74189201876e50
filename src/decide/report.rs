//! The state of the engine as plain data. Everything that shows the agent's state uses this, and nothing else of the
//! engine.
//!
//! Times are on the engine's clock, and reasons are typed. The users of the report convert them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::moment::Moment;
use crate::config::{KeyConfig, Reload, RosterConfig, TemplateConfig};
use crate::model::node_path::NodePath;
use crate::model::registry_event::Mapping;
use crate::payload::{Format, NotAMember};

mod program;
mod service;

pub use super::accept::{Change, HeldView};
pub use super::freshness::Freshness;
pub use super::hold::{Hold, KeyLossCause, Reason, plural};
pub use super::isolate::MemberRef;
pub use super::publication::{Failure, RosterValue, SlottedMember, Stage};
pub use crate::model::quarantine::Quarantine;
pub use program::{AfterStop, ProgramReport, ProgramState};
pub use service::{DrainReport, NodeState, ServiceHealth, ServiceReport};

/// The state of the engine at one moment. Each map is by name.
#[derive(Debug, Clone)]
pub struct Report {
    /// The moment.
    pub now: Moment,
    /// The end of the pause, during which nothing is replaced.
    pub paused_until: Option<Moment>,
    /// The registries that are watched.
    pub registries: BTreeMap<Arc<str>, RegistryReport>,
    /// Every roster.
    pub rosters: BTreeMap<Arc<str>, RosterReport>,
    /// Every `[[key]]`.
    pub keys: BTreeMap<Arc<str>, KeyReport>,
    /// Every template, with one for each file of a template with `each`.
    pub templates: BTreeMap<Arc<str>, TemplateReport>,
    /// The pending reloads.
    pub reloads: BTreeMap<Reload, ReloadReport>,
}

/// A registry.
#[derive(Debug, Clone)]
pub struct RegistryReport {
    /// Its URL, without credentials.
    pub url: Arc<str>,
    /// It has answered, and the connection was not lost since.
    pub reached: bool,
    /// The last error; `None` if there was none.
    pub error: Option<String>,
}

/// A roster.
#[derive(Debug, Clone)]
pub struct RosterReport {
    /// Its configuration.
    pub config: Arc<RosterConfig>,
    /// The members in use: what templates see. `None` before the first known-good view.
    pub value: Option<RosterValue>,
    /// The number of members in the registry, of all keys together; `None` if unknown.
    pub in_registry: Option<usize>,
    /// How recent the view is.
    pub freshness: Freshness,
    /// The registry is reached, and has answered about this roster since.
    pub reached: bool,
    /// Templates see other members than the registry has. A key that never had enough members does not count.
    pub held: bool,
    /// Every hold in force.
    pub holds: Vec<HoldReport>,
    /// The removed keys that a hold keeps.
    pub kept_keys: BTreeSet<Arc<str>>,
    /// When the last changes are evaluated (`wait`).
    pub settles: Option<Moment>,
    /// The format of each path, if known.
    pub formats: BTreeMap<Format, Vec<NodePath>>,
    /// The members that `where` excludes, with the error if it could not be evaluated.
    pub filtered: Vec<(NodePath, Option<String>)>,
    /// The nodes with the same host and port as another, with the name of that one.
    pub duplicates: Vec<(NodePath, Arc<str>)>,
    /// The quarantined nodes.
    pub quarantined: Vec<(NodePath, Quarantine)>,
    /// The members that are used without their data, which is not JSON.
    pub data_errors: Vec<(NodePath, Quarantine)>,
    /// The nodes that are not members.
    pub not_members: Vec<(NodePath, NotAMember)>,
    /// What the holds withhold and `accept` would admit.
    pub held_members: HeldView,
}

/// A hold.
#[derive(Debug, Clone)]
pub struct HoldReport {
    /// The path in question.
    pub path: String,
    /// The reason, and since when.
    pub hold: Hold,
    /// How many known-good members or keys are kept; `None` if there never were any.
    pub kept: Option<usize>,
    /// Whether `accept` can end it.
    pub acceptable: bool,
    /// What `accept` would change.
    pub change: Option<Change>,
}

/// A `[[key]]`.
#[derive(Debug, Clone)]
pub struct KeyReport {
    /// Its configuration.
    pub config: Arc<KeyConfig>,
    /// Templates see its data.
    pub known: bool,
    /// The number of entries of that data, if it is a map.
    pub entries: Option<usize>,
    /// The node that Jones's `nodemaps` names for the host, if it is known.
    pub mapping: Option<Mapping>,
    /// How recent the data is.
    pub freshness: Freshness,
    /// The hold in force.
    pub hold: Option<Hold>,
    /// Of a `[[lock]]`: its state, if that is known.
    pub lock: Option<LockReport>,
}

/// A `[[lock]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockReport {
    /// The agent holds it.
    pub is_held: bool,
    /// Since when it holds it, or does not.
    pub since: Moment,
    /// Its place in the line: 1 is the first; `None` if it is not in the line.
    pub position: Option<usize>,
    /// The identifier of the first contender, if it has one.
    pub holder: Option<String>,
    /// The number of contenders.
    pub contenders: usize,
}

/// A template.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools)] // They are independent of each other.
pub struct TemplateReport {
    /// Its configuration.
    pub config: Arc<TemplateConfig>,
    /// The rosters that it names. The roster of its `each` is in its configuration.
    pub rosters: BTreeSet<Arc<str>>,
    /// The `[[key]]`s that it names.
    pub keys: BTreeSet<Arc<str>>,
    /// When its file was last found or brought up to date.
    pub rendered: Option<Moment>,
    /// It waits to be rendered.
    pub queued: bool,
    /// It is being rendered, checked or replaced.
    pub in_flight: bool,
    /// The key of its file is gone: the file is to be removed.
    pub removing: bool,
    /// The failure of the last publication.
    pub failure: Option<FailureReport>,
    /// Its file is pinned to a generation.
    pub pin: Option<PinReport>,
    /// A change to its file by another process.
    pub drift: Option<DriftReport>,
    /// The members that are left out of its file, because it fails with them (`isolate`).
    pub isolated: Vec<IsolatedReport>,
    /// The members in its file without a port, which it reads.
    pub without_port: Vec<MemberRef>,
    /// The templates of its unit that it waits for, with the rosters and keys of which they have no known-good view.
    pub waiting_for: BTreeMap<Arc<str>, Vec<Arc<str>>>,
    /// With `each`: the keys that have no file, and why.
    pub without_file: BTreeMap<Arc<str>, String>,
}

/// A failed publication.
#[derive(Debug, Clone)]
pub struct FailureReport {
    /// The stage and the message.
    pub failure: Failure,
    /// How often in a row.
    pub times: u32,
    /// When it is retried.
    pub retry: Retry,
}

/// When a failed publication is retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// After a search for the members at fault.
    AfterSearch,
    /// It is being retried.
    Now,
    /// At this time.
    At(Moment),
    /// When something that it depends on changes.
    OnChange,
}

/// A file that a person rolled back to a generation.
#[derive(Debug, Clone)]
pub struct PinReport {
    /// The number of the generation.
    pub generation: u64,
    /// Since when.
    pub since: Moment,
    /// The user.
    pub uid: u32,
    /// The reason that was given.
    pub reason: Option<String>,
    /// How many changes since the rollback are not in the file. The newest content before it is not in it either.
    pub withheld: u32,
}

/// A file that differs from what the agent wrote.
#[derive(Debug, Clone)]
pub struct DriftReport {
    /// When it was first seen.
    pub since: Moment,
    /// The difference.
    pub what: String,
    /// The number of recent corrections, and the time of the next one; `None` if corrections are not delayed.
    pub disputed: Option<(u32, Moment)>,
}

/// A member that is left out of one template's file.
#[derive(Debug, Clone)]
pub struct IsolatedReport {
    /// The member.
    pub member: MemberRef,
    /// How the file fails with it.
    pub failure: Failure,
    /// When it is retried unchanged; `None` if another template of the unit decides that.
    pub retry: Option<Moment>,
}

/// A pending reload.
#[derive(Debug, Clone)]
pub struct ReloadReport {
    /// The templates that need it.
    pub templates: BTreeSet<Arc<str>>,
    /// How often it has failed in a row.
    pub failures: u32,
    /// The last error.
    pub last_error: Option<String>,
    /// When it runs.
    pub state: ReloadState,
}

/// When a pending reload runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReloadState {
    /// It is running.
    Running,
    /// It has failed as often as `reload_retries` allows.
    GivenUp,
    /// Other files of the same change are still to be replaced.
    AwaitingFiles,
    /// It runs at this time, or as soon as possible after it.
    Due {
        /// The time.
        at: Moment,
        /// `splay` delays it, not `reload_interval` or the pause after a failure.
        splayed: bool,
    },
}

impl TemplateReport {
    /// Whether it names this roster, or has a file for each of its keys.
    pub fn depends_on(&self, roster: &str) -> bool {
        self.rosters.contains(roster) || self.config.each.as_ref().is_some_and(|each| *each.roster == *roster)
    }
}

impl Report {
    /// The pending reload of a template.
    pub fn reload_of(&self, template: &str) -> Option<(&Reload, &ReloadReport)> {
        self.reloads.iter().find(|(_, reload)| reload.templates.contains(template))
    }

    /// The templates of the files of a template with `each`, with their keys.
    pub fn files(&self, template: &str) -> impl Iterator<Item = (&Arc<str>, &TemplateReport)> {
        self.templates.values().filter_map(move |file| {
            let (each, key) = file.config.file_of()?;
            (*each.template == *template).then_some((key, file))
        })
    }
}
