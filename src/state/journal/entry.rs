//! What is noted of one file before it is replaced.

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

/// A replacement or a removal that is about to happen, or has, and whose reload has not succeeded since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The destination.
    #[serde(with = "path_encoding")]
    pub dest: PathBuf,
    /// The round in which it is replaced: higher than any before.
    pub seq: u64,
    /// The digest of what stood there; `None`: nothing.
    pub old: Option<u64>,
    /// The digest of what is to stand there; `None`: nothing.
    pub new: Option<u64>,
    /// The name beside the destination under which that waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staged: Option<String>,
    /// The file is overwritten, not replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<Overwrite>,
    /// The destination is a link, and the file that it leads to is meant.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub follows: bool,
    /// An earlier replacement's reload is owed as well: it is, whatever came of this one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
    /// On whose behalf.
    #[serde(flatten)]
    pub owner: Owner,
    /// What stood there when a reload last succeeded, where that is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved: Option<SavedCopy>,
    /// The round since which something else stands there.
    #[serde(default)]
    pub since: u64,
    /// What stood there last, where a reload under way may prove it. The reload ends with the agent.
    #[serde(skip)]
    pub candidate: Option<Candidate>,
    /// Its own reload has succeeded with it as it stands; others of its unit are waited for.
    #[serde(skip)]
    pub is_reloaded: bool,
}

/// All that is needed to overwrite a file once more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overwrite {
    /// The file in which the new bytes wait until the whole of them is in place.
    #[serde(with = "path_encoding")]
    pub staged: PathBuf,
    /// What else it gets.
    #[serde(flatten)]
    pub configured: ModeAndOwner,
}

/// What is configured of a file's mode and owners; what is not stays as the file has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModeAndOwner {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<u32>,
}

/// On whose behalf a file is replaced, as far as that is needed without the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The template's name.
    pub template: Arc<str>,
    /// The reload that a replacement owes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owed: Option<ReloadSpec>,
    /// The files with which this one is replaced as a whole, by their unit's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Arc<str>>,
    /// What stands there is kept until the reload has succeeded.
    #[serde(skip)]
    pub saves: bool,
    /// The file becomes what it was before its reload failed: there is nothing older to go back to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub back: bool,
}

/// All that is needed to run a reload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadSpec {
    reload: Action,
    timeout: Duration,
    interval: Duration,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retries: Option<u32>,
    /// Action long a host's place in the spread of a fleet may defer it.
    #[serde(default, skip_serializing_if = "Duration::is_zero")]
    splay: Duration,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    env: BTreeMap<String, String>,
    /// What proves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    verify: Option<VerifySpec>,
    /// The key whose file it is, of a template with `each`.
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
    /// A template as it is now.
    pub fn new(template: &TemplateConfig) -> Self {
        let owed = template.reload.as_ref().and_then(Action::new).map(|reload| ReloadSpec {
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
        let saves = template.on_reload_failure == OnReloadFailure::Rollback;
        Self { template: Arc::clone(&template.name), owed, unit: template.unit.clone(), saves, back: false }
    }

    /// The same for what is not known any more, other than that its reload is owed.
    pub fn pending_entry(self, dest: PathBuf) -> Entry {
        Entry {
            dest,
            seq: 0,
            old: None,
            new: None,
            staged: None,
            over: None,
            follows: false,
            again: true,
            owner: self,
            saved: None,
            since: 0,
            candidate: None,
            is_reloaded: false,
        }
    }

    /// Its part of a destination.
    pub fn key(&self, dest: &Path) -> Key {
        Key { dest: dest.to_owned(), template: Arc::clone(&self.template) }
    }

    /// Whether all its replacements are noted.
    pub fn is_recorded(&self) -> bool {
        self.owed.is_some() || self.unit.is_some()
    }
}

impl Entry {
    /// What it is an entry for.
    pub fn key(&self) -> Key {
        self.owner.key(&self.dest)
    }

    /// The copies that it needs.
    pub fn copies(&self) -> impl Iterator<Item = &SavedCopy> {
        self.saved.iter().chain(self.candidate.as_ref().map(Candidate::copy))
    }

    /// The name of the file that is to take the destination's place, or to overwrite it.
    #[must_use]
    pub fn staged_name(&self) -> Option<&OsStr> {
        match (&self.over, &self.staged) {
            (Some(over), _) => over.staged.file_name(),
            (None, name) => name.as_deref().map(OsStr::new),
        }
    }

    /// A template by which its reload can be run, whatever the configuration says by now; `None` where none is owed.
    #[must_use]
    pub fn reload_template(&self) -> Option<TemplateConfig> {
        let owed = self.owner.owed.as_ref()?;
        let each = owed.of.as_ref().map(|of| Each {
            key: Some(Arc::clone(&of.key)),
            // What would become of it is no matter of its reload.
            ..Each::new(&of.template, &of.roster, OnGone::Keep)
        });
        let goes_back = self.saved.is_some() && !self.owner.back;
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

    /// As much of a template as it takes to find its destination and to write there.
    #[must_use]
    pub fn bare_template(&self) -> TemplateConfig {
        let mut template = TemplateConfig::new(&self.owner.template, "", &self.dest);
        if self.follows {
            template.placing.symlink = Symlink::Follow;
        }
        if self.over.is_some() {
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
    /// `None` for the program that the agent runs: the next agent starts it anew, with the files that are there then.
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
