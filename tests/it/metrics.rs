//! Metrics: their form, what they show, and the alerts on them.

#![allow(clippy::float_cmp, reason = "small counts are exact")]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::harness::site::{Agent, PATIENCE, Site};
use crate::support::wait::holds;
use crate::support::zookeeper::{Zk, ZooKeeper, free_port};

mod alerts;
mod documented;
mod errno;
mod faults;
mod normal_day;
mod prometheus;
mod promtool;
mod state;

/// A directory with a configuration whose registry is a chroot of a real server, and the port of its metrics.
struct Scene {
    site: Site,
    client: Zk,
    url: String,
    port: u16,
}

impl Scene {
    /// On the shared server. `config` follows `[registry]`.
    fn new(config: &str) -> Self {
        Self::on(ZooKeeper::shared(), config)
    }

    fn on(zookeeper: &ZooKeeper, config: &str) -> Self {
        let chroot = zookeeper.chroot();
        let url = format!("zk://{}{chroot}", zookeeper.connect_string());
        let scene = Self { site: Site::new(""), client: zookeeper.client(&chroot), url, port: free_port() };
        scene.configure(config);
        for service in ["web", "zones", "held"] {
            for number in 1..=4 {
                scene.client.put(&format!("/services/{service}/10.0.0.{number}:80"), br#"{"zone": "a"}"#);
            }
        }
        scene.client.put("/config/app", br#"{"a": 1}"#);
        scene
    }

    fn configure(&self, config: &str) {
        let (url, port) = (&self.url, self.port);
        self.site.configure(&format!(
            "[status]\nsocket = \"agent.sock\"\nlisten = \"127.0.0.1:{port}\"\n\n\
             [registry]\nsession_timeout = \"4s\"\nurl = \"{url}\"\n{config}"
        ));
    }

    /// The metrics now; `None` if nothing answers.
    fn scrape(&self) -> Option<Metrics> {
        let (head, body) = get(self.port, "text/plain")?;
        head.starts_with("HTTP/1.1 200 ").then(|| Metrics::parse(&body))
    }

    /// Waits until a metric has a value. Returns all of the same moment.
    fn until(&self, agent: &Agent, series: &str, value: f64) -> Metrics {
        self.until_all(agent, &[(series, value)])
    }

    /// Waits until metrics have these values. Returns all of the same moment.
    fn until_all(&self, agent: &Agent, expected: &[(&str, f64)]) -> Metrics {
        let mut last = None;
        let wrong =
            |metrics: &Metrics| expected.iter().find(|(series, value)| metrics.get(series) != Some(*value)).copied();
        let holds = holds(PATIENCE, || {
            last = self.scrape();
            last.as_ref().is_some_and(|metrics| wrong(metrics).is_none())
        });
        let differs =
            last.as_ref().map(|metrics| wrong(metrics).map(|(series, value)| (series, value, metrics.get(series))));
        assert!(holds, "{differs:?}:\n{}", agent.log().join("\n"));
        last.unwrap()
    }

    fn up(&self) -> Agent {
        let agent = self.site.start();
        agent.says("event=http_listening");
        agent
    }
}

/// The head and the body of the answer to a request for metrics with this `Accept` header.
fn get(port: u16, accept: &str) -> Option<(String, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some((head.to_owned(), body.to_owned()))
}

/// An answer in the text format: the value of each series, as `name{label="value"}`.
#[derive(Debug, Clone, PartialEq)]
struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let series = lines.map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series.to_owned(), value.parse().unwrap_or_else(|why| panic!("{line}: {why}")))
        });
        Self(series.collect())
    }

    fn get(&self, series: &str) -> Option<f64> {
        self.0.get(series).copied()
    }

    #[track_caller]
    fn value(&self, series: &str) -> f64 {
        self.get(series).unwrap_or_else(|| panic!("no {series} in {:#?}", self.0))
    }

    /// The names, without the parts of a histogram.
    fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|series| family(series.split('{').next().unwrap()))
    }
}

/// The name of a family, of the name of one of its series.
fn family(name: &str) -> &str {
    let parts = ["_bucket", "_sum", "_count"];
    parts.iter().find_map(|part| name.strip_suffix(part)).filter(|name| name.ends_with("_seconds")).unwrap_or(name)
}
