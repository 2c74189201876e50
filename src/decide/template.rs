//! One `[[template]]`: when it is rendered, and the result.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::event::{Event, seconds};
use super::in_flight::PublicationId;
use super::isolate::{Isolation, MemberRef};
use super::key::Key;
use super::moment::Moment;
use super::pending::Publish;
use super::pin::Pin;
use super::pinning::Pinning;
use super::plan::TemplatePlan;
use super::publication::{Failure, Outcome, SlottedMembers, Snapshot, Stage};
use super::roster::Roster;
use crate::model::backoff;

mod drift;
mod pin;
mod port;
mod search;
mod trial;

pub use drift::Drift;

use drift::Dispute;

/// The state of a template.
#[derive(Debug, Clone)]
pub struct Template {
    plan: TemplatePlan,
    publish: Publish,
    retry: Option<Moment>,
    failures: u32,
    last: Option<Outcome>,
    rendered: Option<Moment>,
    waiting: Vec<Arc<str>>,
    /// For the file of a key: the key's members.
    members: Option<SlottedMembers>,
    /// For the file of a key: the progress of its removal.
    removal: Removal,
    isolation: Isolation,
    /// The members in its file without a port, which it reads.
    without_port: Vec<MemberRef>,
    drift: Option<Drift>,
    dispute: Dispute,
    pinning: Pinning,
    /// The number of changes that are not in a pinned file.
    withheld: u32,
    /// The result of the last rollback by a person.
    rollback: Option<Result<(), Failure>>,
}

/// The removal of a key's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Removal {
    /// The file stays.
    No,
    /// The key is gone: the file is to be removed.
    Queued,
    /// The file is being removed.
    InFlight,
    /// The file is removed.
    Done,
}

