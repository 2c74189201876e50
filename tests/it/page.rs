//! The status page in a real Chromium, and in a text browser.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::browser::Browser;
use crate::harness::site::{Agent, Site};
use crate::support::zookeeper::free_port;

pub mod accessibility;
mod live;
mod many;
mod states;

/// The size of a window, and of a phone, in CSS pixels.
const WINDOW: (u32, u32) = (1000, 760);
const PHONE: (u32, u32) = (360, 740);

/// A directory whose agent has the page.
struct Scene {
    site: Site,
    url: String,
}

impl Scene {
    fn new(config: &str) -> Self {
        let scene = Self { site: Site::new(""), url: format!("http://127.0.0.1:{}/", free_port()) };
        scene.configure(config);
        scene
    }

    fn configure(&self, config: &str) {
        let listen = self.url.trim_start_matches("http://").trim_end_matches('/');
        self.site.configure(&format!("[status]\nsocket = \"agent.sock\"\nlisten = \"{listen}\"\n\n{config}"));
    }

    /// Starts the agent, and waits until its page is there.
    fn start(&self) -> Agent {
        let agent = self.site.start();
        agent.until("the page", || ureq::get(&self.url).call().is_ok());
        agent
    }

    fn page(&self) -> String {
        ureq::get(&self.url).call().unwrap().body_mut().read_to_string().unwrap()
    }
}

/// A screenshot for the documentation: `ROSTERD_SCREENSHOTS` is the directory. Paths and addresses of this machine, and its
/// name, are replaced.
fn screenshot(browser: &Browser, site: &Site, name: &str) {
    let Some(directory) = std::env::var_os("ROSTERD_SCREENSHOTS") else { return };
    let replace = format!(
        r"const host = document.querySelector('h1 bdi').textContent;
         const texts = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT);
         while (texts.nextNode()) {{
           const text = texts.currentNode;
           text.nodeValue = text.nodeValue.replaceAll('{}/out', '/etc').replaceAll('{0}', '/srv').replaceAll(host, 'lb1')
             .replaceAll(/127\.0\.0\.1:\d+(\/test-\d+)?/g, 'zk1:2181');
         }}",
        site.path("").display().to_string().trim_end_matches('/')
    );
    browser.run(&replace);
    browser.screenshot(&Path::new(&directory).join(format!("{name}.png")));
}

/// What w3m shows of a page.
pub fn in_text_browser(url: &str) -> String {
    let shown =
        Command::new("w3m").args(["-dump", "-cols", "100", "-o", "display_charset=UTF-8", url]).output().unwrap();
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    String::from_utf8(shown.stdout).unwrap()
}

/// A file that `.ci/install` has put into `target`.
fn installed(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join(path)
}
