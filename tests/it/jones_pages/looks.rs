//! How each page looks: axe-core in light and in dark, a phone, and the screenshots of the documentation.

use super::*;

/// A screenshot for the documentation: `ROSTERD_SCREENSHOTS` is the directory. The name of this machine is replaced.
fn screenshot(browser: &Browser, name: &str) {
    let Some(directory) = std::env::var_os("ROSTERD_SCREENSHOTS") else { return };
    browser.run(
        r"const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
          while (texts.nextNode()) {
            const text = texts.currentNode;
            text.nodeValue = text.nodeValue.replaceAll(/ada@[\w.-]+/g, 'ada@admin1');
          }
          document.activeElement.blur();",
    );
    browser.screenshot(&Path::new(&directory).join(format!("jones-{name}.png")));
}

/// Checks what is shown in light and in dark, and that nothing is wider than a phone.
#[track_caller]
fn is_accessible(browser: &Browser, what: &str) {
    browser.show_as(WINDOW, true);
    accessibility::check(browser, &format!("{what}, dark"));
    browser.show_as(PHONE, false);
    accessibility::check(browser, &format!("{what}, on a phone"));
    let wide = browser.run("return document.documentElement.scrollWidth");
    assert!(wide.as_u64().unwrap() <= u64::from(PHONE.0), "{what} scrolls sideways on a phone: {wide}");
    browser.show_as(WINDOW, false);
    accessibility::check(browser, &format!("{what}, light"));
}

/// Services of a shop, with a pin, a canary, and a view that somebody else has left stale.
fn shop() -> Pages {
    let pages = Pages::new(ROLES);
    for service in ["checkout", "search", "recommendations"] {
        pages.cli(&["init", service]);
    }
    let pool = "pool={\"min\": 4, \"max\": 20}";
    pages.cli(&[
        "set",
        "checkout",
        pool,
        "db_host=\"db1.example.com\"",
        "db_password=\"hunter2\"",
        "timeout=2.5",
        "-m",
        "As it was in the file",
    ]);
    for env in ["production", "production/eu", "production/us", "staging"] {
        pages.cli(&["create", &format!("checkout/{env}")]);
    }
    pages.cli(&["set", "checkout/production", "timeout=1.5", "db_host=\"db-prod.example.com\"", "-m", "Own database"]);
    pages.cli(&["set", "checkout/production/eu", "currency=\"EUR\"", "-m", "Prices in euro, from accounting"]);
    pages.cli(&["set", "checkout/staging", "pool={\"min\": 1, \"max\": 2}"]);
    pages.cli(&["associate", "checkout/production/eu", "web1.eu", "web2.eu", "web3.eu", "web4.eu"]);
    pages.cli(&["associate", "checkout/production/us", "web1.us", "web2.us"]);
    pages.cli(&["associate", "checkout/staging", "staging1"]);
    pages.cli(&["associate", "search", "search1", "search2"]);
    pages.cli(&["pin", "checkout", "web2.us", "--rev", "r8"]);
    pages.cli(&["canary", "checkout/production", "web1.eu", "--set", "timeout=1.0", "-m", "Is one second enough?"]);
    pages
}

#[test]
fn every_page_is_accessible_in_light_in_dark_and_on_a_phone() {
    let pages = shop();
    let browser = Pages::browser("ada");
    let at = |path: &str| pages.open(&browser, path);
    at("/");
    browser.shows("#services", "checkout");
    is_accessible(&browser, "services");
    screenshot(&browser, "services");

    at("/service/checkout/production/");
    browser.shows("#tree", "pinned to r8");
    is_accessible(&browser, "service");
    screenshot(&browser, "service");

    let wrong = "{\n  \"db_host\": \"db-prod.example.com\",\n  \"timeout\": 1.5s\n}\n";
    browser.fill("#text", wrong);
    browser.shows("#numbers", "✖ 3");
    is_accessible(&browser, "editor");
    browser.run("document.querySelector('#own').scrollIntoView()");
    screenshot(&browser, "editor");

    browser.fill("#text", &wrong.replace("1.5s", "2"));
    browser.shows("#edit-reach", "Would change");
    browser.click("Review…");
    browser.shows("#reach", "Would change");
    browser.fill("#publish textarea", "The new database answers slowly at night");
    is_accessible(&browser, "review");
    screenshot(&browser, "review");

    pages.cli(&["set", "checkout/production", "timeout=3", "retries=2", "-m", "More patience"]);
    at("/service/checkout/production/");
    browser.shows("#conflict", "is in force now");
    is_accessible(&browser, "conflict");
    browser.run("document.querySelector('#own').scrollIntoView()");
    screenshot(&browser, "conflict");
    browser.click("Discard the edit");

    at("/service/checkout/association/web3.eu");
    browser.shows("#why", "web3.eu");
    is_accessible(&browser, "host");
    screenshot(&browser, "host");
    at("/history/checkout");
    browser.shows("#revisions", "Own database");
    is_accessible(&browser, "history");
    screenshot(&browser, "history");
    at("/history/checkout/r6");
    browser.shows("#changes", "timeout");
    is_accessible(&browser, "revision");
    at("/frozen/checkout");
    browser.shows("#canaries", "Read by 1 host.");
    is_accessible(&browser, "canaries and pins");
    screenshot(&browser, "frozen");

    // What Jones leaves behind when two edit at once.
    pages.client.put("/services/checkout/views/production/eu", b"{\"timeout\": 9}");
    pages.client.put("/services/search/nodemaps", b"{\"search1\": \"/services/search/views/gone\"}");
    at("/check");
    browser.shows("#problems", "the view is stale");
    browser.shows("#problems", "which does not exist");
    is_accessible(&browser, "check with faults");
    screenshot(&browser, "check");
    browser.show_as(PHONE, true);
    at("/service/checkout/production/eu/");
    browser.shows("#state", "problem");
    screenshot(&browser, "phone");
    at("/service/gone/");
    browser.shows("#problems", "gone");
    is_accessible(&browser, "a page that does not exist");
    at("/review/checkout");
    browser.shows("#no-change", "nothing to review");
    is_accessible(&browser, "review of nothing");
}
