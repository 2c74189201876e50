//! The pages.

use hyper::StatusCode;

use crate::http_server::html::Html;

use super::data::{CheckPage, EnvPage, Frame, HistoryPage, HostPage, RevisionPage, ServicePage, ServicesPage};

/// The type and the text of a file of the pages. The files are in the program.
pub fn file(path: &str) -> Option<(&'static str, &'static str)> {
    let _ = path;
    None
}

fn document(title: &str, content: impl FnOnce(&mut Html)) -> String {
    Html::document(|html| {
        html.element("head", &[], |html| html.leaf("title", &[], title));
        html.element("body", &[], |html| {
            html.leaf("h1", &[], title);
            content(html);
        });
    })
}

/// `/`: all services.
pub fn services(frame: &Frame, page: &ServicesPage) -> String {
    document(&frame.title, |html| {
        html.element("ul", &[], |html| {
            for row in &page.services {
                html.leaf("li", &[], &row.service);
            }
            for why in &page.unreadable {
                html.leaf("li", &[], why);
            }
        });
    })
}

/// `/service/S/` and `/service/S/ENV/`: the tree of a service, and one environment of it.
pub fn env(frame: &Frame, service: &ServicePage, page: &EnvPage) -> String {
    document(&frame.title, |html| {
        html.leaf("p", &[], &format!("{} environments", service.envs.len()));
        html.leaf("pre", &[], &page.text);
    })
}

/// `/service/S/association/H`: what a host reads, and why.
pub fn host(frame: &Frame, page: &HostPage) -> String {
    document(&frame.title, |html| html.leaf("p", &[], &page.why))
}

/// `/history/S`: the revisions of a service.
pub fn history(frame: &Frame, page: &HistoryPage) -> String {
    document(&frame.title, |html| html.leaf("p", &[], &format!("{} revisions", page.revisions.len())))
}

/// `/history/S/R`: a revision.
pub fn revision(frame: &Frame, page: &RevisionPage) -> String {
    document(&frame.title, |html| html.leaf("p", &[], &page.row.op))
}

/// `/review/S`: a change before it is published. The script keeps the change, and asks `/api/v1/services/S/review`.
pub fn review(frame: &Frame, page: &ServicePage) -> String {
    document(&frame.title, |html| html.leaf("p", &[], &page.service))
}

/// `/frozen/S`: canaries and pins.
pub fn frozen(frame: &Frame, page: &ServicePage) -> String {
    document(&frame.title, |html| html.leaf("p", &[], &page.service))
}

/// `/check`: what is wrong with all services.
pub fn checks(frame: &Frame, pages: &[CheckPage]) -> String {
    document(&frame.title, |html| {
        for page in pages {
            html.leaf("h2", &[], &page.service);
            page.problems.iter().for_each(|problem| html.leaf("p", &[], &problem.text));
        }
    })
}

/// Why there is no page.
pub fn problem(status: StatusCode, detail: &str) -> String {
    document(&status.to_string(), |html| html.leaf("p", &[], detail))
}
