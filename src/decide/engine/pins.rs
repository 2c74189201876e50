//! Rollbacks by a person, and the pins that they leave.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Effect, Engine, RunMode};
use crate::decide::event::Event;
use crate::decide::pin::Pins;
use crate::decide::publication::{Failure, Stage, ViewVersion};
use crate::decide::template::Template;

impl Engine {
    /// The pins in force, also of templates that do not exist at present.
    pub fn pins(&self) -> &Pins {
        &self.pins
    }

    /// Restores the pins of the previous run.
    pub fn set_pins(&mut self, pins: Pins) {
        self.pins = pins;
        self.restore_pins();
    }

    /// Pins templates that were created since.
    pub fn restore_pins(&mut self) {
        // A single pass leaves pinned files as they are.
        let publish = self.mode == RunMode::Continuous;
        for (name, pin) in &self.pins {
            if let Some(template) = self.templates.get_mut(name).filter(|template| !template.is_pinned()) {
                template.restore_pin(Arc::clone(pin), publish);
            }
        }
    }

    /// Begins a rollback. The templates are a whole unit, or one without a unit.
    pub fn roll_back(&mut self, pins: Pins) {
        for (name, pin) in pins {
            if let Some(template) = self.templates.get_mut(&name) {
                self.without_reload.remove(&name);
                template.begin_rollback(pin);
            }
        }
    }

    /// Settles the rollback of a template and its unit, once the publications of all of them have ended.
    pub fn settle_rollback(&mut self, name: &Arc<str>, events: &mut Vec<Event>) {
        let Some(template) = self.templates.get(name).filter(|template| template.is_rolling_back()) else { return };
        let trials = || self.unit_templates(template).filter(|it| it.is_rolling_back());
        if trials().any(|it| it.trial_result().is_none()) {
            return;
        }
        // The others of a unit fail because of the one that failed.
        let failures = || trials().filter_map(|it| it.trial_result()?.as_ref().err());
        let failure = failures().find(|it| it.stage != Stage::Unit).or_else(|| failures().next()).cloned();
        let names: Vec<Arc<str>> = trials().map(|it| Arc::clone(&it.plan().config.name)).collect();
        for name in names {
            let Some(template) = self.templates.get_mut(&name) else { continue };
            let dest = template.plan().config.dest.clone();
            let result = failure.clone().map_or(Ok(()), Err);
            let Some(pin) = template.settle_rollback(result) else { continue };
            let (generation, uid, reason) = (pin.generation, pin.uid, pin.reason.clone());
            let template = Arc::clone(&name);
            if let Some(failure) = &failure {
                let reason = failure.message.clone();
                events.push(Event::RollbackRefused { template, dest, generation, uid, reason });
            } else {
                self.pins.insert(name, pin);
                events.push(Event::FilePinned { template, dest, generation, uid, reason });
            }
        }
        if failure.is_none() {
            self.save_pins();
        }
    }

    /// Ends rollbacks that have not begun, because nothing is replaced now.
    pub fn cancel_rollbacks(&mut self, events: &mut Vec<Event>) {
        let trials = self.templates.iter_mut().filter(|(_, template)| template.is_rolling_back());
        let trials = trials.map(|(name, template)| {
            template.cancel_rollback(Failure::new(Stage::Write, "replacements were paused"));
            Arc::clone(name)
        });
        for name in trials.collect::<Vec<_>>() {
            self.settle_rollback(&name, events);
        }
    }

    /// A person ends the pins of these templates: their files are rendered again.
    pub fn resume_templates(&mut self, names: &BTreeSet<Arc<str>>, uid: u32, events: &mut Vec<Event>) {
        self.unpin(names, true, |template| Event::FileUnpinned { template, uid: Some(uid), reason: None }, events);
    }

    /// The reload of pinned content failed, and the files from before were restored: the pins end.
    pub fn end_failed_pins(&mut self, names: &BTreeSet<Arc<str>>, events: &mut Vec<Event>) {
        let reason = "the reload failed, and the previous file was restored";
        let event = |template| Event::FileUnpinned { template, uid: None, reason: Some(reason.to_owned()) };
        self.unpin(names, false, event, events);
    }

    fn unpin(
        &mut self,
        names: &BTreeSet<Arc<str>>,
        publish: bool,
        event: impl Fn(Arc<str>) -> Event,
        events: &mut Vec<Event>,
    ) {
        let mut is_changed = false;
        for name in names {
            if self.pins.remove(name).is_some() {
                is_changed = true;
                events.push(event(Arc::clone(name)));
                self.templates.get_mut(name).map(|template| template.unpin(publish));
            }
        }
        if is_changed {
            self.save_pins();
        }
    }

    fn save_pins(&mut self) {
        self.deferred_effects.push(Effect::SavePins(self.pins.clone()));
    }

    /// Whether some templates of a unit are pinned and others are not, for example after a change of the configuration.
    /// They would contradict each other, so none of them is published.
    pub fn is_partly_pinned(&self, unit: &Arc<str>) -> bool {
        let mut all = self.templates.values().filter(|it| it.plan().config.unit.as_ref() == Some(unit));
        let first = all.next().map(Template::is_pinned);
        all.any(|it| Some(it.is_pinned()) != first)
    }

    /// The views that a template's file is rendered from.
    pub fn view_versions(&self, template: &Template) -> Vec<ViewVersion> {
        let own = template.plan().config.file_of();
        let own = own.and_then(|(each, key)| Some(self.rosters.get(&each.roster)?.view_version(Some(key))));
        let rosters = self.rosters.iter().filter(|(name, _)| template.needs(name, true));
        let keys = self.keys.iter().filter(|(name, _)| template.needs(name, false));
        let keys = keys.map(|(name, key)| {
            let (name, path) = (Arc::clone(name), key.config().subject.to_string());
            ViewVersion { name, path, zxid: None, members: None, held: key.hold().is_some() }
        });
        own.into_iter().chain(rosters.map(|(_, roster)| roster.view_version(None))).chain(keys).collect()
    }
}
