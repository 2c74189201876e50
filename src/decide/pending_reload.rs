//! Owed reloads: a replaced file includes its software a reload, and includes it until one succeeds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::in_flight::PublicationId;
use super::moment::Moment;
use super::publication::ReloadOutcome;
use super::report::{ReloadReport, ReloadState};
use super::splay::SplayShare;
use crate::config::TemplateConfig;
use crate::model::backoff;

#[cfg(test)]
mod tests;

/// Templates by name.
type Named = BTreeMap<Arc<str>, Arc<TemplateConfig>>;

/// The policy on which one reload command runs: the most cautious of all templates that splay_share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReloadPolicy {
    /// How long it may take.
    pub timeout: Duration,
    /// At most one run per interval.
    pub interval: Duration,
    /// How many tries it gets; `None` is no end of them.
    pub retries: Option<u32>,
    /// The longest that a host's place in the spread of a fleet defers it.
    pub splay: Duration,
}

impl ReloadPolicy {
    /// Those of one template.
    pub fn from_template(template: &TemplateConfig) -> Self {
        Self {
            timeout: template.reload_timeout,
            interval: template.reload_interval,
            retries: template.reload_retries,
            splay: template.splay,
        }
    }

    /// The most cautious of both.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        Self {
            timeout: self.timeout.max(other.timeout),
            interval: self.interval.max(other.interval),
            retries: self.retries.zip(other.retries).map(|(a, b)| a.max(b)),
            splay: self.splay.max(other.splay),
        }
    }
}

/// What one reload command includes to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingReload {
    policy: ReloadPolicy,
    splay_share: SplayShare,
    /// Since when it is queued, where this host's place in the spread defers it.
    since: Option<Moment>,
    /// Templates whose files changed since the last run began.
    queued: Named,
    /// Templates that the run under way is for.
    running: Option<Named>,
    /// Publications that began together with those that are queued for: all are in place before the reload runs.
    awaited: BTreeSet<PublicationId>,
    failures: u32,
    /// What is queued was put back already, and is as old as it can be.
    is_rolled_back: bool,
    /// Until when it pauses after a failure.
    not_before: Moment,
    /// When it last began, where its interval defers the next run.
    began: Option<Moment>,
    last_error: Option<String>,
}

impl PendingReload {
    /// Nothing is queued.
    pub fn new(policy: ReloadPolicy, splay_share: SplayShare) -> Self {
        Self {
            policy,
            splay_share,
            since: None,
            queued: Named::new(),
            running: None,
            awaited: BTreeSet::new(),
            failures: 0,
            is_rolled_back: false,
            not_before: Moment::START,
            began: None,
            last_error: None,
        }
    }

    /// Changed policy, from a new configuration.
    pub fn set_policy(&mut self, policy: ReloadPolicy) {
        self.policy = policy;
    }

    /// On what policy it runs.
    pub fn policy(&self) -> ReloadPolicy {
        self.policy
    }

    /// A template's file was replaced. `in_batch` are the publications still under way that began together with it.
    pub fn add(&mut self, now: Moment, template: &Arc<TemplateConfig>, in_batch: BTreeSet<PublicationId>) {
        if self.queued.is_empty() && self.failures == 0 {
            self.since = Some(now);
        }
        self.awaited.extend(in_batch);
        self.is_rolled_back = false;
        self.queued.insert(Arc::clone(&template.name), Arc::clone(template));
        if self.is_given_up() {
            // New content is a new reason to try.
            self.failures = 0;
        }
    }

    /// Nothing runs until this has publication_ended.
    pub fn await_publication(&mut self, id: PublicationId) {
        self.awaited.insert(id);
    }

    /// What is queued is as old as it can be, with the files of these templates just put back: that is reloaded as soon as
    /// the interval lets it, and at once when the agent is about to stop.
    pub fn roll_back(&mut self, back: impl Iterator<Item = Arc<TemplateConfig>>, stopping: bool) {
        self.is_rolled_back = true;
        for template in back {
            self.queued.insert(Arc::clone(&template.name), template);
            self.failures = 0;
            self.not_before = Moment::START;
            self.began = self.began.filter(|_| !stopping);
            self.since = None;
        }
    }

    /// Whether what is queued cannot be put back any further.
    pub fn is_rolled_back(&self) -> bool {
        self.is_rolled_back
    }

    /// The templates that the run under way is for.
    pub fn running(&self) -> impl Iterator<Item = &Arc<TemplateConfig>> {
        self.running.iter().flat_map(BTreeMap::values)
    }

    /// The templates whose files need it.
    pub fn templates(&self) -> Vec<Arc<str>> {
        let all: BTreeSet<&Arc<str>> = self.queued.keys().chain(self.running.iter().flat_map(BTreeMap::keys)).collect();
        all.into_iter().cloned().collect()
    }

