//! The effects that the engine requests, and their results.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{Reload, TemplateConfig, Verify};

use super::event::Event;
use super::in_flight::PublicationId;
use super::pin::Pin;
use crate::model::member::Member;

/// A member with its slot.
#[derive(Debug, Clone)]
pub struct SlottedMember {
    /// The member.
    pub member: Arc<Member>,
    /// The smallest free number when the member was added. It is kept while the member stays and for `slot_keep` after,
    /// for software that refers to its backends by number.
    pub slot: u32,
}

impl PartialEq for SlottedMember {
    fn eq(&self, other: &Self) -> bool {
        // An unchanged member is the same allocation.
        self.slot == other.slot && (Arc::ptr_eq(&self.member, &other.member) || self.member == other.member)
    }
}

/// The members of one path as templates see them, in the configured order.
pub type SlottedMembers = Arc<[SlottedMember]>;

/// A roster as templates see it.
#[derive(Debug, Clone, PartialEq)]
pub enum RosterValue {
    /// The members of a plain path.
    List(SlottedMembers),
    /// The members by key, for a path with `*`.
    Map(BTreeMap<Arc<str>, SlottedMembers>),
}

impl RosterValue {
    /// The number of members, of all keys together.
    pub fn count(&self) -> usize {
        match self {
            Self::List(slotted) => slotted.len(),
            Self::Map(keys) => keys.values().map(|slotted| slotted.len()).sum(),
        }
    }
}

/// Everything that a template can see of the registries at one moment. It is cheap to clone, because members are
/// shared.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Snapshot {
    /// Rosters by name.
    pub rosters: BTreeMap<Arc<str>, RosterValue>,
    /// Keys by name.
    pub keys: BTreeMap<Arc<str>, Arc<Value>>,
    /// In the file of a template with `each`: its key, and the key's members.
    pub own: Option<(Arc<str>, SlottedMembers)>,
}

/// Bring one file up to date: render, compare, stage, check, replace.
#[derive(Debug, Clone)]
pub struct Publication {
    /// Its id, for the answer.
    pub id: PublicationId,
    /// The template.
    pub template: Arc<TemplateConfig>,
    /// What it is rendered with.
    pub snapshot: Snapshot,
    /// The key of this file is gone: the file is removed.
    pub remove: bool,
    /// A replacement is not followed by a reload.
    pub no_reload: bool,
    /// The file is pinned: it gets this content instead of a rendered one.
    pub pinned: Option<Arc<Pin>>,
    /// The views that the snapshot is from.
    pub views: Vec<ViewVersion>,
}

/// The version of a view that a file was rendered from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewVersion {
    /// The roster or key.
    pub name: Arc<str>,
    /// Its path.
    pub path: String,
    /// The zxid of the last change of the list of members, in hexadecimal; `None` if the registry has none, or if the
    /// members were saved by an earlier run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zxid: Option<String>,
    /// The number of members in use, of all keys together; `None` for a `[[key]]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<usize>,
    /// Whether a hold kept other members in use than the registry had at that zxid.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
}

/// Publications that belong together: all are staged and checked, then all are put in place.
#[derive(Debug, Clone)]
pub struct Group {
    /// Never empty.
    pub publications: Vec<Publication>,
    /// Their unit, if they are one: if one fails, none is put in place. In other groups only the failed one is left
    /// out.
    pub unit: Option<Arc<str>>,
}

/// The result of a publication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The file had this content already. Nothing was written, and no reload is needed.
    Unchanged,
    /// The file was replaced. Its reload is pending, if it has one.
    Replaced,
    /// Dry run: it would have been replaced.
    WouldReplace,
    /// The file was removed. Its reload is pending, if it has one.
    Removed,
    /// Dry run: it would have been removed.
    WouldRemove,
    /// The file is unchanged.
    Failed(Failure),
    /// The agent is stopping. The file is unchanged.
    Abandoned,
}

impl Outcome {
    /// Whether the file was changed, or would have been.
    pub fn differs(&self) -> bool {
        matches!(self, Self::Replaced | Self::WouldReplace | Self::Removed | Self::WouldRemove)
    }

