//! Files that are not known to be up to date in this run. The first start of the program waits for them.

use std::path::PathBuf;
use std::sync::Arc;

use super::Engine;
use crate::decide::roster::Roster;
use crate::decide::template::Template;

/// A template whose file is not known to be up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotReady {
    /// Its name.
    pub template: Arc<str>,
    /// The existing file, if the program can start with it: replacements are paused, or everything that the template
    /// lacks is in an unreachable registry.
    pub existing_file: Option<PathBuf>,
    /// Why the file cannot be brought up to date; `None` while that is in progress.
    pub reason: Option<String>,
}

impl Engine {
    /// The templates whose files are not known to be up to date.
    pub fn not_ready(&self) -> Vec<NotReady> {
        self.templates.values().filter(|template| self.is_not_ready(template)).map(|it| self.not_ready_of(it)).collect()
    }

    fn is_not_ready(&self, template: &Template) -> bool {
        if template.plan().config.pattern().is_some() {
            // Its files have templates of their own, once the keys are known.
            return !template.missing(&self.rosters, &self.keys).is_empty();
        }
        !template.is_removing() && (template.rendered().is_none() || template.is_in_flight())
    }

    /// Why a template's file cannot be brought up to date. `missing` has no known-good view.
    fn not_ready_because(
        &self,
        template: &Template,
        missing: Option<&Arc<str>>,
        is_away: impl Fn(&Arc<str>) -> bool,
    ) -> Option<String> {
        if self.paused.is_some() {
            return Some("replacements are paused".to_owned());
        }
        if let Some(name) = missing {
            let is_held = self.rosters.get(name).is_some_and(Roster::is_held)
                || self.keys.get(name).is_some_and(|key| key.hold().is_some());
            let why = if is_away(name) { "its registry is unreachable" } else { "it is held" };
            return (is_away(name) || is_held).then(|| format!("{name} has no known-good data yet: {why}"));
        }
        template.failure().map(|failure| failure.stage.describe().to_owned())
    }

    fn not_ready_of(&self, template: &Template) -> NotReady {
        let config = &template.plan().config;
        let missing = template.missing(&self.rosters, &self.keys);
        let is_away = |name: &Arc<str>| self.unreachable_of(name).is_some();
        let is_left = self.paused.is_some() || (!missing.is_empty() && missing.iter().all(is_away));
        let existing_file =
            (is_left && config.pattern().is_none() && !template.is_in_flight()).then(|| config.dest.clone());
        let reason = self.not_ready_because(template, missing.first(), is_away);
        NotReady { template: Arc::clone(&config.name), existing_file, reason }
    }
}
