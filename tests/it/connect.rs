//! How the agent connects to an ensemble, with the real binary and real servers: TLS, credentials, and ensembles that
//! move.

use crate::ensemble::{AWAY, CONFIG, list};
use crate::harness::site::{Agent, Site};

mod auth;
mod exhibitor;
mod large;
mod moved;
mod tls;

/// A directory whose registry is at `url`, with these additional keys for it.
fn site(url: &str, keys: &str) -> Site {
    let config = CONFIG.replace("url = \"zk://SERVERS\"", &format!("url = \"{url}\"\n{keys}"));
    let site = Site::new(&config);
    site.file("templates/list.tera", "{% for m in x %}{{ m.address }}\n{% endfor %}");
    site
}

/// Waits until the file has these members.
#[track_caller]
fn becomes(agent: &Agent, site: &Site, numbers: &[usize]) {
    let wanted = list(numbers.iter().copied());
    agent.until(&format!("the file is {wanted:?}"), || site.read("out/list") == wanted);
}

/// Checks that a single pass cannot reach the registry, reports all of `words`, and touches no file.
#[track_caller]
fn is_not_reached(site: &Site, words: &[&str]) {
    does_not_reach(site, "2s", words, |stderr, words| stderr.contains(words));
}

/// The same, at once instead of after the time limit, and each of `words` is said once.
#[track_caller]
fn is_refused(site: &Site, words: &[&str]) {
    does_not_reach(site, "1h", words, |stderr, words| stderr.matches(words).count() == 1);
}

#[track_caller]
fn does_not_reach(site: &Site, timeout: &str, words: &[&str], says: fn(&str, &str) -> bool) {
    site.file("out/list", "from before\n");
    let before = (site.fingerprint("out/list"), site.read("reloads"));
    for args in [&["render"][..], &["get", "/services/x", "/services/y"]] {
        let ended = site.run(&[args, &["--timeout", timeout]].concat());
        let stderr = ended.expect(4).stderr();
        for words in words {
            assert!(says(&stderr, words), "{words:?}: {stderr}");
        }
    }
    assert_eq!((site.fingerprint("out/list"), site.read("reloads")), before);
}
