//! The engine: state, input and time in, effects out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::accept::HeldView;
use super::event::Event;
use super::in_flight::{InFlightPublications, PublicationId};
use super::key::Key;
use super::lock::{Lock, LockStanding};
use super::moment::Moment;
use super::pending_reload::{PendingReload, ReloadPolicy};
use super::pin::{Pin, Pins};
use super::plan::Plan;
use super::publication::{Group, Outcome, Publication, ReloadJob, ReloadOutcome, Restoration};
use super::roster::Roster;
use super::saved::{SavedState, SavedUpdate};
use super::splay::SplayShare;
use super::template::Template;
use super::view_cache::{ViewCache, ViewKey};
use crate::config::{Reload, TemplateConfig, key_name};
use crate::model::node_path::Subject;
use crate::model::registry_event::{RegistryEvent, Unreachable, Update};

mod operator;
mod per_key_files;
mod persistence;
mod pins;
mod publish;
mod readiness;
mod reconfigure;
mod reload;
mod report;
mod search;
#[cfg(test)]
pub(crate) mod tests;
mod views;

pub use per_key_files::WrittenKeys;
pub use readiness::NotReady;
pub use views::FollowedView;

use per_key_files::PerKeyFiles;

/// An input of the engine.
#[derive(Debug, Clone)]
pub enum Input {
    /// A new configuration or new templates: complete and valid.
    Configured(Plan),
    /// The keys whose files earlier runs wrote. Comes before the first configuration.
    WrittenKeys(WrittenKeys),
    /// The reloads that are pending from earlier runs, each as configured when its file was replaced. Comes before the
    /// first configuration, which can assign another command.
    PendingReloads(Vec<Arc<TemplateConfig>>),
    /// Replacements that an earlier run began are finished now. Their reloads are pending in the same way.
    WritesFinished(Vec<Arc<TemplateConfig>>),
    /// The pins of the previous run. Comes before the first configuration.
    Pins(Pins),
    /// A registry event.
    Registry(RegistryEvent),
    /// The place of this agent in the line of a `[[lock]]` changed.
    Lock(Arc<str>, LockStanding),
    /// The publication with this id ended.
    Published(PublicationId, Outcome),
    /// The probe with this id ended.
    Probed(PublicationId, Outcome),
    /// The template's file differs from what the agent wrote, with the difference; `None` if it no longer differs.
    Drifted(Arc<str>, Option<String>),
    /// A reload ended.
    Reloaded(Reload, ReloadOutcome),
    /// The program uses every file that was in place when this was sent.
    FilesApplied,
    /// The restore with this id ended, with the templates whose files it changed, or the reason why it changed none.
    Restored(PublicationId, Result<BTreeSet<Arc<str>>, String>),
    /// An operator accepts this held view of a roster. Any other view stays held.
    Accept(Arc<str>, HeldView),
    /// An operator pauses replacements until this time.
    Paused(Moment),
    /// An operator ends the pause.
    Resumed,
    /// An operator rolls the files of these templates back, a whole unit or one template, and pins them if all can be put
    /// in place.
    RollBack(Pins),
    /// An operator ends the pins of these templates.
    Unpin {
        /// Their names: whole units.
        templates: BTreeSet<Arc<str>>,
        /// The user.
        uid: u32,
    },
    /// An operator requests these templates, even if nothing has changed.
    Render {
        /// Their names.
        templates: BTreeSet<Arc<str>>,
        /// Whether a replacement is followed by its reload.
        reload: bool,
    },
    /// The wait for registries is over. Saved members up to this age are used in their place.
    UseSaved(Duration),
    /// The time given by [`Engine::next_wake`] has come.
    Tick,
    /// The agent is about to stop. Nothing more is published, and reloads that are only deferred run now.
    Stopping,
}

/// An effect that the engine requests.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Bring files up to date. Answer each publication with [`Input::Published`]. Groups are independent of each other.
    Publish(Group),
    /// Render, stage and check, but replace nothing. Answer with [`Input::Probed`].
    Probe(Publication),
    /// Run a reload. Answer with [`Input::Reloaded`], or with [`Input::FilesApplied`] if it is the program's.
    Reload(ReloadJob),
    /// Restore previous files. Answer with [`Input::Restored`].
    Restore(Restoration),
    /// Save this for the next start, before any publication that follows.
    Save(SavedUpdate),
    /// Save these pins, and no others, for the next start.
    SavePins(Pins),
    /// Report this event.
    Emit(Event),
}

