//! Owed reloads: a replaced file owes its software a reload, and owes it until one succeeds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::flight::FlightId;
use super::moment::Moment;
use super::publication::Ran;
use super::report::{ReloadReport, ReloadState};
use super::splay::Share;
use crate::config::TemplateConfig;
use crate::model::backoff;

#[cfg(test)]
mod tests;

/// Templates by name.
type Named = BTreeMap<Arc<str>, Arc<TemplateConfig>>;

/// The terms on which one reload command runs: the most cautious of all templates that share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How long it may take.
    pub timeout: Duration,
    /// At most one run per interval.
    pub interval: Duration,
    /// How many tries it gets; `None` is no end of them.
    pub retries: Option<u32>,
    /// The longest that a host's place in the spread of a fleet defers it.
    pub splay: Duration,
}

impl Terms {
    /// Those of one template.
    pub fn of(template: &TemplateConfig) -> Self {
        Self {
            timeout: template.reload_timeout,
            interval: template.reload_interval,
            retries: template.reload_retries,
            splay: template.splay,
        }
    }

    /// The most cautious of both.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            timeout: self.timeout.max(other.timeout),
            interval: self.interval.max(other.interval),
            retries: self.retries.zip(other.retries).map(|(a, b)| a.max(b)),
            splay: self.splay.max(other.splay),
        }
    }
}

/// What one reload command owes to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingReload {
    terms: Terms,
    share: Share,
    /// Since when it is owed, where this host's place in the spread defers it.
    since: Option<Moment>,
    /// Templates whose files changed since the last run began.
    owed: Named,
    /// Templates that the run under way is for.
    running: Option<Named>,
    /// Publications that began together with those that are owed for: all are in place before the reload runs.
    awaited: BTreeSet<FlightId>,
    failures: u32,
    /// What is owed was put back already, and is as old as it can be.
    is_rolled_back: bool,
    /// Until when it pauses after a failure.
    not_before: Moment,
    /// When it last began, where its interval defers the next run.
    began: Option<Moment>,
    last_error: Option<String>,
}

impl PendingReload {
    /// Nothing is owed.
    pub fn new(terms: Terms, share: Share) -> Self {
        Self {
            terms,
            share,
            since: None,
            owed: Named::new(),
            running: None,
            awaited: BTreeSet::new(),
            failures: 0,
            is_rolled_back: false,
            not_before: Moment::START,
            began: None,
            last_error: None,
        }
    }

    /// Changed terms, from a new configuration.
    pub fn set_terms(&mut self, terms: Terms) {
        self.terms = terms;
    }

    /// On what terms it runs.
    pub fn terms(&self) -> Terms {
        self.terms
    }

    /// A template's file was replaced. `beside` are the publications still under way that began together with it.
    pub fn owe(&mut self, now: Moment, template: &Arc<TemplateConfig>, beside: BTreeSet<FlightId>) {
        if self.owed.is_empty() && self.failures == 0 {
            self.since = Some(now);
        }
        self.awaited.extend(beside);
        self.is_rolled_back = false;
        self.owed.insert(Arc::clone(&template.name), Arc::clone(template));
        if self.is_given_up() {
            // New content is a new reason to try.
            self.failures = 0;
        }
    }

    /// Nothing runs until this has arrived.
    pub fn wait_for(&mut self, id: FlightId) {
        self.awaited.insert(id);
    }

    /// What is owed is as old as it can be, with the files of these templates just put back: that is reloaded as soon as
    /// the interval lets it, and at once when the agent is about to stop.
    pub fn roll_back(&mut self, back: impl Iterator<Item = Arc<TemplateConfig>>, stopping: bool) {
        self.is_rolled_back = true;
        for template in back {
            self.owed.insert(Arc::clone(&template.name), template);
            self.failures = 0;
            self.not_before = Moment::START;
            self.began = self.began.filter(|_| !stopping);
            self.since = None;
        }
    }

    /// Whether what is owed cannot be put back any further.
    pub fn is_rolled_back(&self) -> bool {
        self.is_rolled_back
    }

    /// The templates that the run under way is for.
    pub fn running(&self) -> impl Iterator<Item = &Arc<TemplateConfig>> {
        self.running.iter().flat_map(BTreeMap::values)
    }

    /// The templates whose files need it.
    pub fn templates(&self) -> Vec<Arc<str>> {
        let all: BTreeSet<&Arc<str>> = self.owed.keys().chain(self.running.iter().flat_map(BTreeMap::keys)).collect();
        all.into_iter().cloned().collect()
    }

    /// How long the run under way has lasted, where that is known.
    pub fn running_for(&self, now: Moment) -> Option<Duration> {
        self.began.filter(|_| self.running.is_some()).map(|began| now.since(began))
    }