impl Template {
    /// Creates a template, which is rendered as soon as everything that it needs is known.
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
            without_port: Vec::new(),
            drift: None,
            dispute: Dispute::default(),
            pinning: Pinning::default(),
            withheld: 0,
            rollback: None,
        }
    }

    /// Its configuration and its needs.
    pub fn plan(&self) -> &TemplatePlan {
        &self.plan
    }

    /// Applies a new configuration or source. It is rendered even if nothing differs: that costs little, and retries
    /// what failed before.
    pub fn replan(&mut self, plan: TemplatePlan) {
        self.plan = plan;
        self.isolation = Isolation::default();
        self.withheld = self.withheld.saturating_add(self.is_pinned().into());
        self.republish();
    }

    /// For the file of a key: sets the key's members. `None` if the key is gone and the file is to be removed.
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

    /// Whether its file is to be removed, or was.
    pub fn is_removing(&self) -> bool {
        self.removal != Removal::No
    }

    /// Whether its file was removed.
    pub fn is_removed(&self) -> bool {
        self.removal == Removal::Done
    }

    /// Whether it names this roster or key, or has a file for each key of it.
    pub fn depends_on(&self, name: &Arc<str>, is_roster: bool) -> bool {
        let each = self.plan.config.each.as_ref().filter(|_| is_roster);
        each.is_some_and(|each| each.roster == *name) || self.needs(name, is_roster)
    }

    /// Queues it, because something that it depends on changed. Earlier failures no longer count. While its file is
    /// pinned, the change is only counted.
    pub fn queue(&mut self) {
        if self.is_pinned() {
            self.withheld = self.withheld.saturating_add(1);
        } else {
            self.republish();
        }
    }

    /// Whether it names this roster or key.
    pub fn needs(&self, name: &Arc<str>, is_roster: bool) -> bool {
        self.plan.needs.names.contains(name) || (is_roster && self.plan.needs.all)
    }

    /// The rosters and keys that it needs and that never had a known-good view.
    pub fn missing(&self, rosters: &BTreeMap<Arc<str>, Roster>, keys: &BTreeMap<Arc<str>, Key>) -> Vec<Arc<str>> {
        let rosters = rosters.iter().filter(|(name, roster)| self.depends_on(name, true) && roster.value().is_none());
        let keys = keys.iter().filter(|(name, key)| self.needs(name, false) && key.value().is_none());
        rosters.map(|(name, _)| name).chain(keys.map(|(name, _)| name)).cloned().collect()
    }

    /// Whether a publication can begin, or a retry is due. For most templates, neither is true most of the time.
    pub fn is_due(&self, now: Moment) -> bool {
        !self.is_searching() && (self.publish.is_ready() || self.retry_due().is_some_and(|due| due <= now))
    }

    /// Queues it if its retry is due.
    pub fn requeue_if_due(&mut self, now: Moment) {
        if self.retry_due().is_some_and(|due| due <= now) {
            self.retry = None;
            self.end_drift_delay();
            self.publish.queue();
        }
    }

    /// When it is rendered again without a change of what it depends on.
    fn retry_due(&self) -> Option<Moment> {
        self.retry.into_iter().chain(self.drift.as_ref().and_then(Drift::due)).min()
    }

    /// Queues it, because another template of its unit is rendered.
    pub fn queue_with_unit(&mut self) {
        self.retry = None;
        self.publish.queue();
    }

    /// The snapshot for a publication, if it is queued and everything that it needs is known.
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
        if self.is_removing() || self.is_pinned() {
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
            self.find_members_without_port(&snapshot, events);
            return Some(snapshot);
        }
        // A registry that has not answered yet is reported separately.
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

    /// A publication begins. Returns the pin whose content it has, if the file is pinned.
    pub fn begin(&mut self, id: PublicationId) -> Option<Arc<Pin>> {
        self.publish.begin(id);
        self.begin_correction();
        let pin = self.pinning.publication_begins();
        if self.removal == Removal::Queued && pin.is_none() {
            self.removal = Removal::InFlight;
        }
        pin
    }

    /// Its snapshot: only what it names, so that nothing else can change the result, without the members with which it
    /// fails.
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

    /// A publication ended. After a failure that can be temporary it is retried, if `retries`.
    pub fn end(&mut self, now: Moment, id: PublicationId, outcome: Outcome, retries: bool, events: &mut Vec<Event>) {
        if !self.publish.end(id) {
            return;
        }
        if self.removal == Removal::InFlight {
            let done = matches!(outcome, Outcome::Removed | Outcome::WouldRemove | Outcome::Unchanged);
            self.removal = if done { Removal::Done } else { Removal::Queued };
        }
        if self.pinning.publication_ended(&outcome) {
            return;
        }
        if self.needs_search(&outcome) {
            self.last = Some(outcome);
            return;
        }
        if let Outcome::Failed(failure) = outcome {
            self.fail(now, failure, retries, events);
            return;
        }
        self.withhold_failed();
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

    /// Its file is the one from before the failed reload. `why` is the failure, if the file was restored just now.
    pub fn rolled_back(&mut self, now: Moment, why: Option<&str>) {
        // This counts as a correction, too, whatever the content is.
        self.end_drift(now, why.is_some());
        self.drift = None;
        let Some(why) = why else { return };
        self.failures = 1;
        self.retry = None;
        self.last = Some(Outcome::Failed(Failure::new(Stage::Rollback, why)));
    }

    /// Its file could not be restored after a change by another process. That is retried.
    pub fn retry_later(&mut self, now: Moment) {
        self.failures = self.failures.saturating_add(1);
        self.retry = Some(now + backoff::RETRY.pause(self.failures));
    }

    fn fail(&mut self, now: Moment, failure: Failure, retries: bool, events: &mut Vec<Event>) {
        self.failures = self.failures.saturating_add(1);
        // No retry by time: something newer is queued, the same members would fail again, or the template that blocks
        // it retries both.
        let waits = matches!(failure.stage, Stage::Render | Stage::Unit | Stage::Rollback) || self.publish.is_queued();
        let again = (retries && !waits).then(|| backoff::RETRY.pause(self.failures));
        self.retry = again.map(|pause| now + pause);
        let (config, outcome) = (&self.plan.config, Outcome::Failed(failure));
        events.push(outcome.event(Arc::clone(&config.name), config.dest.clone(), again.map(seconds)));
        self.last = Some(outcome);
    }

    /// When it is due without a further input.
    pub fn due(&self) -> Option<Moment> {
        let due = self.retry_due().into_iter().chain(self.trial_due()).min();
        due.filter(|_| !self.publish.is_in_flight())
    }

    /// When the failed publication is retried.
    pub fn retry(&self) -> Option<Moment> {
        self.retry.filter(|_| !self.publish.is_in_flight())
    }

    /// Whether a publication or a probe is in flight.
    pub fn is_in_flight(&self) -> bool {
        self.publish.is_in_flight()
    }

    /// Whether it is to be rendered and has not begun.
    pub fn is_queued(&self) -> bool {
        self.publish.is_queued()
    }

    /// When its file was last found or brought up to date.
    pub fn rendered(&self) -> Option<Moment> {
        self.rendered
    }

    /// How often it has failed in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// The failure of the last publication, if it failed.
    pub fn failure(&self) -> Option<&Failure> {
        match &self.last {
            Some(Outcome::Failed(failure)) => Some(failure),
            _ => None,
        }
    }
}
