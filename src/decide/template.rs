//! One `[[template]]`: when it is rendered, and what came of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::event::{Event, seconds};
use super::in_flight::PublicationId;
use super::isolate::Isolation;
use super::key::Key;
use super::moment::Moment;
use super::pending::Publish;
use super::plan::TemplatePlan;
use super::publication::{Failure, Outcome, SlottedMembers, Snapshot, Stage};
use super::roster::Roster;
use crate::model::backoff;

mod drift;
mod search;
mod trial;

pub use drift::Drift;

use drift::Dispute;

/// A template's state.
#[derive(Debug, Clone)]
pub struct Template {
    plan: TemplatePlan,
    publish: Publish,
    retry: Option<Moment>,
    failures: u32,
    last: Option<Outcome>,
    rendered: Option<Moment>,
    waiting: Vec<Arc<str>>,
    /// Of a key's file: the members that it shows.
    members: Option<SlottedMembers>,
    /// Of a key's file: what becomes of it.
    removal: Removal,
    isolation: Isolation,
    drift: Option<Drift>,
    dispute: Dispute,
}

/// What becomes of a key's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Removal {
    /// It is kept in step.
    No,
    /// The key is gone: it is to be removed.
    Queued,
    /// It is being removed.
    InFlight,
    /// It is removed.
    Done,
}

impl Template {
    /// A template that is to be rendered as soon as what it needs is there.
    pub fn new(plan: TemplatePlan) -> Self {
        let mut publish = Publish::default();
        publish.queue();
        Self {
            plan,
            publish,
            retry: None,
            failures: 0,
            last: None,
            rendered: None,
            waiting: Vec::new(),
            members: None,
            removal: Removal::No,
            isolation: Isolation::default(),
            drift: None,
            dispute: Dispute::default(),
        }
    }

    /// How it is configured, and what it needs.
    pub fn plan(&self) -> &TemplatePlan {
        &self.plan
    }

    /// Takes on a new configuration or source. It is rendered even if nothing differs: that costs little, and what
    /// failed before is tried again.
    pub fn replan(&mut self, plan: TemplatePlan) {
        self.plan = plan;
        self.isolation = Isolation::default();
        self.queue();
    }

    /// Of a key's file: the members of its key, or none, when the key is gone and the file is to go.
    pub fn set_members(&mut self, slotted: Option<&SlottedMembers>) {
        let removal = if slotted.is_some() { Removal::No } else { Removal::Queued };
        let changed = (self.removal == Removal::No) != (removal == Removal::No)
            || (removal == Removal::No && self.members.as_deref() != slotted.map(|slotted| &**slotted));
        if changed {
            self.removal = removal;
            self.queue();
        }
        self.members = slotted.cloned();
    }

    /// Whether the key is gone whose file it is.
    pub fn is_removing(&self) -> bool {
        self.removal != Removal::No
    }

    /// Whether nothing is left of it.
    pub fn is_removed(&self) -> bool {
        self.removal == Removal::Done
    }

    /// Whether it names this roster or key, or has a file for each key of it.
    pub fn depends_on(&self, name: &Arc<str>, is_roster: bool) -> bool {
        let each = self.plan.config.each.as_ref().filter(|_| is_roster);
        each.is_some_and(|each| each.roster == *name) || self.needs(name, is_roster)
    }

    /// Something that it depends on changed: what failed before may pass now.
    pub fn queue(&mut self) {
        self.publish.queue();
        self.retry = None;
        self.failures = 0;
    }

    /// Whether it names this roster or key.
    pub fn needs(&self, name: &Arc<str>, is_roster: bool) -> bool {
        self.plan.needs.names.contains(name) || (is_roster && self.plan.needs.all)
    }

