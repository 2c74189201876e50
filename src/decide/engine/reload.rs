//! Which reloads run now, and the results: files that are in use, or restored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Effect, Engine, RunMode};
use crate::config::{OnDrift, OnReloadFailure, Reload, TemplateConfig};
use crate::decide::event::{Event, seconds};
use crate::decide::in_flight::PublicationId;
use crate::decide::moment::Moment;
use crate::decide::publication::{ReloadJob, ReloadOutcome, Restoration, Stage};

/// Templates by name.
type Named = BTreeMap<Arc<str>, Arc<TemplateConfig>>;

impl Engine {
    /// A single pass runs each reload once, after all its files are in place: see [`super::Input::Stopping`].
    pub fn may_reload(&self) -> bool {
        self.mode == RunMode::Continuous || self.stopping
    }

    pub fn run_reloads(&mut self, now: Moment) -> Vec<Effect> {
        if !self.may_reload() {
            return Vec::new();
        }
        let due = self.pending_reloads.iter_mut().filter(|(_, pending)| pending.due().is_some_and(|due| due <= now));
        due.map(|(reload, pending)| {
            let templates = pending.begin(now);
            let verifies = templates.iter().filter_map(|template| template.verify.clone()).collect();
            let timeout = pending.policy().timeout;
            Effect::Reload(ReloadJob { reload: reload.clone(), timeout, verifies, templates })
        })
        .collect()
    }

    pub fn reloaded(&mut self, now: Moment, reload: &Reload, ran: &ReloadOutcome, events: &mut Vec<Event>) {
        let Some(pending) = self.pending_reloads.get_mut(reload) else {
            return;
        };
        let back = pending.running().filter(|template| template.on_reload_failure == OnReloadFailure::Rollback);
        let back: Vec<Arc<TemplateConfig>> = back.cloned().collect();
        let templates = pending.running().map(|template| Arc::clone(&template.name)).collect();
        let took_ms = pending.running_for(now).and_then(|took| took.as_millis().try_into().ok());
        let again = pending.end(now, ran);
        if self.stopping {
            // Changes during its run cannot wait either.
            pending.skip_delays();
        }
        let is_rolled_back = pending.is_rolled_back();
        // The current configuration can have another command for its templates.
        self.reassign_reloads(now);
        if let ReloadOutcome::Failed(why) = ran {
            // Nothing runs it again before this process ends.
            let again = again.filter(|_| !self.stopping);
            let (command, reason, retry_in_s) = (reload.to_string(), why.clone(), again.map(seconds));
            events.push(Event::ReloadFailed { command, templates, reason, took_ms, retry_in_s });
            // During a pause nothing is restored. A later failure does that.
            if !is_rolled_back && self.paused.is_none() {
                self.restore(reload, &back, why);
            }
        }
    }

    /// These templates and all others of their units.
    fn with_units(&self, templates: &[Arc<TemplateConfig>]) -> Named {
        let mut whole: Named = templates.iter().map(|it| (Arc::clone(&it.name), Arc::clone(it))).collect();
        let units: BTreeSet<&Arc<str>> = templates.iter().filter_map(|template| template.unit.as_ref()).collect();
        for config in self.templates.values().map(|template| &template.plan().config) {
            if config.unit.as_ref().is_some_and(|unit| units.contains(unit)) {
                whole.entry(Arc::clone(&config.name)).or_insert_with(|| Arc::clone(config));
            }
        }
        whole
    }

    /// Restores these files, and defers the retry of the reload until then. If one of them is being replaced, its new
    /// content comes first.
    fn restore(&mut self, reload: &Reload, templates: &[Arc<TemplateConfig>], why: &str) {
        let whole = self.with_units(templates);
        if !whole.is_empty() && !self.is_any_busy(&whole) {
            self.start_restore(Some(reload.clone()), whole, why);
        }
    }

