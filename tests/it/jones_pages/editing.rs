//! Edit, review, publish, roll back: by clicks.

use super::*;

#[test]
fn an_edit_is_reviewed_and_published_by_clicks() {
    let pages = Pages::pycon(ROLES);
    let browser = Pages::browser("ada");
    pages.open(&browser, "/");
    browser.click("pycon");
    browser.click("parent");
    browser.shows("h1", "pycon/parent");
    assert_eq!(browser.edited(), "{\n  \"locale\": \"fr\"\n}\n");
    let can_review = "return document.querySelector('#edit-review').checkVisibility()";
    assert_eq!(browser.run(can_review), false, "nothing is edited yet");

    // What is wrong is said at its line, by the server.
    browser.fill("#text", "{\n  \"locale\": \"de\",\n  \"big\": 1180591620717411303424,,\n}\n");
    browser.shows("#edit-problem", "line 3");
    browser.shows("#numbers", "✖ 3");
    browser.fill("#text", "{\n  \"locale\": \"de\",\n  \"big\": 1180591620717411303424\n}\n");
    browser.shows("#edit-reach", "Would change 2 views, read by 2 hosts.");
    assert_eq!(browser.text("#edit-problem"), "");

    // A draft outlives the page, and what is in force stands apart from it.
    pages.open(&browser, "/");
    pages.open(&browser, "/service/pycon/parent/");
    browser.shows("#edit-state", "Not published. Begun from version 2");
    assert!(browser.edited().contains("\"de\""), "{}", browser.edited());
    browser.shows("#own pre", "\"locale\": \"fr\"");

    browser.click("Review…");
    browser.shows("#changes", "pycon/parent: own configuration");
    browser.shows("#changes .remove", "-  \"locale\": \"fr\"");
    browser.shows("#changes", "+  \"big\": 1180591620717411303424");
    browser.shows("#reach", "Would change 2 views, read by 2 hosts.");
    browser.shows("#reached", "h1");
    browser.publish("German by default");
    browser.shows("h1", "pycon/parent");
    browser.shows("#own pre", "\"locale\": \"de\"");
    browser.shows("#edit-state", "The same as in force");
    let conf = pages.node("/services/pycon/conf/parent").unwrap();
    assert!(conf.contains(r#""locale": "de""#) && conf.contains(r#""big": 1180591620717411303424"#), "{conf}");
    let view = pages.node("/services/pycon/views/parent/child1").unwrap();
    assert!(view.contains(r#""locale": "de""#) && view.contains("1180591620717411303424"), "{view}");
    let entry = pages.node("/rosterd/jones/pycon/history/r-0000000006").unwrap();
    assert!(entry.contains("German by default") && entry.contains(r#""author": "ada"#), "{entry}");
    // The browser itself writes that the server refused the text that is not valid.
    let console = browser.console();
    assert!(console.iter().all(|line| line.contains("422 (Unprocessable")), "{console:?}");
}

#[test]
fn a_conflict_keeps_the_text_and_goes_on_from_the_other_change() {
    let pages = Pages::pycon(ROLES);
    let browser = Pages::browser("ada");
    pages.open(&browser, "/service/pycon/parent/");
    browser.fill("#text", "{\n  \"locale\": \"de\",\n  \"mine\": 1\n}\n");
    browser.click("Review…");
    browser.shows("#reach", "Would change");
    // Somebody else writes one of the keys and another one, whose name all objects of a script have, in the moment before
    // the click.
    pages.cli(&["set", "pycon/parent", "locale=\"it\"", "constructor=2"]);
    browser.click("Publish");
    browser.shows("#problem", "Nothing was written, and your text is kept.");
    assert_eq!(pages.node("/services/pycon/conf/parent").unwrap(), r#"{"locale": "it", "constructor": 2}"#);

    browser.click("Back, without publishing");
    browser.shows("#conflict-versions", "Your edit began from version 2; version 3 is in force now.");
    browser.shows("#conflict-diff", "+  \"locale\": \"it\"");
    browser.shows("#conflict-diff", "+  \"constructor\": 2");
    browser.shows("#conflict-keys", "Both changed locale: your value stays in your text.");
    assert!(browser.edited().contains("\"mine\": 1"), "{}", browser.edited());
    let conflict = "return document.querySelector('#conflict').checkVisibility()";
    // A text that is not valid yet cannot take the other change.
    let (mine, unfinished) = (browser.edited(), "{\n  \"locale\": \"de\",\n");
    browser.fill("#text", unfinished);
    browser.shows("#conflict-keys", "Correct it, then go on.");
    browser.click("Go on from the new version");
    assert_eq!((browser.run(conflict), browser.edited()), (json!(true), unfinished.to_owned()));
    browser.fill("#text", &mine);
    browser.click("Go on from the new version");
    assert_eq!(browser.run(conflict), false);
    let edited: Value = serde_json::from_str(&browser.edited()).unwrap();
    assert_eq!(edited, json!({ "locale": "de", "constructor": 2, "mine": 1 }));
    browser.click("Review…");
    browser.shows("#changes .remove", "-  \"locale\": \"it\"");
    browser.publish("both");
    let conf: Value = serde_json::from_str(&pages.node("/services/pycon/conf/parent").unwrap()).unwrap();
    assert_eq!(conf, json!({ "locale": "de", "constructor": 2, "mine": 1 }));
}

#[test]
fn what_is_published_is_what_was_reviewed_and_a_later_draft_is_kept() {
    let pages = Pages::pycon(ROLES);
    let browser = Pages::browser("ada");
    pages.open(&browser, "/service/pycon/parent/");
    browser.fill("#text", "{\n  \"locale\": \"de\"\n}\n");
    browser.click("Review…");
    browser.shows("#reach", "Would change 2 views, read by 2 hosts.");
    // One more host comes to read the view.
    pages.cli(&["associate", "pycon/parent", "h3"]);
    browser.click("Publish");
    browser.shows("#problem", "Nothing was written. Reload this page to review the change again.");
    assert_eq!(pages.node("/services/pycon/conf/parent").unwrap(), r#"{"locale": "fr"}"#);
    pages.open(&browser, "/review/pycon");
    browser.shows("#reach", "Would change 2 views, read by 3 hosts.");
    // Another window edits the draft meanwhile.
    browser.run(
        "const key = JSON.stringify(['draft', 'pycon', 'parent']); const draft = JSON.parse(localStorage.getItem(key)); \
         localStorage.setItem(key, JSON.stringify({ ...draft, text: '{\"later\": 1}' }))",
    );
    browser.publish("");
    assert_eq!(pages.node("/services/pycon/conf/parent").unwrap(), r#"{"locale": "de"}"#);
    browser.shows("#edit-state", "Not published.");
    assert_eq!(browser.edited(), "{\"later\": 1}");
}

#[test]
fn environments_and_hosts_are_changed_by_clicks() {
    let pages = Pages::pycon(ROLES);
    let browser = Pages::browser("ada");
    pages.open(&browser, "/service/pycon/parent/");
    browser.fill("[name=child]", "child2");
    browser.click("Create…");
    browser.publish("");
    browser.shows("#tree", "child2");
    assert_eq!(pages.node("/services/pycon/conf/parent/child2").as_deref(), Some("{}"));

    browser.click("child2");
    browser.fill("[name=host]", "h9");
    browser.click("Let it read this environment…");
    browser.publish("");
    browser.shows("#hosts", "h9");
    browser.click("Delete this environment…");
    browser.shows("#problem", "is read by 1 host: h9");

    pages.open(&browser, "/service/pycon/association/h9");
    browser.shows("#why", "/services/pycon/views/parent/child2");
    browser.click("Remove its association…");
    browser.publish("");
    pages.open(&browser, "/service/pycon/parent/child2/");
    browser.click("Delete this environment…");
    browser.publish("not needed");
    browser.shows("h1", "pycon");
    assert_eq!(pages.node("/services/pycon/conf/parent/child2"), None);
    assert!(!pages.node("/services/pycon/nodemaps").unwrap().contains("h9"));
}

#[test]
fn a_rollback_is_published_by_clicks() {
    let pages = Pages::pycon(ROLES);
    pages.cli(&["set", "pycon/parent", "locale=\"xx\"", "-m", "a mistake"]);
    let browser = Pages::browser("ada");
    pages.open(&browser, "/service/pycon/");
    browser.click("History");
    browser.shows("#revisions", "a mistake");
    browser.fill("#filter input", "french by");
    let shown = "return [...document.querySelectorAll('tr.item')].filter((it) => it.checkVisibility()).length";
    assert_eq!(browser.run(shown), 1);
    browser.click("r4");
    browser.shows("#changes", "+  \"locale\": \"fr\"");
    browser.click("Only pycon/parent…");
    browser.shows("#changes .remove", "-  \"locale\": \"xx\"");
    browser.publish("back to French");
    assert_eq!(pages.node("/services/pycon/conf/parent").unwrap(), r#"{"locale": "fr"}"#);
    assert!(pages.node("/rosterd/jones/pycon/history/r-0000000007").unwrap().contains("rollback to r4"));
}
