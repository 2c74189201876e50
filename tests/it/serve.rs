//! HTTP: its answers, its limits, and what it costs the agent.

use std::fs;

use serde_json::Value;

use crate::harness::site::{Agent, Site};
use crate::main_job::{member, site_with};
use crate::support::zookeeper::free_port;

mod access;
pub mod client;
mod events;
mod hang;
mod hostile;
mod listen;
mod ready;

use client::{get, request, send};

const CONFIG: &str = web!(
    r#"wait = "20ms:200ms""#,
    r#"
[[template]]
src = "list.tera"
dest = "out/list"
check_cmd = "! grep poison {{ src }}"
isolate = false
reload_cmd = "test ! -e SITE/broken"
reload_interval = "0s"
"#
);

/// A directory with this many members, and the port of its agent.
fn site(members: u32) -> (Site, u16) {
    let port = free_port();
    (site_with(&with_listen(port, ""), members), port)
}

/// The configuration with this port, and further lines of `[status]`.
fn with_listen(port: u16, more: &str) -> String {
    format!("[status]\nsocket = \"agent.sock\"\nlisten = \"127.0.0.1:{port}\"\n{more}{CONFIG}")
}

/// An agent that is ready.
fn up(site: &Site, port: u16) -> Agent {
    let agent = site.start();
    agent.says("event=http_listening");
    agent.until("it is ready", || get(port, "/ready").status == 200);
    agent
}

#[test]
fn every_path_has_its_answer() {
    let (site, port) = site(2);
    let mut agent = up(&site, port);
    assert_eq!((get(port, "/live").status, get(port, "/live").body.as_str()), (200, "ok\n"));
    let page = get(port, "/");
    assert!(page.status == 200 && page.head.contains("content-type: text/html; charset=utf-8"), "{page:?}");
    assert_eq!(get(port, "/ready").body, "ready\n");
    for path in ["/nothing", "/status", "/../etc/passwd", "/live/", "//live", "/%2e%2e/", "/status.json/x"] {
        assert_eq!(get(port, path).status, 404, "{path}");
    }
    assert_eq!(get(port, "/live?probe=1").status, 200, "a query changes nothing");
    for path in ["/live", "/ready", "/status.json", "/events", "/"] {
        let head = send(port, &request("HEAD", path, ""));
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
    }
    for path in ["/", "/live", "/status.json", "/nothing"] {
        let head = get(port, path).head;
        for line in [
            "content-security-policy: default-src 'none'; ",
            "x-content-type-options: nosniff",
            "cache-control: no-store",
            "referrer-policy: no-referrer",
        ] {
            assert!(head.contains(line), "{path}: {head}");
        }
        assert!(!head.contains("\r\nserver:") && !head.contains("access-control"), "{head}");
    }
    assert!(agent.stop().success());
}

#[test]
fn status_json_is_what_the_command_prints() {
    let (site, port) = site(2);
    let agent = up(&site, port);
    let same = || get(port, "/status.json").body == site.run(&["status", "--json"]).expect(0).stdout();
    agent.until("the same text", same);
    site.file(&member(3), "");
    agent.until("a member joins", || {
        let status: Value = serde_json::from_str(&get(port, "/status.json").body).unwrap();
        status["rosters"][0]["members"] == 3
    });
    // What a browser shows is not what `accept` accepts: nobody has reviewed it at a terminal.
    ready::lose(&site, &agent, 8);
    get(port, "/status.json");
    assert_eq!(site.run(&["accept", "web"]).code(), 3);
}

#[test]
fn no_answer_has_a_credential() {
    let (site, port) = site(1);
    let secret = "hunter2";
    let config = site.read("rosterd.toml");
    let url = format!("zk://127.0.0.1:{}", free_port());
    site.file(
        "rosterd.toml",
        &config
            .replace("dir:registry", &url)
            .replace("[[roster]]", "auth = [{ scheme = \"digest\", file = \"zk.auth\" }]\n[[roster]]"),
    );
    site.file("zk.auth", &format!("user:{secret}\n"));
    fs::set_permissions(site.path("zk.auth"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let agent = site.start();
    agent.says("event=http_listening");
    agent.until("unreachable", || get(port, "/ready").body.contains("registry default is unreachable"));
    let mut events = client::Events::open(port, "/events?after=0", "");
    events.until("event: watch_started");
    for text in [get(port, "/status.json").body, get(port, "/ready").body, events.text.clone()] {
        assert!(text.contains("default") && !text.contains(secret), "{text}");
    }
}
