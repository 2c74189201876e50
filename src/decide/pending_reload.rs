//! Pending reloads: after a replacement, a reload stays pending until it succeeds.

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

/// The policy of one reload command: the most cautious of all templates that share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReloadPolicy {
    /// The time limit of a run.
    pub timeout: Duration,
    /// The minimum time between two starts.
    pub interval: Duration,
    /// The maximum number of attempts; `None` for unlimited.
    pub retries: Option<u32>,
    /// The maximum delay by which hosts are spread.
    pub splay: Duration,
}

impl ReloadPolicy {
    /// The policy of one template.
    pub fn from_template(template: &TemplateConfig) -> Self {
        Self {
            timeout: template.reload_timeout,
            interval: template.reload_interval,
            retries: template.reload_retries,
            splay: template.splay,
        }
    }

    /// The more cautious of both.
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

/// One reload command, and the templates that need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingReload {
    policy: ReloadPolicy,
    splay_share: SplayShare,
    /// When it became pending, if the splay delays it.
    since: Option<Moment>,
    /// Templates whose files changed since the last run began.
    queued: Named,
    /// Templates of the current run.
    running: Option<Named>,
    /// Publications in flight that belong to the same change. All of them end before the reload runs.
    awaited: BTreeSet<PublicationId>,
    failures: u32,
    /// The files are already rolled back as far as possible.
    is_rolled_back: bool,
    /// The end of the pause after a failure.
    not_before: Moment,
    /// When the last run began, if the interval delays the next one.
    began: Option<Moment>,
    last_error: Option<String>,
}

impl PendingReload {
    /// Creates one for which nothing is pending.
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

    /// Sets the policy after a configuration change.
    pub fn set_policy(&mut self, policy: ReloadPolicy) {
        self.policy = policy;
    }

    /// The policy.
    pub fn policy(&self) -> ReloadPolicy {
        self.policy
    }

    /// A template's file was replaced. `in_batch` are the publications in flight that began together with it.
    pub fn add(&mut self, now: Moment, template: &Arc<TemplateConfig>, in_batch: BTreeSet<PublicationId>) {
        if self.queued.is_empty() && self.failures == 0 {
            self.since = Some(now);
        }
        self.awaited.extend(in_batch);
        self.is_rolled_back = false;
        self.queued.insert(Arc::clone(&template.name), Arc::clone(template));
        if self.is_given_up() {
            // New content is retried.
            self.failures = 0;
        }
    }

    /// A person put other content in place: the failures with what was there before do not delay its reload.
    pub fn forget_failures(&mut self) {
        (self.failures, self.not_before) = (0, Moment::START);
    }

    /// Delays the reload until this publication has ended.
    pub fn await_publication(&mut self, id: PublicationId) {
        self.awaited.insert(id);
    }

    /// The files of these templates were rolled back. They are reloaded as soon as the interval allows, or at once when
    /// stopping.
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

    /// Whether the files cannot be rolled back any further.
    pub fn is_rolled_back(&self) -> bool {
        self.is_rolled_back
    }

    /// The templates of the current run.
    pub fn running(&self) -> impl Iterator<Item = &Arc<TemplateConfig>> {
        self.running.iter().flat_map(BTreeMap::values)
    }

    /// The templates that need it.
    pub fn templates(&self) -> Vec<Arc<str>> {
        let all: BTreeSet<&Arc<str>> = self.queued.keys().chain(self.running.iter().flat_map(BTreeMap::keys)).collect();
        all.into_iter().cloned().collect()
    }

    /// How long the current run has lasted, if known.
    pub fn running_for(&self, now: Moment) -> Option<Duration> {
        self.began.filter(|_| self.running.is_some()).map(|began| now.since(began))
    }

    /// A publication ended, with any result.
    pub fn publication_ended(&mut self, id: PublicationId) {
        self.awaited.remove(&id);
    }

    /// Removes and returns the templates that have another reload now. `present` gives the current configuration of a
    /// template.
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
                // The template is gone, but its reload is still pending.
                None => _ = self.queued.insert(name, template),
            }
        }
        moved
    }

    /// When it can run. `None` if nothing is pending, it is running, it waits for publications, or it was given up.
    pub fn due(&self) -> Option<Moment> {
        let ready = !self.queued.is_empty() && self.running.is_none() && self.awaited.is_empty() && !self.is_given_up();
        ready.then(|| self.earliest().max(self.splay_end()))
    }

    /// The end of its interval and of the pause after a failure.
    fn earliest(&self) -> Moment {
        self.began.map_or(Moment::START, |began| began + self.policy.interval).max(self.not_before)
    }

    /// The end of this host's splay delay.
    fn splay_end(&self) -> Moment {
        self.since.map_or(Moment::START, |since| since + self.splay_share.delay(self.policy.splay))
    }

    /// The agent is about to stop: interval and splay no longer delay it.
    pub fn skip_delays(&mut self) {
        if self.failures == 0 {
            self.not_before = Moment::START;
            (self.began, self.since) = (None, None);
        }
    }

    /// Starts a run. Returns its templates.
    pub fn begin(&mut self, now: Moment) -> Vec<Arc<TemplateConfig>> {
        (self.began, self.since) = (Some(now), None);
        let running = self.running.insert(std::mem::take(&mut self.queued));
        running.values().cloned().collect()
    }

    /// Ends the run. Files that were replaced during the run still need it. Returns the time until the next attempt
    /// after a failure, if there is one.
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

    /// Everything pending is done, with or without a current run.
    pub fn complete(&mut self, now: Moment) {
        self.queued.clear();
        (self.began, self.since) = (Some(now), None);
        self.end(now, &ReloadOutcome::Succeeded);
    }

    /// Whether it has failed as often as `reload_retries` allows.
    pub fn is_given_up(&self) -> bool {
        self.policy.retries.is_some_and(|retries| self.failures > 0 && self.failures >= retries)
    }

    /// Whether this template's file still needs it, a current run included.
    pub fn includes(&self, template: &Arc<str>) -> bool {
        self.queued.contains_key(template)
            || self.running.as_ref().is_some_and(|running| running.contains_key(template))
    }

    /// Whether it is pending or running.
    pub fn is_pending(&self) -> bool {
        !self.queued.is_empty() || self.running.is_some()
    }

    /// Whether it is running or will run without a failure first.
    pub fn will_run(&self) -> bool {
        self.running.is_some() || (!self.queued.is_empty() && self.failures == 0)
    }

    /// Its state; `None` if it is not pending.
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
