//! What the pages make of names and values that others have chosen, and what they show to whom.

use super::*;
use crate::jones::web::data::{
    CanaryRow, CheckPage, DiffRow, EnvPage, EnvRow, HistoryPage, HostPage, HostRow, KeyRow, MoveRow, RevisionPage,
    RevisionRow, ServicePage, ServiceRow, ServicesPage,
};

const HOSTILE: &str = "</textarea></script><img src=x onerror='alert(1)'>\u{202e}&\"\u{61c}";

fn frame(may_edit: bool, user: &str) -> Frame {
    Frame { title: user.to_owned(), user: Some(user.to_owned()), may_edit }
}

/// Every page about a service whose names and values are all this text.
fn pages(text: &str, may_edit: bool) -> Vec<(&'static str, String)> {
    let text = || text.to_owned();
    let frame = frame(may_edit, &text());
    let problem = ProblemRow { text: text(), is_repairable: true };
    let env_row = |env: String| EnvRow { env, version: 3, bytes: 9, hosts: vec![text()], marks: vec![text()] };
    let host =
        HostRow { host: text(), path: text(), reads: text(), env: Some(text()), pinned: Some(7), canary: Some(text()) };
    let key = KeyRow { key: text(), value: text().into(), origin: Some(text()), hides: vec![text()] };
    let service = ServicePage {
        service: text(),
        etag: "0".to_owned(),
        envs: vec![env_row(String::new()), env_row(text())],
        hosts: vec![host.clone()],
        canaries: vec![CanaryRow {
            id: text(),
            env: Some(text()),
            hosts: vec![text()],
            diff: format!("+{}\n", text()),
        }],
        problems: vec![problem.clone()],
        notes: vec![text()],
    };
    let env_page = EnvPage {
        service: text(),
        env: text(),
        version: 3,
        text: text(),
        error: Some(text()),
        conf: None,
        view: None,
        keys: vec![key.clone()],
        hosts: vec![text()],
    };
    let host_page = HostPage {
        service: text(),
        etag: "0".to_owned(),
        row: host,
        is_listed: true,
        why: text(),
        config: None,
        error: Some(text()),
        keys: vec![key],
    };
    let row = RevisionRow {
        revision: 7,
        op: text(),
        author: text(),
        via: text(),
        comment: text(),
        at: text(),
        zxid: text(),
        envs: vec![text()],
        hosts: vec![text()],
    };
    let conf = DiffRow { env: text(), kind: "changed", diff: format!("-{0}\n+{0}\n", text()), hosts: vec![] };
    let moved = MoveRow { host: text(), from: Some(text()), to: Some(text()) };
    let revision = RevisionPage { service: text(), row: row.clone(), confs: vec![conf], moves: vec![moved] };
    let history = HistoryPage { service: text(), revisions: vec![row], outside: vec![text()] };
    let row = ServiceRow { service: text(), envs: 1, hosts: 2, stale: 1, pinned: 1, in_canaries: 1 };
    let check = CheckPage { service: text(), problems: vec![problem], notes: vec![text()] };
    vec![
        ("services", services(&frame, &ServicesPage { services: vec![row], unreadable: vec![text()] })),
        ("env", env(&frame, &service, &env_page)),
        ("host", super::host(&frame, &host_page)),
        ("history", super::history(&frame, &history)),
        ("revision", super::revision(&frame, &revision)),
        ("review", review(&frame, &service)),
        ("frozen", frozen(&frame, &service)),
        ("checks", checks(&frame, &[check])),
        ("problem", super::problem(StatusCode::NOT_FOUND, &text())),
    ]
}

/// The tags of a page with the names of their attributes.
fn structure(page: &str) -> Vec<String> {
    let tag = |part: &str| {
        let tag = part.split('>').next().unwrap_or_default();
        // Within quotes there is no quote, because each is escaped.
        tag.split('"').step_by(2).collect::<Vec<_>>().join("\"")
    };
    page.split('<').skip(1).map(tag).collect()
}

#[test]
fn hostile_names_and_values_change_no_markup() {
    for ((page, plain), (_, hostile)) in
        pages(&HOSTILE.replace(['<', '>', '"', '\'', '&', '\u{202e}', '\u{61c}'], "x"), true)
            .into_iter()
            .zip(pages(HOSTILE, true))
    {
        assert_eq!(structure(&hostile), structure(&plain), "{page}");
        assert!(!hostile.contains(['\u{202e}', '\u{61c}']), "{page} can change the direction of text");
        assert!(!hostile.contains("<img"), "{page}");
    }
}

#[test]
fn what_the_script_is_told_is_exact() {
    let all = pages(HOSTILE, true);
    let (_, page) = &all[1];
    let data = page.split("data-page=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let data = data.replace("&quot;", "\"").replace("&#39;", "'").replace("&lt;", "<").replace("&gt;", ">");
    let data = Json::parse_object(data.replace("&amp;", "&").as_bytes()).unwrap();
    for key in ["service", "env", "text"] {
        assert_eq!(data[key].as_str(), Some(HOSTILE), "{key}");
    }
}

#[test]
fn who_may_only_read_gets_no_controls() {
    for (page, html) in pages("x", false) {
        for control in ["<button", "<form", "<input", "<textarea", "<select", "data-change"] {
            assert!(!html.contains(control), "{page} has {control}");
        }
        assert!(!html.contains("may edit"), "{page}");
    }
    let can = |(_, html): &&(&str, String)| html.contains("data-change");
    assert_eq!(
        pages("x", true).iter().filter(can).map(|(page, _)| *page).collect::<Vec<_>>(),
        ["env", "host", "revision", "frozen"]
    );
}

#[test]
fn links_lead_to_one_place_whatever_the_names_are() {
    assert_eq!(links::env("pycon", ""), "/service/pycon/");
    assert_eq!(links::env("pycon", "parent/a b"), "/service/pycon/parent/a%20b/");
    assert_eq!(links::host("a?b", "../#<é"), "/service/a%3Fb/association/..%2F%23%3C%C3%A9");
    assert_eq!(links::revision("pycon", 7), "/history/pycon/r7");
}
