//! Facts into log lines: constant messages, values as fields, and `why` in plain words.

use std::sync::Arc;
use std::time::Duration;

use tracing::{error, info, warn};

use crate::config::{Config, OnDrift, TemplateConfig};
use crate::decide::{Notice, Outcome, Plan, Stage};
use crate::log::{MAX_FIELD, cut};
use crate::status::field;

/// What is odd in a configuration, and not wrong.
pub fn odd(warnings: &[String]) {
    for why in warnings {
        warn!(%why, "odd configuration");
    }
}

/// What a HUP brought.
pub fn changed(changes: &[String]) {
    for why in changes {
        info!(%why, "configuration changed");
    }
    if changes.is_empty() {
        info!("configuration read again, nothing in it has changed");
    }
}

/// What is watched, and which files are kept in step with it.
pub fn watching(config: &Config, plan: &Plan) {
    for roster in &plan.rosters {
        let (subject, bounds) = (&roster.config.subject, roster.config.bounds);
        let max = bounds.max().map_or_else(|| "none".to_owned(), |max| max.to_string());
        let roster_name = &*roster.config.name;
        info!(why = %format_args!("{subject} on {}", roster.origin), roster = roster_name, min = bounds.min(), max, "watching");
    }
    for key in &plan.keys {
        info!(why = %format_args!("{} on {}", key.config.path, key.origin), key = &*key.config.name, "watching");
    }
    for template in &config.templates {
        info!(why = %template.dest.display(), template = &*template.name, "keeping in step");
    }
}

/// What became of a publication. Failures are the engine's to tell, because it knows when they are tried again.
pub fn published(template: &Arc<TemplateConfig>, outcome: &Outcome) {
    let (why, template) = (template.dest.display(), &*template.name);
    match outcome {
        Outcome::Replaced => info!(%why, template, "wrote"),
        Outcome::Unchanged => info!(%why, template, "unchanged"),
        Outcome::WouldReplace => info!(%why, template, "would write"),
        Outcome::Removed => info!(%why, template, "removed"),
        Outcome::WouldRemove => info!(%why, template, "would remove"),
        Outcome::Abandoned => warn!(%why, template, "not written, because the agent is stopping"),
        Outcome::Failed(_) => {}
    }
}

/// What the engine has to say.
pub fn notice(notice: &Notice) {
    match notice {
        Notice::Holding { roster, why, kept } => {
            let kept = match kept {
                Some(count) => format!("the last good {count} stand"),
                None => "no good view yet, so nothing is written from it".to_owned(),
            };
            // A key's name is in it, which others have written.
            warn!(why = %cut(why, MAX_FIELD), roster = &**roster, kept, "holding");
        }
        Notice::Released { roster, path } => {
            info!(why = %cut(path, MAX_FIELD), roster = &**roster, "no longer holding");
        }
        Notice::Chosen { roster, path, format } => {
            info!(why = %format_args!("{} as {format}", field(path.as_str())), roster = &**roster, "reading");
        }
        Notice::Quarantined { roster, path, why } => {
            warn!(why = %format_args!("{}: {why}", field(path.as_str())), roster = &**roster, "left out");
        }
        Notice::NoFile { template, key, why } => {
            let why = format!("{} names no file: {why}", field(key));
            warn!(%why, template = &**template, "key left out");
        }
        Notice::Away { registry, why } => {
            warn!(%why, registry = &**registry, "registry not reached, files stay as they are");
        }
        Notice::Stale { roster, path, age } => {
            let age = age.map_or_else(|| "of unknown age".to_owned(), |age| format!("{} s old", age.as_secs()));
            warn!(why = %format_args!("what was last good of {path} stands in, {age}"), roster = &**roster, "stale");
        }
        Notice::Back { registry } => info!(registry = &**registry, "registry reached again"),
        Notice::PauseOver => info!("the pause is over, files are replaced again"),
        Notice::Waiting { template, needs } => {
            let why = format!("no good view yet of {}", needs.join(", "));
            info!(%why, template = &**template, "waiting");
        }
        Notice::Failed { template, failure, again } => {
            let (why, template, again) = (&failure.message, &**template, pause(*again));
            match failure.stage {
                Stage::Render => error!(%why, template, "cannot render, the file stays as it is"),
                Stage::Write | Stage::Changed => error!(%why, template, again, "cannot write, the file stays as it is"),
                Stage::Check | Stage::Refused => error!(%why, template, again, "check failed, the file stays as it is"),
                Stage::Rollback => warn!(%why, template, "not tried again, the file stays as it is"),
                Stage::Unit => warn!(%why, template, "the file stays as it is"),
            }
        }
        Notice::RolledBack { templates, why } => {
            error!(%why, templates = templates.join(","), "rolled back, the files from before stand again");
        }
        Notice::PutRight { templates } => {
            warn!(templates = templates.join(","), "put right, the files that were rolled back to stand again");
        }
        Notice::NotRolledBack { why } => error!(%why, "cannot roll back, the files stay as they are"),
        Notice::Refused { template, spot, why } => {
            warn!(why = %format_args!("{}: {why}", field(&spot.to_string())), template = &**template, "left out, the check refuses it");
        }
        Notice::TriedAgain { template, spot } => {
            info!(why = %field(&spot.to_string()), template = &**template, "changed, and tried again");
        }
        Notice::PassesNow { template, spot } => {
            info!(why = %field(&spot.to_string()), template = &**template, "served again, the check takes it now");
        }
        Notice::Drifted { template, dest, what, on_drift, disputed } => {
            let (why, template) = (format!("{}: {what}", dest.display()), &**template);
            match (on_drift, disputed) {
                (OnDrift::Correct, None) => warn!(%why, template, "changed by somebody else, it is put right"),
                (OnDrift::Correct, Some((times, wait))) => {
                    let why = format!("{why}; put right {times} times of late: is another tool writing it?");
                    warn!(%why, template, again = pause(Some(*wait)), "changed by somebody else again, it has to wait");
                }
                (OnDrift::Report, _) => warn!(%why, template, "changed by somebody else, it is left so"),
            }
        }
        Notice::InStep { template, dest } => {
            let why = format!("{}: it is as it was left", dest.display());
            info!(%why, template = &**template, "in step again, by somebody else");
        }
        Notice::ReloadFailed { reload, why, again } => {
            error!(%why, reload, again = pause(*again), "reload failed, and is still owed");
        }
    }
}

/// When something is tried again, in words.
pub fn pause(again: Option<Duration>) -> String {
    match again {
        Some(pause) => format!(
            "in {}",
            humantime::format_duration(Duration::from_secs(
                pause.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX).max(1)
            ))
        ),
        None => "after a change".to_owned(),
    }
}
