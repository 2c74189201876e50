//! The recipes of docs/registration.md with the real software.

use std::process::{Child, Command, Stdio};
use std::time::Instant;

use nix::sys::signal::Signal;

use super::*;
use crate::harness::backend::{Backend, Load};
use crate::harness::haproxy::HaProxy;
use crate::support::docs::blocks;
use crate::support::zookeeper::free_port;

const PAGE: &str = "docs/registration.md";

/// The text of the `number`th block under a heading, in which each of these occurs and is replaced.
fn block(heading: &str, number: usize, changes: &[(&str, &str)]) -> String {
    let blocks = blocks(PAGE);
    let mut found = blocks.iter().filter(|block| block.heading == heading && block.language != "text");
    changes.iter().fold(found.nth(number).unwrap().text.clone(), |text, (from, to)| {
        assert!(text.contains(from), "{from}: {text}");
        text.replace(from, to)
    })
}

/// A program that is killed with its test.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap_or_else(|why| panic!("{command:?}: {why}")))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn memcached_is_registered_while_it_answers() {
    let scene = Scene::new("");
    let port = free_port().to_string();
    let memcached =
        || Running::start(Command::new("memcached").args(["-l", "127.0.0.1", "-p", &port, "-m", "16", "-u", "nobody"]));
    let config = block(
        "memcached",
        0,
        &[
            ("zk1:2181,zk2:2181,zk3:2181", &scene.servers),
            ("11211", &port),
            ("interval = \"10s\"", "interval = \"100ms\""),
            ("/services/production/memcached", DIRECTORY),
        ],
    );
    scene.site.configure(&config);
    let running = memcached();
    let agent = scene.site.start();
    let node = format!("mc1.example.com:{port}");
    scene.becomes(&agent, &[&node]);
    drop(running);
    scene.becomes(&agent, &[]);
    let _running = memcached();
    scene.becomes(&agent, &[&node]);
}

#[test]
fn a_web_server_behind_haproxy_stops_without_a_failed_request() {
    const HEADING: &str = "haproxy in front of web servers";
    let scene = Scene::new("");
    let backends: Vec<Backend> = (0..3).map(|_| Backend::start()).collect();
    let mut agents: Vec<(Site, Agent)> = Vec::new();
    for backend in &backends {
        let port = backend.name().rsplit(':').next().unwrap();
        let site = Site::new(&block(
            HEADING,
            0,
            &[
                ("zk1:2181,zk2:2181,zk3:2181", &scene.servers),
                ("10.0.0.1", "127.0.0.1"),
                ("8080", port),
                ("interval = \"5s\"", "interval = \"200ms\""),
                ("drain = \"5s\"", "drain = \"4s\""),
            ],
        ));
        let agent = site.start();
        agent.says("service registered");
        agents.push((site, agent));
    }
    let haproxy = HaProxy::new();
    let dest = "SITE/out/haproxy.cfg";
    let front = Site::new("");
    let dir = front.path("").display().to_string();
    let file = dest.replace("SITE", dir.trim_end_matches('/'));
    let template = block(HEADING, 2, &[("bind :80", &format!("bind 127.0.0.1:{}", haproxy.port()))]);
    front.file("templates/haproxy.cfg.tera", &template);
    front.configure(&block(
        HEADING,
        1,
        &[
            ("zk1:2181,zk2:2181,zk3:2181", &scene.servers),
            ("/etc/haproxy/haproxy.cfg", dest),
            ("systemctl try-reload-or-restart haproxy", &haproxy.reload_command(&file)),
        ],
    ));
    front.run(&["render", "--no-reload"]).expect(0);
    haproxy.start(&front.path("out/haproxy.cfg"));
    let follower = front.start();
    follower.says("managing file");
    let load = Load::start(2, haproxy.port());
    let began = Instant::now();
    follower.until("all answer", || backends.iter().all(|backend| load.heard(backend.name(), began)));

    // The unit of the web server stops after its agent.
    let (mut backends, (_site, mut agent)) = (backends, agents.remove(0));
    agent.signal(Signal::SIGTERM);
    assert!(agent.ends(Duration::from_secs(9)).success());
    drop(backends.remove(0));
    let stopped = Instant::now();
    follower.until("haproxy is reloaded", || haproxy.reloads() > 0);
    follower.until("the others answer", || backends.iter().all(|backend| load.heard(backend.name(), stopped)));
    let asked = load.stop();
    let failed: Vec<_> = asked.iter().filter(|asked| asked.answer.is_err()).collect();
    println!("{} requests", asked.len());
    assert!(failed.is_empty(), "{failed:?}\n{}", follower.log().join("\n"));
}
