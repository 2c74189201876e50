//! Names and values of others are text, and who may only read sees no more than that.

use super::*;

const IMAGE: &str = "<img src=x onerror=window.hacked=1>";

#[test]
fn hostile_names_and_values_are_text() {
    let pages = Pages::pycon("[jones]\nwrite = true\n");
    let turned = "\u{202e}1h\u{200f}";
    let maps = json!({ IMAGE: "/services/pycon/views/parent", turned: "/services/pycon/views/parent", "<b>h2": "/services/pycon/views/parent",
                       "h1": "/services/<svg onload=window.hacked=1>" });
    pages.client.put("/services/pycon/nodemaps", maps.to_string().as_bytes());
    let conf = json!({ IMAGE: "<b>x</b>".repeat(8000), "</script><script>window.hacked=1": turned });
    pages.cli(&["create", "pycon/<b>env"]);
    pages.site.file("conf.json", &conf.to_string());
    pages.cli(&["apply", "pycon/<b>env", "conf.json", "-m", IMAGE]);
    let browser = Pages::browser(IMAGE);
    for (path, selector, text) in [
        ("/", "#services", "pycon"),
        ("/check", "#problems", "/services/<svg onload=window.hacked=1>"),
        ("/service/pycon/parent/", "#hosts", IMAGE),
        ("/service/pycon/parent/", "#hosts", "\\u{202e}1h\\u{200f}"),
        ("/service/pycon/%3Cb%3Eenv/", "#own pre", IMAGE),
        ("/service/pycon/%3Cb%3Eenv/", "#view", "<b>x</b><b>x</b>"),
        ("/service/pycon/association/%3Cb%3Eh2", "h1", "<b>h2"),
        ("/history/pycon", "#revisions", IMAGE),
        ("/history/pycon/r7", "#changes", "<b>x</b>"),
        ("/frozen/pycon", "#pins", "No host is pinned."),
    ] {
        pages.open(&browser, path);
        browser.shows(selector, text);
        let markup = "return [document.querySelectorAll('main script, main img, svg, [onerror], [onload]').length,
                              window.hacked ?? null, document.documentElement.outerHTML.includes('\\u202e')]";
        assert_eq!(browser.run(markup), json!([0, null, false]), "{path}");
    }

    // The script writes them as text too, and what is saved is what was there.
    pages.open(&browser, "/service/pycon/%3Cb%3Eenv/");
    let text = browser.edited().replace("window.hacked=1\"", "window.hacked=1<i>\"");
    browser.fill("#text", &text);
    browser.click("Review…");
    browser.shows("#changes", "window.hacked=1<i>");
    browser.publish(IMAGE);
    browser.shows("#note", "Published as r");
    assert_eq!(browser.run("return window.hacked ?? null"), Value::Null);
    let saved: Value = serde_json::from_str(&pages.node("/services/pycon/conf/<b>env").unwrap()).unwrap();
    assert_eq!(saved["</script><script>window.hacked=1<i>"], turned);
    assert_eq!(browser.console(), [""; 0]);
}

#[test]
fn who_may_only_read_sees_no_controls_and_no_masked_values() {
    let pages = Pages::pycon(ROLES);
    let is_bare = "return [document.querySelectorAll('main button, main form, textarea, [data-change]').length,
                           document.documentElement.outerHTML.includes('hunter2')]";
    let all = [
        "/",
        "/check",
        "/service/pycon/",
        "/service/pycon/association/h1",
        "/history/pycon",
        "/history/pycon/r1",
        "/frozen/pycon",
        "/review/pycon",
    ];
    let viewer = Pages::browser("eve");
    for path in all {
        pages.open(&viewer, path);
        viewer.shows("h1", "");
        assert_eq!(viewer.run(is_bare), json!([0, false]), "{path}");
    }
    pages.open(&viewer, "/service/pycon/");
    viewer.shows("#view", "db_password");
    viewer.shows("footer", "Signed in as eve. You may only read this service.");
    assert_eq!(viewer.console(), [""; 0]);
    let editor = Pages::browser("ada");
    pages.open(&editor, "/service/pycon/");
    editor.shows("#view", "hunter2");
}

#[test]
fn a_server_that_only_reads_shows_no_controls() {
    let pages = Pages::pycon("");
    let browser = Pages::browser("ada");
    for path in ["/service/pycon/", "/service/pycon/association/h1", "/history/pycon/r1", "/frozen/pycon"] {
        pages.open(&browser, path);
        browser.shows("footer", "You may only read this service.");
        let controls = "return document.querySelectorAll('main button, main form, textarea, [data-change]').length";
        assert_eq!(browser.run(controls), 0, "{path}");
    }
}

#[test]
fn the_pages_are_readable_in_a_text_browser() {
    let pages = Pages::pycon("");
    let shown = in_text_browser(&format!("{}/service/pycon/parent/", pages.url));
    for text in
        ["pycon/parent", "All is well", "child1 version 0, 2 hosts", "\"locale\": \"fr\"", "hides that of pycon"]
    {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    let shown = in_text_browser(&format!("{}/history/pycon", pages.url));
    assert!(shown.contains("French by default"), "{shown}");
}
