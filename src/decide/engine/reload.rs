//! Which reloads run now, and what comes of them: files that are taken up, or put back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Effect, Engine, Pace};
use crate::config::{OnDrift, OnReloadFailure, Reload, TemplateConfig};
use crate::decide::event::{Event, seconds};
use crate::decide::flight::FlightId;
use crate::decide::moment::Moment;
use crate::decide::publication::{Ran, ReloadJob, Restoration, Stage};

/// Templates by name.
type Named = BTreeMap<Arc<str>, Arc<TemplateConfig>>;

impl Engine {
    /// A single pass reloads when all its files are in place, and once each: see [`super::Input::Stopping`].
    pub fn may_reload(&self) -> bool {
        self.pace == Pace::Continuous || self.stopping
    }

    pub fn run_reloads(&mut self, now: Moment) -> Vec<Effect> {
        if !self.may_reload() {
            return Vec::new();
        }
        let due = self.debts.iter_mut().filter(|(_, debt)| debt.due().is_some_and(|due| due <= now));
        due.map(|(reload, debt)| {
            let templates = debt.begin(now);
            let verifies = templates.iter().filter_map(|template| template.verify.clone()).collect();
            let timeout = debt.terms().timeout;
            Effect::Reload(ReloadJob { reload: reload.clone(), timeout, verifies, templates })
        })
        .collect()
    }

    pub fn reloaded(&mut self, now: Moment, reload: &Reload, ran: &Ran, events: &mut Vec<Event>) {
        let Some(debt) = self.debts.get_mut(reload) else {
            return;
        };
        let back = debt.running().filter(|template| template.on_reload_failure == OnReloadFailure::Rollback);
        let back: Vec<Arc<TemplateConfig>> = back.cloned().collect();
        let templates = debt.running().map(|template| Arc::clone(&template.name)).collect();
        let took_ms = debt.running_for(now).and_then(|took| took.as_millis().try_into().ok());
        let again = debt.end(now, ran);
        if self.stopping {
            // What changed while it ran has no time to wait either.
            debt.hurry();
        }
        let is_rolled_back = debt.is_rolled_back();
        // What it was for may be owed by a mended command by now.
        self.rehome(now);
        if let Ran::Failed(why) = ran {
            let (command, reason, retry_in_s) = (reload.to_string(), why.clone(), again.map(seconds));
            events.push(Event::ReloadFailed { command, templates, reason, took_ms, retry_in_s });
            // While nothing is to be replaced, nothing is put back either: a later failure does that.
            if !is_rolled_back && self.paused.is_none() {
                self.restore(reload, &back, why);
            }
        }
    }

    /// These templates, and all others of their units.
    fn whole(&self, templates: &[Arc<TemplateConfig>]) -> Named {
        let mut whole: Named = templates.iter().map(|it| (Arc::clone(&it.name), Arc::clone(it))).collect();
        let units: BTreeSet<&Arc<str>> = templates.iter().filter_map(|template| template.unit.as_ref()).collect();
        for config in self.templates.values().map(|template| &template.plan().config) {
            if config.unit.as_ref().is_some_and(|unit| units.contains(unit)) {
                whole.entry(Arc::clone(&config.name)).or_insert_with(|| Arc::clone(config));
            }
        }
        whole
    }

    /// Has these files put back, and waits for that before the reload is tried again. Where one of them is being replaced,
    /// its new bytes come first.
    fn restore(&mut self, reload: &Reload, templates: &[Arc<TemplateConfig>], why: &str) {
        let whole = self.whole(templates);
        if !whole.is_empty() && !self.is_any_busy(&whole) {
            self.put_back(Some(reload.clone()), whole, why);
        }
    }

