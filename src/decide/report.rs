//! What the engine knows at one moment, as plain data. Whatever shows the agent's state is made of it, and of nothing
//! else of the engine.
//!
//! Times are the engine's, and reasons are typed: words and wall clocks are the reader's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::moment::Moment;
use crate::config::{KeyConfig, Reload, RosterConfig, TemplateConfig};
use crate::model::node_path::NodePath;
use crate::payload::Format;

mod program;

pub use super::accept::{Change, HeldView};
pub use super::freshness::Freshness;
pub use super::hold::{Hold, KeyLossCause, Reason, plural};
pub use super::isolate::MemberRef;
pub use super::publication::{Failure, RosterValue, SlottedMember, Stage};
pub use crate::model::member::Quarantine;
pub use program::{AfterStop, ProgramReport, ProgramState};

/// Everything that the engine knows at one moment; each map is by name.
#[derive(Debug, Clone)]
pub struct Report {
    /// The moment.
    pub now: Moment,
    /// Until when nothing is replaced, during a pause.
    pub paused_until: Option<Moment>,
    /// The registries that are followed.
    pub registries: BTreeMap<Arc<str>, RegistryReport>,
    /// Every roster.
    pub rosters: BTreeMap<Arc<str>, RosterReport>,
    /// Every `[[key]]`.
    pub keys: BTreeMap<Arc<str>, KeyReport>,
    /// Every template, with one for each file of a template with `each`.
    pub templates: BTreeMap<Arc<str>, TemplateReport>,
    /// The reloads that are pending.
    pub reloads: BTreeMap<Reload, ReloadReport>,
}

/// A registry.
#[derive(Debug, Clone)]
pub struct RegistryReport {
    /// Where it is, without credentials.
    pub url: Arc<str>,
    /// It has answered, and the connection was not lost since.
    pub reached: bool,
    /// What was tried last and why it failed; `None` while nothing has.
    pub error: Option<String>,
}

/// A roster.
#[derive(Debug, Clone)]
pub struct RosterReport {
    /// Its configuration.
    pub config: Arc<RosterConfig>,
    /// The members in use: what templates see. `None` before the first good view.
    pub value: Option<RosterValue>,
    /// How many members the registry showed last, of all keys together; `None` while that is not known.
    pub in_registry: Option<usize>,
    /// How recent the view is.
    pub freshness: Freshness,
    /// The registry is reached, and has answered about this roster since.
    pub reached: bool,
    /// Templates see something else than the registry shows. A key that never had enough members does not count.
    pub held: bool,
    /// Every hold in force.
    pub holds: Vec<HoldReport>,
    /// The keys that a hold keeps from going.
    pub kept_keys: BTreeSet<Arc<str>>,
    /// When the changes that were seen last are judged (`wait`).
    pub settles: Option<Moment>,
    /// What each path is read by, where that is known.
    pub formats: BTreeMap<Format, Vec<NodePath>>,
    /// The members that `where` excludes, with the error where it could not be evaluated.
    pub filtered: Vec<(NodePath, Option<String>)>,
    /// The nodes that name the same host and port as another, with the name of that one.
    pub duplicates: Vec<(NodePath, Arc<str>)>,
    /// The nodes that are quarantined.
    pub quarantined: Vec<(NodePath, Quarantine)>,
    /// What the holds keep back and `accept` would let through.
    pub held_members: HeldView,
}

/// A hold.
#[derive(Debug, Clone)]
pub struct HoldReport {
    /// The path that it is about.
    pub path: String,
    /// Why, and since when.
    pub hold: Hold,
    /// How many last known-good members (or keys) are kept; `None` where there never were any.
    pub kept: Option<usize>,
    /// Whether `accept` can end it.
    pub acceptable: bool,
    /// What `accept` would change of the members.
    pub change: Option<Change>,
}

/// A `[[key]]`.
#[derive(Debug, Clone)]
pub struct KeyReport {
    /// Its configuration.
    pub config: Arc<KeyConfig>,
    /// Templates see its data.
    pub known: bool,
    /// How recent the data is.
    pub freshness: Freshness,
    /// The hold in force.
    pub hold: Option<Hold>,
}

