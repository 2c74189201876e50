//! The request for a pass, and its result.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::config::flags::duration;
use crate::decide::event::seconds;
use crate::decide::{Event, Outcome};
use crate::error::Exit;
use crate::log::emit;

/// The options of `render` and `diff`.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools)] // They are the command line's flags.
pub struct PassRequest {
    /// The templates to render [default: all]
    pub names: Vec<String>,
    /// How long to wait for the rosters and keys that the templates need
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub timeout: Duration,
    /// If the registry is unreachable, use saved rosters and keys that are at most this old
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub max_stale: Option<Duration>,
    /// Do not write any file or run any command
    #[arg(long, visible_alias = "noop")]
    pub dry_run: bool,
    /// Print a unified diff of the changes
    #[arg(long)]
    pub diff: bool,
    /// Do not run reload commands
    #[arg(long)]
    pub no_reload: bool,
    /// Exit with code 2 if any file was or would be changed
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Exit with code 0 instead of 3 if a roster or key is held
    #[arg(long)]
    pub held_ok: bool,
}

impl PassRequest {
    /// A pass that only compares.
    pub fn dry_run(names: Vec<String>, timeout: Duration) -> Self {
        Self {
            names,
            timeout,
            max_stale: None,
            dry_run: true,
            diff: false,
            no_reload: true,
            detailed_exitcode: false,
            held_ok: false,
        }
    }

    /// Whether reloads follow replacements.
    pub fn reloads(&self) -> bool {
        !self.dry_run && !self.no_reload
    }
}

/// The result of a pass.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassReport {
    /// The exit code of the most serious result.
    pub exit: Exit,
    /// The unified diff; empty if none was requested.
    pub diff: String,
    /// Each file: its template, its destination, and its result.
    pub files: Vec<(Arc<str>, PathBuf, FileResult)>,
    /// The templates whose files would be written, and whose check was not run.
    pub unchecked: Vec<Arc<str>>,
    /// Each hold: the roster or key, its path, the reason, and the number of members that are kept.
    pub holds: Vec<(Arc<str>, String, String, Option<usize>)>,
    /// Each reload that is still pending: the command, the templates, and its last error.
    pub owed: Vec<(String, Vec<Arc<str>>, Option<String>)>,
}

/// The result of one file in a pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileResult {
    /// Its publication ended.
    Published(Outcome),
    /// These rosters and keys never had a known-good view.
    Held(BTreeSet<Arc<str>>),
    /// The file of a key was requested, and the key does not exist.
    NoKey,
    /// Rosters and keys could not be read.
    Unreached {
        /// Each with the age of its saved members, if known.
        known: BTreeMap<Arc<str>, Option<Duration>>,
        /// Because of a failure that a retry does not mend, instead of for lack of time.
        is_final: bool,
    },
    /// It did not finish in time.
    Late,
    /// Replacements were paused during the pass.
    Paused,
    /// The file is pinned to a generation.
    Pinned,
}

impl FileResult {
    /// The exit code for this result. Holds are not considered, because `--held-ok` can ignore them.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Published(Outcome::Failed(_) | Outcome::Abandoned) | Self::Late => Exit::Failed,
            Self::Published(_) | Self::Held(_) => Exit::Done,
            Self::NoKey | Self::Paused | Self::Pinned => Exit::Held,
            Self::Unreached { .. } => Exit::Unreached,
        }
    }
}

impl PassReport {
    /// Logs it, except for what the engine of this process has logged.
    pub fn log(&self, request: &PassRequest, by_agent: bool) {
        let (limit_s, is_logged) = (seconds(request.timeout), !by_agent);
        for (template, dest, result) in self.files.iter().cloned() {
            match result {
                FileResult::Published(_) | FileResult::Held(_) if is_logged => {}
                FileResult::Published(outcome) => emit(outcome.event(template, dest, None)),
                FileResult::Held(needs) => {
                    emit(Event::TemplateWaiting { template, needs: needs.into_iter().collect() });
                }
                FileResult::NoKey => {
                    let (each, key) = template.trim_end_matches(']').split_once('[').unwrap_or((&template, ""));
                    emit(Event::KeyMissing { template: Arc::from(each), key: key.to_owned() });
                }
                FileResult::Unreached { known, is_final } => {
                    emit(if is_final {
                        Event::RegistryUnusable { template: Arc::clone(&template) }
                    } else {
                        Event::RegistryTimedOut { template: Arc::clone(&template), limit_s }
                    });
                    for (roster, age) in known {
                        let Some(max) = request.max_stale.map(humantime::format_duration) else { continue };
                        let reason = match age.map(|age| age.as_secs()) {
                            Some(age) => {
                                format!("saved members of {roster} are {age} s old; the maximum is {max} (--max-stale)")
                            }
                            None => format!("{roster} has no saved members, or their age is unknown"),
                        };
                        emit(Event::StaleRefused { template: Arc::clone(&template), roster, reason });
                    }
                }
                FileResult::Late => emit(Event::TemplateTimedOut { template, limit_s }),
                FileResult::Paused => emit(Event::WritePaused { template, dest }),
                FileResult::Pinned => emit(Event::WritePinned { template, dest }),
            }
        }
        if !self.unchecked.is_empty() {
            emit(Event::ChecksNotRun { templates: self.unchecked.clone() });
        }
        for (roster, path, reason, kept) in self.holds.iter().filter(|_| by_agent).cloned() {
            emit(Event::RosterHeld { roster, path, reason, kept });
        }
        for (command, templates, failed) in self.owed.iter().cloned() {
            if let Some(reason) = failed.filter(|_| by_agent) {
                let (command, templates) = (command.clone(), templates.clone());
                emit(Event::ReloadFailed { command, templates, reason, took_ms: None, retry_in_s: None });
            }
            emit(Event::PassReloadPending { command, templates });
        }
    }
}
