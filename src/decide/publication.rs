//! What `decide` asks of `act`, and what `act` answers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{Reload, TemplateConfig, Verify};

use super::event::Event;
use super::in_flight::PublicationId;
use crate::model::member::Member;

/// A member and its place among its roster's.
#[derive(Debug, Clone)]
pub struct SlottedMember {
    /// The member.
    pub member: Arc<Member>,
    /// The smallest free number when it came, kept while it stays and for `slot_keep` after: for software that knows its
    /// backends by number.
    pub slot: u32,
}

impl PartialEq for SlottedMember {
    fn eq(&self, other: &Self) -> bool {
        // A member that did not change is the same allocation, and need not be looked into.
        self.slot == other.slot && (Arc::ptr_eq(&self.member, &other.member) || self.member == other.member)
    }
}

/// The members of one path as templates see them, in the order that the configuration asks for.
pub type SlottedMembers = Arc<[SlottedMember]>;

/// A roster as templates see it.
#[derive(Debug, Clone, PartialEq)]
pub enum RosterValue {
    /// Of a plain path.
    List(SlottedMembers),
    /// Of a path with `*`: by what it matched.
    Map(BTreeMap<Arc<str>, SlottedMembers>),
}

impl RosterValue {
    /// How many members there are, of all keys together.
    pub fn count(&self) -> usize {
        match self {
            Self::List(slotted) => slotted.len(),
            Self::Map(keys) => keys.values().map(|slotted| slotted.len()).sum(),
        }
    }
}

/// All that a template may see of the registries at one moment. Cheap to clone: members are shared.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Snapshot {
    /// Rosters by name.
    pub rosters: BTreeMap<Arc<str>, RosterValue>,
    /// Keys by name.
    pub keys: BTreeMap<Arc<str>, Arc<Value>>,
    /// In a template with `each`: the key that this is the file of, and its members.
    pub own: Option<(Arc<str>, SlottedMembers)>,
}

/// Bring one destination in step with a snapshot: render, compare, stage, check, replace.
#[derive(Debug, Clone)]
pub struct Publication {
    /// Its number, for the answer.
    pub id: PublicationId,
    /// The template.
    pub template: Arc<TemplateConfig>,
    /// What it is to be rendered with.
    pub snapshot: Snapshot,
    /// The key is gone whose file this is: it is removed in place of being rendered.
    pub remove: bool,
    /// A replacement includes no reload.
    pub no_reload: bool,
}

/// Publications that belong together: all are staged and checked, then all are put in place.
#[derive(Debug, Clone)]
pub struct Group {
    /// Never empty.
    pub publications: Vec<Publication>,
    /// Of which unit they all are: where one fails, none is put in place. Else one that fails only drops out.
    pub unit: Option<Arc<str>>,
}

/// What became of a publication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The destination had these bytes already: nothing was written, nothing needs a reload.
    Unchanged,
    /// The destination is replaced, and a reload is owed where the template has one.
    Replaced,
    /// A dry run: it would have been replaced.
    WouldReplace,
    /// The destination is removed, and a reload is owed where the template has one.
    Removed,
    /// A dry run: it would have been removed.
    WouldRemove,
    /// Nothing was replaced, and the destination is as it was.
    Failed(Failure),
    /// The agent is stopping; the destination is as it was.
    Abandoned,
}

impl Outcome {
    /// Whether the destination was changed, or would have been.
    pub fn differs(&self) -> bool {
        matches!(self, Self::Replaced | Self::WouldReplace | Self::Removed | Self::WouldRemove)
    }

    /// What the log tells of it.
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
            Stage::Write | Stage::Changed => Event::WriteFailed { template, dest, reason, retry_in_s },
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
    /// At which step.
    pub stage: Stage,
    /// In full: what was tried, on what, why, and the end of a command's output.
    pub message: String,
}

/// The steps of a publication that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// The template could not be rendered with these members: only other members or another template will help.
    Render,
    /// The destination could not be read, staged or replaced.
    Write,
    /// Somebody else changed the file, again and again, while its new bytes were made from it.
    Changed,
    /// The check could not be run, was cut off, or took too long.
    Check,
    /// The check ended by itself and refused the staged file: members may be at fault.
    Refused,
    /// Another template of its unit failed, and is tried again together with it.
    Unit,
    /// Its reload failed with these bytes, and those from before stand.
    Rollback,
}

impl Stage {
    /// What happened at this stage, in words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Render => "render failed",
            Self::Write | Self::Changed => "write failed",
            Self::Check => "check not completed",
            Self::Refused => "check failed",
            Self::Unit => "blocked by its unit",
            Self::Rollback => "rolled back after a failed reload",
        }
    }
}

/// Run one reload for all the templates that owe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReloadJob {
    /// What to run.
    pub reload: Reload,
    /// How long it may take.
    pub timeout: Duration,
    /// What proves it, each once.
    pub verifies: BTreeSet<Verify>,
    /// The templates whose files changed since it last succeeded; never empty.
    pub templates: Vec<Arc<TemplateConfig>>,
}

/// Put the files back that a failed reload was for, as they were before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restoration {
    /// Its number, for the answer.
    pub id: PublicationId,
    /// The reload that failed just now; `None`: that is long over, and what somebody else has made of the files since is
    /// put right.
    pub reload: Option<Reload>,
    /// The templates whose files go back, whole units of them.
    pub templates: Vec<Arc<TemplateConfig>>,
    /// How it failed.
    pub why: String,
}

/// What became of a reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReloadOutcome {
    /// It ended with 0, or the signal was sent, and what proves it did too.
    Succeeded,
    /// It did not; the pending stays.
    Failed(String),
    /// The agent is stopping and cut it off; the pending stays.
    Abandoned,
}
