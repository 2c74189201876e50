//! What is wrong, the most serious first, with the commands that help.

use std::collections::BTreeMap;

use super::item::{commands, link, output, sentence};
use super::{Page, class, section, word};
use crate::decide::report::{RosterValue, plural};
use crate::http_server::html::Html;
use crate::report::commands::commands as commands_for;
use crate::report::conditions::Health;
use crate::report::health::{Problem, Subject};
use crate::report::words::field;
use crate::text::command::rosterd;

/// The most problems that are listed. Each row below the list shows its own, too.
const MAX_LISTED: usize = 40;

/// The most names of rosters that are named below an unreachable registry.
const MAX_NAMED: usize = 8;

impl Page<'_> {
    pub(super) fn problem_list(&self, html: &mut Html) {
        section(
            html,
            "problems",
            if self.problems.is_empty() { "Nothing is wrong" } else { "What is wrong" },
            |html| {
                if self.problems.is_empty() {
                    let members =
                        self.report.rosters.values().filter_map(|it| it.value.as_ref()).map(RosterValue::count).sum();
                    let counts = [
                        plural(self.report.templates.len(), "template"),
                        plural(self.report.rosters.len(), "roster"),
                        plural(members, "member"),
                    ];
                    return html.leaf("p", &[], &counts.join(", "));
                }
                html.element("ol", &[], |html| {
                    self.problems.iter().take(MAX_LISTED).for_each(|problem| self.problem(html, problem));
                });
                if self.problems.len() > MAX_LISTED {
                    let text = format!(
                        "And {} more, below and in `{}`.",
                        self.problems.len() - MAX_LISTED,
                        rosterd(&["status"])
                    );
                    html.element("p", &[], |html| sentence(html, &text));
                }
            },
        );
    }

    fn problem(&self, html: &mut Html, problem: &Problem) {
        let registry = problem.registry();
        let follows = self.consequences.iter().filter(|it| registry.is_some() && it.follows_from.as_ref() == registry);
        let follows: Vec<&Problem> = follows.collect();
        let health = follows.iter().map(|it| it.condition.health).fold(problem.condition.health, Health::max);
        // The script announces a change of the problems, but not of their ages.
        let about = format!("{:?} {health:?}", problem.subject);
        html.element("li", &[("class", class(health)), ("data-about", &about)], |html| {
            let (first, rest) = problem.condition.text.split_once('\n').unwrap_or((&problem.condition.text, ""));
            html.element("p", &[], |html| {
                html.leaf("b", &[("class", "state")], word(health));
                html.text(" ");
                subject(html, &problem.subject);
                sentence(html, first);
            });
            output(html, rest);
            for (text, names) in consequences(&follows) {
                html.leaf("p", &[], &format!("{text}: {names}"));
            }
            commands(html, &commands_for(&problem.subject, self.report, self.context));
        });
    }
}

/// Links to what a problem is about.
fn subject(html: &mut Html, subject: &Subject) {
    let (kind, names): (_, Vec<&str>) = match subject {
        Subject::Load | Subject::Program | Subject::Pause => return,
        Subject::Registry(name) => ("registry", vec![name]),
        Subject::Roster(name) => ("roster", vec![name]),
        Subject::Key(name) => ("key", vec![name]),
        Subject::Template(name) => ("template", vec![name]),
        Subject::Service(name) => ("service", vec![name]),
        Subject::Reload(names) => ("template", names.iter().map(|name| &**name).collect()),
    };
    for (number, name) in names.iter().take(MAX_NAMED).enumerate() {
        html.text(if number > 0 { ", " } else { "" });
        link(html, kind, name, &format!("{kind} {}", field(name)));
    }
    if names.len() > MAX_NAMED {
        html.text(&format!(" and {} more", names.len() - MAX_NAMED));
    }
    html.text(": ");
}

/// What follows from an unreachable registry, with the names of the first rosters and keys.
fn consequences(followers: &[&Problem]) -> Vec<(String, String)> {
    let mut named: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for it in followers {
        let (noun, name) = match &it.subject {
            Subject::Key(name) => ("key", name),
            Subject::Roster(name) => ("roster", name),
            _ => continue,
        };
        named.entry((std::cmp::Reverse(it.condition.health), noun)).or_default().push(field(name));
    }
    let texts = named.into_iter().map(|((health, noun), names)| {
        let state = if health.0 == Health::Critical { "no known-good data yet" } else { "last known-good data in use" };
        let more = names.len().saturating_sub(MAX_NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let first: Vec<&str> = names.iter().take(MAX_NAMED).map(String::as_str).collect();
        (format!("{}, {state}", plural(names.len(), noun)), first.join(", ") + &more)
    });
    texts.collect()
}
