//! A new configuration: state that still applies is kept, everything else starts again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Engine;
use crate::config::{KeyConfig, Reload, RosterConfig, TemplateConfig};
use crate::decide::event::Event;
use crate::decide::key::Key;
use crate::decide::moment::Moment;
use crate::decide::pending_reload::{PendingReload, ReloadPolicy};
use crate::decide::plan::{Plan, Planned};
use crate::decide::roster::Roster;
use crate::decide::splay::SplayShare;
use crate::decide::template::Template;
use crate::decide::view_cache::ViewKey;

impl Engine {
    pub fn configure(&mut self, now: Moment, plan: Plan, events: &mut Vec<Event>) {
        let origins: BTreeMap<Arc<str>, Arc<str>> = plan
            .rosters
            .iter()
            .map(|roster| (&roster.config.registry, &roster.origin))
            .chain(plan.keys.iter().map(|key| (&key.config.registry, &key.origin)))
            .map(|(registry, origin)| (Arc::clone(registry), Arc::clone(origin)))
            .collect();
        self.subjects = subjects(&plan);
        // Views from another URL do not apply.
        let moved = |registry: &Arc<str>| self.origins.get(registry) != origins.get(registry);
        let subjects = &self.subjects;
        self.views.keep(|place| subjects.contains(place) && !moved(&place.0));
        let mut rosters: BTreeMap<_, _> = std::mem::take(&mut self.rosters);
        rosters.retain(|_, roster| !moved(&roster.config().registry));
        let mut keys: BTreeMap<_, _> = std::mem::take(&mut self.keys);
        keys.retain(|_, key| !moved(&key.config().registry));
        self.unreachable.retain(|registry, _| origins.contains_key(registry) && !moved(registry));
        self.origins = origins;
        self.rosters = plan.rosters.iter().map(|roster| self.carry_over_roster(now, &mut rosters, roster)).collect();
        self.keys = plan.keys.iter().map(|key| self.carry_over_key(now, &mut keys, key, events)).collect();
        let mut templates = std::mem::take(&mut self.templates);
        for planned in self.set_patterns(plan.templates) {
            let name = Arc::clone(&planned.config.name);
            let template = match templates.remove(&name) {
                Some(mut template) => {
                    template.replan(planned);
                    self.without_reload.remove(&name);
                    template
                }
                None => Template::new(planned),
            };
            self.templates.insert(name, template);
        }
        self.carry_over_files(templates);
        self.restore_pins();
        self.cancel_partial_rollbacks(events);
        for owed in std::mem::take(&mut self.inherited_reloads) {
            self.add_pending_reload(now, &owed, BTreeSet::new());
        }
        self.set_policies();
        self.reassign_reloads(now);
        self.use_saved_for_unreachable(now, events);
    }

    fn carry_over_roster(
        &self,
        now: Moment,
        known: &mut BTreeMap<Arc<str>, Roster>,
        planned: &Planned<RosterConfig>,
    ) -> (Arc<str>, Roster) {
        let config = &planned.config;
        let place: ViewKey = (Arc::clone(&config.registry), config.subject.clone());
        let same = |roster: &Roster| {
            // Saved members are read again, with the current configuration.
            (roster.is_seen() || roster.config() == config)
                && (&roster.config().registry, &roster.config().subject) == (&config.registry, &config.subject)
        };
        let view = self.views.view(&place);
        let roster = if let Some(mut roster) = known.remove(&config.name).filter(same) {
            let reread = roster.config().payload != config.payload || roster.config().filter != config.filter;
            roster.reconfigure(now, Arc::clone(config));
            if let (true, Some((view, versions))) = (reread, view) {
                roster.reset(now, view, versions);
            }
            roster
        } else {
            let saved = self.saved.get(&config.name);
            let mut roster = Roster::new(Arc::clone(config), saved, &planned.origin, &self.host);
            if let Some((view, versions)) = view {
                roster.reset(now, view, versions);
            }
            roster
        };
        (Arc::clone(&config.name), roster)
    }

    fn carry_over_key(
        &self,
        now: Moment,
        known: &mut BTreeMap<Arc<str>, Key>,
        planned: &Planned<KeyConfig>,
        events: &mut Vec<Event>,
    ) -> (Arc<str>, Key) {
        let config = &planned.config;
        let key = known.remove(&config.name).filter(|key| key.config() == config).unwrap_or_else(|| {
            let mut key = Key::new(Arc::clone(config), self.saved.get(&config.name), &planned.origin);
            let place: ViewKey = (Arc::clone(&config.registry), config.subject.clone());
            if let Some((view, _)) = self.views.view(&place) {
                key.reset(now, view, events);
            }
            key
        });
        (Arc::clone(&config.name), key)
    }

    /// Templates with the same reload share one pending reload, under the most cautious policy of them all.
    fn set_policies(&mut self) {
        let mut policies: BTreeMap<&Reload, ReloadPolicy> = BTreeMap::new();
        for config in self.templates.values().map(|template| &template.plan().config) {
            let Some(reload) = &config.reload else {
                continue;
            };
            let own = ReloadPolicy::from_template(config);
            policies.entry(reload).and_modify(|shared| *shared = shared.merge(own)).or_insert(own);
        }
        for (reload, policy) in policies {
            let pending = || PendingReload::new(policy, SplayShare::new(&self.host, reload));
            self.pending_reloads.entry(reload.clone()).or_insert_with(pending).set_policy(policy);
        }
        // A pending reload outlives the template that it is for.
        let templates = &self.templates;
        self.pending_reloads.retain(|reload, pending| {
            let named = templates.values().any(|template| template.plan().config.reload.as_ref() == Some(reload));
            pending.is_pending() || named
        });
    }

    /// Moves pending reloads to the commands that the current configuration gives their templates.
    pub fn reassign_reloads(&mut self, now: Moment) {
        let (templates, per_key_files) = (&self.templates, &self.per_key_files);
        let present = |owed: &TemplateConfig| {
            let known = templates.get(&owed.name).map(|template| Arc::clone(&template.plan().config));
            let now = known.or_else(|| per_key_files.file_config(owed).map(Arc::new))?;
            (now.dest == owed.dest).then_some(now)
        };
        let moved: Vec<_> =
            self.pending_reloads.values_mut().flat_map(|pending| pending.take_reassigned(present)).collect();
        for config in moved {
            let in_batch = self.restoring(&config.name);
            self.add_pending_reload(now, &config, in_batch);
        }
    }
}

/// Everything that a plan watches.
fn subjects(plan: &Plan) -> BTreeSet<ViewKey> {
    let rosters = plan.rosters.iter().map(|roster| &roster.config);
    let rosters = rosters.map(|roster| (Arc::clone(&roster.registry), roster.subject.clone()));
    let keys = plan.keys.iter().map(|key| &key.config);
    rosters.chain(keys.map(|key| (Arc::clone(&key.registry), key.subject.clone()))).collect()
}