    /// A publication of a template was refused, because its reload has failed with these bytes, or its unit was: what
    /// stands there is to be what was put back then, whatever others have made of it since.
    pub fn put_right(&mut self, template: &Arc<TemplateConfig>) {
        let mut whole = self.whole(std::slice::from_ref(template));
        whole.retain(|_, it| it.on_drift == OnDrift::Correct);
        let refused = whole.keys().filter_map(|name| self.templates.get(name)?.failure());
        let mut refused =
            refused.filter(|failure| failure.stage == Stage::Rollback).map(|failure| failure.message.clone());
        let Some(why) = refused.next() else { return };
        let is_wanted = |name| self.templates.get(name).is_some_and(|it| it.is_wanted() || it.is_in_flight());
        if !whole.keys().any(is_wanted) && !self.is_any_busy(&whole) && !self.stopping {
            self.put_back(None, whole, &why);
        }
    }

    fn is_any_busy(&self, templates: &Named) -> bool {
        templates.values().any(|template| self.flights.is_busy(&template.dest))
    }

    fn put_back(&mut self, reload: Option<Reload>, templates: Named, why: &str) {
        let ids: Vec<FlightId> = templates.values().map(|template| self.flights.begin(template, true)).collect();
        let Some(id) = ids.first().copied() else { return };
        for debt in self.debts.values_mut().filter(|debt| templates.keys().any(|name| debt.owes(name))) {
            debt.wait_for(id);
        }
        let templates = templates.into_values().collect();
        let restoration = Restoration { id, reload, templates, why: why.to_owned() };
        self.restorations.insert(id, restoration.clone());
        self.aftermath.push(Effect::Restore(restoration));
    }

    /// The restorations under way that a template is one of: its reload waits for them.
    pub fn restoring(&self, template: &Arc<str>) -> BTreeSet<FlightId> {
        let with_it = |job: &Restoration| job.templates.iter().any(|it| it.name == *template);
        self.restorations.values().filter(|job| with_it(job)).map(|job| job.id).collect()
    }

    pub fn restored(
        &mut self,
        now: Moment,
        id: FlightId,
        done: Result<BTreeSet<Arc<str>>, String>,
        events: &mut Vec<Event>,
    ) {
        let Some(Restoration { reload, templates, why, .. }) = self.restorations.remove(&id) else {
            return;
        };
        self.flights.end_all(&templates);
        self.debts.values_mut().for_each(|debt| debt.arrived(id));
        let back = match done {
            Ok(back) => back,
            Err(why) => {
                // Where a reload has failed, its next failure has it tried again.
                let again = reload.is_none() && self.pace == Pace::Continuous;
                for template in templates.iter().filter(|_| again) {
                    if let Some(known) = self.templates.get_mut(&template.name) {
                        known.stands_wrong(now);
                    }
                }
                return events.push(Event::RollbackFailed { reason: why });
            }
        };
        let mut owing: BTreeMap<Reload, Vec<Arc<TemplateConfig>>> = BTreeMap::new();
        for template in &templates {
            let is_back = back.contains(&template.name);
            // It is reloaded as the present configuration says, as any other replacement.
            let mut config = Arc::clone(template);
            if let Some(known) = self.templates.get_mut(&template.name) {
                known.stands_from_before(now, is_back.then_some(&*why));
                if known.plan().config.dest == config.dest {
                    config = Arc::clone(&known.plan().config);
                }
            }
            if let (true, Some(reload)) = (is_back, config.reload.clone()) {
                self.owe(now, &config, BTreeSet::new());
                owing.entry(reload).or_default().push(config);
            }
        }
        if let Some(reload) = &reload {
            owing.entry(reload.clone()).or_default();
        }
        let stopping = self.stopping;
        for (reload, back) in owing {
            if let Some(debt) = self.debts.get_mut(&reload) {
                debt.roll_back(back.into_iter(), stopping);
            }
        }
        if !back.is_empty() {
            let templates = back.into_iter().collect();
            events.push(match reload {
                Some(_) => Event::RolledBack { templates, reason: why },
                None => Event::RollbackReapplied { templates },
            });
        }
    }
}