    /// What it needs that never had a good view.
    pub fn missing(&self, rosters: &BTreeMap<Arc<str>, Roster>, keys: &BTreeMap<Arc<str>, Key>) -> Vec<Arc<str>> {
        let rosters = rosters.iter().filter(|(name, roster)| self.depends_on(name, true) && roster.value().is_none());
        let keys = keys.iter().filter(|(name, key)| self.needs(name, false) && key.value().is_none());
        rosters.map(|(name, _)| name).chain(keys.map(|(name, _)| name)).cloned().collect()
    }

    /// Whether there is anything to do for it now: most templates have nothing most of the time.
    pub fn is_due(&self, now: Moment) -> bool {
        !self.is_searching() && (self.publish.is_ready() || self.retry_due().is_some_and(|due| due <= now))
    }

    /// Where its retry is due, it is wanted.
    pub fn requeue_if_due(&mut self, now: Moment) {
        if self.retry_due().is_some_and(|due| due <= now) {
            self.retry = None;
            self.end_drift_delay();
            self.publish.queue();
        }
    }

    /// When it is to be rendered again although nothing changes that it is made of.
    fn retry_due(&self) -> Option<Moment> {
        self.retry.into_iter().chain(self.drift.as_ref().and_then(Drift::due)).min()
    }

    /// Another template of its unit is to be rendered, and it with that one.
    pub fn queue_with_unit(&mut self) {
        self.retry = None;
        self.publish.queue();
    }

    /// What a publication would show now, if it is this template's publish, its retry is due and all that it needs is
    /// there.
    pub fn ready(
        &mut self,
        now: Moment,
        rosters: &BTreeMap<Arc<str>, Roster>,
        keys: &BTreeMap<Arc<str>, Key>,
        events: &mut Vec<Event>,
    ) -> Option<Snapshot> {
        self.requeue_if_due(now);
        if !self.publish.is_ready() {
            return None;
        }
        if self.is_removing() {
            return Some(Snapshot::default());
        }
        let missing = self.missing(rosters, keys);
        if missing.is_empty() {
            self.waiting.clear();
            if self.plan.config.pattern().is_some() {
                // Its files have templates of their own.
                self.publish = Publish::default();
                return None;
            }
            self.retry_changed_members(rosters, keys, events);
            let snapshot = self.snapshot(rosters, keys);
            self.set_in_flight(&snapshot);
            return Some(snapshot);
        }
        // What no registry has answered for yet is on its way, or the registry's own notice says why not.
        let unseen = |name| {
            let roster = rosters.get(name).is_some_and(|roster| !roster.is_seen());
            roster || keys.get(name).is_some_and(|key| !key.is_seen())
        };
        if missing != self.waiting && !missing.iter().any(unseen) {
            events
                .push(Event::TemplateWaiting { template: Arc::clone(&self.plan.config.name), needs: missing.clone() });
            self.waiting = missing;
        }
        None
    }

    /// A probe begins.
    pub fn begin_probe(&mut self, id: PublicationId) {
        self.publish.begin_probe(id);
    }

    /// A publication begins.
    pub fn begin(&mut self, id: PublicationId) {
        self.publish.begin(id);
        self.begin_correction();
        if self.removal == Removal::Queued {
            self.removal = Removal::InFlight;
        }
    }

    /// What it sees: only what it names, so that nothing else can change its bytes, and nobody whom its check refuses.
    pub fn snapshot(&self, rosters: &BTreeMap<Arc<str>, Roster>, keys: &BTreeMap<Arc<str>, Key>) -> Snapshot {
        self.isolation.filter(self.full(rosters, keys), self.each())
    }

    fn full(&self, rosters: &BTreeMap<Arc<str>, Roster>, keys: &BTreeMap<Arc<str>, Key>) -> Snapshot {
        let rosters = rosters.iter().filter(|(name, _)| self.needs(name, true));
        let keys = keys.iter().filter(|(name, _)| self.needs(name, false));
        Snapshot {
            rosters: rosters.filter_map(|(name, roster)| Some((Arc::clone(name), roster.value()?.clone()))).collect(),
            keys: keys.filter_map(|(name, key)| Some((Arc::clone(name), Arc::clone(key.value()?)))).collect(),
            own: self.plan.config.file_of().and_then(|(_, key)| Some((Arc::clone(key), self.members.clone()?))),
        }
    }

