//! Which reloads run now, and what comes of them: files that are taken up, or put back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::flight::FlightId;
use super::super::moment::Moment;
use super::super::notice::Notice;
use super::super::publication::{Ran, ReloadJob, Restoration};
use super::{Effect, Engine, Pace};
use crate::config::{OnReloadFailure, Reload, TemplateConfig};

/// Templates by name.
type Named = BTreeMap<Arc<str>, Arc<TemplateConfig>>;

impl Engine {
    /// A single pass reloads when all its files are in place, and once each: see [`super::Input::Stopping`].
    pub(super) fn may_reload(&self) -> bool {
        self.pace == Pace::Continuous || self.stopping
    }

    pub(super) fn run_reloads(&mut self, now: Moment) -> Vec<Effect> {
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

    pub(super) fn reloaded(&mut self, now: Moment, reload: &Reload, ran: &Ran, notices: &mut Vec<Notice>) {
        let Some(debt) = self.debts.get_mut(reload) else {
            return;
        };
        let back = debt.running().filter(|template| template.on_reload_failure == OnReloadFailure::Rollback);
        let back: Vec<Arc<TemplateConfig>> = back.cloned().collect();
        let again = debt.end(now, ran);
        if self.stopping {
            // What changed while it ran has no time to wait either.
            debt.hurry();
        }
        let is_rolled_back = debt.is_rolled_back();
        // What it was for may be owed by a mended command by now.
        self.rehome(now);
        if let Ran::Failed(why) = ran {
            notices.push(Notice::ReloadFailed { reload: reload.to_string(), why: why.clone(), again });
            if !is_rolled_back {
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
        if whole.is_empty() || whole.values().any(|template| self.flights.is_busy(&template.dest)) {
            return;
        }
        let ids: Vec<FlightId> = whole.values().map(|template| self.flights.begin(template, true)).collect();
        let Some(id) = ids.first().copied() else { return };
        for debt in self.debts.values_mut().filter(|debt| whole.keys().any(|name| debt.owes(name))) {
            debt.wait_for(id);
        }
        let templates = whole.into_values().collect();
        let restoration = Restoration { id, reload: reload.clone(), templates, why: why.to_owned() };
        self.restorations.insert(id, restoration.clone());
        self.aftermath.push(Effect::Restore(restoration));
    }

    pub(super) fn restored(
        &mut self,
        now: Moment,
        id: FlightId,
        done: Result<BTreeSet<Arc<str>>, String>,
        notices: &mut Vec<Notice>,
    ) {
        let Some(Restoration { reload, templates, why, .. }) = self.restorations.remove(&id) else {
            return;
        };
        self.flights.end_all(&templates);
        self.debts.values_mut().for_each(|debt| debt.arrived(id));
        let back = match done {
            Ok(back) => back,
            Err(why) => return notices.push(Notice::NotRolledBack { why }),
        };
        let stopping = self.stopping;
        for template in templates.iter().filter(|template| back.contains(&template.name)) {
            if let Some(known) = self.templates.get_mut(&template.name) {
                known.rolled_back(&why);
            }
            self.owe(now, template, BTreeSet::new());
        }
        for (other, debt) in &mut self.debts {
            let owed = templates.iter().filter(|it| back.contains(&it.name) && it.reload.as_ref() == Some(other));
            if *other == reload || owed.clone().next().is_some() {
                debt.roll_back(owed.cloned(), stopping);
            }
        }
        if !back.is_empty() {
            notices.push(Notice::RolledBack { templates: back.into_iter().collect(), why });
        }
    }
}
