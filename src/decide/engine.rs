//! State, input and time in; effects out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::accept::Shown;
use super::event::Event;
use super::flight::{FlightId, Flights};
use super::key::Key;
use super::moment::Moment;
use super::pending_reload::{PendingReload, Terms};
use super::plan::Plan;
use super::publication::{Group, Outcome, Publication, Ran, ReloadJob, Restoration};
use super::roster::Roster;
use super::saved::{SavedRoster, SavedState};
use super::splay::Share;
use super::template::Template;
use super::view_cache::{Place, ViewCache};
use crate::config::{Reload, TemplateConfig};
use crate::model::node_path::Subject;
use crate::model::registry_event::{RegistryEvent, Update};

mod operator;
mod per_key_files;
mod persistence;
mod publish;
mod readiness;
mod reconfigure;
mod reload;
mod report;
mod search;
#[cfg(test)]
pub(crate) mod tests;

pub use per_key_files::Written;
pub use readiness::Behind;

use per_key_files::Spread;

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// A new configuration, or new templates: all of it, already checked.
    Configured(Plan),
    /// Keys have files that agents before this one wrote; said before the first configuration.
    Wrote(Written),
    /// Reloads are owed from before the start, each as it was when its file was replaced; said before the first
    /// configuration, which may have them run otherwise.
    Owed(Vec<Arc<TemplateConfig>>),
    /// Replacements that were begun before came about only now: their reloads are owed in the same way.
    Finished(Vec<Arc<TemplateConfig>>),
    /// Update from a registry.
    Saw(RegistryEvent),
    /// The publication of this number ended.
    Published(FlightId, Outcome),
    /// The probe of this number ended.
    Probed(FlightId, Outcome),
    /// The destination of this template is not as the agent left it, and what it is instead; or it is so again.
    Drifted(Arc<str>, Option<String>),
    /// A reload ended.
    Reloaded(Reload, Ran),
    /// The program takes up every file that was in place when this was said.
    TookUp,
    /// The restoration of this number ended: the templates whose files changed by it, or why none did.
    Restored(FlightId, Result<BTreeSet<Arc<str>>, String>),
    /// A person lets through what a roster keeps back, and this is what was shown to him: anything else stays held.
    Accept(Arc<str>, Shown),
    /// A person wants nothing to be replaced until then.
    Paused(Moment),
    /// Or from here on again.
    Resumed,
    /// A person wants these templates rendered, whether or not anything has changed.
    Render {
        /// By name.
        templates: BTreeSet<Arc<str>>,
        /// Whether a replacement is followed by its reload.
        reload: bool,
    },
    /// What no registry has answered for yet is waited for no longer: what was remembered of it stands in, if it is at
    /// most so old.
    StandIn(Duration),
    /// A moment that [`Engine::next_wake`] named has come.
    Tick,
    /// The agent is about to stop: nothing more is published, and reloads that were only deferred run now.
    Stopping,
}

/// Something to do.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Bring destinations in step; answer each with [`Input::Published`]. Groups are independent of each other.
    Publish(Group),
    /// Render, stage and check this, and replace nothing; answer with [`Input::Probed`].
    Probe(Publication),
    /// Run a reload; answer with [`Input::Reloaded`], or with [`Input::TookUp`] where it is the program's.
    Reload(ReloadJob),
    /// Put files back; answer with [`Input::Restored`].
    Restore(Restoration),
    /// Keep this for the next start, before anything is published that comes after this.
    Remember(SavedRoster),
    /// This has happened.
    Emit(Event),
}

/// How the engine is to behave where a daemon and a single pass differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// For as long as the agent lives: failures are tried again.
    Continuous,
    /// One pass: nothing is tried again.
    Once,
}

/// The decisions. It holds no clock: every step is told the time.
#[derive(Debug)]
pub struct Engine {
    pace: Pace,
    stopping: bool,
    /// Until when nothing is replaced.
    paused: Option<Moment>,
    /// Templates whose next replacement owes no reload.
    quiet: BTreeSet<Arc<str>>,
    host: Arc<str>,
    sights: ViewCache,
    origins: BTreeMap<Arc<str>, Arc<str>>,
    /// What the plan follows: what is still said of anything else is out of date before it is needed again.
    places: BTreeSet<Place>,
    away: BTreeMap<Arc<str>, String>,
    /// What was remembered when the agent began, of each roster and key that nothing newer was remembered of since.
    recalled: SavedState,
    /// What is to be remembered and was not given out yet.
    memos: Vec<SavedRoster>,
    rosters: BTreeMap<Arc<str>, Roster>,
    keys: BTreeMap<Arc<str>, Key>,
    templates: BTreeMap<Arc<str>, Template>,
    spread: Spread,
    flights: Flights,
    debts: BTreeMap<Reload, PendingReload>,
    /// What is owed from before the start, until there is a configuration.
    inherited: Vec<Arc<TemplateConfig>>,
    /// Files that are being put back.
    restorations: BTreeMap<FlightId, Restoration>,
    /// What reloads that ended leave to do, and was not given out yet.
    aftermath: Vec<Effect>,
}

