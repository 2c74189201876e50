//! State that survives connections and restarts: what is saved, and when saved members are used.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Engine, RunMode};
use crate::decide::event::Event;
use crate::decide::moment::Moment;
use crate::decide::saved::SavedUpdate;
use crate::model::node_path::Subject;
use crate::model::registry_event::View;

impl Engine {
    /// How long ago each roster and key was last confirmed: zero while it is fresh. Unknown ages are left out.
    pub fn ages(&self, now: Moment) -> BTreeMap<Arc<str>, Duration> {
        let rosters = self.rosters.iter().map(|(name, roster)| (name, roster.age(now)));
        let keys = self.keys.iter().map(|(name, key)| (name, key.age(now)));
        rosters.chain(keys).filter_map(|(name, age)| Some((Arc::clone(name), age?))).collect()
    }

    /// Accepts the current views of a roster that only the loss of members holds. Returns their paths. The next step
    /// evaluates them.
    pub fn accept(&mut self, now: Moment, roster: &str) -> Vec<String> {
        self.rosters.get_mut(roster).map(|roster| roster.accept(now)).unwrap_or_default()
    }

    /// The views of a registry may be out of date until they are read again.
    pub fn invalidate_views(&mut self, now: Moment, registry: &Arc<str>) {
        self.views.invalidate(now, registry);
        self.rosters
            .values_mut()
            .filter(|roster| roster.config().registry == *registry)
            .for_each(|it| it.connection_lost(now));
        self.keys.values_mut().filter(|key| key.config().registry == *registry).for_each(|it| it.connection_lost(now));
    }

    /// Uses saved members of registries that cannot be reached. A single pass waits for the registry first, unless it
    /// would wait in vain.
    pub fn use_saved_for_unreachable(&mut self, now: Moment, events: &mut Vec<Event>) {
        let (is_continuous, max) = match self.mode {
            RunMode::Continuous => (true, None),
            RunMode::Once { max_stale: Some(max) } => (false, Some(max)),
            RunMode::Once { max_stale: None } => return,
        };
        let unreachable = self.unreachable.clone();
        let is_wanted = |registry: &Arc<str>| unreachable.get(registry).is_some_and(|it| is_continuous || it.is_final);
        self.use_saved_where(now, max, is_wanted, events);
    }

    /// Uses saved members, at most `max` old, of everything that was never read.
    pub fn use_saved(&mut self, now: Moment, max: Option<Duration>, events: &mut Vec<Event>) {
        self.use_saved_where(now, max, |_| true, events);
    }

    fn use_saved_where(
        &mut self,
        now: Moment,
        max: Option<Duration>,
        wanted: impl Fn(&Arc<str>) -> bool,
        events: &mut Vec<Event>,
    ) {
        let mut stale = Vec::new();
        for (name, roster) in &mut self.rosters {
            if wanted(&roster.config().registry) && roster.use_saved(now, max) {
                stale.push((Arc::clone(name), true, roster.config().subject.to_string(), roster.age(now)));
            }
        }
        for (name, key) in &mut self.keys {
            if wanted(&key.config().registry) && key.use_saved(now, max) {
                stale.push((Arc::clone(name), false, key.config().subject.to_string(), key.age(now)));
            }
        }
        for (name, is_roster, path, age) in stale {
            self.queue_dependents(&name, is_roster);
            events.push(Event::RosterStale { roster: name, path, age_s: age.map(|age| age.as_secs()) });
        }
    }

    /// Updates the keys of a subject that was read.
    pub fn update_keys(
        &mut self,
        now: Moment,
        registry: &Arc<str>,
        subject: &Subject,
        view: &View,
        events: &mut Vec<Event>,
    ) {
        let mut changed = Vec::new();
        for (name, key) in &mut self.keys {
            if key.config().registry == *registry && key.config().subject == *subject {
                if key.reset(now, view, events) {
                    changed.push(Arc::clone(name));
                }
                let url = self.origins.get(registry).map(|url| &**url).unwrap_or_default();
                self.unsaved.extend(key.take_saved_update(url));
            }
        }
        for name in changed {
            self.queue_dependents(&name, false);
        }
        self.drop_superseded();
    }

    /// Saves the admitted views of a roster.
    pub fn save_roster(&mut self, name: &Arc<str>) {
        if let Some(roster) = self.rosters.get_mut(name) {
            let config = Arc::clone(roster.config());
            let url = self.origins.get(&config.registry).map(|url| &**url).unwrap_or_default();
            let view = self.views.view(&(Arc::clone(&config.registry), config.subject.clone()));
            self.unsaved.extend(roster.take_saved_update(url, view.map(|(view, _)| view)));
        }
        self.drop_superseded();
    }

    /// Drops what an earlier run saved and this run has saved again.
    fn drop_superseded(&mut self) {
        for SavedUpdate { name, .. } in &self.unsaved {
            self.saved.remove(name);
        }
    }
}
