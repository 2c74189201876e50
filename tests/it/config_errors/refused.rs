//! A refused configuration changes nothing.

use nix::sys::signal::Signal;

use super::{site, told_of};
use crate::harness::site::Site;

const GOOD: &str = "[registry]\nurl = \"dir:registry\"\n[agent]\nstate_dir = \"state\"\n[[roster]]\npath = \"/services/web\"\n\
                    wait = \"0s:0s\"\n[[template]]\nsrc = \"list\"\ndest = \"out/list\"\n\
                    reload_cmd = [\"sh\", \"-c\", \"echo >> SITE/reloads\"]\nreload_interval = \"0s\"\n";

/// Replacements in [`GOOD`] and in its template, and the expected report.
const WRONG: [(&str, &str, &str); 5] = [
    ("path = \"/services/web\"", "path = \"services/web\"", "a registry path starts with /"),
    ("wait =", "wiat =", "unknown key `wiat` in [[roster]]"),
    ("[[template]]", "[[template]", "unclosed array table"),
    ("src = \"list\"", "src = \"none\"", "the template \"none\" cannot be found"),
    ("src = \"list\"", "src = \"broken\"", "there is no roster, key or variable named wbe"),
];

fn running() -> Site {
    let site = site(&[
        ("templates/list", "{% for m in web %}{{ m.address }}\n{% endfor %}"),
        ("templates/broken", "{% for m in wbe %}{{ m.address }}\n{% endfor %}"),
    ]);
    site.file("registry/services/web/10.0.0.1:80", "");
    good(&site);
    site
}

fn good(site: &Site) {
    site.file("rosterd.toml", &GOOD.replace("SITE", site.path("").to_str().unwrap()));
}

fn wrong(site: &Site, (from, to, _): (&str, &str, &str)) {
    good(site);
    let text = site.read("rosterd.toml");
    assert!(text.contains(from));
    site.file("rosterd.toml", &text.replace(from, to));
}

#[test]
fn every_command_refuses_an_invalid_configuration_and_touches_nothing() {
    let site = running();
    site.run(&["render"]).expect(0);
    let before = site.fingerprint("out/list");
    site.file("registry/services/web/10.0.0.2:80", "");
    for case in WRONG {
        wrong(&site, case);
        let tree = site.tree();
        for args in [&["run"][..], &["render"], &["diff"], &["check"], &["render", "--dry-run"], &["-onetime"]] {
            let said = told_of(&site, args);
            assert!(said.contains(case.2), "{args:?}: {said}");
        }
        assert!(site.tree() == tree, "{case:?}: {:?}", site.tree().into_keys());
    }
    assert_eq!((site.fingerprint("out/list"), site.reloads()), (before, 1));
    let fresh = running();
    wrong(&fresh, WRONG[0]);
    let tree = fresh.tree();
    for args in [["run"], ["render"]] {
        told_of(&fresh, &args);
    }
    assert!(fresh.tree() == tree, "not even the state directory is created: {:?}", fresh.tree().into_keys());
}

#[test]
fn hup_with_an_invalid_configuration_keeps_the_old_one() {
    let site = running();
    let mut agent = site.start();
    agent.until("the first file", || site.reloads() == 1);
    let before = site.fingerprint("out/list");
    for (number, case) in (1..).zip(WRONG) {
        wrong(&site, case);
        agent.signal(Signal::SIGHUP).says_times("configuration rejected; the previous one is still in use", number);
        agent.says(case.2);
    }
    assert_eq!((site.fingerprint("out/list"), site.reloads()), (before, 1));
    // The refused configuration is not applied partly: the roster, its wait and its template work as before.
    site.file("registry/services/web/10.0.0.2:80", "");
    agent.until("a change with the old configuration", || site.read("out/list") == "10.0.0.1:80\n10.0.0.2:80\n");
    good(&site);
    agent.signal(Signal::SIGHUP).says("changes=0");
    assert!(agent.stop().success());
}
