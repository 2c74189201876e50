//! Rosters, templates and services as rows that can be opened. The script keeps open what a person has opened.

use super::{class, section};
use crate::http_server::html::Html;
use crate::report::conditions::{Condition, Health};
use crate::report::words::{field, line};
use crate::text::file_name::escaped;

/// The most rows of a group that are shown one by one. More are in a row of their own.
const MAX_ROWS: usize = 12;

/// The most rows of a section that are open because something is wrong.
const MAX_OPEN: usize = 5;

/// The most lines of one condition: the end of a command's output.
const MAX_LINES: usize = 60;

/// A row.
pub struct Item<'a> {
    /// `roster`, `template` and so on.
    pub kind: &'static str,
    /// The name.
    pub name: &'a str,
    /// How serious its state is.
    pub health: Health,
    /// Its state in a few words.
    pub state: String,
    /// Facts beside the state.
    pub facts: Vec<String>,
    /// What is in it.
    pub body: Box<dyn Fn(&mut Html) + 'a>,
}

/// Rows that belong together.
pub struct Group<'a> {
    /// Their title: `rosters without problems`.
    pub title: &'static str,
    /// The rows.
    pub items: Vec<Item<'a>>,
}

/// A section of rows, if there are any.
pub fn item_section(html: &mut Html, id: &'static str, title: &str, groups: &[Group<'_>]) {
    if groups.iter().all(|group| group.items.is_empty()) {
        return;
    }
    let wrong = groups.iter().flat_map(|group| &group.items).filter(|item| item.health > Health::Ok).count();
    let is_open = wrong <= MAX_OPEN;
    section(html, id, title, |html| {
        for (number, group) in groups.iter().enumerate() {
            let rows = |html: &mut Html| group.items.iter().for_each(|item| row(html, item, is_open));
            if group.items.len() <= MAX_ROWS {
                rows(html);
            } else {
                html.element("details", &[("class", "group"), ("id", &format!("{id}-{number}"))], |html| {
                    html.leaf("summary", &[], &format!("{} {}", group.items.len(), group.title));
                    rows(html);
                });
            }
        }
    });
}

fn row(html: &mut Html, item: &Item<'_>, open_if_wrong: bool) {
    let (id, class) = (item_id(item.kind, item.name), format!("item {}", class(item.health)));
    let mut attributes = vec![("class", class.as_str()), ("id", id.as_str())];
    if open_if_wrong && item.health > Health::Ok {
        attributes.push(("open", ""));
    }
    html.element("details", &attributes, |html| {
        html.element("summary", &[], |html| {
            html.leaf("h3", &[], &field(item.name));
            html.text(" ");
            html.leaf("b", &[("class", "state")], &item.state);
            for fact in &item.facts {
                html.text(", ");
                html.leaf("span", &[], &field(fact));
            }
        });
        html.element("div", &[("class", "body")], |html| (item.body)(html));
    });
}

/// The id of a row.
pub fn item_id(kind: &str, name: &str) -> String {
    format!("{kind}-{}", escaped(name))
}

/// A link to a row.
pub fn link(html: &mut Html, kind: &str, name: &str, text: &str) {
    html.leaf("a", &[("href", &format!("#{}", item_id(kind, name)))], text);
}

/// A text with commands in backticks, and the output of a command below it.
pub fn prose(html: &mut Html, text: &str) {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    html.element("p", &[], |html| sentence(html, first));
    output(html, rest);
}

/// One line of text with commands in backticks.
pub fn sentence(html: &mut Html, text: &str) {
    for (number, part) in line(text).split('`').enumerate() {
        if number % 2 == 1 { html.leaf("code", &[], part) } else { html.text(part) }
    }
}

/// The end of a command's output, if there is any.
pub fn output(html: &mut Html, text: &str) {
    let lines: Vec<&str> = text.lines().collect();
    if lines.is_empty() {
        return;
    }
    let left = lines.len().saturating_sub(MAX_LINES);
    html.element("pre", &[], |html| {
        if left > 0 {
            html.text("…\n");
        }
        for it in &lines[left..] {
            html.text(&line(it));
            html.text("\n");
        }
    });
}

/// Conditions in the words of `explain`, one a paragraph.
pub fn conditions(html: &mut Html, all: &[Condition]) {
    for condition in all {
        prose(html, &condition.text);
    }
}

/// The most serious of all conditions.
pub fn worst(all: &[Condition]) -> Health {
    all.iter().map(|condition| condition.health).max().unwrap_or_default()
}

/// Commands to run.
pub fn commands(html: &mut Html, all: &[String]) {
    if all.is_empty() {
        return;
    }
    html.element("p", &[("class", "run")], |html| {
        html.text("Run ");
        for (number, command) in all.iter().enumerate() {
            if number > 0 {
                html.text(", then ");
            }
            html.leaf("code", &[], &line(command));
        }
    });
}

/// A list with a title and at most `max` items, if there are any. `more` is where the others are.
pub fn list(html: &mut Html, title: &str, max: usize, items: impl ExactSizeIterator<Item = String>, more: &str) {
    let count = items.len();
    if count == 0 {
        return;
    }
    html.leaf("h4", &[], &format!("{title} ({count})"));
    html.element("ul", &[("class", "names")], |html| {
        for item in items.take(max) {
            html.element("li", &[], |html| html.leaf("bdi", &[], &item));
        }
        if count > max {
            html.element("li", &[], |html| {
                html.text(&format!("and {} more: ", count - max));
                html.leaf("code", &[], &line(more));
            });
        }
    });
}
