//! State, input and time in; effects out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::accept::HeldView;
use super::event::Event;
use super::in_flight::{InFlightPublications, PublicationId};
use super::key::Key;
use super::moment::Moment;
use super::pending_reload::{PendingReload, ReloadPolicy};
use super::plan::Plan;
use super::publication::{Group, Outcome, Publication, ReloadJob, ReloadOutcome, Restoration};
use super::roster::Roster;
use super::saved::{SavedState, SavedUpdate};
use super::splay::SplayShare;
use super::template::Template;
use super::view_cache::{ViewCache, ViewKey};
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

pub use per_key_files::WrittenKeys;
pub use readiness::NotReady;

use per_key_files::PerKeyFiles;

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// A new configuration, or new templates: all of it, already checked.
    Configured(Plan),
    /// Keys have files that agents before this one wrote; said before the first configuration.
    WrittenKeys(WrittenKeys),
    /// Reloads are owed from before the start, each as it was when its file was replaced; said before the first
    /// configuration, which may have them run otherwise.
    PendingReloads(Vec<Arc<TemplateConfig>>),
    /// Replacements that were begun before came about only now: their reloads are owed in the same way.
    WritesFinished(Vec<Arc<TemplateConfig>>),
    /// Update from a registry.
    Registry(RegistryEvent),
    /// The publication of this number ended.
    Published(PublicationId, Outcome),
    /// The probe of this number ended.
    Probed(PublicationId, Outcome),
    /// The destination of this template is not as the agent left it, and what it is instead; or it is so again.
    Drifted(Arc<str>, Option<String>),
    /// A reload ended.
    Reloaded(Reload, ReloadOutcome),
    /// The program takes up every file that was in place when this was said.
    FilesApplied,
    /// The restoration of this number ended: the templates whose files changed by it, or why none did.
    Restored(PublicationId, Result<BTreeSet<Arc<str>>, String>),
    /// A person lets through what a roster keeps back, and this is what was shown to him: anything else stays held.
    Accept(Arc<str>, HeldView),
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
    UseSaved(Duration),
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
    /// Run a reload; answer with [`Input::Reloaded`], or with [`Input::FilesApplied`] where it is the program's.
    Reload(ReloadJob),
    /// Put files back; answer with [`Input::Restored`].
    Restore(Restoration),
    /// Keep this for the next start, before anything is published that comes after this.
    Save(SavedUpdate),
    /// This has happened.
    Emit(Event),
}

/// How the engine is to behave where a daemon and a single pass differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunMode {
    /// For as long as the agent lives: failures are tried again.
    Continuous,
    /// One pass: nothing is tried again.
    Once,
}

/// The decisions. It holds no clock: every step is told the time.
#[derive(Debug)]
pub struct Engine {
    mode: RunMode,
    stopping: bool,
    /// Until when nothing is replaced.
    paused: Option<Moment>,
    /// Templates whose next replacement includes no reload.
    without_reload: BTreeSet<Arc<str>>,
    host: Arc<str>,
    views: ViewCache,
    origins: BTreeMap<Arc<str>, Arc<str>>,
    /// What the plan follows: what is still said of anything else is out of date before it is needed again.
    subjects: BTreeSet<ViewKey>,
    unreachable: BTreeMap<Arc<str>, String>,
    /// What was remembered when the agent began, of each roster and key that nothing newer was remembered of since.
    saved: SavedState,
    /// What is to be remembered and was not given out yet.
    unsaved: Vec<SavedUpdate>,
    rosters: BTreeMap<Arc<str>, Roster>,
    keys: BTreeMap<Arc<str>, Key>,
    templates: BTreeMap<Arc<str>, Template>,
    per_key_files: PerKeyFiles,
    in_flight: InFlightPublications,
    pending_reloads: BTreeMap<Reload, PendingReload>,
    /// What is owed from before the start, until there is a configuration.
    inherited_reloads: Vec<Arc<TemplateConfig>>,
    /// Files that are being put back.
    restorations: BTreeMap<PublicationId, Restoration>,
    /// What reloads that ended leave to do, and was not given out yet.
    deferred_effects: Vec<Effect>,
}

