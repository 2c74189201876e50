//! The page for a person: what is wrong first, then every roster, template, service and registry.
//!
//! The server writes the whole page, so it can be read without a script and in a text browser. The script only brings it
//! up to date. There is no inline style and no inline script, so the content security policy can forbid them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use crate::decide::Moment;
use crate::decide::report::{Report, plural};
use crate::history::Entry;
use crate::http_server::html::Html;
use crate::report::conditions::Health;
use crate::report::context::{Clock, Context};
use crate::report::health::{Problem, problems};
use crate::report::snapshot::Snapshot;
use crate::report::words::field;
use crate::serve::recent_events::{RecentEvent, Subject};
use crate::text::command::rosterd;
use crate::text::time::{past, utc};

mod events;
mod item;
mod problem_list;
mod registries;
mod rosters;
mod services;
mod templates;
#[cfg(test)]
mod tests;
mod timeline;

/// The type and the text of a file of the page. The files are in the program.
pub fn file(path: &str) -> Option<(&'static str, &'static str)> {
    Some(match path {
        "/style.css" => ("text/css; charset=utf-8", include_str!("page/style.css")),
        "/script.js" => ("text/javascript; charset=utf-8", include_str!("page/script.js")),
        "/icon.svg" => ("image/svg+xml", include_str!("page/icon.svg")),
        _ => return None,
    })
}

/// Everything that the page is made from.
struct Page<'a> {
    report: &'a Report,
    context: &'a Context,
    clock: Clock<'a>,
    /// How serious everything together is.
    health: Health,
    /// Everything that is wrong, but for what follows from an unreachable registry.
    problems: Vec<Problem>,
    /// What follows from an unreachable registry: one fact, not one for each of its rosters.
    consequences: Vec<Problem>,
    /// The events of the last hour, the newest first.
    recent: &'a [Arc<RecentEvent>],
    /// The same by what they are about.
    about: BTreeMap<&'a Subject, Vec<&'a RecentEvent>>,
    /// The last difference of the file of each template.
    differences: &'a BTreeMap<String, Arc<Entry>>,
}

/// The page. `recent` has the events of the last hour, the newest first; `differences` has the last one of each template.
pub fn page(snapshot: &Snapshot, recent: &[Arc<RecentEvent>], differences: &BTreeMap<String, Arc<Entry>>) -> String {
    let Snapshot { report, context, .. } = snapshot;
    let mut about: BTreeMap<&Subject, Vec<&RecentEvent>> = BTreeMap::new();
    for event in recent {
        for subject in &event.subjects {
            about.entry(subject).or_default().push(event);
        }
    }
    let all = problems(report, context);
    let health = all.first().map(|it| it.condition.health).unwrap_or_default();
    let away: BTreeSet<_> = all.iter().filter_map(Problem::registry).cloned().collect();
    let is_consequence = |it: &Problem| it.follows_from.as_ref().is_some_and(|registry| away.contains(registry));
    let (consequences, problems) = all.into_iter().partition(is_consequence);
    let clock = context.clock(report);
    let page = Page { report, context, clock, health, problems, consequences, recent, about, differences };
    Html::document(|html| {
        html.element("head", &[], |html| page.head(html));
        html.element("body", &[], |html| page.body(html));
    })
}