/// What differs between a daemon and a single pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunMode {
    /// Failures are retried.
    Continuous,
    /// A single pass: nothing is retried.
    Once {
        /// How old saved members may be that are used while a registry cannot be reached; `None` for not at all.
        max_stale: Option<Duration>,
    },
}

/// The decisions of an agent. It has no clock: every step is given the time.
#[derive(Debug)]
pub struct Engine {
    mode: RunMode,
    stopping: bool,
    /// Until when nothing is replaced.
    paused: Option<Moment>,
    /// Templates whose next replacement is not followed by its reload.
    without_reload: BTreeSet<Arc<str>>,
    host: Arc<str>,
    views: ViewCache,
    origins: BTreeMap<Arc<str>, Arc<str>>,
    /// What the plan watches. Updates of anything else are outdated and are dropped.
    subjects: BTreeSet<ViewKey>,
    unreachable: BTreeMap<Arc<str>, Unreachable>,
    /// The saved state of an earlier run, without the rosters and keys that were saved again since.
    saved: SavedState,
    /// Updates that were not returned as effects yet.
    unsaved: Vec<SavedUpdate>,
    rosters: BTreeMap<Arc<str>, Roster>,
    keys: BTreeMap<Arc<str>, Key>,
    templates: BTreeMap<Arc<str>, Template>,
    per_key_files: PerKeyFiles,
    in_flight: InFlightPublications,
    pending_reloads: BTreeMap<Reload, PendingReload>,
    /// The reloads that are pending from an earlier run, until there is a configuration.
    inherited_reloads: Vec<Arc<TemplateConfig>>,
    /// The pins in force.
    pins: Pins,
    /// What was in force before them, until their reloads succeed: it is in force again if their files are rolled back.
    earlier_pins: BTreeMap<Arc<str>, Option<Arc<Pin>>>,
    /// The restores in flight.
    restorations: BTreeMap<PublicationId, Restoration>,
    /// Effects of reloads that ended, for the end of this step.
    deferred_effects: Vec<Effect>,
}

