//! All services, and what is wrong with each.

use super::{Page, link, links, mark, notes, plain, section, sentence, table};
use crate::decide::report::plural;
use crate::http_server::html::Html;
use crate::jones::web::data::{CheckPage, Frame, ProblemRow, ServiceRow, ServicesPage};
use crate::jones::words;

/// `/`: all services.
pub fn services(frame: &Frame, of: &ServicesPage) -> String {
    let stale = of.services.iter().filter(|row| row.stale > 0).map(stale_views);
    let wrong: Vec<ProblemRow> = of.unreadable.iter().map(plain).chain(stale).collect();
    // Nothing else was checked.
    let wrong = (!wrong.is_empty()).then_some(&*wrong);
    Page::new(frame, &*frame.title, "/".to_owned()).write(wrong, |html| {
        section(html, "services", "Services", |html| {
            if of.services.is_empty() {
                let text = "There is no service that you may see. `rosterd jones init NAME` creates one.";
                return html.element("p", &[], |html| sentence(html, text));
            }
            table(html, &["Service", "Environments", "Hosts", "Special"], |html| {
                of.services.iter().for_each(|row| self::row(html, row));
            });
        });
    })
}

fn stale_views(row: &ServiceRow) -> ProblemRow {
    let text = format!("{}: {}, so hosts read an older configuration", row.service, plural(row.stale, "stale view"));
    ProblemRow { text, is_repairable: true }
}

fn row(html: &mut Html, row: &ServiceRow) {
    html.element("tr", &[], |html| {
        html.element("th", &[("scope", "row")], |html| link(html, &links::env(&row.service, ""), &row.service));
        html.leaf("td", &[], &plural(row.envs, "environment"));
        html.leaf("td", &[], &words::hosts(row.hosts));
        html.element("td", &[], |html| {
            if row.stale > 0 {
                mark(html, &plural(row.stale, "stale view"));
            }
            for (count, what) in [(row.pinned, "pinned"), (row.in_canaries, "in a canary")] {
                if count > 0 {
                    mark(html, &format!("{} {what}", words::hosts(count)));
                }
            }
        });
    });
}

/// `/check`: what is wrong with all services.
pub fn checks(frame: &Frame, pages: &[CheckPage]) -> String {
    let wrong: Vec<ProblemRow> = pages.iter().flat_map(|page| page.problems.clone()).collect();
    Page::new(frame, &*frame.title, links::CHECK.to_owned()).write(Some(&wrong), |html| {
        section(html, "checked", "What was checked", |html| {
            let text = "Whether each view is what its configurations make it, and each association leads to a view.";
            html.leaf("p", &[], text);
            table(html, &["Service", "Result"], |html| {
                for page in pages {
                    html.element("tr", &[], |html| {
                        html.element("th", &[("scope", "row")], |html| {
                            link(html, &links::env(&page.service, ""), &page.service);
                        });
                        let result = match page.problems.len() {
                            0 => "OK".to_owned(),
                            count => plural(count, "problem"),
                        };
                        html.leaf("td", &[], &result);
                    });
                }
            });
            for page in pages {
                notes(html, &page.notes);
            }
        });
    })
}
