//! The revisions of a service, and each of them.

use super::{Page, button, change, diff, link, links, name, notes, section, sentence, table};
use crate::http_server::html::Html;
use crate::jones::json::Json;
use crate::jones::web::data::{Frame, HistoryPage, RevisionPage, RevisionRow};
use crate::jones::words;

/// `/history/S`: the revisions of a service.
pub fn history(frame: &Frame, of: &HistoryPage) -> String {
    let page = Page::of(frame, &of.service, format!("History of {}", frame.title), links::history(&of.service));
    page.write(None, |html| {
        section(html, "revisions", "Revisions", |html| {
            notes(html, &of.outside);
            if of.revisions.is_empty() {
                let text = format!("There is no history yet. `rosterd jones adopt {}` begins one.", of.service);
                return html.element("p", &[], |html| sentence(html, &text));
            }
            html.leaf("p", &[("id", "filter")], "");
            table(html, &["Revision", "Time", "Author", "Change", "Comment"], |html| {
                of.revisions.iter().for_each(|row| self::row(html, &of.service, row));
            });
        });
    })
}

fn row(html: &mut Html, service: &str, row: &RevisionRow) {
    html.element("tr", &[("class", "item")], |html| {
        let path = links::revision(service, row.revision);
        html.element("th", &[("scope", "row")], |html| link(html, &path, &format!("r{}", row.revision)));
        html.leaf("td", &[("class", "time")], &row.at);
        for text in [&row.author, &what(row), &row.comment] {
            html.element("td", &[], |html| html.leaf("bdi", &[], text));
        }
    });
}

/// What a revision did, in a few words: `set parent`.
fn what(row: &RevisionRow) -> String {
    let envs = row.envs.iter().map(|env| if env.is_empty() { "(root)" } else { env.as_str() });
    let names: Vec<&str> = envs.chain(row.hosts.iter().map(String::as_str)).collect();
    format!("{} {}", row.op, words::listed(&names))
}

/// `/history/S/R`: a revision.
pub fn revision(frame: &Frame, of: &RevisionPage) -> String {
    let RevisionRow { revision, at, author, via, comment, zxid, .. } = &of.row;
    let title = format!("{} r{revision}", frame.title);
    Page::of(frame, &of.service, title, links::revision(&of.service, *revision)).write(None, |html| {
        section(html, "entry", &what(&of.row), |html| {
            html.element("p", &[], |html| {
                html.text("By ");
                html.leaf("bdi", &[], author);
                html.text(&format!(" at {at}, with {via}, zxid {zxid}."));
            });
            if !comment.is_empty() {
                html.leaf("blockquote", &[], comment);
            }
        });
        section(html, "changes", "What it changed", |html| {
            for conf in &of.confs {
                html.element("h3", &[], |html| {
                    link(html, &links::env(&of.service, &conf.env), &name(&of.service, &conf.env));
                    html.text(&format!(": {}", conf.kind));
                });
                diff(html, &conf.diff);
            }
            let show = |path: &Option<String>| path.clone().unwrap_or_else(|| "no association".to_owned());
            for it in &of.moves {
                html.element("p", &[], |html| {
                    link(html, &links::host(&of.service, &it.host), &it.host);
                    html.text(&format!(": {} → {}", show(&it.from), show(&it.to)));
                });
            }
        });
        if frame.may_edit {
            section(html, "rollback", "Roll back", |html| rollback(html, of));
        }
    })
}

fn rollback(html: &mut Html, of: &RevisionPage) {
    html.leaf("p", &[], "A rollback is a new revision with the content as it was after this one. Associations stay.");
    html.element("p", &[("class", "actions")], |html| {
        let revision = ("revision", Json::from(i64::try_from(of.row.revision).unwrap_or_default()));
        let all = change("rollback", std::slice::from_ref(&revision));
        button(html, &all, &format!("Roll back every environment to r{}…", of.row.revision));
        for conf in &of.confs {
            let one = change("rollback", &[revision.clone(), ("env", conf.env.as_str().into())]);
            button(html, &one, &format!("Only {}…", name(&of.service, &conf.env)));
        }
    });
}
