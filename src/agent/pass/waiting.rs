//! What a pass waits for, in words.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Job, Passes};
use crate::decide::pending_reload::PendingReload;
use crate::decide::template_readiness::{Readiness, readiness};
use crate::decide::{Engine, Moment};

impl Passes {
    /// The paths, templates and reloads that are waited for.
    pub fn waiting_for(&self, engine: &Engine, now: Moment) -> String {
        let mut all = BTreeSet::new();
        for (name, job) in self.passes.iter().flat_map(|pass| &pass.jobs) {
            match (job, engine.templates().get(name)) {
                (Job::Waiting, Some(template)) => match readiness(engine, template, now, |_, _| false) {
                    Readiness::Unreached(known) => all.extend(known.keys().map(|name| path(engine, name))),
                    _ => _ = all.insert(format!("changes to settle for {name}")),
                },
                (Job::Waiting | Job::Requested | Job::InFlight(_) | Job::Refused(_), _) => {
                    all.insert(format!("template {name}"));
                }
                (Job::Split | Job::Ended(_), _) => {}
            }
        }
        let reloads = engine.pending_reloads().iter().filter(|(_, pending)| PendingReload::will_run(pending));
        all.extend(reloads.map(|(reload, _)| format!("reload {reload}")));
        all.into_iter().collect::<Vec<_>>().join(", ")
    }
}

/// The path of a roster or key.
fn path(engine: &Engine, name: &Arc<str>) -> String {
    let roster = engine.rosters().get(name).map(|roster| roster.config().subject.to_string());
    let key = engine.keys().get(name).map(|key| key.config().subject.to_string());
    roster.or(key).unwrap_or_else(|| name.to_string())
}
