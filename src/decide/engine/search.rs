//! Probes: checks that tell which members a template's check refuses.

use super::super::flight::FlightId;
use super::super::moment::Moment;
use super::super::notice::Notice;
use super::super::publication::{Outcome, Publication};
use super::{Effect, Engine, Pace};

impl Engine {
    /// Goes on with every search. One that ends here leaves its template to be published in the same step.
    pub(super) fn probe(&mut self, now: Moment, notices: &mut Vec<Notice>) -> Vec<Effect> {
        let retries = self.pace == Pace::Continuous;
        let flights = &mut self.flights;
        let searching = self.templates.values_mut().filter(|it| it.is_searching() && !it.is_in_flight());
        if self.stopping {
            searching.for_each(|template| template.stop_searching(now, notices));
            return Vec::new();
        }
        if self.paused.is_some() {
            return Vec::new();
        }
        // A probe replaces nothing: no reload waits for one.
        flights.next_batch();
        let views = (&self.rosters, &self.keys);
        let begun = searching.filter_map(|template| {
            let config = std::sync::Arc::clone(&template.plan().config);
            if flights.is_busy(&config.dest) {
                return None;
            }
            let snapshot = template.probe(now, views, retries, notices)?;
            let id = flights.begin(&config, false);
            template.begin(id);
            Some(Effect::Probe(Publication { id, template: config, snapshot, remove: false, quiet: true }))
        });
        begun.collect()
    }

    pub(super) fn probed(&mut self, now: Moment, id: FlightId, outcome: Outcome, notices: &mut Vec<Notice>) {
        let Some(flight) = self.flights.end(id) else { return };
        if let Some(template) = self.templates.get_mut(&flight.config.name) {
            template.probed(now, id, outcome, self.pace == Pace::Continuous, notices);
        }
    }
}
