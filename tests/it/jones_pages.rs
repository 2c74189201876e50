//! The pages in a real Chromium, and in a text browser.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::browser::Browser;
use crate::harness::site::{Agent, PATIENCE, Site};
use crate::page::{accessibility, in_text_browser};
use crate::support::wait::holds;
use crate::support::zookeeper::{Zk, ZooKeeper, free_port};

mod editing;
mod frozen;
mod hostile;
mod looks;

/// The size of a window, and of a phone, in CSS pixels.
const WINDOW: (u32, u32) = (1000, 760);
const PHONE: (u32, u32) = (360, 740);

/// Ada may edit pycon; eve, whose name a proxy sets too, may only read it.
const ROLES: &str = "[jones]\nwrite = true\nauth = \"header\"\nproxies = [\"127.0.0.1\"]\neditors = { \"*\" = [\"ada\"] }\n\
                     mask = [\"*password*\"]\n";

/// A server of the pages on a chroot of the shared ZooKeeper.
struct Pages {
    site: Site,
    client: Zk,
    url: String,
    _server: Agent,
}

impl Pages {
    /// `config` is added to the configuration.
    fn new(config: &str) -> Self {
        let shared = ZooKeeper::shared();
        let chroot = shared.chroot();
        let site = Site::new("");
        site.configure(&format!("[registry]\nurl = \"zk://{}{chroot}\"\n{config}", shared.connect_string()));
        let (client, address) = (shared.client(&chroot), format!("127.0.0.1:{}", free_port()));
        client.put("/services", b"");
        let server = site.start_with(&["jones", "serve", "--listen", &address]);
        server.until("the server", || ureq::get(format!("http://{address}/style.css")).call().is_ok());
        Self { site, client, url: format!("http://{address}"), _server: server }
    }

    /// A service with the environments parent and parent/child1, and h1 in the latter.
    fn pycon(config: &str) -> Self {
        let pages = Self::new(config);
        pages.cli(&["init", "pycon"]);
        pages.cli(&["set", "pycon", "locale=\"Canada\"", "times=0", "db_password=\"hunter2\""]);
        pages.cli(&["create", "pycon/parent"]);
        pages.cli(&["create", "pycon/parent/child1"]);
        pages.cli(&["set", "pycon/parent", "locale=\"fr\"", "-m", "French by default"]);
        pages.cli(&["associate", "pycon/parent/child1", "h1", "h2"]);
        pages
    }

    /// Runs `rosterd jones` as ada. What it would ask is agreed to.
    fn cli(&self, args: &[&str]) -> String {
        let agree: &[&str] = if args[0] == "init" { &[] } else { &["--yes"] };
        let args = [&["jones"], args, agree].concat();
        self.site.run_with_env(&[("USER", "ada")], &args).expect(0).stdout()
    }

    /// The data of a node.
    fn node(&self, path: &str) -> Option<String> {
        let path = path.to_owned();
        let found = self.client.run(|client| async move { client.get_data(&path).await.ok() })?;
        Some(String::from_utf8(found.0).unwrap())
    }

    /// A browser whose requests come from this user, as a proxy tells it.
    fn browser(user: &str) -> Browser {
        let browser = Browser::start();
        browser.send_header("X-Forwarded-User", user);
        browser.show_as(WINDOW, false);
        browser
    }

    fn open(&self, browser: &Browser, path: &str) {
        browser.open(&format!("{}{path}", self.url));
    }
}

impl Browser {
    /// Clicks the first element that matches, or the first whose text is this.
    #[track_caller]
    fn click(&self, what: &str) {
        let find = format!(
            "const named = [...document.querySelectorAll('a, button')].find((it) => it.textContent.trim() === {0});
             const found = named ?? document.querySelector({1});
             if (!found || found.disabled || !found.checkVisibility()) return false;
             found.click();
             return true;",
            Value::from(what),
            Value::from(if what.starts_with(['#', '.', '[']) { what } else { "#no-such-element" }),
        );
        assert!(holds(PATIENCE, || self.run(&find) == true), "nothing to click: {what}: {}", self.text("body"));
    }

    /// Types a text in place of what a field has.
    #[track_caller]
    fn fill(&self, selector: &str, text: &str) {
        let script = format!(
            "const field = document.querySelector({});
             if (!field?.checkVisibility()) return false;
             field.value = {};
             field.dispatchEvent(new Event('input', {{ bubbles: true }}));
             return true;",
            Value::from(selector),
            Value::from(text)
        );
        assert!(holds(PATIENCE, || self.run(&script) == true), "no field {selector}: {}", self.text("body"));
    }

    /// The text of the editor.
    fn edited(&self) -> String {
        self.run("return document.querySelector('#text').value").as_str().unwrap().to_owned()
    }

    /// Waits for the review of a change, and publishes it with a comment.
    #[track_caller]
    fn publish(&self, comment: &str) {
        self.shows("#reach", "Would change");
        self.fill("#publish textarea", comment);
        self.click("Publish");
        self.shows("#note", "Published as r");
    }
}
