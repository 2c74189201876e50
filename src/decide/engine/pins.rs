//! Rollbacks by a person, and the pins that they leave.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Effect, Engine, RunMode};
use crate::decide::event::Event;
use crate::decide::moment::Moment;
use crate::decide::pending_reload::PendingReload;
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
    pub fn roll_back(&mut self, now: Moment, pins: Pins, events: &mut Vec<Event>) {
        for (name, pin) in pins {
            if let Some(template) = self.templates.get_mut(&name) {
                self.without_reload.remove(&name);
                template.stop_searching(now, events);
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
                let reloads = self.pending_reloads.values_mut().filter(|pending| pending.includes(&name));
                reloads.for_each(PendingReload::forget_failures);
                let before = self.pins.insert(Arc::clone(&name), pin);
                self.earlier_pins.entry(name).or_insert(before);
                events.push(Event::FilePinned { template, dest, generation, uid, reason });
            }
        }
        if failure.is_none() {
            self.save_pins();
        }
    }

    /// Ends rollbacks that have not begun, because nothing is replaced now.
    pub fn cancel_rollbacks(&mut self, events: &mut Vec<Event>) {
        self.cancel_rollbacks_where(|_, _| true, "replacements were paused", events);
    }

    /// Ends rollbacks that have not begun, if the unit has other templates than before.
    pub fn cancel_partial_rollbacks(&mut self, events: &mut Vec<Event>) {
        let is_partial =
            |engine: &Self, it: &Template| it.plan().config.unit.as_ref().is_some_and(|it| engine.is_partly_pinned(it));
        self.cancel_rollbacks_where(is_partial, "the configuration of its unit has changed", events);
    }

    fn cancel_rollbacks_where(
        &mut self,
        is_cancelled: impl Fn(&Self, &Template) -> bool,
        why: &str,
        events: &mut Vec<Event>,
    ) {
        let trials = self.templates.iter().filter(|(_, it)| it.is_rolling_back() && is_cancelled(self, it));
        let trials: Vec<Arc<str>> = trials.map(|(name, _)| Arc::clone(name)).collect();
        for name in &trials {
            if let Some(template) = self.templates.get_mut(name) {
                template.cancel_rollback(Failure::new(Stage::Write, why));
            }
        }
        for name in trials {
            self.settle_rollback(&name, events);
        }
    }

    /// A person ends the pins of these templates: their files are rendered again.
    pub fn resume_templates(&mut self, names: &BTreeSet<Arc<str>>, uid: u32, events: &mut Vec<Event>) {
        for name in names {
            if self.pins.remove(name).is_some() {
                self.earlier_pins.remove(name);
                self.without_reload.remove(name);
                events.push(Event::FileUnpinned { template: Arc::clone(name), uid: Some(uid), reason: None });
                if let Some(template) = self.templates.get_mut(name) {
                    template.unpin();
                }
            }
        }
        self.save_pins();
    }

    /// The reload of pinned content failed, and these files from before were restored: their pins end, and those of their
    /// units. The pins from before are in force again.
    pub fn end_failed_pins(&mut self, back: &BTreeSet<Arc<str>>, events: &mut Vec<Event>) {
        let reason = "the reload failed, and the previous file was restored";
        let units = back.iter().filter_map(|name| self.templates.get(name)).map(|it| self.unit_templates(it));
        let whole =
            units.map(Iterator::collect::<Vec<_>>).filter(|unit| unit.iter().all(|it| it.is_pinned())).flatten();
        let mut names: BTreeSet<Arc<str>> = whole.map(|it| Arc::clone(&it.plan().config.name)).collect();
        names.extend(back.iter().cloned());
        names.retain(|name| self.pins.remove(name).is_some());
        if names.is_empty() {
            return;
        }
        for name in names {
            let earlier = self.earlier_pins.remove(&name).flatten();
            let (template, reason) = (Arc::clone(&name), Some(reason.to_owned()));
            events.push(Event::FileUnpinned { template, uid: None, reason });
            if let Some(template) = self.templates.get_mut(&name) {
                let dest = template.plan().config.dest.clone();
                template.end_failed_pin(earlier.clone());
                events.extend(earlier.as_ref().map(|pin| {
                    let (generation, uid, reason) = (pin.generation, pin.uid, pin.reason.clone());
                    Event::FilePinned { template: Arc::clone(&name), dest, generation, uid, reason }
                }));
            }
            self.pins.extend(earlier.map(|pin| (name, pin)));
        }
        self.save_pins();
    }

    /// Forgets the pins from before once no reload that can fail is pending.
    pub fn forget_earlier_pins(&mut self) {
        let mut earlier = std::mem::take(&mut self.earlier_pins);
        let is_pending = |it: &Template| self.pending_reloads.values().any(|all| all.includes(&it.plan().config.name));
        earlier.retain(|name, _| {
            self.templates.get(name).is_some_and(|template| self.unit_templates(template).any(is_pending))
        });
        self.earlier_pins = earlier;
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