impl Engine {
    /// An engine with nothing to do. `host` is this host's name, for `pick = "spread"`; `recalled` is what
    /// [`Effect::Remember`] gave the agent before this one.
    pub fn new(pace: Pace, host: &str, recalled: SavedState) -> Self {
        Self {
            pace,
            stopping: false,
            paused: None,
            quiet: BTreeSet::new(),
            host: Arc::from(host),
            sights: ViewCache::default(),
            origins: BTreeMap::new(),
            places: BTreeSet::new(),
            away: BTreeMap::new(),
            recalled,
            memos: Vec::new(),
            rosters: BTreeMap::new(),
            keys: BTreeMap::new(),
            templates: BTreeMap::new(),
            spread: Spread::default(),
            flights: Flights::default(),
            debts: BTreeMap::new(),
            inherited: Vec::new(),
            restorations: BTreeMap::new(),
            aftermath: Vec::new(),
        }
    }

    /// Takes one input in and says what is to be done now.
    pub fn step(&mut self, now: Moment, input: Input) -> Vec<Effect> {
        let mut events = Vec::new();
        match input {
            Input::Configured(plan) => self.configure(now, plan, &mut events),
            Input::Wrote(written) => self.wrote(written),
            Input::Owed(owed) => self.inherited = owed,
            Input::Finished(owed) => {
                for owed in &owed {
                    let owed = self.of_program(owed).unwrap_or_else(|| Arc::clone(owed));
                    self.owe(now, &owed, BTreeSet::new());
                }
                self.rehome(now);
            }
            Input::Saw(event) => self.see(now, event, &mut events),
            Input::Published(id, outcome) => self.published(now, id, outcome, &mut events),
            Input::Probed(id, outcome) => self.probed(now, id, outcome, &mut events),
            Input::Drifted(template, what) => {
                if let Some(template) = self.templates.get_mut(&template) {
                    // What somebody else did is no part of what was asked for without a reload.
                    self.quiet.remove(&template.plan().config.name);
                    match what {
                        Some(what) => template.drifted(now, what, &mut events),
                        None => template.in_step(&mut events),
                    }
                }
            }
            Input::Reloaded(reload, ran) => self.reloaded(now, &reload, &ran, &mut events),
            Input::TookUp => {
                if let Some(debt) = self.debts.get_mut(&Reload::Program) {
                    debt.settle(now);
                }
            }
            Input::Restored(id, done) => self.restored(now, id, done, &mut events),
            Input::Accept(roster, shown) => self.accept_shown(now, &roster, &shown),
            Input::Paused(until) => self.paused = Some(until),
            Input::Resumed => self.paused = None,
            Input::Render { templates, reload } => self.render(&templates, reload),
            Input::StandIn(max) => self.stand_in(now, Some(max), &mut events),
            Input::Tick => {}
            Input::Stopping => {
                self.stopping = true;
                self.debts.values_mut().for_each(PendingReload::hurry);
            }
        }
        self.end_pause(now, &mut events);
        self.judge(now, &mut events);
        self.spread(&mut events);
        let mut work: Vec<Effect> = self.memos.drain(..).map(Effect::Remember).collect();
        work.append(&mut self.aftermath);
        work.extend(self.probe(now, &mut events));
        work.extend(self.publish(now, &mut events));
        work.extend(self.run_reloads(now));
        events.into_iter().map(Effect::Emit).chain(work).collect()
    }

    /// When [`Input::Tick`] is wanted at the latest, if nothing else happens before.
    pub fn next_wake(&self) -> Option<Moment> {
        let rosters = self.rosters.values().filter_map(Roster::due);
        // One whose destination is busy is looked at again when that publication ends.
        let due = |template: &Template| template.due().filter(|_| !self.flights.is_busy(&template.plan().config.dest));
        let templates = self.templates.values().filter(|_| self.paused.is_none()).filter_map(due);
        let debts = self.debts.values().filter(|_| self.may_reload()).filter_map(PendingReload::due);
        rosters.chain(templates).chain(debts).chain(self.paused).min()
    }

