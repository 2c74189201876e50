//! Canaries and pins: what only some hosts read.

use std::collections::BTreeMap;

use super::{Page, button, change, diff, field, link, links, name, section};
use crate::http_server::html::Html;
use crate::jones::json::Json;
use crate::jones::web::data::{CanaryRow, Frame, ServicePage};
use crate::jones::words;

/// `/frozen/S`: canaries and pins.
pub fn frozen(frame: &Frame, of: &ServicePage) -> String {
    let title = format!("Canaries and pins of {}", frame.title);
    Page::of(frame, &of.service, title, links::frozen(&of.service)).write(Some(&of.problems), |html| {
        section(html, "canaries", "Canaries", |html| {
            html.leaf("p", &[], "A canary is a change that only some hosts read. The review of an edit makes one.");
            if of.canaries.is_empty() {
                html.leaf("p", &[], "There is no canary.");
            }
            of.canaries.iter().for_each(|canary| self::canary(html, frame, of, canary));
        });
        section(html, "pins", "Pins", |html| pins(html, frame, of));
    })
}

fn canary(html: &mut Html, frame: &Frame, of: &ServicePage, canary: &CanaryRow) {
    html.element("h3", &[], |html| {
        html.leaf("bdi", &[], &canary.id);
        match &canary.env {
            Some(env) => {
                html.text(" changes ");
                link(html, &links::env(&of.service, env), &name(&of.service, env));
            }
            None => html.text(": its record is damaged, so it can only be aborted"),
        }
    });
    hosts(html, &of.service, &canary.hosts);
    diff(html, &canary.diff);
    if frame.may_edit {
        let fields = [("id", Json::from(&*canary.id))];
        html.element("p", &[("class", "actions")], |html| {
            if canary.env.is_some() {
                button(html, &change("promote", &fields), "Publish for every host…");
            }
            button(html, &change("abort", &fields), "Abort…");
        });
    }
}

fn pins(html: &mut Html, frame: &Frame, of: &ServicePage) {
    html.leaf("p", &[], "A pinned host reads its view as it was at a revision.");
    let mut pins: BTreeMap<(u64, &str), Vec<String>> = BTreeMap::new();
    for row in &of.hosts {
        if let (Some(revision), Some(env)) = (row.pinned, &row.env) {
            pins.entry((revision, env.as_str())).or_default().push(row.host.clone());
        }
    }
    if pins.is_empty() {
        html.leaf("p", &[], "No host is pinned.");
    }
    for ((revision, env), names) in &pins {
        html.element("h3", &[], |html| {
            link(html, &links::revision(&of.service, *revision), &format!("r{revision}"));
            html.text(" of ");
            link(html, &links::env(&of.service, env), &name(&of.service, env));
        });
        hosts(html, &of.service, names);
        if frame.may_edit {
            let names = Json::Array(names.iter().map(|host| host.as_str().into()).collect());
            let proposal = change("unpin", &[("hosts", names)]);
            html.element("p", &[("class", "actions")], |html| button(html, &proposal, "Unpin…"));
        }
    }
    if frame.may_edit {
        html.element("form", &[("data-change", &change("pin", &[]))], |html| {
            field(html, "hosts", "Hosts", "", true);
            field(html, "revision", "Revision", "", true);
            html.leaf("button", &[], "Pin…");
        });
    }
}

/// The hosts that read something.
fn hosts(html: &mut Html, service: &str, names: &[String]) {
    html.leaf("p", &[], &format!("Read by {}.", words::hosts(names.len())));
    html.element("ul", &[("class", "names")], |html| {
        for host in names {
            html.element("li", &[], |html| link(html, &links::host(service, host), host));
        }
    });
}
