//! Each state that a person meets, on a real ZooKeeper and with a real haproxy.

use super::*;
use crate::support::proxy::Proxy;
use crate::support::zookeeper::{Zk, ZooKeeper};

const CONFIG: &str = r#"
[registry]
url = "zk://SERVER"
session_timeout = "4s"

[[roster]]
name = "web"
path = "/services/production/web"
wait = "20ms:200ms"
min = 2

[[roster]]
name = "api"
path = "/services/production/api"
wait = "20ms:200ms"

[[roster]]
name = "memcached"
path = "/services/production/memcached"
wait = "20ms:200ms"

[[template]]
src = "haproxy.tera"
dest = "out/haproxy.cfg"
check_cmd = "haproxy -c -f {{ src }}"
reload_cmd = "test ! -e SITE/broken"
reload_interval = "0s"
isolate = false

[[template]]
src = "memcached.tera"
dest = "out/memcached.yaml"

[[service]]
name = "statsd"
path = "/services/production/statsd"
host = "lb1.example.com"
port = 8125
check = { cmd = "true" }
interval = "100ms"
"#;

const HAPROXY: &str = "\
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend web
  bind 127.0.0.1:8000
  default_backend web
backend web
{%- for m in web %}
  server {{ m.name | haproxy_name }} {{ m.address }} weight {{ m.data.weight | default(value=1) }}
{%- endfor %}
backend api
{%- for m in api %}
  server {{ m.name | haproxy_name }} {{ m.address }}
{%- endfor %}
";

struct Cluster {
    scene: Scene,
    proxy: Proxy,
    client: Zk,
}

impl Cluster {
    fn new() -> Self {
        let shared = ZooKeeper::shared();
        let (chroot, proxy) = (shared.chroot(), Proxy::to(&shared.servers()[0]));
        let client = shared.client(&chroot);
        for (service, count, port) in [("web", 8, 80), ("api", 3, 8080), ("memcached", 4, 11211)] {
            (1..=count)
                .for_each(|n| client.put(&format!("/services/production/{service}/10.0.{count}.{n}:{port}"), b"{}"));
        }
        let scene = Scene::new(&CONFIG.replace("SERVER", &format!("{}{chroot}", proxy.address())));
        scene.site.file("templates/haproxy.tera", HAPROXY);
        scene.site.file("templates/memcached.tera", "servers: {{ memcached | pluck(attribute='address') | json }}\n");
        Self { scene, proxy, client }
    }

    fn put(&self, member: &str, data: &[u8]) {
        self.client.put(&format!("/services/production/web/{member}"), data);
    }

    fn remove(&self, members: std::ops::RangeInclusive<u32>) {
        let all: Vec<String> = members.map(|n| format!("/services/production/web/10.0.8.{n}:80")).collect();
        self.client.run(|client| async move {
            let mut writer = client.new_multi_writer();
            for path in &all {
                writer.add_delete(path, None).unwrap();
            }
            writer.commit().await.unwrap();
        });
    }
}

#[test]
fn every_state_is_readable_in_light_in_dark_and_on_a_phone() {
    let cluster = Cluster::new();
    let (scene, site) = (&cluster.scene, &cluster.scene.site);
    let agent = scene.start();
    agent.says("event=service_up").says_times("event=file_written", 2);
    let browser = Browser::start();
    browser.show_as(WINDOW, false);
    browser.open(&scene.url);
    browser.shows("#state", "All is well");
    browser.shows("#services .state", "up");
    assert!(browser.text("#problems").starts_with("Nothing is wrong\n"));
    assert_eq!(browser.run("return document.querySelectorAll('details[open]').length"), 0, "nothing needs attention");
    screenshot(&browser, site, "well");
    accessibility::check(&browser, "all well, light");
    browser.show_as(WINDOW, true);
    accessibility::check(&browser, "all well, dark");

    // Two members join and one leaves: the timeline has them.
    browser.show_as(WINDOW, false);
    cluster.put("10.0.8.9:80", b"{}");
    browser.shows("#rosters", "9 members");
    browser.run("document.querySelector('#template-haproxy\\\\%2ecfg > summary').click()");
    browser.shows("#template-haproxy\\%2ecfg pre .joined", "+++ ");
    browser.shows("#template-haproxy\\%2ecfg pre", "+  server 10.0.8.9:80 10.0.8.9:80 weight 1");
    browser.shows("#template-haproxy\\%2ecfg .body", "check passed; rosterd history show ");
    browser.run("document.querySelector('#template-haproxy\\\\%2ecfg > summary').click()");
    cluster.remove(9..=9);
    browser.shows("#rosters", "8 members");
    cluster.remove(1..=6);
    browser.shows("#state", "Warning: 1 problem");
    browser.shows("#problems", "web held since ");
    browser.shows("#problems", "Run rosterd explain web -c ");
    browser.shows("#roster-web", "10.0.8.1:80, kept by the hold");
    browser.shows("#roster-web .timeline + .axis", "1 joined, 1 left");
    browser.show_as((WINDOW.0, 1060), false);
    screenshot(&browser, site, "hold");
    browser.run("document.querySelector('#problems a').click()");
    accessibility::check(&browser, "a hold, light");
    let text = in_text_browser(&scene.url);
    let (problem, rosters) = (text.find("web held since").unwrap(), text.find("Members (8)").unwrap());
    assert!(problem < rosters && text.contains("Run rosterd explain web -c "), "{text}");

    (1..=6).for_each(|n| cluster.put(&format!("10.0.8.{n}:80"), b"{}"));
    browser.shows("#state", "All is well");
    cluster.put("10.0.8.7:80", b"{\"weight\": 512}");
    browser.shows("#state", "Critical: 1 problem");
    browser.shows("#problems", "check failed");
    browser.shows("#problems pre", "weight");
    browser.show_as(WINDOW, true);
    browser.open(&format!("{}#template-haproxy%2ecfg", scene.url));
    browser.shows("#template-haproxy\\%2ecfg .body", "check failed; retry at ");
    screenshot(&browser, site, "check");
    accessibility::check(&browser, "a failed check, dark");
    browser.show_as(PHONE, false);
    browser.open(&scene.url);
    let width = browser.run("return document.documentElement.scrollWidth");
    assert_eq!(width, PHONE.0, "nothing is wider than a phone");
    screenshot(&browser, site, "phone");
    accessibility::check(&browser, "a failed check, phone");

    cluster.put("10.0.8.7:80", b"{}");
    browser.shows("#state", "All is well");
    site.file("broken", "");
    cluster.put("10.0.8.9:80", b"{}");
    browser.shows("#problems", "reload pending: ");
    site.remove("broken");
    browser.shows("#state", "All is well");

    browser.show_as(WINDOW, false);
    browser.open(&scene.url);
    cluster.proxy.turn_to("127.0.0.1:1");
    browser.shows("#problems", "registry default is unreachable");
    browser.shows("#problems", "3 rosters, last known-good data in use: api, memcached, web");
    screenshot(&browser, site, "zookeeper-away");
    accessibility::check(&browser, "ZooKeeper away");
    assert_eq!(browser.console(), [""; 0]);
}