    /// A publication was refused because its reload, or that of its unit, failed with this content. The file has to be
    /// what the rollback restored, even if another process changed it since.
    pub fn reapply_rollback(&mut self, template: &Arc<TemplateConfig>) {
        let mut whole = self.with_units(std::slice::from_ref(template));
        whole.retain(|_, it| it.on_drift == OnDrift::Correct);
        let refused = whole.keys().filter_map(|name| self.templates.get(name)?.failure());
        let mut refused =
            refused.filter(|failure| failure.stage == Stage::Rollback).map(|failure| failure.message.clone());
        let Some(why) = refused.next() else { return };
        let is_wanted = |name| self.templates.get(name).is_some_and(|it| it.is_queued() || it.is_in_flight());
        if !whole.keys().any(is_wanted) && !self.is_any_busy(&whole) && !self.stopping {
            self.start_restore(None, whole, &why);
        }
    }

    fn is_any_busy(&self, templates: &Named) -> bool {
        templates.values().any(|template| self.in_flight.is_busy(&template.dest))
    }

    fn start_restore(&mut self, reload: Option<Reload>, templates: Named, why: &str) {
        let ids: Vec<PublicationId> = templates.values().map(|template| self.in_flight.begin(template, true)).collect();
        let Some(id) = ids.first().copied() else { return };
        for pending in
            self.pending_reloads.values_mut().filter(|pending| templates.keys().any(|name| pending.includes(name)))
        {
            pending.await_publication(id);
        }
        let templates = templates.into_values().collect();
        let restoration = Restoration { id, reload, templates, why: why.to_owned() };
        self.restorations.insert(id, restoration.clone());
        self.deferred_effects.push(Effect::Restore(restoration));
    }

    /// The restores in flight that include a template. Its reload waits for them.
    pub fn restoring(&self, template: &Arc<str>) -> BTreeSet<PublicationId> {
        let with_it = |job: &Restoration| job.templates.iter().any(|it| it.name == *template);
        self.restorations.values().filter(|job| with_it(job)).map(|job| job.id).collect()
    }

    pub fn restored(
        &mut self,
        now: Moment,
        id: PublicationId,
        done: Result<BTreeSet<Arc<str>>, String>,
        events: &mut Vec<Event>,
    ) {
        let Some(Restoration { reload, templates, why, .. }) = self.restorations.remove(&id) else {
            return;
        };
        self.in_flight.end_all(&templates);
        self.pending_reloads.values_mut().for_each(|pending| pending.publication_ended(id));
        let back = match done {
            Ok(back) => back,
            Err(why) => {
                // After a failed reload, its next failure retries the restore.
                let again = reload.is_none() && self.mode == RunMode::Continuous;
                for template in templates.iter().filter(|_| again) {
                    if let Some(known) = self.templates.get_mut(&template.name) {
                        known.retry_later(now);
                    }
                }
                return events.push(Event::RollbackFailed { reason: why });
            }
        };
        let mut owing: BTreeMap<Reload, Vec<Arc<TemplateConfig>>> = BTreeMap::new();
        for template in &templates {
            let is_back = back.contains(&template.name);
            // As for any replacement, the current configuration gives the reload.
            let mut config = Arc::clone(template);
            if let Some(known) = self.templates.get_mut(&template.name) {
                known.rolled_back(now, is_back.then_some(&*why));
                if known.plan().config.dest == config.dest {
                    config = Arc::clone(&known.plan().config);
                }
            }
            if let (true, Some(reload)) = (is_back, config.reload.clone()) {
                self.add_pending_reload(now, &config, BTreeSet::new());
                owing.entry(reload).or_default().push(config);
            }
        }
        if !back.is_empty() {
            self.end_failed_pins(&back, events);
        }
        if let Some(reload) = &reload {
            owing.entry(reload.clone()).or_default();
        }
        let stopping = self.stopping;
        for (reload, back) in owing {
            if let Some(pending) = self.pending_reloads.get_mut(&reload) {
                pending.roll_back(back.into_iter(), stopping);
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
