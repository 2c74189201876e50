//! A real Prometheus reads the metrics and evaluates the rules.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::Scene;
use super::promtool::RULES;
use crate::support::docs::text;
use crate::support::wait::{PATIENCE, eventually};
use crate::support::zookeeper::free_port;

/// A running Prometheus.
struct Prometheus {
    child: Child,
    port: u16,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    /// The result of a request to its HTTP API; null while it does not answer.
    fn get(&self, path: &str) -> Value {
        let answer = || {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            write!(stream, "GET /api/v1/{path} HTTP/1.0\r\n\r\n").ok()?;
            let mut text = String::new();
            stream.read_to_string(&mut text).ok()?;
            serde_json::from_str(text.split_once("\r\n\r\n")?.1).ok()
        };
        answer().unwrap_or(Value::Null)
    }

    /// The values of an expression without special characters.
    fn values(&self, query: &str) -> Vec<String> {
        let answer = self.get(&format!("query?query={query}"));
        let all = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        all.iter().map(|sample| sample["value"][1].as_str().unwrap().to_owned()).collect()
    }
}

const CONFIG: &str = r#"
[[roster]]
name = "web"
path = "/services/web"

[[template]]
src = "web.tera"
dest = "out/web"
isolate = false
"#;

#[test]
fn prometheus_reads_the_metrics_and_an_alert_fires_and_ends() {
    let scene = Scene::new(CONFIG);
    let site = &scene.site;
    site.file("templates/web.tera", "{% for m in web %}{{ m.zone }}\n{% endfor %}");
    let agent = scene.up();
    // Minutes are too long for a test.
    let rules: Vec<String> = text(RULES)
        .lines()
        .map(|line| if line.starts_with("        for: ") { "        for: 1s".to_owned() } else { line.to_owned() })
        .collect();
    site.file("prometheus/rules.yml", &rules.join("\n"));
    let readme = text("packaging/prometheus/README.md");
    let scrape = readme.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let config = scrape
        .replace("15s", "200ms")
        .replace("/etc/prometheus/rosterd.rules.yml", "rules.yml")
        .replace("[\"host1:9189\", \"host2:9189\"]", &format!("[\"127.0.0.1:{}\"]", scene.port));
    assert!(config.contains("200ms") && config.contains("127.0.0.1") && config.contains(" rules.yml"), "{config}");
    site.file("prometheus/prometheus.yml", &config);
    let (port, directory) = (free_port(), site.path("prometheus"));
    let log = fs::File::create(site.path("prometheus/log")).unwrap();
    let child = Command::new("prometheus")
        .arg(format!("--config.file={}", directory.join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", directory.join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .current_dir(&directory)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .expect("prometheus: .ci/install");
    let prometheus = Prometheus { child, port };
    let becomes = |query: &str, expected: &[&str]| {
        eventually(
            PATIENCE,
            &format!("{query}: {:?}\n{}", prometheus.values(query), site.read("prometheus/log")),
            || prometheus.values(query) == expected,
        );
    };
    becomes("up", &["1"]);
    becomes("rosterd_roster_members", &["4"]);
    becomes("rosterd_template_files{state=\"up_to_date\"}", &["1"]);
    // Every family arrived, with its type.
    let families = prometheus.get("metadata")["data"].as_object().unwrap().clone();
    let live = scene.scrape().unwrap();
    for name in live.names() {
        // Of a counter in OpenMetrics, the family's name has no suffix.
        let name = name.strip_suffix("_total").unwrap_or(name);
        let kind = families.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", families.keys()));
        assert_ne!(kind[0]["type"], "unknown", "{name}");
    }
    let rules = prometheus.get("rules");
    let rules = rules["data"]["groups"][0]["rules"].as_array().unwrap();
    assert!(rules.len() > 20 && rules.iter().all(|rule| rule["health"] != "err"), "{rules:#?}");
    let firing = "ALERTS{alertname=\"RosterdRenderFailed\",alertstate=\"firing\"}";
    assert!(prometheus.values(firing).is_empty());
    scene.client.put("/services/web/10.0.0.9:80", b"{}");
    agent.says("event=render_failed");
    becomes(firing, &["1"]);
    scene.client.remove("/services/web/10.0.0.9:80");
    becomes(firing, &[]);
}
