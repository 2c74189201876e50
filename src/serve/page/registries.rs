//! The registries.

use std::sync::Arc;

use super::Page;
use super::item::{Group, Item, commands, item_section, prose};
use crate::decide::report::RegistryReport;
use crate::http_server::html::Html;
use crate::report::commands::commands as commands_for;
use crate::report::conditions::Health;
use crate::report::health::Subject;
use crate::serve::recent_events::RecentEvent;

/// The most events of one registry that are listed.
const MAX_EVENTS: usize = 8;

impl Page<'_> {
    pub(super) fn registries(&self, html: &mut Html) {
        let items = self.report.registries.iter().map(|(name, it)| {
            let (health, state) = match (it.reached, &it.error) {
                (true, _) => (Health::Ok, "connected"),
                (false, Some(_)) => (Health::Warning, "unreachable"),
                (false, None) => (Health::Ok, "connecting"),
            };
            let body = Box::new(move |html: &mut Html| self.registry(html, name, it, health));
            let facts = vec![it.url.to_string()];
            Item { kind: "registry", name, health, state: state.to_owned(), facts, body }
        });
        item_section(html, "registries", "Registries", &[Group { title: "registries", items: items.collect() }]);
    }

    fn registry(&self, html: &mut Html, name: &Arc<str>, it: &RegistryReport, health: Health) {
        match &it.error {
            Some(why) if !it.reached => prose(html, why),
            Some(why) => prose(html, &format!("Connected. Last error: {why}")),
            None => {}
        }
        let rosters = self.report.rosters.values().filter(|roster| roster.config.registry == *name).count();
        html.leaf("p", &[], &format!("Rosters in it: {rosters}"));
        if health > Health::Ok {
            commands(html, &commands_for(&Subject::Registry(Arc::clone(name)), self.report, self.context));
        }
        let events: Vec<&RecentEvent> = self.events_about("registry", name).iter().copied().take(MAX_EVENTS).collect();
        self.event_list(html, &events, false);
    }
}
