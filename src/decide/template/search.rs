//! How a template finds the members with which it cannot be rendered, or that its check rejects.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Template;
use crate::decide::event::Event;
use crate::decide::in_flight::PublicationId;
use crate::decide::isolate::{BisectStep, Bisection, IsolatedMember, IsolatedMembers, Isolation, MemberRef};
use crate::decide::key::Key;
use crate::decide::moment::Moment;
use crate::decide::publication::{Failure, Outcome, Snapshot};
use crate::decide::roster::Roster;

type Rosters = BTreeMap<Arc<str>, Roster>;
type Keys = BTreeMap<Arc<str>, Key>;

impl Template {
    /// The members that are left out, because the file fails with them.
    pub fn isolated(&self) -> &IsolatedMembers {
        &self.isolation.isolated
    }

    /// Leaves out what another template of its unit leaves out.
    pub fn adopt_isolated(&mut self, others: &IsolatedMembers) {
        let new = others.iter().filter(|(member_ref, _)| !self.isolation.isolated.contains_key(*member_ref));
        // The other template decides when it is retried.
        let new: IsolatedMembers = new
            .map(|(member_ref, out)| (member_ref.clone(), IsolatedMember { retry_at: None, ..out.clone() }))
            .collect();
        if !new.is_empty() {
            self.isolation.isolated.extend(new);
            self.queue();
        }
    }

    /// Whether the file has failed, and a search for the members at fault is in progress.
    pub fn is_searching(&self) -> bool {
        self.isolation.is_searching()
    }

    /// The roster of its `each`, if it has one.
    pub fn each(&self) -> Option<&Arc<str>> {
        self.plan.config.each.as_ref().map(|each| &each.roster)
    }

    /// Retries members that changed.
    pub fn retry_changed_members(&mut self, rosters: &Rosters, keys: &Keys, events: &mut Vec<Event>) {
        if self.isolation.isolated.is_empty() {
            return;
        }
        let full = self.full(rosters, keys);
        let each = self.each().cloned();
        let changed = self.isolation.drop_changed(&full, each.as_ref(), |roster| min(rosters, roster));
        let template = &self.plan.config.name;
        events.extend(changed.into_iter().map(|MemberRef { roster, key, member }| {
            let template = Arc::clone(template);
            Event::MemberRetried { template, roster, key, member }
        }));
    }

    /// Records what the publication shows.
    pub fn set_in_flight(&mut self, snapshot: &Snapshot) {
        self.isolation.has_readmitted = false;
        self.isolation.in_flight = self.plan.config.isolate.then(|| snapshot.clone());
    }

    /// Records the result of a publication. Returns whether a search comes next: not if a rollback does.
    pub fn needs_search(&mut self, outcome: &Outcome) -> bool {
        let shown = self.isolation.in_flight.take();
        match outcome {
            Outcome::Replaced | Outcome::Unchanged => {
                self.isolation.passed = shown;
                self.isolation.last_search = None;
                false
            }
            Outcome::Failed(failure)
                if failure.stage.depends_on_members() && shown.is_some() && !self.pinning.is_pinned() =>
            {
                self.isolation.refused = Some(failure.clone());
                true
            }
            _ => false,
        }
    }

    /// The next snapshot to check, for a search or for a retry. `None` if there is none: the search has ended, and the
    /// template is queued without the members that were found, or has failed.
    pub fn probe(
        &mut self,
        now: Moment,
        (rosters, keys): (&Rosters, &Keys),
        retries: bool,
        events: &mut Vec<Event>,
    ) -> Option<Snapshot> {
        if !self.is_searching() {
            return self.begin_trial(now, rosters, keys);
        }
        if self.is_removing() || !self.missing(rosters, keys).is_empty() {
            self.isolation.end_search();
            self.publish.queue();
            return None;
        }
        let step = self.next_step(now, rosters, keys);
        let last_search = self.isolation.search.as_ref().map(|search| search.full().clone());
        let remark = match step {
            BisectStep::Probe(snapshot) => {
                self.isolation.in_flight = Some(snapshot.clone());
                return Some(snapshot);
            }
            BisectStep::Found(mut found) => {
                if retries {
                    for out in found.values_mut() {
                        out.schedule_retry(now);
                    }
                }
                let template = &self.plan.config.name;
                events.extend(found.iter().map(|(member_ref, out)| {
                    let (template, MemberRef { roster, key, member }) = (Arc::clone(template), member_ref.clone());
                    Event::MemberIsolated { template, roster, key, member, reason: out.failure.of_member() }
                }));
                self.isolation.isolated.extend(found);
                self.isolation.end_search();
                self.publish.queue();
                None
            }
            BisectStep::NotFound(why) => {
                if let Some(failure) = self.isolation.end_search() {
                    let remark = why.as_ref().map(|why| format!("\n  {why}")).unwrap_or_default();
                    let message = format!("{}{remark}", failure.message);
                    self.fail(now, Failure { message, ..failure }, retries, events);
                }
                why
            }
        };
        if let Some(full) = last_search {
            self.isolation.record_search(now, full, remark);
        }
        None
    }

    /// The next step of the search, which begins if there is none.
    fn next_step(&mut self, now: Moment, rosters: &Rosters, keys: &Keys) -> BisectStep {
        if self.isolation.search.is_none() {
            let full = self.full(rosters, keys);
            let each = self.each().cloned();
            let Isolation { passed, last_search, isolated, search, .. } = &mut self.isolation;
            if let Some(last_search) = last_search.as_ref().filter(|it| it.full == full && now < it.retry_at) {
                return BisectStep::NotFound(last_search.remark.clone());
            }
            *search = Bisection::new(full, each.as_ref(), isolated, passed.as_ref());
        }
        let search = &mut self.isolation.search;
        search.as_mut().map_or(BisectStep::NotFound(None), |search| search.next(|roster| min(rosters, roster)))
    }

    /// Ends the search, because the agent is stopping or the file is rolled back.
    pub fn stop_searching(&mut self, now: Moment, events: &mut Vec<Event>) {
        if let Some(failure) = self.isolation.end_search() {
            self.fail(now, failure, false, events);
        }
    }

    /// A probe ended. Returns the member that passed its retry, if any.
    pub fn probed(
        &mut self,
        now: Moment,
        id: PublicationId,
        outcome: Outcome,
        retries: bool,
        events: &mut Vec<Event>,
    ) -> Option<MemberRef> {
        if !self.publish.end(id) {
            return None;
        }
        if let Some(member_ref) = self.isolation.trial.take() {
            return self.trial_ended(now, member_ref, &outcome, events);
        }
        let shown = self.isolation.in_flight.take();
        // The search is gone if the template was reconfigured meanwhile.
        let search = self.isolation.search.as_mut()?;
        match outcome {
            Outcome::Failed(failure) if failure.stage.depends_on_members() => search.refused(failure),
            Outcome::Failed(failure) => {
                self.isolation.end_search();
                self.fail(now, failure, retries, events);
            }
            Outcome::Abandoned => {
                self.isolation.end_search();
                self.last = Some(Outcome::Abandoned);
            }
            _ => {
                search.passed();
                self.isolation.passed = shown;
            }
        }
        None
    }
}

fn min(rosters: &Rosters, roster: &str) -> usize {
    rosters.get(roster).map_or(0, |roster| roster.config().bounds.min())
}
