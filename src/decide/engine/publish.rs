//! Which templates are rendered now, which of them together, and the results.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::config::Reload;
use crate::decide::event::Event;
use crate::decide::in_flight::PublicationId;
use crate::decide::moment::Moment;
use crate::decide::publication::{Group, Outcome, Publication, Snapshot, Stage};
use crate::decide::template::Template;

use super::{Effect, Engine, RunMode};

impl Engine {
    /// Begins the publications that are due. Templates with the same reload are grouped. A unit is published as a whole
    /// or not at all.
    pub fn publish(&mut self, now: Moment, events: &mut Vec<Event>) -> Vec<Effect> {
        if self.stopping || self.paused.is_some() {
            return Vec::new();
        }
        self.in_flight.next_batch();
        let (mut single, mut units) = (Vec::new(), BTreeSet::new());
        for (name, template) in self.templates.iter().filter(|(_, template)| template.is_due(now)) {
            match &template.plan().config.unit {
                Some(unit) => _ = units.insert(Arc::clone(unit)),
                None => single.push(Arc::clone(name)),
            }
        }
        let mut groups: Vec<Group> = Vec::new();
        let mut by_reload: BTreeMap<Reload, usize> = BTreeMap::new();
        for publication in single.iter().filter_map(|name| self.begin_single(now, name, events)) {
            let reload = publication.template.reload.clone();
            let known = reload.as_ref().and_then(|reload| by_reload.get(reload).copied());
            if let Some(group) = known.and_then(|at| groups.get_mut(at)) {
                group.publications.push(publication);
            } else {
                by_reload.extend(reload.map(|reload| (reload, groups.len())));
                groups.push(Group { publications: vec![publication], unit: None });
            }
        }
        groups.extend(units.iter().filter_map(|unit| self.begin_unit(now, unit, events)));
        groups.into_iter().map(Effect::Publish).collect()
    }

    fn begin_single(&mut self, now: Moment, name: &Arc<str>, events: &mut Vec<Event>) -> Option<Publication> {
        let template = self.templates.get_mut(name)?;
        if self.in_flight.is_busy(&template.plan().config.dest) {
            return None;
        }
        let snapshot = template.ready(now, &self.rosters, &self.keys, events)?;
        self.begin(name, snapshot)
    }

    /// Begins all templates of a unit if one of them is due, because one file alone can contradict the others. Returns
    /// `None` while one of them is in flight or lacks a known-good view.
    fn begin_unit(&mut self, now: Moment, unit: &Arc<str>, events: &mut Vec<Event>) -> Option<Group> {
        let (rosters, keys, in_flight) = (&self.rosters, &self.keys, &self.in_flight);
        let of_unit = |template: &Template| template.plan().config.unit.as_ref() == Some(unit);
        let is_busy =
            |it: &Template| it.is_in_flight() || it.is_searching() || in_flight.is_busy(&it.plan().config.dest);
        let busy = self.templates.values().any(|template| of_unit(template) && is_busy(template))
            || self.is_partly_pinned(unit);
        let mut snapshots = Vec::new();
        for (name, template) in self.templates.iter_mut().filter(|(_, template)| of_unit(template)) {
            template.requeue_if_due(now);
            if !busy {
                template.queue_with_unit();
                snapshots.push((Arc::clone(name), template.ready(now, rosters, keys, events)));
            }
        }
        if busy || snapshots.iter().any(|(_, snapshot)| snapshot.is_none()) {
            return None;
        }
        let publications = snapshots.into_iter().filter_map(|(name, snapshot)| self.begin(&name, snapshot?));
        Some(Group { publications: publications.collect(), unit: Some(Arc::clone(unit)) })
    }

    fn begin(&mut self, name: &Arc<str>, snapshot: Snapshot) -> Option<Publication> {
        let views = self.view_versions(self.templates.get(name)?);
        let template = self.templates.get_mut(name)?;
        let config = Arc::clone(&template.plan().config);
        let no_reload = self.without_reload.remove(name);
        let id = self.in_flight.begin(&config, no_reload);
        let pinned = template.begin(id);
        let (remove, views) = match pinned {
            Some(_) => (false, Vec::new()),
            None => (template.is_removing(), views),
        };
        Some(Publication { id, template: config, snapshot, remove, no_reload, pinned, views })
    }

    pub fn published(&mut self, now: Moment, id: PublicationId, outcome: Outcome, events: &mut Vec<Event>) {
        let Some(ended) = self.in_flight.end(id) else {
            return;
        };
        self.pending_reloads.values_mut().for_each(|pending| pending.publication_ended(id));
        let replaced = matches!(outcome, Outcome::Replaced | Outcome::Removed) && !ended.no_reload;
        // If the configuration has changed since, its current reload applies. If the template is gone, its former one
        // does.
        let mut config = Arc::clone(&ended.config);
        let refused = matches!(&outcome, Outcome::Failed(it) if matches!(it.stage, Stage::Rollback | Stage::Unit));
        if let Some(template) = self.templates.get_mut(&config.name) {
            template.end(now, id, outcome, self.mode == RunMode::Continuous, events);
            if template.plan().config.dest == config.dest {
                config = Arc::clone(&template.plan().config);
            }
        }
        self.drop_removed_file(&config.name);
        if let (true, Some(reload)) = (replaced, &config.reload) {
            let in_batch = self.in_flight.in_batch(&ended, reload);
            self.add_pending_reload(now, &config, in_batch);
        }
        self.settle_rollback(&config.name, events);
        // The last publication of a unit to end can be one that had nothing to replace.
        if refused || config.unit.is_some() {
            self.reapply_rollback(&config);
        }
    }

    /// The templates of a template's unit, itself included.
    pub fn unit_templates<'a>(&'a self, template: &'a Template) -> impl Iterator<Item = &'a Template> {
        let config = &template.plan().config;
        // Most templates have no unit, and there can be hundreds of them.
        let all = config.unit.as_ref().map(|unit| self.templates.values().map(move |other| (unit, other)));
        let others = all.into_iter().flatten().filter_map(move |(unit, other)| {
            let its = &other.plan().config;
            (its.unit.as_ref() == Some(unit) && its.name != config.name).then_some(other)
        });
        std::iter::once(template).chain(others)
    }
}
