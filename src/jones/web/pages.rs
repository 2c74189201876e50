//! The pages for a person. The server writes them whole, so they can be read without a script and in a text browser. The
//! script only edits and publishes. What is wrong comes first.

use hyper::StatusCode;

use crate::decide::report::plural;
use crate::http_server::html::Html;
use crate::jones::json::{Json, Object};

use super::data::{Frame, ProblemRow};

mod env;
mod frozen;
mod history;
mod host;
mod links;
mod review;
mod services;
#[cfg(test)]
mod tests;

pub use env::env;
pub use frozen::frozen;
pub use history::{history, revision};
pub use host::host;
pub use review::review;
pub use services::{checks, services};

/// The type and the text of a file of the pages. The files are in the program.
pub fn file(path: &str) -> Option<(&'static str, &'static str)> {
    Some(match path {
        "/jones.css" => ("text/css; charset=utf-8", include_str!("pages/style.css")),
        "/jones.js" => ("text/javascript; charset=utf-8", include_str!("pages/script.js")),
        _ => return crate::serve::page::file(path).filter(|_| path != "/script.js"),
    })
}

/// A page.
struct Page<'a> {
    frame: &'a Frame,
    title: String,
    /// The service that it is about, if it is about one.
    service: Option<&'a str>,
    /// Its path.
    here: String,
    /// What the script needs to know.
    data: Object,
}

impl<'a> Page<'a> {
    fn new(frame: &'a Frame, title: impl Into<String>, here: String) -> Self {
        Self { frame, title: title.into(), service: None, here, data: Object::new() }
    }

    fn of(frame: &'a Frame, service: &'a str, title: impl Into<String>, here: String) -> Self {
        let mut page = Self { service: Some(service), ..Self::new(frame, title, here) };
        page.put("service", service);
        page.put("root", links::env(service, ""));
        page.put("review", links::review(service));
        page.put("frozen", links::frozen(service));
        page
    }

    /// Tells the script a fact.
    fn put(&mut self, key: &str, value: impl Into<Json>) {
        self.data.insert(key.to_owned(), value.into());
    }

    /// `wrong` is what is wrong with what the page is about, if that was checked.
    fn write(&self, wrong: Option<&[ProblemRow]>, content: impl FnOnce(&mut Html)) -> String {
        Html::document(|html| {
            html.element("head", &[], |html| self.head(html));
            let data = Json::Object(self.data.clone()).to_string();
            html.element("body", &[("data-page", &data)], |html| {
                html.element("header", &[("id", "top")], |html| self.header(html, wrong.map(<[_]>::len)));
                // The script says here what it has published.
                html.leaf("p", &[("id", "note"), ("role", "status"), ("class", "note"), ("hidden", "")], "");
                html.element("main", &[], |html| {
                    problems(html, wrong.unwrap_or_default());
                    content(html);
                });
                html.element("footer", &[], |html| self.footer(html));
            });
        })
    }

    fn head(&self, html: &mut Html) {
        html.void("meta", &[("charset", "utf-8")]);
        html.void("meta", &[("name", "viewport"), ("content", "width=device-width, initial-scale=1")]);
        html.void("meta", &[("name", "color-scheme"), ("content", "light dark")]);
        html.leaf("title", &[], &format!("{} – rosterd jones", self.title));
        html.void("link", &[("rel", "stylesheet"), ("href", "/style.css")]);
        html.void("link", &[("rel", "stylesheet"), ("href", "/jones.css")]);
        html.void("link", &[("rel", "icon"), ("type", "image/svg+xml"), ("href", "/icon.svg")]);
        html.leaf("script", &[("src", "/jones.js"), ("defer", "")], "");
    }

    fn header(&self, html: &mut Html, wrong: Option<usize>) {
        html.element("h1", &[], |html| html.leaf("bdi", &[], &self.title));
        match wrong {
            None => {}
            Some(0) => html.leaf("p", &[("id", "state"), ("class", "ok")], "All is well"),
            Some(count) => html.leaf("p", &[("id", "state"), ("class", "warning")], &plural(count, "problem")),
        }
        html.element("nav", &[("aria-label", "Pages")], |html| {
            html.element("ul", &[], |html| {
                self.entry(html, "/", "Services");
                self.entry(html, links::CHECK, "Check");
                if let Some(service) = self.service {
                    self.entry(html, &links::env(service, ""), service);
                    self.entry(html, &links::history(service), "History");
                    self.entry(html, &links::frozen(service), "Canaries and pins");
                }
            });
        });
    }

    fn entry(&self, html: &mut Html, path: &str, title: &str) {
        html.element("li", &[], |html| {
            let attributes = [("href", path), ("aria-current", "page")];
            let attributes = if path == self.here { &attributes[..] } else { &attributes[..1] };
            html.element("a", attributes, |html| html.leaf("bdi", &[], title));
            html.text(" ");
        });
    }

