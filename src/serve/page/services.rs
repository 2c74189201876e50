//! The services of this host and their checks, and the program that the agent runs.

use std::sync::Arc;

use super::Page;
use super::item::{Group, Item, commands, item_section, list, prose};
use super::section;
use crate::decide::report::{ServiceHealth, ServiceReport, plural};
use crate::http_server::html::Html;
use crate::report::commands::commands as commands_for;
use crate::report::conditions::Health;
use crate::report::health::Subject;
use crate::report::program::ProgramStatus;
use crate::report::services::{condition, is_registered};
use crate::report::words::field;
use crate::serve::recent_events::RecentEvent;
use crate::text::command::rosterd;

/// The most events of one service that are listed.
const MAX_EVENTS: usize = 8;

impl Page<'_> {
    pub(super) fn services(&self, html: &mut Html) {
        let mut groups = [("services with problems", vec![]), ("services without problems", vec![])];
        for it in &self.context.services {
            let health = condition(it, &self.clock).health;
            let registered = if is_registered(it) { "registered" } else { "not registered" };
            let facts = vec![registered.to_owned(), it.node.clone()];
            let body = Box::new(|html: &mut Html| self.service(html, it));
            let item = Item { kind: "service", name: &it.name, health, state: state(it).to_owned(), facts, body };
            groups[usize::from(health == Health::Ok)].1.push(item);
        }
        let groups = groups.map(|(title, items)| Group { title, items });
        item_section(html, "services", "Services of this host", &groups);
    }

    fn service(&self, html: &mut Html, it: &ServiceReport) {
        let condition = condition(it, &self.clock);
        prose(html, &condition.text);
        if let Some(why) = &it.data_error {
            prose(html, &format!("data_cmd failed; its previous output, if any, stays in use: {why}"));
        }
        if condition.health > Health::Ok {
            commands(html, &commands_for(&Subject::Service(it.name.clone()), self.report, self.context));
        }
        let (rise, fall) = it.rise_and_fall;
        let (rise, fall) = (plural(rise as usize, "passed check"), plural(fall as usize, "failed check"));
        html.leaf("p", &[], &format!("Up after {rise} in a row, down after {fall} in a row."));
        let events: Vec<&RecentEvent> =
            self.events_about("service", &Arc::from(&*it.name)).iter().copied().take(MAX_EVENTS).collect();
        if !events.is_empty() {
            html.leaf("h4", &[], "Last hour");
            self.event_list(html, &events, condition.health == Health::Ok);
        }
    }

    pub(super) fn program(&self, html: &mut Html) {
        let Some(program) = &self.context.program else { return };
        let status = ProgramStatus::new(program, &self.clock);
        section(html, "program", "Program", |html| {
            html.element("p", &[], |html| {
                html.leaf("code", &[], &status.command);
                html.text(&format!(": {}", field(&status.text)));
            });
            list(html, "Waits for", MAX_EVENTS, status.waiting_for.into_iter(), &rosterd(&["status"]));
        });
    }
}

fn state(it: &ServiceReport) -> &'static str {
    match it.health {
        _ if it.drain.is_some() => "drained",
        ServiceHealth::Unknown { .. } => "not known yet",
        ServiceHealth::Up { .. } => "up",
        ServiceHealth::Down { .. } => "down",
    }
}