    /// The event for this result.
    pub fn event(&self, template: Arc<str>, dest: PathBuf, retry_in_s: Option<u64>) -> Event {
        let failure = match self {
            Self::Unchanged => return Event::FileUnchanged { template, dest },
            Self::Replaced => return Event::FileWritten { template, dest, digest: None, took_ms: None },
            Self::WouldReplace => return Event::FileWouldChange { template, dest },
            Self::Removed => return Event::FileRemoved { template, dest },
            Self::WouldRemove => return Event::FileWouldBeRemoved { template, dest },
            Self::Abandoned => return Event::WriteAbandoned { template, dest },
            Self::Failed(failure) => failure,
        };
        let reason = failure.message.clone();
        match failure.stage {
            Stage::Render => Event::RenderFailed { template, dest, reason },
            Stage::Write | Stage::Changed => {
                Event::WriteFailed { template, dest, reason, errno: failure.errno, retry_in_s }
            }
            Stage::Check => Event::CheckFailed { template, dest, reason, retry_in_s },
            Stage::Refused => Event::CheckRefused { template, dest, reason, retry_in_s },
            Stage::Unit => Event::UnitBlocked { template, dest, reason },
            Stage::Rollback => Event::WriteBlocked { template, dest, reason },
        }
    }
}

/// Why a publication failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The stage that failed.
    pub stage: Stage,
    /// The full message: what was tried, on what, why it failed, and the end of a command's output.
    pub message: String,
    /// The number of the system's error, if that is the cause.
    #[serde(default)]
    pub errno: Option<i32>,
}

impl Failure {
    /// A failure that is not an error of the system.
    pub fn new(stage: Stage, message: impl Into<String>) -> Self {
        Self { stage, message: message.into(), errno: None }
    }

    /// The failure of something that the end of the agent interrupted.
    pub fn stopping() -> Self {
        Self::new(Stage::Write, "the agent is stopping")
    }

    /// Why a member is left out, if the file fails like this only with it.
    pub fn of_member(&self) -> String {
        format!("{}: {}", self.with_member(), self.message)
    }

    /// The same without the message.
    pub fn with_member(&self) -> &'static str {
        if self.stage == Stage::Render { "the template cannot be rendered with it" } else { "the check rejects it" }
    }
}

/// The stages of a publication that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// The template could not be rendered with these members, which can be at fault. A retry needs other members or
    /// another template.
    Render,
    /// The file could not be read, staged or replaced.
    Write,
    /// Another process changed the file repeatedly during the replacement.
    Changed,
    /// The check could not be run, was interrupted or timed out.
    Check,
    /// The check rejected the staged file. Members can be at fault.
    Refused,
    /// Another template of its unit failed. Both are retried together.
    Unit,
    /// The reload failed with this content, and the previous file was restored.
    Rollback,
}

impl Stage {
    /// Whether members can be at fault.
    pub fn depends_on_members(self) -> bool {
        matches!(self, Self::Render | Self::Refused)
    }

    /// The failure of this stage as text.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Render => "render failed",
            Self::Write | Self::Changed => "write failed",
            Self::Check => "check not completed",
            Self::Refused => "check failed",
            Self::Unit => "blocked by another template of its unit",
            Self::Rollback => "rolled back after a failed reload",
        }
    }
}

/// Run one reload for all templates that need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReloadJob {
    /// What to run.
    pub reload: Reload,
    /// The time limit.
    pub timeout: Duration,
    /// The commands that verify it, each once.
    pub verifies: BTreeSet<Verify>,
    /// The templates whose files changed since it last succeeded; never empty.
    pub templates: Vec<Arc<TemplateConfig>>,
}

/// Restore the previous files after a failed reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restoration {
    /// Its id, for the answer.
    pub id: PublicationId,
    /// The reload that has just failed. `None`: it failed earlier, and another process has changed the restored files
    /// since.
    pub reload: Option<Reload>,
    /// The templates whose files are restored, in whole units.
    pub templates: Vec<Arc<TemplateConfig>>,
    /// Why it failed.
    pub why: String,
}

/// The result of a reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReloadOutcome {
    /// It exited with 0 or the signal was sent, and its verification succeeded.
    Succeeded,
    /// It failed, with the reason. It stays pending.
    Failed(String),
    /// The agent is stopping and interrupted it. It stays pending.
    Abandoned,
}
