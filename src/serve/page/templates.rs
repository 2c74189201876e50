//! Templates: what each waits for, and how its last checks and reloads ended.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::Page;
use super::events::time_of;
use super::item::{Group, Item, commands, conditions, item_section, link, list, worst};
use crate::decide::report::{TemplateReport, plural};
use crate::history::Entry;
use crate::http_server::html::Html;
use crate::report::commands::commands as commands_for;
use crate::report::conditions::{Condition, Health, own_conditions, template_conditions};
use crate::report::health::Subject;
use crate::report::words::{field, line};
use crate::serve::recent_events::RecentEvent;
use crate::text::command::rosterd;
use crate::text::time::rough;

/// The most events of one template that are listed.
const MAX_EVENTS: usize = 8;

/// The most lines of a difference.
const MAX_DIFF: usize = 40;

/// The most keys and files that are listed.
const MAX_FILES: usize = 100;

impl Page<'_> {
    pub(super) fn templates(&self, html: &mut Html) {
        let mut groups = [
            ("templates with problems", vec![]),
            ("templates that wait for rosters", vec![]),
            ("templates without problems", vec![]),
        ];
        for (name, it) in &self.report.templates {
            let all = template_conditions(self.report, it, self.context);
            let health = worst(&all);
            let reload = self.report.reload_of(name).is_some_and(|(_, reload)| reload.failures > 0);
            let group = match health {
                Health::Ok => 2,
                _ if reload || worst(&own_conditions(it, &self.clock)) > Health::Ok => 0,
                _ => 1,
            };
            let facts = vec![it.config.dest.display().to_string(), self.rendered(it)];
            let body = Box::new(|html: &mut Html| self.template(html, name, it));
            let state = state(&all, it).to_owned();
            groups[group].1.push(Item { kind: "template", name, health, state, facts, body });
        }
        let groups = groups.map(|(title, items)| Group { title, items });
        item_section(html, "templates", "Templates", &groups);
    }

    fn rendered(&self, it: &TemplateReport) -> String {
        match it.rendered {
            Some(at) => format!("last up to date {} ago", rough(self.clock.now.since(at))),
            None if it.config.pattern().is_some() => plural(self.report.files(&it.config.name).count(), "file"),
            None => "not rendered yet".to_owned(),
        }
    }

    fn template(&self, html: &mut Html, name: &Arc<str>, it: &TemplateReport) {
        let all = template_conditions(self.report, it, self.context);
        conditions(html, &all);
        if worst(&all) > Health::Ok {
            commands(html, &commands_for(&Subject::Template(Arc::clone(name)), self.report, self.context));
        }
        if let Some(entry) = self.differences.get(&**name) {
            self.difference(html, entry);
        }
        html.leaf("h4", &[], "Last hour");
        let events = self.events_about("template", name);
        if events.is_empty() {
            html.leaf("p", &[], &format!("No write, check or reload {}.", self.events_since()));
        }
        let shown: Vec<&RecentEvent> = events.iter().copied().take(MAX_EVENTS).collect();
        // The output of what fails now is above.
        self.event_list(html, &shown, worst(&all) == Health::Ok);
        self.uses(html, it);
        let explain = rosterd(&["explain", name]);
        let files: Vec<String> = self
            .report
            .files(name)
            .map(|(key, file)| {
                let removing = if file.removing { " (to be removed: its key is gone)" } else { "" };
                format!("{}: {}{removing}", field(key), field(&file.config.dest.display().to_string()))
            })
            .collect();
        list(html, "Files", MAX_FILES, files.into_iter(), &explain);
        let without = it.without_file.iter().map(|(key, why)| format!("{}: {}", field(key), field(why)));
        list(html, "Keys without a file", MAX_FILES, without, &explain);
    }

    /// The last content of a file that was written or refused: how its check ended, and what changed.
    fn difference(&self, html: &mut Html, entry: &Entry) {
        let Some(diff) = &entry.diff else { return };
        let title = if entry.generation.is_some() { "Last change" } else { "Refused change" };
        html.leaf("h4", &[], title);
        html.element("p", &[], |html| {
            time_of(html, UNIX_EPOCH + Duration::from_millis(entry.at_ms), self.context.wall);
            let checked = entry.generation.as_ref().and_then(|it| it.checked);
            html.text(if checked == Some(true) { "check passed; " } else { "" });
            html.leaf("code", &[], &rosterd(&["history", "show", &entry.number.to_string()]));
        });
        let lines = diff.lines().collect::<Vec<_>>();
        html.element("pre", &[], |html| {
            for it in lines.iter().take(MAX_DIFF) {
                let class = match it.bytes().next() {
                    Some(b'+') => "joined",
                    Some(b'-') => "left",
                    _ => "same",
                };
                html.leaf("span", &[("class", class)], &line(it));
                html.text("\n");
            }
            if lines.len() > MAX_DIFF {
                html.text(&format!("… and {} more lines\n", lines.len() - MAX_DIFF));
            }
        });
    }

    /// The rosters and keys that it shows.
    fn uses(&self, html: &mut Html, it: &TemplateReport) {
        let rosters = self.report.rosters.keys().filter(|name| it.depends_on(name)).map(|name| ("roster", name));
        let used: Vec<_> = rosters.chain(it.keys.iter().map(|name| ("key", name))).collect();
        if used.is_empty() {
            return;
        }
        html.element("p", &[], |html| {
            html.text("Uses ");
            for (number, (kind, name)) in used.iter().take(MAX_FILES).enumerate() {
                html.text(if number > 0 { ", " } else { "" });
                link(html, kind, name, &format!("{kind} {}", field(name)));
            }
            if used.len() > MAX_FILES {
                html.text(&format!(" and {} more", used.len() - MAX_FILES));
            }
        });
    }
}

/// Whether its file is up to date, in words.
fn state(all: &[Condition], it: &TemplateReport) -> &'static str {
    match all.iter().filter(|condition| condition.blocking).map(|condition| condition.health).max() {
        None if it.config.pattern().is_some() => "one file for each key",
        None => "up to date",
        Some(Health::Ok) => "updating",
        Some(_) => "not up to date",
    }
}