    fn see(&mut self, now: Moment, event: RegistryEvent, events: &mut Vec<Event>) {
        let RegistryEvent { registry, update } = event;
        if let Update::Reset { subject, .. } | Update::Changed { subject, .. } = &update
            && !self.places.contains(&(Arc::clone(&registry), subject.clone()))
        {
            return;
        }
        match &update {
            Update::Unreachable { reason } => {
                // Each time: a registry says it once a minute, and so is nobody's surprise in the morning.
                self.away.insert(Arc::clone(&registry), reason.clone());
                events.push(Event::RegistryUnreachable { registry: Arc::clone(&registry), reason: reason.clone() });
                self.doubt(now, &registry);
                self.stand_in_for_away(now, events);
            }
            Update::Suspended => self.doubt(now, &registry),
            Update::Reset { subject, view, versions } => {
                if self.away.remove(&registry).is_some() {
                    events.push(Event::RegistryConnected { registry: Arc::clone(&registry) });
                }
                for roster in self.rosters_on(&registry, subject) {
                    roster.reset(now, view, versions);
                }
                self.see_key(now, &registry, subject, view, events);
                self.sights.take((registry, subject.clone()), update);
            }
            Update::Changed { subject, changes, versions } => {
                for roster in self.rosters_on(&registry, subject) {
                    roster.update(now, changes, versions);
                }
                self.sights.take((registry, subject.clone()), update);
            }
        }
    }

    fn rosters_on(&mut self, registry: &Arc<str>, subject: &Subject) -> impl Iterator<Item = &mut Roster> {
        self.rosters
            .values_mut()
            .filter(move |roster| roster.config().registry == *registry && roster.config().subject == *subject)
    }

    fn want(&mut self, name: &Arc<str>, is_roster: bool) {
        for (own, template) in self.templates.iter_mut().filter(|(_, template)| template.needs(name, is_roster)) {
            template.want();
            self.quiet.remove(own);
        }
        if is_roster && self.spread.is_about(name) {
            self.spread.touch();
        }
    }

    fn judge(&mut self, now: Moment, events: &mut Vec<Event>) {
        let due = self.rosters.iter().filter(|(_, roster)| roster.due().is_some_and(|due| due <= now));
        let due: Vec<Arc<str>> = due.map(|(name, _)| Arc::clone(name)).collect();
        for name in due {
            if self.rosters.get_mut(&name).is_some_and(|roster| roster.judge(now, &self.host, events)) {
                self.want(&name, true);
            }
            self.remember(&name);
        }
    }

    /// A template's reload is owed, if it has one.
    fn owe(&mut self, now: Moment, config: &Arc<TemplateConfig>, beside: BTreeSet<FlightId>) {
        if let Some(reload) = &config.reload {
            let debt = || PendingReload::new(Terms::of(config), Share::of(&self.host, reload));
            let debt = self.debts.entry(reload.clone()).or_insert_with(debt);
            debt.owe(now, config, beside);
            if self.stopping {
                debt.hurry();
            }
        }
    }

    /// The present template of a file that is the program's: what the program is owed is not remembered.
    fn of_program(&self, finished: &TemplateConfig) -> Option<Arc<TemplateConfig>> {
        let now = &self.templates.get(&finished.name)?.plan().config;
        let is_programs = finished.reload.is_none() && now.reload == Some(Reload::Program);
        (is_programs && now.dest == finished.dest).then(|| Arc::clone(now))
    }

    /// Whether a publication is under way.
    pub fn is_publishing(&self) -> bool {
        !self.flights.is_empty()
    }

    /// Whether a reload is under way, or one that has not failed is still to run.
    pub fn is_reloading(&self) -> bool {
        self.debts.values().any(PendingReload::is_pending) || !self.restorations.is_empty()
    }

    /// Every roster by name.
    pub fn rosters(&self) -> &BTreeMap<Arc<str>, Roster> {
        &self.rosters
    }

    /// Every key by name.
    pub fn keys(&self) -> &BTreeMap<Arc<str>, Key> {
        &self.keys
    }

    /// Every template by name.
    pub fn templates(&self) -> &BTreeMap<Arc<str>, Template> {
        &self.templates
    }

    /// Every reload that was or is owed.
    pub fn debts(&self) -> &BTreeMap<Reload, PendingReload> {
        &self.debts
    }

    /// The registries that are not reached, with what was tried.
    pub fn away(&self) -> &BTreeMap<Arc<str>, String> {
        &self.away
    }
}