    /// A publication ended. After a failure that time may mend it is tried again by itself, when `retries`.
    pub fn end(&mut self, now: Moment, id: PublicationId, outcome: Outcome, retries: bool, events: &mut Vec<Event>) {
        if !self.publish.end(id) {
            return;
        }
        if self.removal == Removal::InFlight {
            let done = matches!(outcome, Outcome::Removed | Outcome::WouldRemove | Outcome::Unchanged);
            self.removal = if done { Removal::Done } else { Removal::Queued };
        }
        if self.needs_search(&outcome) {
            self.last = Some(outcome);
            return;
        }
        if let Outcome::Failed(failure) = outcome {
            self.fail(now, failure, retries, events);
            return;
        }
        self.failures = 0;
        self.retry = None;
        if matches!(outcome, Outcome::Replaced | Outcome::Unchanged) {
            if self.end_drift(now, outcome == Outcome::Replaced) {
                let (template, dest) = (Arc::clone(&self.plan.config.name), self.plan.config.dest.clone());
                events.push(Event::DriftCorrected { template, dest });
            }
            self.rendered = Some(now);
        }
        self.last = Some(outcome);
    }

    /// Its destination is what it was before its reload failed, as `why` says if that has just been put back.
    pub fn rolled_back(&mut self, now: Moment, why: Option<&str>) {
        // Whoever writes it too does so whichever bytes it is put right with.
        self.end_drift(now, why.is_some());
        self.drift = None;
        let Some(why) = why else { return };
        self.failures = 1;
        self.retry = None;
        self.last = Some(Outcome::Failed(Failure { stage: Stage::Rollback, message: why.to_owned() }));
    }

    /// What others made of its destination could not be put right: that is tried again.
    pub fn retry_later(&mut self, now: Moment) {
        self.failures = self.failures.saturating_add(1);
        self.retry = Some(now + backoff::RETRY.pause(self.failures));
    }

    fn fail(&mut self, now: Moment, failure: Failure, retries: bool, events: &mut Vec<Event>) {
        self.failures = self.failures.saturating_add(1);
        // Something newer is waiting to be rendered, the same members would fail in the same way, or the template that it
        // was kept back by takes it along when that is tried again.
        let waits = matches!(failure.stage, Stage::Render | Stage::Unit | Stage::Rollback) || self.publish.is_queued();
        let again = (retries && !waits).then(|| backoff::RETRY.pause(self.failures));
        self.retry = again.map(|pause| now + pause);
        let (config, outcome) = (&self.plan.config, Outcome::Failed(failure));
        events.push(outcome.event(Arc::clone(&config.name), config.dest.clone(), again.map(seconds)));
        self.last = Some(outcome);
    }

    /// When something is to be done for it by itself.
    pub fn due(&self) -> Option<Moment> {
        let due = self.retry_due().into_iter().chain(self.trial_due()).min();
        due.filter(|_| !self.publish.is_in_flight())
    }

    /// When a publication that failed is tried again.
    pub fn retry(&self) -> Option<Moment> {
        self.retry.filter(|_| !self.publish.is_in_flight())
    }

    /// Whether a publication is under way.
    pub fn is_in_flight(&self) -> bool {
        self.publish.is_in_flight()
    }

    /// Whether it is to be rendered and has not begun.
    pub fn is_queued(&self) -> bool {
        self.publish.is_queued()
    }

    /// When its destination was last found, or brought, in step.
    pub fn rendered(&self) -> Option<Moment> {
        self.rendered
    }

    /// How often it has failed in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Why the last publication failed, if it did.
    pub fn failure(&self) -> Option<&Failure> {
        match &self.last {
            Some(Outcome::Failed(failure)) => Some(failure),
            _ => None,
        }
    }
}