impl Page<'_> {
    fn head(&self, html: &mut Html) {
        html.void("meta", &[("charset", "utf-8")]);
        html.void("meta", &[("name", "viewport"), ("content", "width=device-width, initial-scale=1")]);
        html.void("meta", &[("name", "color-scheme"), ("content", "light dark")]);
        html.leaf("title", &[], &format!("{} – rosterd on {}", self.summary(), field(&self.context.host)));
        html.void("link", &[("rel", "stylesheet"), ("href", "/style.css")]);
        html.void("link", &[("rel", "icon"), ("type", "image/svg+xml"), ("href", "/icon.svg")]);
        html.leaf("script", &[("src", "/script.js"), ("defer", "")], "");
    }

    fn body(&self, html: &mut Html) {
        html.element("header", &[("id", "top")], |html| self.header(html));
        // The script writes here when the problems change, so that a screen reader announces them.
        html.leaf("p", &[("id", "news"), ("role", "status"), ("class", "unseen")], "");
        html.element("main", &[], |html| {
            self.problem_list(html);
            self.rosters(html);
            self.keys(html);
            self.templates(html);
            self.program(html);
            self.services(html);
            self.registries(html);
            self.events(html);
        });
        html.element("footer", &[], |html| {
            html.text("The same for programs: ");
            html.leaf("a", &[("href", "/status.json")], "status.json");
            html.text(". On this host: ");
            html.leaf("code", &[], &rosterd(&["status"]));
            html.text(", ");
            html.leaf("code", &[], &rosterd(&["explain", "NAME"]));
            html.text(".");
        });
    }

    /// As many as `rosterd status` counts.
    fn problem_count(&self) -> usize {
        self.problems.len() + self.consequences.len()
    }

    /// The state of the agent in a few words: `Critical: 2 problems`.
    fn summary(&self) -> String {
        match self.health {
            Health::Ok => "All is well".to_owned(),
            health => format!("{}: {}", word(health), plural(self.problem_count(), "problem")),
        }
    }

    fn header(&self, html: &mut Html) {
        let version = env!("CARGO_PKG_VERSION");
        html.element("h1", &[], |html| {
            html.text("rosterd on ");
            html.leaf("bdi", &[], &field(&self.context.host));
        });
        html.leaf("p", &[("id", "state"), ("class", class(self.health))], &self.summary());
        html.element("p", &[("class", "facts")], |html| {
            html.text(&format!("version {version}, process {}, ", std::process::id()));
            html.text(&format!("running since {}. ", self.clock.past(Moment::START)));
            html.text("State at ");
            let now = utc(self.context.wall);
            html.leaf("time", &[("id", "now"), ("datetime", &now)], &now);
            html.text(".");
        });
        html.element("nav", &[("aria-label", "Sections")], |html| {
            let sections = [
                ("problems", "Problems", self.problem_count()),
                ("rosters", "Rosters", self.report.rosters.len()),
                ("keys", "Keys", self.report.keys.len()),
                ("templates", "Templates", self.report.templates.len()),
                ("services", "Services", self.context.services.len()),
                ("registries", "Registries", self.report.registries.len()),
                ("events", "Events", self.recent.len()),
            ];
            html.element("ul", &[], |html| {
                for (id, title, count) in sections.into_iter().filter(|(id, _, count)| *id == "problems" || *count > 0)
                {
                    html.element("li", &[], |html| {
                        html.leaf("a", &[("href", &format!("#{id}"))], &format!("{title} {count}"));
                        html.text(" ");
                    });
                }
            });
        });
    }

    /// The events of the last hour about this, the newest first.
    fn events_about(&self, kind: &'static str, name: &Arc<str>) -> &[&RecentEvent] {
        self.about.get(&(kind, Arc::clone(name))).map(Vec::as_slice).unwrap_or_default()
    }

    /// Since when there are events, for a person.
    fn events_since(&self) -> String {
        let start = self.clock.at(Moment::START);
        let is_young = self.context.wall.duration_since(start).is_ok_and(|age| age < super::recent_events::WINDOW);
        if is_young { format!("since the start at {}", self.past(start)) } else { "in the last hour".to_owned() }
    }

    fn past(&self, time: SystemTime) -> String {
        past(time, self.context.wall, &self.context.zone)
    }
}

/// A section of the page, with its heading.
fn section(html: &mut Html, id: &'static str, title: &str, content: impl FnOnce(&mut Html)) {
    let heading = format!("{id}-title");
    html.element("section", &[("id", id), ("aria-labelledby", &heading)], |html| {
        html.leaf("h2", &[("id", &heading)], title);
        content(html);
    });
}

/// How serious something is, as a word.
fn word(health: Health) -> &'static str {
    match health {
        Health::Ok => "OK",
        Health::Warning => "Warning",
        Health::Critical => "Critical",
    }
}

/// How serious something is, as a class of the style sheet.
fn class(health: Health) -> &'static str {
    match health {
        Health::Ok => "ok",
        Health::Warning => "warning",
        Health::Critical => "critical",
    }
}
