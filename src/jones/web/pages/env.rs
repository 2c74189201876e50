//! The tree of a service, and one environment of it: its own configuration in force and edited, its view, its hosts.

use super::{Page, button, change, field, link, links, mark, name, notes, section, table};
use crate::http_server::html::Html;
use crate::jones::json::Json;
use crate::jones::web::data::{EnvPage, EnvRow, Frame, KeyRow, ServicePage};
use crate::jones::words;

/// A longer value scrolls in its cell.
const LONG_VALUE: usize = 400;

/// `/service/S/` and `/service/S/ENV/`: the tree of a service, and one environment of it.
pub fn env(frame: &Frame, service: &ServicePage, of: &EnvPage) -> String {
    let shown = name(&of.service, &of.env);
    let mut page = Page::of(frame, &of.service, &*frame.title, links::env(&of.service, &of.env));
    page.put("env", &*of.env);
    page.put("version", i64::from(of.version));
    if frame.may_edit {
        page.put("text", &*of.text);
    }
    page.write(Some(&service.problems), |html| {
        notes(html, &service.notes);
        section(html, "tree", "Environments", |html| {
            html.element("ul", &[("class", "tree")], |html| branch(html, service, "", &of.env));
        });
        section(html, "own", &format!("Own configuration of {shown}"), |html| {
            html.element("div", &[("class", "columns")], |html| {
                html.element("div", &[], |html| in_force(html, of));
                if frame.may_edit {
                    html.element("div", &[("id", "edited")], |html| editor(html, &shown));
                }
            });
        });
        section(html, "view", "View: what its hosts read", |html| keys(html, &of.service, &of.keys));
        section(html, "hosts", "Hosts", |html| hosts(html, frame, service, of));
        if frame.may_edit {
            section(html, "change", "Create and delete", |html| shape(html, of));
        }
    })
}

/// An environment, and those that inherit from it.
fn branch(html: &mut Html, service: &ServicePage, env: &str, current: &str) {
    let Some(row) = service.envs.iter().find(|row| row.env == env) else { return };
    html.element("li", &[], |html| {
        let path = links::env(&service.service, env);
        let shown = env.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or(&service.service);
        let attributes = [("href", &*path), ("aria-current", "page")];
        let attributes = if env == current { &attributes[..] } else { &attributes[..1] };
        html.element("a", attributes, |html| html.leaf("bdi", &[], shown));
        let facts = format!(" version {}, {}", row.version, words::hosts(row.hosts.len()));
        html.leaf("span", &[("class", "ago")], &facts);
        row.marks.iter().for_each(|it| mark(html, it));
        let parent = |row: &EnvRow| row.env.rsplit_once('/').map_or("", |(parent, _)| parent).to_owned();
        let is_child = |row: &&EnvRow| !row.env.is_empty() && parent(row) == env;
        if service.envs.iter().any(|row| is_child(&row)) {
            html.element("ul", &[], |html| {
                service.envs.iter().filter(is_child).for_each(|row| branch(html, service, &row.env, current));
            });
        }
    });
}

fn in_force(html: &mut Html, of: &EnvPage) {
    html.leaf("h3", &[], "In force");
    html.element("p", &[("class", "ago")], |html| {
        html.text(&format!("Version {}. ", of.version));
        link(html, &links::history(&of.service), "Who changed it");
    });
    if let Some(why) = &of.error {
        html.leaf("p", &[("class", "refused")], &format!("This is not an object: {why}. Replace it."));
    }
    html.leaf("pre", &[], &of.text);
}

