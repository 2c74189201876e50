//! Checks of real servers, and how soon a failed one is out of another agent's haproxy.

use std::path::Path;
use std::time::Instant;

use super::*;
use crate::harness::backend::{Backend, Load};
use crate::harness::haproxy::HaProxy;
use crate::harness::meter::median;
use crate::harness::nginx::Nginx;
use crate::support::random::count;

/// A service that nginx serves. `check` follows the URL.
fn nginx_service(nginx: &Nginx, check: &str) -> String {
    let port = nginx.port();
    let url = format!("http://127.0.0.1:{port}/health");
    let plain = service(port).replace("host = \"h\"", "host = \"127.0.0.1\"");
    plain.replace("{ cmd = \"true\" }", &format!("{{ http = \"{url}\"{check} }}"))
}

#[test]
fn a_body_that_no_longer_matches_takes_the_service_out() {
    let nginx = Nginx::start();
    nginx.file("health", "status: ready\n");
    let scene = Scene::new(&format!(
        "{}interval = \"100ms\"\nfall = 1\n",
        nginx_service(&nginx, ", expect = 200, body = \"status: ready\"")
    ));
    let agent = scene.site.start();
    let name = format!("127.0.0.1:{}", nginx.port());
    scene.becomes(&agent, &[&name]);
    nginx.file("health", "status: draining\n");
    agent.says("the body does not contain \"status: ready\"");
    scene.becomes(&agent, &[]);
    nginx.file("health", "the status: ready since today\n");
    scene.becomes(&agent, &[&name]);
}

const INTERVAL: Duration = Duration::from_millis(300);
const TIMEOUT: Duration = Duration::from_millis(300);
const WAIT: Duration = Duration::from_millis(100);

const FOLLOWER: &str = r#"
[registry]
url = "zk://SERVERS"

[vars]
haproxy_bind = "127.0.0.1:PORT"

[[roster]]
name = "web"
path = "/services/web"
wait = "100ms:1s"
max_shrink = "100%"

[[template]]
src = "haproxy.cfg.tera"
dest = "out/haproxy.cfg"
check_cmd = "haproxy -c -q -f {{ src }}"
reload_cmd = "RELOAD"
reload_interval = "0s"
"#;

/// From the end of a server, or from its last answer, to the file without it: a check follows within `interval`, fails
/// within `timeout`, and the other agent writes the file after `wait`.
#[test]
fn a_server_that_dies_or_hangs_leaves_another_agents_haproxy_in_time() {
    let mut nginx = Nginx::start();
    nginx.file("health", "");
    let check = "interval = \"300ms\"\ntimeout = \"300ms\"\nfall = 1\n";
    let scene = Scene::new(&format!("{}{check}", nginx_service(&nginx, "")));
    let (other, haproxy) = (Backend::start(), HaProxy::new());
    scene.client.put(&format!("{DIRECTORY}/{}", other.name()), b"{}");
    let config = FOLLOWER.replace("SERVERS", &scene.servers).replace("PORT", &haproxy.port().to_string());
    let follower = Site::new(&config.replace("RELOAD", &haproxy.reload_command("{{ dest }}")));
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/haproxy.cfg.tera");
    follower.file("templates/haproxy.cfg.tera", &std::fs::read_to_string(shipped).unwrap());
    follower.run(&["render", "--no-reload"]).expect(0);
    haproxy.start(&follower.path("out/haproxy.cfg"));
    let (registering, following) = (scene.site.start(), follower.start());
    let address = format!("127.0.0.1:{}", nginx.port());
    let has_it = || follower.read("out/haproxy.cfg").contains(&address);
    let (mut died, mut hung, mut reloads) = (Vec::new(), Vec::new(), 0);
    for round in 0..count(4, 20) {
        following.until("both are there", has_it);
        reloads += 1;
        following.until("haproxy has both", || haproxy.reloads() >= reloads);
        let began = Instant::now();
        if round % 2 == 0 {
            nginx.stop();
        } else {
            nginx.freeze();
        }
        following.until("it is gone", || !has_it());
        if round % 2 == 0 { &mut died } else { &mut hung }.push(began.elapsed());
        reloads += 1;
        following.until("haproxy is without it", || haproxy.reloads() >= reloads);
        if round == 0 {
            let load = Load::start(1, haproxy.port());
            following.until("haproxy answers", || load.heard(other.name(), began));
            assert!(load.stop().iter().all(|asked| asked.answer.as_deref() == Ok(other.name())));
        }
        if round % 2 == 0 { nginx.restart() } else { nginx.thaw() }
    }
    // Intervals vary by 5 %.
    let limit = INTERVAL.mul_f64(1.05) + TIMEOUT + WAIT + Duration::from_millis(100);
    println!("limit {limit:?}; died: median {:?}, {died:?}; hung: median {:?}, {hung:?}", median(&died), median(&hung));
    for times in [died, hung] {
        // A busy machine may take longer, but not each time.
        assert!(*times.iter().min().unwrap() < limit, "{times:?}\n{}", registering.log().join("\n"));
        assert!(times.iter().all(|time| *time < limit + Duration::from_secs(3)), "{times:?}");
    }
}