    fn footer(&self, html: &mut Html) {
        if let Some(user) = &self.frame.user {
            html.text("Signed in as ");
            html.leaf("bdi", &[], user);
            html.text(". ");
        }
        html.text(match (self.service, self.frame.may_edit) {
            (None, _) => "",
            (_, true) => "You may edit this service. ",
            (_, false) => "You may only read this service. ",
        });
        sentence(html, "The same in a terminal: `rosterd jones --help`.");
    }
}

/// A problem that no command corrects by itself.
fn plain(text: impl Into<String>) -> ProblemRow {
    ProblemRow { text: text.into(), is_repairable: false }
}

/// What is wrong, and what to do about it.
fn problems(html: &mut Html, wrong: &[ProblemRow]) {
    if wrong.is_empty() {
        return;
    }
    section(html, "problems", "What is wrong", |html| {
        html.element("ol", &[], |html| {
            for problem in wrong {
                html.element("li", &[("class", "warning")], |html| {
                    html.element("p", &[], |html| {
                        html.leaf("b", &[("class", "state")], "Warning");
                        html.text(" ");
                        sentence(html, &problem.text);
                    });
                    if problem.is_repairable {
                        html.element("p", &[], |html| {
                            sentence(html, "To correct it: `rosterd jones check --all --repair`");
                        });
                    }
                });
            }
        });
    });
}

/// What is worth to know without being a fault.
fn notes(html: &mut Html, notes: &[String]) {
    for note in notes {
        html.element("p", &[("class", "note")], |html| sentence(html, note));
    }
}

/// `S/ENV`, or `S` for the root environment.
fn name(service: &str, env: &str) -> String {
    if env.is_empty() { service.to_owned() } else { format!("{service}/{env}") }
}

/// Why there is no page.
pub fn problem(status: StatusCode, detail: &str) -> String {
    let frame = Frame { title: status.to_string(), user: None, may_edit: false };
    Page::new(&frame, &*frame.title, String::new()).write(Some(&[plain(detail)]), |_| {})
}

/// A sentence with code between backquotes.
fn sentence(html: &mut Html, text: &str) {
    for (at, part) in text.split('`').enumerate() {
        if at % 2 == 0 { html.text(part) } else { html.leaf("code", &[], part) }
    }
}

/// A section of a page, with its heading.
fn section(html: &mut Html, id: &'static str, title: &str, content: impl FnOnce(&mut Html)) {
    let heading = format!("{id}-title");
    html.element("section", &[("id", id), ("aria-labelledby", &heading)], |html| {
        html.leaf("h2", &[("id", &heading)], title);
        content(html);
    });
}

/// A table with these headings.
fn table(html: &mut Html, headings: &[&str], rows: impl FnOnce(&mut Html)) {
    html.element("table", &[], |html| {
        html.element("thead", &[], |html| {
            html.element("tr", &[], |html| headings.iter().for_each(|it| html.leaf("th", &[("scope", "col")], it)));
        });
        html.element("tbody", &[], rows);
    });
}

/// A name that others have chosen, as a link.
fn link(html: &mut Html, path: &str, text: &str) {
    html.element("a", &[("href", path)], |html| html.leaf("bdi", &[], text));
}

/// A difference, with its lines marked.
fn diff(html: &mut Html, text: &str) {
    html.element("pre", &[("class", "diff")], |html| {
        for line in text.split_inclusive('\n') {
            match line.as_bytes().first() {
                Some(b'+') => html.leaf("span", &[("class", "add")], line),
                Some(b'-') => html.leaf("span", &[("class", "remove")], line),
                _ => html.text(line),
            }
        }
    });
}

/// A change that a button proposes, for the script. It is in ASCII, so nothing in it is shown in another way.
fn change(op: &str, fields: &[(&str, Json)]) -> String {
    let mut change: Object = [("op".to_owned(), op.into())].into_iter().collect();
    change.extend(fields.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    Json::Object(change).to_string()
}

/// A button that leads to the review of a change.
fn button(html: &mut Html, change: &str, text: &str) {
    html.leaf("button", &[("type", "button"), ("data-change", change)], text);
}

/// A field of a form.
fn field(html: &mut Html, name: &str, label: &str, value: &str, is_required: bool) {
    html.element("label", &[], |html| {
        html.text(label);
        let attributes = [("name", name), ("value", value), ("autocomplete", "off"), ("required", "")];
        html.void("input", if is_required { &attributes[..] } else { &attributes[..3] });
    });
}

/// Something special, in a frame.
fn mark(html: &mut Html, text: &str) {
    html.text(" ");
    html.leaf("b", &[("class", "mark")], text);
}
