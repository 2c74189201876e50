//! Files that are not known to be up to date in this run. The first start of the program waits for them.

use std::path::PathBuf;
use std::sync::Arc;

use super::Engine;
use crate::decide::template::Template;

/// A template whose file is not known to be up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotReady {
    /// Its name.
    pub template: Arc<str>,
    /// The existing file, if the program can start with it: replacements are paused, or everything that the template
    /// lacks is in an unreachable registry.
    pub existing_file: Option<PathBuf>,
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

    fn not_ready_of(&self, template: &Template) -> NotReady {
        let config = &template.plan().config;
        let missing = template.missing(&self.rosters, &self.keys);
        let is_away = |name: &Arc<str>| {
            let roster = self.rosters.get(name).map(|roster| &roster.config().registry);
            let key = self.keys.get(name).map(|key| &key.config().registry);
            roster.or(key).is_some_and(|registry| self.unreachable.contains_key(registry))
        };
        let is_left = self.paused.is_some() || (!missing.is_empty() && missing.iter().all(is_away));
        let existing_file =
            (is_left && config.pattern().is_none() && !template.is_in_flight()).then(|| config.dest.clone());
        NotReady { template: Arc::clone(&config.name), existing_file }
    }
}
