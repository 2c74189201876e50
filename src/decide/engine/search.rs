//! Probes: checks that tell which members a template's check refuses.

use std::sync::Arc;

use super::{Effect, Engine, Pace};
use crate::decide::event::Event;
use crate::decide::flight::FlightId;
use crate::decide::isolate::{AllLeftOut, MemberRef};
use crate::decide::moment::Moment;
use crate::decide::publication::{Outcome, Publication};
use crate::decide::template::Template;

impl Engine {
    /// Goes on with every search. One that ends here leaves its template to be published in the same step.
    pub fn probe(&mut self, now: Moment, events: &mut Vec<Event>) -> Vec<Effect> {
        let retries = self.pace == Pace::Continuous;
        let flights = &mut self.flights;
        let searching = self.templates.values_mut().filter(|it| it.is_to_probe(now));
        if self.stopping {
            searching.for_each(|template| template.stop_searching(now, events));
            return Vec::new();
        }
        if self.paused.is_some() {
            return Vec::new();
        }
        // A probe replaces nothing: no reload waits for one.
        flights.next_batch();
        let views = (&self.rosters, &self.keys);
        let mut found = Vec::new();
        let begun = searching.filter_map(|template| {
            let config = Arc::clone(&template.plan().config);
            if flights.is_busy(&config.dest) {
                return None;
            }
            let Some(snapshot) = template.probe(now, views, retries, events) else {
                found.extend(config.unit.clone().map(|unit| (unit, template.left_out().clone())));
                return None;
            };
            let id = flights.begin(&config, false);
            template.begin_probe(id);
            Some(Effect::Probe(Publication { id, template: config, snapshot, remove: false, quiet: true }))
        });
        let begun = begun.collect();
        // Files that only make sense together show the same members.
        for (unit, left_out) in found {
            let mates = self.templates.values_mut().filter(|it| it.plan().config.unit.as_ref() == Some(&unit));
            mates.for_each(|template| template.leave_out(&left_out));
        }
        begun
    }

    pub fn probed(&mut self, now: Moment, id: FlightId, outcome: Outcome, events: &mut Vec<Event>) {
        let Some(flight) = self.flights.end(id) else { return };
        let Some(template) = self.templates.get_mut(&flight.config.name) else { return };
        let passed = template.probed(now, id, outcome, self.pace == Pace::Continuous, events);
        if let (Some(spot), Some(unit)) = (passed, template.plan().config.unit.clone()) {
            self.take_in(&unit, &spot);
        }
    }

    /// A member is served by all templates of a unit again, unless the check of another one refuses it still.
    fn take_in(&mut self, unit: &Arc<str>, spot: &MemberRef) {
        let mates: Vec<&mut Template> =
            self.templates.values_mut().filter(|it| it.plan().config.unit.as_ref() == Some(unit)).collect();
        let still = mates.iter().find_map(|mate| mate.refuses(spot)).cloned();
        match still {
            Some(out) => {
                let left_out = AllLeftOut::from([(spot.clone(), out)]);
                for mate in mates {
                    mate.leave_out(&left_out);
                }
            }
            None => {
                for mate in mates {
                    mate.take_in(spot);
                }
            }
        }
    }
}
