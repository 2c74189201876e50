//! A real Chromium, driven by `WebDriver` (<https://www.w3.org/TR/webdriver2/>) through chromedriver.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::wait::{PATIENCE, holds};

/// A browser without a window. It ends when it is dropped.
pub struct Browser {
    driver: Child,
    agent: ureq::Agent,
    /// The URL of its session.
    session: String,
    _profile: TempDir,
}

impl Browser {
    /// Starts chromedriver on a free port, and a browser.
    pub fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let data = format!("--user-data-dir={}", profile.path().display());
        let mut command = Command::new("chromedriver");
        let mut driver =
            command.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("chromedriver");
        let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.map_while(Result::ok).find_map(|line| {
            line.split_once("started successfully on port ").map(|(_, port)| port.trim_end_matches('.').to_owned())
        });
        let mut config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE * 3));
        config = config.proxy(None);
        let session = format!("http://127.0.0.1:{}/session", port.expect("its port"));
        let mut browser = Self { driver, agent: config.build().into(), session, _profile: profile };
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-proxy-server",
            &data,
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        }}});
        let id = browser.post("", &wanted)["sessionId"].as_str().unwrap().to_owned();
        browser.session = format!("{}/{id}", browser.session);
        browser
    }

    /// Opens a page, and waits until it is loaded.
    pub fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// Runs the body of a function in the page. Returns what it returns; a promise is awaited.
    pub fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// The text of an element, as it is shown.
    pub fn text(&self, selector: &str) -> String {
        let script = format!("return document.querySelector({})?.innerText ?? ''", Value::from(selector));
        self.run(&script).as_str().unwrap().to_owned()
    }

    /// Waits until an element shows this text.
    #[track_caller]
    pub fn shows(&self, selector: &str, text: &str) {
        let shown = holds(PATIENCE, || self.text(selector).contains(text));
        assert!(shown, "{selector} does not show {text:?}: {}", self.text(selector));
    }

    /// Sets the size of what is shown, in CSS pixels, and whether the colours are dark.
    pub fn show_as(&self, (width, height): (u32, u32), is_dark: bool) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.chromium("Emulation.setDeviceMetricsOverride", &metrics);
        let scheme = if is_dark { "dark" } else { "light" };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.chromium("Emulation.setEmulatedMedia", &features);
    }

    /// Sends this header with every request.
    pub fn send_header(&self, name: &str, value: &str) {
        self.chromium("Network.enable", &json!({}));
        self.chromium("Network.setExtraHTTPHeaders", &json!({ "headers": { name: value } }));
    }

    /// Saves what is shown as a PNG.
    pub fn screenshot(&self, file: &Path) {
        let image = self.get("/screenshot");
        std::fs::write(file, STANDARD.decode(image.as_str().unwrap()).unwrap()).unwrap();
    }

    /// What the browser has written to its console since the last call.
    pub fn console(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({ "type": "browser" }));
        log.as_array().unwrap().iter().map(|line| line["message"].to_string()).collect()
    }

    /// Calls a method of the protocol of Chromium's developer tools.
    fn chromium(&self, method: &str, parameters: &Value) {
        self.post("/goog/cdp/execute", &json!({ "cmd": method, "params": parameters }));
    }

    fn get(&self, path: &str) -> Value {
        Self::value(path, self.agent.get(format!("{}{path}", self.session)).call())
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.agent.post(format!("{}{path}", self.session)).content_type("application/json");
        Self::value(path, request.send(body.to_string()))
    }

    fn value(path: &str, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Value {
        let mut answer = answer.unwrap_or_else(|why| panic!("{path}: {why}"));
        let text = answer.body_mut().with_config().limit(64 * 1024 * 1024).read_to_string().unwrap();
        let text: Value = serde_json::from_str(&text).unwrap();
        assert!(answer.status().is_success(), "{path}: {text}");
        text["value"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // This ends the browser; killing chromedriver would not.
        let end = self.agent.delete(&self.session).config().timeout_global(Some(Duration::from_secs(5))).build();
        let _ = end.call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
