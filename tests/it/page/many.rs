//! Hundreds of rosters.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::*;

const ROSTERS: usize = 300;

#[test]
fn three_hundred_rosters_are_readable_and_quick() {
    let mut config = "[registry]\nurl = \"dir:registry\"\n".to_owned();
    for n in 0..ROSTERS {
        write!(
            config,
            "[[roster]]\nname = \"service_{n:03}\"\npath = \"/services/service-{n:03}\"\nwait = \"20ms:200ms\"\n"
        )
        .unwrap();
        let template = format!("[[template]]\nsrc = \"list.tera\"\ndest = \"out/service-{n:03}.list\"\n");
        config += if n % 30 == 0 { &template } else { "" };
    }
    let scene = Scene::new(&config);
    scene.site.file("templates/list.tera", "{{ rosters | length }}\n");
    let member = |service: usize, n: usize| {
        format!("registry/services/service-{service:03}/10.{}.{}.{n}:80", service / 250, service % 250)
    };
    for service in 0..ROSTERS {
        (1..=8).for_each(|n| _ = scene.site.file(&member(service, n), ""));
    }
    let agent = scene.start();
    let browser = Browser::start();
    browser.show_as(WINDOW, false);
    browser.open(&scene.url);
    browser.shows("#state", "All is well");
    browser.shows("#rosters", "300 rosters without problems");
    (1..=6).for_each(|n| _ = scene.site.remove(&member(42, n)));
    (1..=8).for_each(|n| _ = scene.site.remove(&member(99, n)));
    browser.shows("#problems", "service_042 held since ");
    browser.shows("#problems", "service_099 held since ");
    screenshot(&browser, &scene.site, "many-rosters");

    let began = Instant::now();
    let page = scene.page();
    let took = began.elapsed();
    assert!(took < Duration::from_millis(1500), "{took:?} for {} bytes", page.len());
    assert!(page.len() < 1_000_000, "{}", page.len());

    // The filter finds a member in a closed row.
    browser.run("const input = document.querySelector('input'); input.value = '10.0.77.3:80'; input.dispatchEvent(new Event('input'));");
    let rows = "return [...document.querySelectorAll('.item')].filter((it) => it.checkVisibility()).map((it) => it.id)";
    assert_eq!(browser.run(rows), serde_json::json!(["roster-service_077"]));
    // The next state of the page does not undo it.
    scene.site.file(&member(77, 9), "");
    browser.shows("#roster-service_077", "9 members");
    assert_eq!(browser.run(rows), serde_json::json!(["roster-service_077"]));
    assert_eq!(browser.console(), [""; 0]);
    drop(agent);
}