    /// How long the run under way has lasted, where that is known.
    pub fn running_for(&self, now: Moment) -> Option<Duration> {
        self.began.filter(|_| self.running.is_some()).map(|began| now.since(began))
    }

    /// A publication ended, whatever came of it.
    pub fn publication_ended(&mut self, id: PublicationId) {
        self.awaited.remove(&id);
    }

    /// Takes away what is queued to templates that have another configuration now, as `present` gives it.
    pub fn take_reassigned(
        &mut self,
        present: impl Fn(&TemplateConfig) -> Option<Arc<TemplateConfig>>,
    ) -> Vec<Arc<TemplateConfig>> {
        let queued = std::mem::take(&mut self.queued);
        let mut moved = Vec::new();
        for (name, template) in queued {
            match present(&template) {
                Some(now) if now.reload != template.reload => moved.push(now),
                Some(now) => _ = self.queued.insert(name, now),
                // It is gone, and what it queued is queued all the same.
                None => _ = self.queued.insert(name, template),
            }
        }
        moved
    }

    /// When it may run: `None` while nothing is queued, one is under way, others are awaited, or it was given up.
    pub fn due(&self) -> Option<Moment> {
        let ready = !self.queued.is_empty() && self.running.is_none() && self.awaited.is_empty() && !self.is_given_up();
        ready.then(|| self.earliest().max(self.splay_end()))
    }

    /// When its interval, and the pause after a failure, are over.
    fn earliest(&self) -> Moment {
        self.began.map_or(Moment::START, |began| began + self.policy.interval).max(self.not_before)
    }

    /// Until when this host's place in the spread defers it.
    fn splay_end(&self) -> Moment {
        self.since.map_or(Moment::START, |since| since + self.splay_share.delay(self.policy.splay))
    }

    /// The agent is about to stop: what only waits for its interval or its place does not wait any longer.
    pub fn skip_delays(&mut self) {
        if self.failures == 0 {
            self.not_before = Moment::START;
            (self.began, self.since) = (None, None);
        }
    }

    /// It begins to run, for these templates.
    pub fn begin(&mut self, now: Moment) -> Vec<Arc<TemplateConfig>> {
        (self.began, self.since) = (Some(now), None);
        let running = self.running.insert(std::mem::take(&mut self.queued));
        running.values().cloned().collect()
    }

    /// It ended. What was replaced while it ran is still queued. After a failure: when the next try is, if there is one.
    pub fn end(&mut self, now: Moment, ran: &ReloadOutcome) -> Option<Duration> {
        let running = self.running.take().unwrap_or_default();
        let why = match ran {
            ReloadOutcome::Succeeded => {
                self.failures = 0;
                self.not_before = Moment::START;
                self.is_rolled_back = false;
                self.last_error = None;
                return None;
            }
            ReloadOutcome::Failed(why) => Some(why.clone()),
            ReloadOutcome::Abandoned => None,
        };
        for (name, template) in running {
            self.queued.entry(name).or_insert(template);
        }
        self.failures = self.failures.saturating_add(1);
        self.last_error = why;
        let pause = backoff::RETRY.pause(self.failures);
        self.not_before = now + pause;
        (!self.is_given_up()).then(|| self.earliest().since(now))
    }

    /// Everything that is queued is done, without or in_batch the run under way.
    pub fn complete(&mut self, now: Moment) {
        self.queued.clear();
        (self.began, self.since) = (Some(now), None);
        self.end(now, &ReloadOutcome::Succeeded);
    }

    /// Whether the tries that `reload_retries` allows are over.
    pub fn is_given_up(&self) -> bool {
        self.policy.retries.is_some_and(|retries| self.failures > 0 && self.failures >= retries)
    }

    /// Whether this template's file still needs the reload, one under way included.
    pub fn includes(&self, template: &Arc<str>) -> bool {
        self.queued.contains_key(template)
            || self.running.as_ref().is_some_and(|running| running.contains_key(template))
    }

    /// Whether anything is queued.
    pub fn is_pending(&self) -> bool {
        !self.queued.is_empty() || self.running.is_some()
    }

    /// Whether it runs, or will without anything going wrong first.
    pub fn will_run(&self) -> bool {
        self.running.is_some() || (!self.queued.is_empty() && self.failures == 0)
    }

    /// What is known of it; `None` where nothing is queued.
    pub fn report(&self) -> Option<ReloadReport> {
        let state = match self.due() {
            _ if self.running.is_some() => ReloadState::Running,
            _ if self.is_given_up() => ReloadState::GivenUp,
            Some(at) => ReloadState::Due { at, splayed: at > self.earliest() },
            None => ReloadState::AwaitingFiles,
        };
        let (running, failures) = (self.running.iter().flatten(), self.failures);
        let templates = self.queued.iter().chain(running).map(|(name, _)| Arc::clone(name)).collect();
        let last_error = self.last_error.clone();
        self.is_pending().then_some(ReloadReport { templates, failures, last_error, state })
    }
}
