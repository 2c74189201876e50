//! Requests of an operator.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Engine;
use crate::decide::accept::{Acceptance, HeldView};
use crate::decide::event::Event;
use crate::decide::moment::Moment;

impl Engine {
    pub fn accept_if_unchanged(&mut self, now: Moment, name: &Arc<str>, shown: &HeldView) {
        if self.rosters.get(name).is_some_and(|roster| roster.acceptance(Some(shown)) == Acceptance::AsShown) {
            self.accept(now, name);
        }
    }

    pub fn render(&mut self, names: &BTreeSet<Arc<str>>, reload: bool) {
        let asked = names.iter().filter_map(|name| self.templates.get(name));
        let names: BTreeSet<Arc<str>> = asked
            .flat_map(|template| self.unit_templates(template))
            .map(|it| Arc::clone(&it.plan().config.name))
            .collect();
        // A pinned file is not rendered.
        let asked = self.templates.iter_mut().filter(|(name, it)| names.contains(*name) && !it.is_pinned());
        for (name, template) in asked {
            // A change from elsewhere needs its reload.
            let alone = !template.is_queued() && template.failure().is_none();
            let asked_only = alone || self.without_reload.contains(name);
            template.queue();
            if asked_only && !reload {
                self.without_reload.insert(Arc::clone(name));
            } else {
                self.without_reload.remove(name);
            }
        }
    }

    pub fn end_pause(&mut self, now: Moment, events: &mut Vec<Event>) {
        if self.paused.is_some_and(|until| until <= now) {
            self.paused = None;
            events.push(Event::PauseEnded {});
        }
    }

    /// Until when nothing is replaced.
    pub fn paused(&self) -> Option<Moment> {
        self.paused
    }

    /// Whether a registry is reached: it has answered, and the connection was not lost since.
    pub fn is_reached(&self, registry: &Arc<str>) -> bool {
        let rosters = self.rosters.values().any(|roster| roster.config().registry == *registry && roster.is_reached());
        let keys = self.keys.values().any(|key| key.config().registry == *registry && key.is_seen());
        !self.unreachable.contains_key(registry) && (rosters || keys)
    }
}
