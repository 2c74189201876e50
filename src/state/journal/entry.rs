//! The journal entry of one file.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::key::Key;
use super::saved::{Candidate, SavedCopy};
use crate::config::{Command, Each, Method, OnGone, OnReloadFailure, Reload, Symlink, TemplateConfig, Verify};
use crate::state::append_log::path_encoding;

/// A replacement or removal that is about to happen, or has happened and whose reload has not succeeded yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The destination.
    #[serde(with = "path_encoding")]
    pub dest: PathBuf,
    /// The number of the batch; it only grows.
    #[serde(rename = "seq")]
    pub batch: u64,
    /// The digest of the old file; `None` if there was none.
    pub old: Option<u64>,
    /// The digest of the new file; `None` for a removal.
    pub new: Option<u64>,
    /// The name of the staged file in the destination's directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staged: Option<String>,
    /// How to overwrite the file again, if it is not renamed.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "over")]
    pub overwrite: Option<Overwrite>,
    /// The destination is a link, and the file that it leads to is replaced.
    #[serde(default, skip_serializing_if = "std::ops::Not::not", rename = "follows")]
    pub follows_link: bool,
    /// The reload of an earlier replacement is pending too, whatever became of this one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not", rename = "again")]
    pub earlier_pending: bool,
    /// On whose behalf.
    #[serde(flatten)]
    pub owner: Owner,
    /// The newest version whose reload succeeded, if a copy is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved: Option<SavedCopy>,
    /// The batch that replaced that version.
    #[serde(default)]
    pub since: u64,
    /// The version before this one, which a running reload may confirm. It is not kept across restarts: the reload ends
    /// with the agent.
    #[serde(skip)]
    pub candidate: Option<Candidate>,
    /// Its own reload succeeded with the current version; those of its unit may be pending.
    #[serde(skip)]
    pub is_reloaded: bool,
}

/// What it takes to overwrite a file again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overwrite {
    /// The file with the new bytes, which is kept until all of them are in place.
    #[serde(with = "path_encoding")]
    pub staged: PathBuf,
    /// The mode and owner that the file gets.
    #[serde(flatten)]
    pub configured: ModeAndOwner,
}

/// The configured mode and owner of a file; what is not configured stays as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModeAndOwner {
    /// Permission bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
    /// The owner, a uid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<u32>,
    /// The group, a gid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<u32>,
}

/// On whose behalf a file is replaced, as far as that is needed without the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The template's name.
    pub template: Arc<str>,
    /// The reload that a replacement makes pending.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "owed")]
    pub pending_reload: Option<ReloadSpec>,
    /// The unit with which the file is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Arc<str>>,
    /// A copy of the old file is kept until the reload succeeded.
    #[serde(skip)]
    pub saves_copy: bool,
    /// This is a rollback: there is no older version to restore.
    #[serde(default, skip_serializing_if = "std::ops::Not::not", rename = "back")]
    pub is_rollback: bool,
}

/// What it takes to run a reload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadSpec {
    reload: Action,
    timeout: Duration,
    interval: Duration,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retries: Option<u32>,
    /// How long `splay` may delay it.
    #[serde(default, skip_serializing_if = "Duration::is_zero")]
    splay: Duration,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    env: BTreeMap<String, String>,
    /// The command that verifies it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    verify: Option<VerifySpec>,
    /// The key whose file it is, if the template has `each`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    of: Option<PerKey>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct VerifySpec {
    by: Action,
    timeout: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct PerKey {
    template: Arc<str>,
    roster: Arc<str>,
    key: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Shell(String),
    Exec(Vec<String>),
    Signal {
        signal: String,
        #[serde(with = "path_encoding")]
        pid_file: PathBuf,
    },
}

impl Owner {
    /// The owner for a template as it is configured now.
    pub fn new(template: &TemplateConfig) -> Self {
        let pending_reload = template.reload.as_ref().and_then(Action::new).map(|reload| ReloadSpec {
            reload,
            timeout: template.reload_timeout,
            interval: template.reload_interval,
            retries: template.reload_retries,
            splay: template.splay,
            env: template.env.clone(),
            verify: template.verify.as_ref().map(VerifySpec::new),
            of: template.file_of().map(|(each, key)| PerKey {
                template: Arc::clone(&each.template),
                roster: Arc::clone(&each.roster),
                key: Arc::clone(key),
            }),
        });
        let saves_copy = template.on_reload_failure == OnReloadFailure::Rollback;
        Self {
            template: Arc::clone(&template.name),
            pending_reload,
            unit: template.unit.clone(),
            saves_copy,
            is_rollback: false,
        }
    }