fn editor(html: &mut Html, shown: &str) {
    let button = |html: &mut Html, id, text| html.leaf("button", &[("type", "button"), ("id", id)], text);
    html.leaf("h3", &[], "Edited");
    html.leaf("p", &[("id", "edit-state"), ("class", "ago"), ("role", "status")], "Editing needs a script.");
    html.element("div", &[("id", "conflict"), ("class", "note warning"), ("hidden", "")], |html| {
        html.leaf("p", &[("id", "conflict-versions"), ("role", "alert")], "");
        html.leaf("h4", &[], "What somebody else has changed since you began");
        html.leaf("div", &[("id", "conflict-diff")], "");
        html.leaf("p", &[("id", "conflict-keys")], "");
        html.element("p", &[("class", "actions")], |html| button(html, "conflict-go-on", "Go on from the new version"));
    });
    html.element("div", &[("class", "editor"), ("hidden", "")], |html| {
        html.leaf("pre", &[("id", "numbers"), ("aria-hidden", "true")], "");
        let label = format!("Own configuration of {shown}, edited");
        let attributes = [
            ("id", "text"),
            ("aria-label", &*label),
            ("aria-describedby", "edit-problem"),
            ("autocomplete", "off"),
            ("spellcheck", "false"),
            ("wrap", "off"),
        ];
        // The script fills it in: here, what does not print would be escaped, and saved so.
        html.leaf("textarea", &attributes, "");
    });
    html.leaf("p", &[("id", "edit-problem"), ("class", "refused"), ("role", "alert"), ("hidden", "")], "");
    html.leaf("p", &[("id", "edit-reach"), ("role", "status")], "");
    html.element("p", &[("id", "edit-actions"), ("class", "actions"), ("hidden", "")], |html| {
        html.leaf("button", &[("type", "button"), ("id", "edit-review"), ("class", "first")], "Review…");
        button(html, "edit-discard", "Discard the edit");
    });
}

/// Each key with the environment that its value comes from.
pub(super) fn keys(html: &mut Html, service: &str, keys: &[KeyRow]) {
    if keys.is_empty() {
        return html.leaf("p", &[], "It has no keys.");
    }
    table(html, &["Key", "Value", "From"], |html| {
        for row in keys {
            html.element("tr", &[], |html| {
                html.element("th", &[("scope", "row")], |html| html.leaf("bdi", &[], &row.key));
                let value = row.value.pretty();
                // What scrolls must be reachable by the keyboard.
                let long = [("class", "value"), ("tabindex", "0"), ("role", "region"), ("aria-label", &*row.key)];
                let attributes = if value.len() > LONG_VALUE { &long[..] } else { &[] };
                html.element("td", &[], |html| {
                    html.element("div", attributes, |html| html.leaf("code", &[], &value));
                });
                html.element("td", &[], |html| {
                    if let Some(env) = &row.origin {
                        link(html, &links::env(service, env), &name(service, env));
                    }
                    for env in &row.hides {
                        html.text(", hides that of ");
                        link(html, &links::env(service, env), &name(service, env));
                    }
                });
            });
        }
    });
}

fn hosts(html: &mut Html, frame: &Frame, service: &ServicePage, of: &EnvPage) {
    if of.env.is_empty() {
        html.leaf("p", &[], "A host without an association reads this own configuration.");
    }
    let rows = || service.hosts.iter().filter(|row| row.env.as_ref() == Some(&of.env));
    if rows().next().is_none() {
        html.leaf("p", &[], "No host is associated with this environment.");
    }
    html.element("ul", &[("class", "names")], |html| {
        for row in rows() {
            html.element("li", &[], |html| {
                link(html, &links::host(&of.service, &row.host), &row.host);
                if let Some(revision) = row.pinned {
                    mark(html, &format!("pinned to r{revision}"));
                }
                if let Some(id) = &row.canary {
                    mark(html, &format!("canary {id}"));
                }
            });
        }
    });
    if frame.may_edit {
        html.element("form", &[("data-change", &change("associate", &[("env", of.env.as_str().into())]))], |html| {
            field(html, "host", "Another host", "", true);
            html.leaf("button", &[], "Let it read this environment…");
        });
    }
}

fn shape(html: &mut Html, of: &EnvPage) {
    html.element("form", &[("data-change", &change("create", &[]))], |html| {
        field(html, "child", &format!("New environment below {}", name(&of.service, &of.env)), "", true);
        html.leaf("button", &[], "Create…");
    });
    let fields = [("env", Json::from(&*of.env)), ("base_version", i64::from(of.version).into())];
    html.element("p", &[("class", "actions")], |html| {
        button(html, &change("delete", &fields), "Delete this environment…");
    });
}
