//! The page changes while a person looks at it, and shows hostile members as text.

use nix::sys::signal::Signal;
use serde_json::json;

use super::*;

const CONFIG: &str = web!(
    r#"wait = "20ms:200ms"
payload = "nextdoor""#,
    "\n[[template]]\nsrc = \"list.tera\"\ndest = \"out/list\"\n"
);

fn scene() -> Scene {
    let scene = Scene::new(CONFIG);
    scene.site.file("templates/list.tera", "{% for m in web %}{{ m.name }}\n{% endfor %}");
    (1..=40).for_each(|n| _ = scene.site.file(&format!("registry/services/web/10.0.0.{n}:80"), ""));
    scene
}

#[test]
fn the_page_follows_and_keeps_what_a_person_has_opened() {
    let scene = scene();
    let agent = scene.start();
    let browser = Browser::start();
    browser.show_as((600, 400), false);
    browser.open(&scene.url);
    browser.shows("#rosters", "40 members");
    browser.run(
        "window.same = document.querySelector('#roster-web');
         document.querySelector('#roster-web > summary').click();
         document.querySelector('#template-list > summary').focus();
         window.scrollTo(0, 300);",
    );
    scene.site.file("registry/services/web/10.0.1.1:80", "");
    browser.shows("#roster-web summary", "41 members");
    browser.shows("#roster-web .events", "+10.0.1.1:80 41 members now");
    let kept = "return [window.same === document.querySelector('#roster-web'), window.same.open, window.scrollY,
                        document.activeElement === document.querySelector('#template-list > summary')]";
    assert_eq!(browser.run(kept), json!([true, true, 300, true]));

    // Not an error of the page, but of the network: this alone may be in the console.
    assert_eq!(browser.console(), [""; 0]);
    agent.signal(Signal::SIGSTOP);
    browser.run("document.dispatchEvent(new Event('visibilitychange'))");
    browser.shows("#away", "No answer from the agent since 20");
    assert!(browser.run("return document.title").as_str().unwrap().starts_with("No answer – "));
    agent.signal(Signal::SIGCONT);
    browser.shows("#state", "All is well");
    agent.until("the note goes", || browser.text("#away").is_empty());
    assert_eq!(browser.run("return document.title.startsWith('All is well')"), true);

    drop(agent);
    browser.shows("#away", "No answer from the agent since 20");
    let _restarted = scene.start();
    crate::support::wait::eventually(crate::support::wait::PATIENCE, "the agent is back", || {
        browser.text("#away").is_empty()
    });
    browser.shows("#rosters", "41 members");
}

#[test]
fn a_hostile_member_is_text() {
    let scene = scene();
    let names = [
        "<script>window.hacked = 1<%2fscript>",
        "<img src=x onerror=window.hacked=1>",
        "\u{202e}08:1.0.0.01\u{200f}",
        "' onclick='window.hacked=1",
    ];
    for (n, name) in names.iter().enumerate() {
        let data =
            format!("{{\"host\": \"10.9.9.{n}\", \"port\": 80, \"status\": \"{}\"}}", "<b>x</b>&lt;".repeat(5000));
        scene.site.file(&format!("registry/services/web/{name}"), &data);
    }
    // Over the limit: quarantined, and named with its reason.
    scene.site.file("registry/services/web/<h1>big<%2fh1>", &"<i>".repeat(30_000));
    let mut agent = scene.start();
    let browser = Browser::start();
    browser.open(&scene.url);
    browser.shows("#rosters summary", "44 members");
    browser.run("document.querySelectorAll('details').forEach((it) => { it.open = true; })");
    for name in [
        "<script>window.hacked = 1<%2fscript>",
        "<img src=x onerror=window.hacked=1>",
        "\\u{202e}08:1.0.0.01\\u{200f}",
        "' onclick='window.hacked=1",
    ] {
        browser.shows("#roster-web .names", name);
    }
    browser.shows("#roster-web .names", "<b>x</b>&lt;<b>x</b>&lt;");
    browser
        .shows("#roster-web", "/services/web/<h1>big<%2fh1>: its name or data has 90000 bytes; the maximum is 65536");
    // And again when the script brings the page up to date.
    scene.site.file("registry/services/web/<svg onload=window.hacked=1>", "{\"host\": \"10.9.9.9\", \"port\": 80}");
    browser.shows("#rosters summary", "45 members");
    let markup = "return [document.querySelectorAll('main script, img, i, [onclick], [onload], [onerror]').length, window.hacked ?? null]";
    assert_eq!(browser.run(markup), json!([0, null]));
    assert_eq!(browser.console(), [""; 0]);
    let page = scene.page();
    assert!(page.len() < 100_000 && !page.contains('\u{202e}') && !page.contains('\u{200f}'), "{}", page.len());
    assert!(agent.stop().success());
}
