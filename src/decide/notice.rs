//! What the engine has to say to a person. The shell logs it; `status` shows the same facts.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::isolate::Spot;
use super::member::Quarantine;
use super::publication::Failure;
use crate::config::OnDrift;
use crate::node::NodePath;
use crate::payload::Format;

/// Something worth a line in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A roster or key keeps its last good content, or has none yet.
    Holding {
        /// Its name.
        roster: Arc<str>,
        /// "/services/x has 0 members, needs at least 1".
        why: String,
        /// How many last good members (or keys) stand in; `None` when there are none, and templates wait.
        kept: Option<usize>,
    },
    /// A hold ended.
    Released {
        /// Its name.
        roster: Arc<str>,
        /// The path.
        path: String,
    },
    /// `auto` has chosen what it reads a path by: said once for each format of a roster.
    Chosen {
        /// The roster.
        roster: Arc<str>,
        /// The first path of it that is read so.
        path: NodePath,
        /// What it is read by.
        format: Format,
    },
    /// A node is left out.
    Quarantined {
        /// The roster.
        roster: Arc<str>,
        /// The node.
        path: NodePath,
        /// What is wrong with it.
        why: Quarantine,
    },
    /// A key of a template with `each` has no file.
    NoFile {
        /// The template.
        template: Arc<str>,
        /// The key, as the registry has it.
        key: Arc<str>,
        /// What is wrong with it.
        why: String,
    },
    /// A registry is not reached.
    Away {
        /// Its name.
        registry: Arc<str>,
        /// What was tried, and what came of it.
        why: String,
    },
    /// What was remembered stands in for what no registry has answered for since the agent began.
    Stale {
        /// The roster or key.
        roster: Arc<str>,
        /// Its path.
        path: String,
        /// How long ago it was last confirmed, where that is known.
        age: Option<Duration>,
    },
    /// A registry answers again.
    Back {
        /// Its name.
        registry: Arc<str>,
    },
    /// The time of a pause is over.
    PauseOver,
    /// A template cannot be rendered yet.
    Waiting {
        /// Its name.
        template: Arc<str>,
        /// The rosters and keys that never had a good view.
        needs: Vec<Arc<str>>,
    },
    /// A publication failed.
    Failed {
        /// The template.
        template: Arc<str>,
        /// At which step, and why.
        failure: Failure,
        /// When it is tried again without a change; `None`: only a change will help.
        again: Option<Duration>,
    },
    /// A template's check refuses a member, which is left out of its file until it changes or passes.
    Refused {
        /// The template.
        template: Arc<str>,
        /// The member.
        spot: Spot,
        /// What the check said, with the end of its output.
        why: String,
    },
    /// A member that was left out of a template's file has changed, and is tried again.
    TriedAgain {
        /// The template.
        template: Arc<str>,
        /// The member.
        spot: Spot,
    },
    /// A member that was left out of a template's file is as it was, and its check takes it now.
    PassesNow {
        /// The template.
        template: Arc<str>,
        /// The member.
        spot: Spot,
    },
    /// Somebody else has changed a destination.
    Drifted {
        /// The template.
        template: Arc<str>,
        /// The destination.
        dest: PathBuf,
        /// What is there instead.
        what: String,
        /// What becomes of it.
        on_drift: OnDrift,
        /// Where it was put right so often of late that it has to wait: how often, and for how long.
        disputed: Option<(u32, Duration)>,
    },
    /// A destination that somebody else had changed is as the agent left it once more, and not by the agent.
    InStep {
        /// The template.
        template: Arc<str>,
        /// The destination.
        dest: PathBuf,
    },
    /// Files are as they were before a reload failed.
    RolledBack {
        /// Their templates.
        templates: Vec<Arc<str>>,
        /// How the reload failed.
        why: String,
    },
    /// What others made of files that were put back is undone.
    PutRight {
        /// Their templates.
        templates: Vec<Arc<str>>,
    },
    /// Files could not be put back.
    NotRolledBack {
        /// What was tried, and why it failed.
        why: String,
    },
    /// A reload failed and is still owed.
    ReloadFailed {
        /// What was run.
        reload: String,
        /// Why.
        why: String,
        /// When it is tried again; `None`: the tries that `reload_retries` allows are over.
        again: Option<Duration>,
    },
}
