//! What a host reads, and why.

use super::env::keys;
use super::{Page, button, change, field, link, links, name, plain, section, sentence};
use crate::http_server::html::Html;
use crate::jones::json::Json;
use crate::jones::web::data::{Frame, HostPage};

/// `/service/S/association/H`: what a host reads, and why.
pub fn host(frame: &Frame, of: &HostPage) -> String {
    let host = &*of.row.host;
    let page = Page::of(frame, &of.service, format!("Host {}", frame.title), links::host(&of.service, host));
    let wrong = of.error.iter().map(|why| plain(format!("{host} has no usable configuration: {why}")));
    page.write(Some(&wrong.collect::<Vec<_>>()), |html| {
        section(html, "why", "Why", |html| {
            html.element("p", &[], |html| sentence(html, &format!("{}.", of.why)));
            if let Some(env) = &of.row.env {
                html.element("p", &[], |html| {
                    html.text("Its environment: ");
                    link(html, &links::env(&of.service, env), &name(&of.service, env));
                });
            }
        });
        section(html, "view", "What it reads", |html| keys(html, &of.service, &of.keys));
        if frame.may_edit {
            section(html, "change", "Change what it reads", |html| actions(html, of));
        }
    })
}

fn actions(html: &mut Html, of: &HostPage) {
    let hosts = ("hosts", Json::Array(vec![of.row.host.as_str().into()]));
    html.element("form", &[("data-change", &change("associate", std::slice::from_ref(&hosts)))], |html| {
        field(html, "env", "Environment; empty for the root one", of.row.env.as_deref().unwrap_or_default(), false);
        html.leaf("button", &[], "Let it read this environment…");
    });
    if of.row.pinned.is_some() {
        html.element("p", &[("class", "actions")], |html| {
            button(html, &change("unpin", std::slice::from_ref(&hosts)), "Unpin…");
        });
    } else {
        html.element("form", &[("data-change", &change("pin", std::slice::from_ref(&hosts)))], |html| {
            field(html, "revision", "Revision", "", true);
            html.leaf("button", &[], "Pin it to this revision…");
        });
    }
    if of.is_listed {
        let proposal = change("dissociate", &[hosts]);
        html.element("p", &[("class", "actions")], |html| button(html, &proposal, "Remove its association…"));
    }
}
