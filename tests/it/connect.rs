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
    site.file("out/list", "from before\n");
    let before = (site.fingerprint("out/list"), site.read("reloads"));
    let pass = site.run(&["render", "--timeout", "2s"]);
    pass.expect(4);
    for words in words {
        assert!(pass.stderr().contains(words), "{words:?} is not reported: {}", pass.stderr());
    }
    assert_eq!((site.fingerprint("out/list"), site.read("reloads")), before);
}
