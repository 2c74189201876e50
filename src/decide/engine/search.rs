//! Probes: renderings and checks that find the members with which a template's file fails.

use std::sync::Arc;

use super::{Effect, Engine, RunMode};
use crate::decide::event::Event;
use crate::decide::in_flight::PublicationId;
use crate::decide::isolate::{IsolatedMembers, MemberRef};
use crate::decide::moment::Moment;
use crate::decide::publication::{Outcome, Publication};
use crate::decide::template::Template;

impl Engine {
    /// Continues every search. If one ends here, its template is published in the same step.
    pub fn probe(&mut self, now: Moment, events: &mut Vec<Event>) -> Vec<Effect> {
        let retries = self.mode == RunMode::Continuous;
        let in_flight = &mut self.in_flight;
        let searching = self.templates.values_mut().filter(|it| it.is_probe_due(now));
        if self.stopping {
            searching.for_each(|template| template.stop_searching(now, events));
            return Vec::new();
        }
        if self.paused.is_some() {
            return Vec::new();
        }
        // A probe replaces nothing, so no reload waits for it.
        in_flight.next_batch();
        let views = (&self.rosters, &self.keys);
        let mut found = Vec::new();
        let begun = searching.filter_map(|template| {
            let config = Arc::clone(&template.plan().config);
            if in_flight.is_busy(&config.dest) {
                return None;
            }
            let Some(snapshot) = template.probe(now, views, retries, events) else {
                found.extend(config.unit.clone().map(|unit| (unit, template.isolated().clone())));
                return None;
            };
            let id = in_flight.begin(&config, false);
            template.begin_probe(id);
            Some(Effect::Probe(Publication {
                id,
                template: config,
                snapshot,
                remove: false,
                no_reload: true,
                pinned: None,
                views: Vec::new(),
            }))
        });
        let begun = begun.collect();
        // The templates of a unit show the same members.
        for (unit, isolated) in found {
            let unit_templates = self.templates.values_mut().filter(|it| it.plan().config.unit.as_ref() == Some(&unit));
            unit_templates.for_each(|template| template.adopt_isolated(&isolated));
        }
        begun
    }

    pub fn probed(&mut self, now: Moment, id: PublicationId, outcome: Outcome, events: &mut Vec<Event>) {
        let Some(ended) = self.in_flight.end(id) else { return };
        let Some(template) = self.templates.get_mut(&ended.config.name) else { return };
        let passed = template.probed(now, id, outcome, self.mode == RunMode::Continuous, events);
        if let (Some(member_ref), Some(unit)) = (passed, template.plan().config.unit.clone()) {
            self.readmit(&unit, &member_ref);
        }
    }

    /// Readmits a member in all templates of a unit, unless another check of the unit still refuses it.
    fn readmit(&mut self, unit: &Arc<str>, member_ref: &MemberRef) {
        let unit_templates: Vec<&mut Template> =
            self.templates.values_mut().filter(|it| it.plan().config.unit.as_ref() == Some(unit)).collect();
        let still = unit_templates.iter().find_map(|peer| peer.own_isolated(member_ref)).cloned();
        match still {
            Some(out) => {
                let isolated = IsolatedMembers::from([(member_ref.clone(), out)]);
                for peer in unit_templates {
                    peer.adopt_isolated(&isolated);
                }
            }
            None => {
                for peer in unit_templates {
                    peer.readmit(member_ref);
                }
            }
        }
    }
}
