//! A new configuration: what is known of what stays is kept, and the rest begins anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Engine;
use crate::config::{KeyConfig, Reload, RosterConfig, TemplateConfig};
use crate::decide::event::Event;
use crate::decide::key::Key;
use crate::decide::moment::Moment;
use crate::decide::pending_reload::{PendingReload, Terms};
use crate::decide::plan::{Followed, Plan};
use crate::decide::roster::Roster;
use crate::decide::splay::Share;
use crate::decide::template::Template;
use crate::decide::view_cache::Place;
use crate::model::node_path::Subject;
use crate::model::registry_event::View;

impl Engine {
    pub fn configure(&mut self, now: Moment, plan: Plan, events: &mut Vec<Event>) {
        let origins: BTreeMap<Arc<str>, Arc<str>> = plan
            .rosters
            .iter()
            .map(|roster| (&roster.config.registry, &roster.origin))
            .chain(plan.keys.iter().map(|key| (&key.config.registry, &key.origin)))
            .map(|(registry, origin)| (Arc::clone(registry), Arc::clone(origin)))
            .collect();
        self.places = places(&plan);
        // What was seen at another url says nothing about this one.
        let moved = |registry: &Arc<str>| self.origins.get(registry) != origins.get(registry);
        let places = &self.places;
        self.sights.keep(|place| places.contains(place) && !moved(&place.0));
        let mut rosters: BTreeMap<_, _> = std::mem::take(&mut self.rosters);
        rosters.retain(|_, roster| !moved(&roster.config().registry));
        let mut keys: BTreeMap<_, _> = std::mem::take(&mut self.keys);
        keys.retain(|_, key| !moved(&key.config().registry));
        self.away.retain(|registry, _| origins.contains_key(registry) && !moved(registry));
        self.origins = origins;
        self.rosters = plan.rosters.iter().map(|roster| self.take_on_roster(now, &mut rosters, roster)).collect();
        self.keys = plan.keys.iter().map(|key| self.take_on_key(now, &mut keys, key, events)).collect();
        let mut templates = std::mem::take(&mut self.templates);
        for planned in self.take_on_patterns(plan.templates) {
            let name = Arc::clone(&planned.config.name);
            let template = match templates.remove(&name) {
                Some(mut template) => {
                    template.replan(planned);
                    self.quiet.remove(&name);
                    template
                }
                None => Template::new(planned),
            };
            self.templates.insert(name, template);
        }
        self.take_on_files(templates);
        for owed in std::mem::take(&mut self.inherited) {
            self.owe(now, &owed, BTreeSet::new());
        }
        self.set_terms();
        self.rehome(now);
        self.stand_in_for_away(now, events);
    }

    fn take_on_roster(
        &self,
        now: Moment,
        known: &mut BTreeMap<Arc<str>, Roster>,
        planned: &Followed<RosterConfig>,
    ) -> (Arc<str>, Roster) {
        let config = &planned.config;
        let place: Place = (Arc::clone(&config.registry), config.subject.clone());
        let same = |roster: &Roster| {
            // What is only remembered is remembered again, and judged by the configuration as it is.
            (roster.is_seen() || roster.config() == config)
                && (&roster.config().registry, &roster.config().subject) == (&config.registry, &config.subject)
        };
        let view = self.sights.view(&place);
        let roster = if let Some(mut roster) = known.remove(&config.name).filter(same) {
            let reread = roster.config().payload != config.payload || roster.config().filter != config.filter;
            roster.reconfigure(now, Arc::clone(config));
            if let (true, Some((view, versions))) = (reread, view) {
                roster.reset(now, view, versions);
            }
            roster
        } else {
            let recalled = self.recalled.get(&config.name);
            let mut roster = Roster::new(Arc::clone(config), recalled, &planned.origin, &self.host);
            if let Some((view, versions)) = view {
                roster.reset(now, view, versions);
            }
            roster
        };
        (Arc::clone(&config.name), roster)
    }

    fn take_on_key(
        &self,
        now: Moment,
        known: &mut BTreeMap<Arc<str>, Key>,
        planned: &Followed<KeyConfig>,
        events: &mut Vec<Event>,
    ) -> (Arc<str>, Key) {
        let config = &planned.config;
        let key = known.remove(&config.name).filter(|key| key.config() == config).unwrap_or_else(|| {
            let mut key = Key::new(Arc::clone(config), self.recalled.get(&config.name), &planned.origin);
            let place: Place = (Arc::clone(&config.registry), Subject::Node(config.path.clone()));
            if let Some((View::Node(seen), _)) = self.sights.view(&place) {
                key.reset(now, seen, events);
            }
            key
        });
        (Arc::clone(&config.name), key)
    }

    /// Templates that share a reload share its debt, on the most cautious terms of them all.
    fn set_terms(&mut self) {
        let mut terms: BTreeMap<&Reload, Terms> = BTreeMap::new();
        for config in self.templates.values().map(|template| &template.plan().config) {
            let Some(reload) = &config.reload else {
                continue;
            };
            let own = Terms::of(config);
            terms.entry(reload).and_modify(|shared| *shared = shared.with(own)).or_insert(own);
        }
        for (reload, terms) in terms {
            let debt = || PendingReload::new(terms, Share::of(&self.host, reload));
            self.debts.entry(reload.clone()).or_insert_with(debt).set_terms(terms);
        }
        // A debt outlives the template that made it.
        let templates = &self.templates;
        self.debts.retain(|reload, debt| {
            let named = templates.values().any(|template| template.plan().config.reload.as_ref() == Some(reload));
            debt.is_owed() || named
        });
    }

    /// Reloads that the templates of a new configuration owe by another command, or none, are theirs to run.
    pub fn rehome(&mut self, now: Moment) {
        let (templates, spread) = (&self.templates, &self.spread);
        let present = |owed: &TemplateConfig| {
            let known = templates.get(&owed.name).map(|template| Arc::clone(&template.plan().config));
            let now = known.or_else(|| spread.file(owed).map(Arc::new))?;
            (now.dest == owed.dest).then_some(now)
        };
        let moved: Vec<_> = self.debts.values_mut().flat_map(|debt| debt.rehome(present)).collect();
        for config in moved {
            let beside = self.restoring(&config.name);
            self.owe(now, &config, beside);
        }
    }
}

/// Everything that a plan follows.
fn places(plan: &Plan) -> BTreeSet<Place> {
    let rosters = plan.rosters.iter().map(|roster| &roster.config);
    let rosters = rosters.map(|roster| (Arc::clone(&roster.registry), roster.subject.clone()));
    let keys = plan.keys.iter().map(|key| &key.config);
    rosters.chain(keys.map(|key| (Arc::clone(&key.registry), Subject::Node(key.path.clone())))).collect()
}
