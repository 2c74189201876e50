//! How a template comes to know which members its check refuses.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Template;
use crate::decide::event::Event;
use crate::decide::flight::FlightId;
use crate::decide::isolate::{AllLeftOut, Isolation, LeftOut, MemberRef, Search, Step};
use crate::decide::key::Key;
use crate::decide::moment::Moment;
use crate::decide::publication::{Failure, Outcome, Snapshot, Stage};
use crate::decide::roster::Roster;

type Rosters = BTreeMap<Arc<str>, Roster>;
type Keys = BTreeMap<Arc<str>, Key>;

impl Template {
    /// The members that are left out, because the check refuses them.
    pub fn left_out(&self) -> &AllLeftOut {
        &self.isolation.left_out
    }

    /// Another template of its unit leaves these out, and so does it.
    pub fn leave_out(&mut self, others: &AllLeftOut) {
        let new = others.iter().filter(|(spot, _)| !self.isolation.left_out.contains_key(*spot));
        // When it is tried again is for that template to say.
        let new: AllLeftOut = new.map(|(spot, out)| (spot.clone(), LeftOut { again: None, ..out.clone() })).collect();
        if !new.is_empty() {
            self.isolation.left_out.extend(new);
            self.want();
        }
    }

    /// Whether its check has refused the file, and the members at fault are looked for.
    pub fn is_searching(&self) -> bool {
        self.isolation.is_searching()
    }

    /// Whether members that its check refuses are left out.
    fn isolates(&self) -> bool {
        self.plan.config.isolate && self.plan.config.check.is_some()
    }

    /// The roster whose key's file it is.
    pub fn each(&self) -> Option<&Arc<str>> {
        self.plan.config.each.as_ref().map(|each| &each.roster)
    }

    /// Members that changed are tried again.
    pub fn take_back(&mut self, rosters: &Rosters, keys: &Keys, events: &mut Vec<Event>) {
        if self.isolation.left_out.is_empty() {
            return;
        }
        let full = self.full(rosters, keys);
        let each = self.each().cloned();
        let changed = self.isolation.review(&full, each.as_ref(), |roster| min(rosters, roster));
        let template = &self.plan.config.name;
        events.extend(changed.into_iter().map(|MemberRef { roster, key, member }| {
            let template = Arc::clone(template);
            Event::MemberRetried { template, roster, key, member }
        }));
    }

    /// This is about to be published.
    pub fn shows(&mut self, snapshot: &Snapshot) {
        self.isolation.has_taken_back = false;
        self.isolation.shown = self.isolates().then(|| snapshot.clone());
    }

    /// Learns from a publication. Whether it failed in a way that a search is to look into first.
    pub fn learn(&mut self, outcome: &Outcome) -> bool {
        let shown = self.isolation.shown.take();
        match outcome {
            Outcome::Replaced | Outcome::Unchanged => {
                self.isolation.passed = shown;
                self.isolation.searched = None;
                false
            }
            Outcome::Failed(failure) if failure.stage == Stage::Refused && shown.is_some() => {
                self.isolation.refused = Some(failure.clone());
                true
            }
            _ => false,
        }
    }

    /// What is to be checked next in a search, or to try one again who is left out; without anything the search has ended, and the template is to be
    /// published without those who were found, or has failed.
    pub fn probe(
        &mut self,
        now: Moment,
        (rosters, keys): (&Rosters, &Keys),
        retries: bool,
        events: &mut Vec<Event>,
    ) -> Option<Snapshot> {
        if !self.is_searching() {
            return self.try_again(now, rosters, keys);
        }
        if self.is_going() || !self.missing(rosters, keys).is_empty() {
            self.isolation.end_search();
            self.turn.want();
            return None;
        }
        let step = self.next_step(now, rosters, keys);
        let searched = self.isolation.search.as_ref().map(|search| search.full().clone());
        let remark = match step {
            Step::Probe(snapshot) => {
                self.isolation.shown = Some(snapshot.clone());
                return Some(snapshot);
            }
            Step::Found(mut found) => {
                if retries {
                    for out in found.values_mut() {
                        out.put_off(now);
                    }
                }
                let template = &self.plan.config.name;
                events.extend(found.iter().map(|(spot, out)| {
                    let (template, MemberRef { roster, key, member }) = (Arc::clone(template), spot.clone());
                    Event::MemberIsolated { template, roster, key, member, reason: out.why.clone() }
                }));
                self.isolation.left_out.extend(found);
                self.isolation.end_search();
                self.turn.want();
                None
            }
            Step::Stands(why) => {
                if let Some(failure) = self.isolation.end_search() {
                    let remark = why.as_ref().map(|why| format!("\n  {why}")).unwrap_or_default();
                    let message = format!("{}{remark}", failure.message);
                    self.fail(now, Failure { message, ..failure }, retries, events);
                }
                why
            }
        };
        if let Some(full) = searched {
            self.isolation.has_searched(now, full, remark);
        }
        None
    }

    /// What is next in the search under way, or in one that begins.
    fn next_step(&mut self, now: Moment, rosters: &Rosters, keys: &Keys) -> Step {
        if self.isolation.search.is_none() {
            let full = self.full(rosters, keys);
            let each = self.each().cloned();
            let Isolation { passed, searched, left_out, search, .. } = &mut self.isolation;
            if let Some(searched) = searched.as_ref().filter(|it| it.full == full && now < it.again) {
                return Step::Stands(searched.remark.clone());
            }
            *search = Search::begin(full, each.as_ref(), left_out, passed.as_ref());
        }
        let search = &mut self.isolation.search;
        search.as_mut().map_or(Step::Stands(None), |search| search.next(|roster| min(rosters, roster)))
    }

    /// The agent is stopping: nothing more is looked for.
    pub fn stop_searching(&mut self, now: Moment, events: &mut Vec<Event>) {
        if let Some(failure) = self.isolation.end_search() {
            self.fail(now, failure, false, events);
        }
    }

    /// A probe ended. Gives a member that was left out, and has passed.
    pub fn probed(
        &mut self,
        now: Moment,
        id: FlightId,
        outcome: Outcome,
        retries: bool,
        events: &mut Vec<Event>,
    ) -> Option<MemberRef> {
        if !self.turn.end(id) {
            return None;
        }
        if let Some(spot) = self.isolation.trial.take() {
            return self.tried(now, spot, &outcome, events);
        }
        let shown = self.isolation.shown.take();
        // Without one the template was configured anew meanwhile.
        let search = self.isolation.search.as_mut()?;
        match outcome {
            Outcome::Failed(failure) if matches!(failure.stage, Stage::Refused | Stage::Render) => {
                search.refused(&failure.message);
            }
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