impl Engine {
    /// An engine with nothing to do. `host` is this host's name, for `pick = "spread"`; `saved` is what
    /// [`Effect::Save`] gave the agent before this one.
    pub fn new(mode: RunMode, host: &str, saved: SavedState) -> Self {
        Self {
            mode,
            stopping: false,
            paused: None,
            without_reload: BTreeSet::new(),
            host: Arc::from(host),
            views: ViewCache::default(),
            origins: BTreeMap::new(),
            subjects: BTreeSet::new(),
            unreachable: BTreeMap::new(),
            saved,
            unsaved: Vec::new(),
            rosters: BTreeMap::new(),
            keys: BTreeMap::new(),
            templates: BTreeMap::new(),
            per_key_files: PerKeyFiles::default(),
            in_flight: InFlightPublications::default(),
            pending_reloads: BTreeMap::new(),
            inherited_reloads: Vec::new(),
            restorations: BTreeMap::new(),
            deferred_effects: Vec::new(),
        }
    }

    /// Takes one input in and says what is to be done now.
    pub fn step(&mut self, now: Moment, input: Input) -> Vec<Effect> {
        let mut events = Vec::new();
        match input {
            Input::Configured(plan) => self.configure(now, plan, &mut events),
            Input::WrittenKeys(written) => self.set_written_keys(written),
            Input::PendingReloads(owed) => self.inherited_reloads = owed,
            Input::WritesFinished(owed) => {
                for owed in &owed {
                    let owed = self.of_program(owed).unwrap_or_else(|| Arc::clone(owed));
                    self.add_pending_reload(now, &owed, BTreeSet::new());
                }
                self.reassign_reloads(now);
            }
            Input::Registry(event) => self.see(now, event, &mut events),
            Input::Published(id, outcome) => self.published(now, id, outcome, &mut events),
            Input::Probed(id, outcome) => self.probed(now, id, outcome, &mut events),
            Input::Drifted(template, what) => {
                if let Some(template) = self.templates.get_mut(&template) {
                    // What somebody else did is no part of what was asked for without a reload.
                    self.without_reload.remove(&template.plan().config.name);
                    match what {
                        Some(what) => template.drifted(now, what, &mut events),
                        None => template.drift_resolved(&mut events),
                    }
                }
            }
            Input::Reloaded(reload, ran) => self.reloaded(now, &reload, &ran, &mut events),
            Input::FilesApplied => {
                if let Some(pending) = self.pending_reloads.get_mut(&Reload::Program) {
                    pending.complete(now);
                }
            }
            Input::Restored(id, done) => self.restored(now, id, done, &mut events),
            Input::Accept(roster, shown) => self.accept_if_unchanged(now, &roster, &shown),
            Input::Paused(until) => self.paused = Some(until),
            Input::Resumed => self.paused = None,
            Input::Render { templates, reload } => self.render(&templates, reload),
            Input::UseSaved(max) => self.use_saved(now, Some(max), &mut events),
            Input::Tick => {}
            Input::Stopping => {
                self.stopping = true;
                self.pending_reloads.values_mut().for_each(PendingReload::skip_delays);
            }
        }
        self.end_pause(now, &mut events);
        self.evaluate(now, &mut events);
        self.update_per_key_files(&mut events);
        let mut work: Vec<Effect> = self.unsaved.drain(..).map(Effect::Save).collect();
        work.append(&mut self.deferred_effects);
        work.extend(self.probe(now, &mut events));
        work.extend(self.publish(now, &mut events));
        work.extend(self.run_reloads(now));
        events.into_iter().map(Effect::Emit).chain(work).collect()
    }

    /// When [`Input::Tick`] is wanted at the latest, if nothing else happens before.
    pub fn next_wake(&self) -> Option<Moment> {
        let rosters = self.rosters.values().filter_map(Roster::due);
        // One whose destination is busy is looked at again when that publication ends.
        let due =
            |template: &Template| template.due().filter(|_| !self.in_flight.is_busy(&template.plan().config.dest));
        let templates = self.templates.values().filter(|_| self.paused.is_none()).filter_map(due);
        let pending_reloads =
            self.pending_reloads.values().filter(|_| self.may_reload()).filter_map(PendingReload::due);
        rosters.chain(templates).chain(pending_reloads).chain(self.paused).min()
    }

