//! The review of a change before it is published. The script asks the server what the change would do, and fills it in.

use super::{Page, link, links};
use crate::http_server::html::Html;
use crate::jones::web::data::{Frame, ServicePage};

/// `/review/S`: a change before it is published.
pub fn review(frame: &Frame, of: &ServicePage) -> String {
    let page = Page::of(frame, &of.service, format!("Review for {}", frame.title), links::review(&of.service));
    let root = links::env(&of.service, "");
    page.write(None, |html| {
        html.element("p", &[("id", "no-change")], |html| {
            html.text("There is nothing to review in this window. Edit ");
            link(html, &root, &of.service);
            html.text(" first. The review needs a script.");
        });
        if frame.may_edit {
            html.element("div", &[("id", "review"), ("hidden", "")], |html| proposal(html, &root));
        }
    })
}

fn proposal(html: &mut Html, root: &str) {
    html.leaf("h2", &[("id", "change")], "");
    let attributes = [("id", "problem"), ("class", "note critical"), ("role", "alert"), ("hidden", "")];
    html.element("div", &attributes, |html| {
        html.leaf("p", &[("id", "problem-text"), ("class", "refused")], "");
        html.leaf("p", &[("id", "problem-help")], "");
    });
    html.leaf("p", &[("id", "reach"), ("role", "status")], "The server is asked what would change …");
    html.leaf("div", &[("id", "reached")], "");
    html.leaf("div", &[("id", "changes")], "");
    html.element("form", &[("id", "publish")], |html| {
        html.element("label", &[], |html| {
            html.text("Why, for the history");
            html.leaf("textarea", &[("name", "comment"), ("rows", "2"), ("cols", "60"), ("maxlength", "2000")], "");
        });
        html.leaf("button", &[("class", "first"), ("disabled", "")], "Publish");
        html.leaf("a", &[("class", "back"), ("href", root)], "Back, without publishing");
    });
    html.element("form", &[("id", "canary"), ("hidden", "")], |html| {
        html.element("label", &[], |html| {
            html.text("Or first on some hosts: their names, or a share as in 10 %");
            html.void("input", &[("name", "who"), ("size", "40"), ("required", ""), ("autocomplete", "off")]);
        });
        html.leaf("button", &[], "Review as a canary…");
    });
}