impl Engine {
    /// Creates an engine with nothing to do. `host` is this host's name, for `pick = "spread"`. `saved` is what an
    /// earlier run saved ([`Effect::Save`]).
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
            pins: Pins::new(),
            earlier_pins: BTreeMap::new(),
            restorations: BTreeMap::new(),
            deferred_effects: Vec::new(),
        }
    }

    /// Processes one input and returns what is to be done.
    pub fn step(&mut self, now: Moment, input: Input) -> Vec<Effect> {
        let mut events = Vec::new();
        match input {
            Input::Configured(plan) => self.configure(now, plan, &mut events),
            Input::WrittenKeys(written) => self.set_written_keys(written),
            Input::Pins(pins) => self.set_pins(pins),
            Input::PendingReloads(owed) => self.inherited_reloads = owed,
            Input::WritesFinished(owed) => {
                for owed in &owed {
                    let owed = self.of_program(owed).unwrap_or_else(|| Arc::clone(owed));
                    self.add_pending_reload(now, &owed, BTreeSet::new());
                }
                self.reassign_reloads(now);
            }
            Input::Registry(event) => self.see(now, event, &mut events),
            Input::Lock(name, standing) => {
                let name = key_name(&name);
                if self.keys.get_mut(&name).is_some_and(|key| key.set_standing(now, standing)) {
                    self.queue_dependents(&name, false);
                }
            }
            Input::Published(id, outcome) => self.published(now, id, outcome, &mut events),
            Input::Probed(id, outcome) => self.probed(now, id, outcome, &mut events),
            Input::Drifted(template, what) => {
                if let Some(template) = self.templates.get_mut(&template) {
                    // A change by another process is not part of a request without a reload.
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
            Input::Paused(until) => {
                self.paused = Some(until);
                self.cancel_rollbacks(&mut events);
            }
            Input::Resumed => self.paused = None,
            Input::RollBack(pins) => self.roll_back(now, pins, &mut events),
            Input::Unpin { templates, uid } => self.resume_templates(&templates, uid, &mut events),
            Input::Render { templates, reload } => self.render(&templates, reload),
            Input::UseSaved(max) => self.use_saved(now, Some(max), &mut events),
            Input::Tick => {}
            Input::Stopping => {
                self.stopping = true;
                self.pending_reloads.values_mut().for_each(PendingReload::skip_delays);
            }
        }
        self.forget_earlier_pins();
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

    /// When [`Input::Tick`] is needed, if no other input comes first.
    pub fn next_wake(&self) -> Option<Moment> {
        let rosters = self.rosters.values().filter_map(Roster::due);
        // The end of the publication that keeps a destination busy is an input, too.
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
            Update::Unreachable(unreachable) => {
                // A registry repeats this once a minute, and so does the log.
                self.unreachable.insert(Arc::clone(&registry), unreachable.clone());
                let reason = unreachable.reason.clone();
                events.push(Event::RegistryUnreachable { registry: Arc::clone(&registry), reason });
                self.invalidate_views(now, &registry);
                self.use_saved_for_unreachable(now, events);
            }
            Update::Suspended => self.invalidate_views(now, &registry),
            Update::Connected => self.connected(&registry, events),
            Update::Reset { subject, view, versions } => {
                self.connected(&registry, events);
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
                let place = (registry, subject.clone());
                self.views.take(place.clone(), update);
                self.update_locks(now, &place, events);
            }
        }
    }

    /// Updates the locks whose line changed.
    fn update_locks(&mut self, now: Moment, place: &ViewKey, events: &mut Vec<Event>) {
        let is_of_lock = |key: &Key| (&key.config().registry, &key.config().subject) == (&place.0, &place.1);
        if let Some((view, _)) = self.views.view(place).filter(|_| self.keys.values().any(is_of_lock)).cloned() {
            self.update_keys(now, &place.0, &place.1, &view, events);
        }
    }

    fn connected(&mut self, registry: &Arc<str>, events: &mut Vec<Event>) {
        if self.unreachable.remove(registry).is_some() {
            events.push(Event::RegistryConnected { registry: Arc::clone(registry) });
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

    /// Marks a template's reload as pending, if it has one.
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

    /// The current template of a file whose reload is the program's. That one is not saved with the file.
    fn of_program(&self, finished: &TemplateConfig) -> Option<Arc<TemplateConfig>> {
        let now = &self.templates.get(&finished.name)?.plan().config;
        let is_programs = finished.reload.is_none() && now.reload == Some(Reload::Program);
        (is_programs && now.dest == finished.dest).then(|| Arc::clone(now))
    }

    /// Whether a publication is in flight.
    pub fn is_publishing(&self) -> bool {
        !self.in_flight.is_empty()
    }

    /// Whether a reload is running, or is pending and has not failed.
    pub fn is_reloading(&self) -> bool {
        self.pending_reloads.values().any(PendingReload::will_run) || !self.restorations.is_empty()
    }

    /// Whether this agent holds the lock of this name.
    pub fn is_lock_held(&self, name: &str) -> bool {
        self.keys.get(&key_name(name)).and_then(Key::lock).is_some_and(Lock::is_held)
    }

    /// The rosters by name.
    pub fn rosters(&self) -> &BTreeMap<Arc<str>, Roster> {
        &self.rosters
    }

    /// The keys by name.
    pub fn keys(&self) -> &BTreeMap<Arc<str>, Key> {
        &self.keys
    }

    /// The templates by name.
    pub fn templates(&self) -> &BTreeMap<Arc<str>, Template> {
        &self.templates
    }

    /// The reloads that are or were pending.
    pub fn pending_reloads(&self) -> &BTreeMap<Reload, PendingReload> {
        &self.pending_reloads
    }

    /// Why the registry of a roster or key cannot be reached; `None` if it can.
    pub fn unreachable_of(&self, name: &Arc<str>) -> Option<&Unreachable> {
        let roster = self.rosters.get(name).map(|roster| &roster.config().registry);
        let key = self.keys.get(name).map(|key| &key.config().registry);
        self.unreachable.get(roster.or(key)?)
    }

    /// The registries that cannot be reached, each with the reason.
    pub fn unreachable(&self) -> &BTreeMap<Arc<str>, Unreachable> {
        &self.unreachable
    }
}