    /// A publication ended, whatever came of it.
    pub fn arrived(&mut self, id: FlightId) {
        self.awaited.remove(&id);
    }

    /// Takes away what is owed to templates that have another configuration now, as `present` gives it.
    pub fn rehome(
        &mut self,
        present: impl Fn(&TemplateConfig) -> Option<Arc<TemplateConfig>>,
    ) -> Vec<Arc<TemplateConfig>> {
        let owed = std::mem::take(&mut self.owed);
        let mut moved = Vec::new();
        for (name, template) in owed {
            match present(&template) {
                Some(now) if now.reload != template.reload => moved.push(now),
                Some(now) => _ = self.owed.insert(name, now),
                // It is gone, and what it owed is owed all the same.
                None => _ = self.owed.insert(name, template),
            }
        }
        moved
    }

    /// When it may run: `None` while nothing is owed, one is under way, others are awaited, or it was given up.
    pub fn due(&self) -> Option<Moment> {
        let ready = !self.owed.is_empty() && self.running.is_none() && self.awaited.is_empty() && !self.is_given_up();
        ready.then(|| self.again().max(self.splayed()))
    }

    /// When its interval, and the pause after a failure, are over.
    fn again(&self) -> Moment {
        self.began.map_or(Moment::START, |began| began + self.terms.interval).max(self.not_before)
    }

    /// Until when this host's place in the spread defers it.
    fn splayed(&self) -> Moment {
        self.since.map_or(Moment::START, |since| since + self.share.wait(self.terms.splay))
    }

    /// The agent is about to stop: what only waits for its interval or its place does not wait any longer.
    pub fn hurry(&mut self) {
        if self.failures == 0 {
            self.not_before = Moment::START;
            (self.began, self.since) = (None, None);
        }
    }

    /// It begins to run, for these templates.
    pub fn begin(&mut self, now: Moment) -> Vec<Arc<TemplateConfig>> {
        (self.began, self.since) = (Some(now), None);
        let running = self.running.insert(std::mem::take(&mut self.owed));
        running.values().cloned().collect()
    }

    /// It ended. What was replaced while it ran is still owed. After a failure: when the next try is, if there is one.
    pub fn end(&mut self, now: Moment, ran: &Ran) -> Option<Duration> {
        let running = self.running.take().unwrap_or_default();
        let why = match ran {
            Ran::Done => {
                self.failures = 0;
                self.not_before = Moment::START;
                self.is_rolled_back = false;
                self.last_error = None;
                return None;
            }
            Ran::Failed(why) => Some(why.clone()),
            Ran::Abandoned => None,
        };
        for (name, template) in running {
            self.owed.entry(name).or_insert(template);
        }
        self.failures = self.failures.saturating_add(1);
        self.last_error = why;
        let pause = backoff::RETRY.pause(self.failures);
        self.not_before = now + pause;
        (!self.is_given_up()).then(|| self.again().since(now))
    }

    /// Everything that is owed is done, without or beside the run under way.
    pub fn settle(&mut self, now: Moment) {
        self.owed.clear();
        (self.began, self.since) = (Some(now), None);
        self.end(now, &Ran::Done);
    }

    /// Whether the tries that `reload_retries` allows are over.
    pub fn is_given_up(&self) -> bool {
        self.terms.retries.is_some_and(|retries| self.failures > 0 && self.failures >= retries)
    }

    /// Whether this template's file still needs the reload, one under way included.
    pub fn owes(&self, template: &Arc<str>) -> bool {
        self.owed.contains_key(template) || self.running.as_ref().is_some_and(|running| running.contains_key(template))
    }

    /// Whether anything is owed.
    pub fn is_owed(&self) -> bool {
        !self.owed.is_empty() || self.running.is_some()
    }

    /// Whether it runs, or will without anything going wrong first.
    pub fn is_pending(&self) -> bool {
        self.running.is_some() || (!self.owed.is_empty() && self.failures == 0)
    }

    /// What is known of it; `None` where nothing is owed.
    pub fn report(&self) -> Option<ReloadReport> {
        let state = match self.due() {
            _ if self.running.is_some() => ReloadState::Running,
            _ if self.is_given_up() => ReloadState::GivenUp,
            Some(at) => ReloadState::Due { at, splayed: at > self.again() },
            None => ReloadState::AwaitingFiles,
        };
        let (running, failures) = (self.running.iter().flatten(), self.failures);
        let templates = self.owed.iter().chain(running).map(|(name, _)| Arc::clone(name)).collect();
        let last_error = self.last_error.clone();
        self.is_owed().then_some(ReloadReport { templates, failures, last_error, state })
    }
}
