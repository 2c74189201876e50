//! Canaries and pins, by clicks.

use super::*;

const TRIED: &str = "{\n  \"locale\": \"de\"\n}\n";

/// Makes a canary of h1 from an edit.
fn make_canary(pages: &Pages, browser: &Browser) {
    pages.open(browser, "/service/pycon/parent/");
    browser.fill("#text", TRIED);
    browser.click("Review…");
    browser.shows("#reach", "Would change 2 views, read by 2 hosts.");
    browser.fill("#canary input", "h1");
    browser.click("Review as a canary…");
    browser.shows("#change", "on h1");
    browser.publish("first on h1");
    browser.shows("#canaries", "pycon/parent");
    browser.shows("#canaries .add", "+  \"locale\": \"de\"");
    assert_eq!(pages.node("/services/pycon/conf/parent").unwrap(), r#"{"locale": "fr"}"#, "the others keep it");
    let read = pages.cli_reads("h1");
    assert!(read.contains("\"de\""), "{read}");
}

impl Pages {
    /// What a host reads.
    fn cli_reads(&self, host: &str) -> String {
        self.site.run(&["jones", "get", "pycon", "--host", host]).expect(0).stdout()
    }
}

#[test]
fn a_canary_is_made_promoted_and_aborted_by_clicks() {
    let pages = Pages::pycon(ROLES);
    let browser = Pages::browser("ada");
    make_canary(&pages, &browser);
    browser.click("Abort…");
    browser.shows("#change", "Abort the canary canary");
    browser.click("Publish");
    browser.shows("#note", "Published as r");
    browser.shows("#canaries", "There is no canary.");
    assert!(pages.cli_reads("h1").contains("\"fr\""));

    make_canary(&pages, &browser);
    browser.click("Publish for every host…");
    browser.publish("it works");
    browser.shows("#canaries", "There is no canary.");
    assert_eq!(pages.node("/services/pycon/conf/parent").unwrap(), r#"{"locale": "de"}"#);
    assert!(pages.cli_reads("h2").contains("\"de\""));
    assert_eq!(browser.console(), [""; 0]);
}

#[test]
fn a_host_is_pinned_and_unpinned_by_clicks() {
    let pages = Pages::pycon(ROLES);
    let browser = Pages::browser("ada");
    pages.open(&browser, "/frozen/pycon");
    browser.fill("[name=hosts]", "h1, h2");
    browser.fill("[name=revision]", "r3");
    browser.click("Pin…");
    browser.shows("#change", "Pin h1, h2 to r3");
    browser.click("Publish");
    browser.shows("#pins", "Read by 2 hosts.");
    assert!(pages.cli_reads("h1").contains("Canada"));
    pages.open(&browser, "/service/pycon/association/h1");
    browser.shows("#why", "r3");
    browser.click("Unpin…");
    browser.shows("#change", "Unpin h1");
    browser.click("Publish");
    browser.shows("#note", "Published as r");
    assert!(pages.cli_reads("h1").contains("\"fr\"") && pages.cli_reads("h2").contains("Canada"));
}