    fn see(&mut self, now: Moment, event: RegistryEvent, events: &mut Vec<Event>) {
        let RegistryEvent { registry, update } = event;
        if let Update::Reset { subject, .. } | Update::Changed { subject, .. } = &update
            && !self.subjects.contains(&(Arc::clone(&registry), subject.clone()))
        {
            return;
        }
        match &update {
            Update::Unreachable { reason } => {
                // Each time: a registry says it once a minute, and so is nobody's surprise in the morning.
                self.unreachable.insert(Arc::clone(&registry), reason.clone());
                events.push(Event::RegistryUnreachable { registry: Arc::clone(&registry), reason: reason.clone() });
                self.invalidate_views(now, &registry);
                self.use_saved_for_unreachable(now, events);
            }
            Update::Suspended => self.invalidate_views(now, &registry),
            Update::Reset { subject, view, versions } => {
                if self.unreachable.remove(&registry).is_some() {
                    events.push(Event::RegistryConnected { registry: Arc::clone(&registry) });
                }
                for roster in self.rosters_on(&registry, subject) {
                    roster.reset(now, view, versions);
                }
                self.update_keys(now, &registry, subject, view, events);
                self.views.take((registry, subject.clone()), update);
            }
            Update::Changed { subject, changes, versions } => {
                for roster in self.rosters_on(&registry, subject) {
                    roster.update(now, changes, versions);
                }
                self.views.take((registry, subject.clone()), update);
            }
        }
    }

    fn rosters_on(&mut self, registry: &Arc<str>, subject: &Subject) -> impl Iterator<Item = &mut Roster> {
        self.rosters
            .values_mut()
            .filter(move |roster| roster.config().registry == *registry && roster.config().subject == *subject)
    }

    fn queue_dependents(&mut self, name: &Arc<str>, is_roster: bool) {
        for (own, template) in self.templates.iter_mut().filter(|(_, template)| template.needs(name, is_roster)) {
            template.queue();
            self.without_reload.remove(own);
        }
        if is_roster && self.per_key_files.uses_roster(name) {
            self.per_key_files.mark_due();
        }
    }

    fn evaluate(&mut self, now: Moment, events: &mut Vec<Event>) {
        let due = self.rosters.iter().filter(|(_, roster)| roster.due().is_some_and(|due| due <= now));
        let due: Vec<Arc<str>> = due.map(|(name, _)| Arc::clone(name)).collect();
        for name in due {
            if self.rosters.get_mut(&name).is_some_and(|roster| roster.evaluate(now, &self.host, events)) {
                self.queue_dependents(&name, true);
            }
            self.save_roster(&name);
        }
    }

    /// A template's reload is owed, if it has one.
    fn add_pending_reload(&mut self, now: Moment, config: &Arc<TemplateConfig>, in_batch: BTreeSet<PublicationId>) {
        if let Some(reload) = &config.reload {
            let pending =
                || PendingReload::new(ReloadPolicy::from_template(config), SplayShare::new(&self.host, reload));
            let pending = self.pending_reloads.entry(reload.clone()).or_insert_with(pending);
            pending.add(now, config, in_batch);
            if self.stopping {
                pending.skip_delays();
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
        !self.in_flight.is_empty()
    }

    /// Whether a reload is under way, or one that has not failed is still to run.
    pub fn is_reloading(&self) -> bool {
        self.pending_reloads.values().any(PendingReload::will_run) || !self.restorations.is_empty()
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
    pub fn pending_reloads(&self) -> &BTreeMap<Reload, PendingReload> {
        &self.pending_reloads
    }

    /// The registries that are not reached, with what was tried.
    pub fn unreachable(&self) -> &BTreeMap<Arc<str>, String> {
        &self.unreachable
    }
}