    /// An entry of which only the pending reload is known.
    pub fn pending_entry(self, dest: PathBuf) -> Entry {
        Entry {
            dest,
            batch: 0,
            old: None,
            new: None,
            staged: None,
            overwrite: None,
            follows_link: false,
            earlier_pending: true,
            owner: self,
            saved: None,
            since: 0,
            candidate: None,
            is_reloaded: false,
        }
    }

    /// The key of its entry for a destination.
    pub fn key(&self, dest: &Path) -> Key {
        Key { dest: dest.to_owned(), template: Arc::clone(&self.template) }
    }

    /// Whether all its replacements are recorded.
    pub fn is_recorded(&self) -> bool {
        self.pending_reload.is_some() || self.unit.is_some()
    }
}

impl Entry {
    /// The key of this entry.
    pub fn key(&self) -> Key {
        self.owner.key(&self.dest)
    }

    /// The copies that this entry needs.
    pub fn copies(&self) -> impl Iterator<Item = &SavedCopy> {
        self.saved.iter().chain(self.candidate.as_ref().map(Candidate::copy))
    }

    /// The name of the staged file.
    #[must_use]
    pub fn staged_name(&self) -> Option<&OsStr> {
        match (&self.overwrite, &self.staged) {
            (Some(over), _) => over.staged.file_name(),
            (None, name) => name.as_deref().map(OsStr::new),
        }
    }

    /// A template with the pending reload, independent of the current configuration; `None` if no reload is pending.
    #[must_use]
    pub fn reload_template(&self) -> Option<TemplateConfig> {
        let owed = self.owner.pending_reload.as_ref()?;
        let each = owed.of.as_ref().map(|of| Each {
            key: Some(Arc::clone(&of.key)),
            // What happens to a file whose key is gone does not matter to its reload.
            ..Each::new(&of.template, &of.roster, OnGone::Keep)
        });
        let goes_back = self.saved.is_some() && !self.owner.is_rollback;
        let on_reload_failure = if goes_back { OnReloadFailure::Rollback } else { OnReloadFailure::Retry };
        Some(TemplateConfig {
            on_reload_failure,
            unit: self.owner.unit.clone(),
            reload: Some(owed.reload.reload()),
            reload_timeout: owed.timeout,
            reload_interval: owed.interval,
            reload_retries: owed.retries,
            splay: owed.splay,
            env: owed.env.clone(),
            verify: owed.verify.as_ref().and_then(VerifySpec::verify),
            each,
            ..self.bare_template()
        })
    }

    /// A template that is just enough to find the destination and write to it.
    #[must_use]
    pub fn bare_template(&self) -> TemplateConfig {
        let mut template = TemplateConfig::new(&self.owner.template, "", &self.dest);
        if self.follows_link {
            template.placing.symlink = Symlink::Follow;
        }
        if self.overwrite.is_some() {
            template.placing.write = Method::InPlace;
        }
        template
    }
}

impl VerifySpec {
    fn new(Verify { command, timeout }: &Verify) -> Self {
        Self { by: Action::command(command), timeout: *timeout }
    }

    fn verify(&self) -> Option<Verify> {
        let Reload::Command(command) = self.by.reload() else { return None };
        Some(Verify { command, timeout: self.timeout })
    }
}

impl Action {
    /// `None` for the program that the agent runs: the next agent starts it anyway.
    fn new(reload: &Reload) -> Option<Self> {
        Some(match reload {
            Reload::Command(command) => Self::command(command),
            Reload::Signal { signal, pid_file } => Self::Signal { signal: signal.clone(), pid_file: pid_file.clone() },
            Reload::Program => return None,
        })
    }

    fn command(command: &Command) -> Self {
        match command {
            Command::Shell(text) => Self::Shell(text.clone()),
            Command::Exec(words) => Self::Exec(words.clone()),
        }
    }

    fn reload(&self) -> Reload {
        match self.clone() {
            Self::Shell(text) => Reload::Command(Command::Shell(text)),
            Self::Exec(words) => Reload::Command(Command::Exec(words)),
            Self::Signal { signal, pid_file } => Reload::Signal { signal, pid_file },
        }
    }
}