/// A template.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools)] // They are independent of each other.
pub struct TemplateReport {
    /// Its configuration.
    pub config: Arc<TemplateConfig>,
    /// The rosters that it names. That of its `each` is in its configuration.
    pub rosters: BTreeSet<Arc<str>>,
    /// The `[[key]]`s that it names.
    pub keys: BTreeSet<Arc<str>>,
    /// When its file was last found, or brought, up to date.
    pub rendered: Option<Moment>,
    /// It is to be rendered, and that has not begun.
    pub queued: bool,
    /// It is being rendered, checked or replaced.
    pub in_flight: bool,
    /// The key whose file it is has gone: the file is to be removed.
    pub removing: bool,
    /// How the last publication failed.
    pub failure: Option<FailureReport>,
    /// What somebody else made of its file.
    pub drift: Option<DriftReport>,
    /// The members that its check refuses (`isolate`), which are left out of its file.
    pub isolated: Vec<IsolatedReport>,
    /// The templates of its unit that keep it waiting, with the rosters and keys of which they have no good view.
    pub waiting_for: BTreeMap<Arc<str>, Vec<Arc<str>>>,
    /// With `each`: the keys that have no file, and why.
    pub without_file: BTreeMap<Arc<str>, String>,
}

/// A publication that failed.
#[derive(Debug, Clone)]
pub struct FailureReport {
    /// At which stage, and why.
    pub failure: Failure,
    /// How often in a row.
    pub times: u32,
    /// What is done about it.
    pub retry: Retry,
}

/// When a failed publication is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The members at fault are searched for first.
    AfterSearch,
    /// It is being tried.
    Now,
    /// At this time.
    At(Moment),
    /// When something changes that it is made of.
    OnChange,
}

/// A file that is not as the agent left it.
#[derive(Debug, Clone)]
pub struct DriftReport {
    /// When that was first seen.
    pub since: Moment,
    /// What is there instead.
    pub what: String,
    /// How often it was rewritten recently, and when it is again, where it is written so often that it has to wait.
    pub disputed: Option<(u32, Moment)>,
}

/// A member that is left out of one template's file.
#[derive(Debug, Clone)]
pub struct IsolatedReport {
    /// Which.
    pub member: MemberRef,
    /// What the check printed.
    pub why: String,
    /// When it is tried again unchanged; `None` where another template of the unit decides that.
    pub retry: Option<Moment>,
}

/// A pending reload.
#[derive(Debug, Clone)]
pub struct ReloadReport {
    /// The templates that need it.
    pub templates: BTreeSet<Arc<str>>,
    /// How often it has failed in a row.
    pub failures: u32,
    /// Why it failed last.
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
    /// Other files that changed together with its own are still to be replaced.
    AwaitingFiles,
    /// It runs at this time, or as soon as it is possible.
    Due {
        /// The time.
        at: Moment,
        /// `splay` defers it, and not `reload_interval` or the pause after a failure.
        splayed: bool,
    },
}

impl TemplateReport {
    /// Whether it names this roster, or has a file for each key of it.
    pub fn depends_on(&self, roster: &str) -> bool {
        self.rosters.contains(roster) || self.config.each.as_ref().is_some_and(|each| *each.roster == *roster)
    }
}

impl Report {
    /// The reload that is pending for a template.
    pub fn reload_of(&self, template: &str) -> Option<(&Reload, &ReloadReport)> {
        self.reloads.iter().find(|(_, reload)| reload.templates.contains(template))
    }

    /// The templates of the files that a template with `each` has, with their keys.
    pub fn files(&self, template: &str) -> impl Iterator<Item = (&Arc<str>, &TemplateReport)> {
        self.templates.values().filter_map(move |file| {
            let (each, key) = file.config.file_of()?;
            (*each.template == *template).then_some((key, file))
        })
    }
}
