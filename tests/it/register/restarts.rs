//! What readers of the registry see of restarts, expired sessions and stops.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use nix::sys::signal::Signal;
use zookeeper_client::EventType;

use super::*;
use crate::harness::meter::median;
use crate::support::random::count;

/// Reads until the end of the test, and counts reads and those that were wrong.
pub struct Reader {
    stop: Arc<AtomicBool>,
    reads: Arc<AtomicUsize>,
    wrong: Arc<AtomicUsize>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Reader {
    /// Reads with another client.
    pub fn start(scene: &Scene, is_right: impl Fn(&Zk) -> bool + Send + 'static) -> Self {
        let client = Zk::connect(&scene.servers);
        let (stop, reads, wrong) =
            (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (stopped, read, failed) = (Arc::clone(&stop), Arc::clone(&reads), Arc::clone(&wrong));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                failed.fetch_add(usize::from(!is_right(&client)), Ordering::Relaxed);
                read.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { stop, reads, wrong, thread: Some(thread) }
    }

    /// Looks for one of these nodes. A node that is deleted must be before the one that replaces it.
    pub fn finds(scene: &Scene, nodes: &[String]) -> Self {
        let nodes = nodes.to_vec();
        Self::start(scene, move |client| {
            nodes.iter().any(|node| {
                let node = node.clone();
                client.run(|client| async move { client.check_stat(&node).await.unwrap().is_some() })
            })
        })
    }

    /// The number of reads so far.
    fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }

    /// The number of reads, and of those that were wrong.
    pub fn end(mut self) -> (usize, usize) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        (self.reads(), self.wrong.load(Ordering::Relaxed))
    }
}

/// The watches of another client: for the existence and the data of the node, and for the children of its parent.
struct Watches {
    client: Zk,
    heard: Receiver<(&'static str, EventType)>,
}

impl Watches {
    fn start(scene: &Scene) -> Self {
        let (client, (send, heard)) = (Zk::connect(&scene.servers), channel());
        client.run(|client| async move {
            let (_, exists) = client.check_and_watch_stat(NODE).await.unwrap();
            let (_, _, data) = client.get_and_watch_data(NODE).await.unwrap();
            let (_, children) = client.list_and_watch_children(DIRECTORY).await.unwrap();
            for (watch, watcher) in [("exists", exists), ("data", data), ("children", children)] {
                let send = send.clone();
                tokio::spawn(async move { send.send((watch, watcher.changed().await.event_type)) });
            }
        });
        Self { client, heard }
    }

    /// What they heard until now. A server sends an event before the reply to a later request.
    fn heard(&self) -> Vec<(&'static str, EventType)> {
        self.client.run(|client| async move { client.check_stat("/").await.unwrap() });
        self.heard.try_iter().collect()
    }
}

#[test]
fn a_restart_by_usr2_is_not_noticed() {
    let scene = Scene::new(&service(1));
    let mut agent = scene.site.start();
    agent.says("service registered");
    let (data, before) = scene.node(NODE).unwrap();
    let watches = Watches::start(&scene);
    let reader = Reader::finds(&scene, &[NODE.to_owned()]);
    let restarts = count(5, 100);
    for _ in 0..restarts {
        agent.signal(Signal::SIGUSR2);
        assert!(agent.ends(Duration::from_secs(5)).success());
        agent = scene.site.start();
        agent.says("session resumed from the previous run").says("service registered");
        let (now, stat) = scene.node(NODE).unwrap();
        assert_eq!(now, data, "it is not written again");
        assert_eq!(
            (stat.czxid, stat.mzxid, stat.ephemeral_owner),
            (before.czxid, before.mzxid, before.ephemeral_owner)
        );
        assert_eq!(watches.heard(), [], "no watch is notified");
    }
    agent.until("the reader has read enough", || reader.reads() >= count(100, 10_000));
    let (reads, absences) = reader.end();
    println!("{restarts} restarts, {reads} reads, {absences} without the node");
    assert_eq!(absences, 0);
    // The watches were in place all the time.
    assert!(agent.stop().success());
    let mut heard = Vec::new();
    let complete = holds(PATIENCE, || {
        heard.extend(watches.heard());
        heard.len() == 3
    });
    assert!(complete && heard.contains(&("exists", EventType::NodeDeleted)), "{heard:?}");
}

#[test]
fn on_stop_keep_does_the_same_for_term() {
    let scene = Scene::new("");
    let keep = |scene: &Scene| {
        let config = scene.site.read("rosterd.toml").replace("[agent]", "[agent]\non_stop = \"keep\"");
        scene.site.file("rosterd.toml", &config);
    };
    scene.configure(&service(1));
    keep(&scene);
    let mut agent = scene.site.start();
    agent.says("service registered");
    let before = scene.node(NODE).unwrap();
    assert!(agent.stop().success());
    assert_eq!(scene.node(NODE), Some(before.clone()));
    let agent = scene.site.start();
    agent.says("service registered");
    assert_eq!(scene.node(NODE), Some(before));
}

#[test]
fn a_killed_agent_continues_its_session() {
    for format in ["nextdoor", "serverset"] {
        let scene = Scene::new(&format!("{}format = \"{format}\"\n", service(1)));
        let back = |agent: &Agent, began: Instant| {
            agent.says("service registered");
            began.elapsed()
        };
        let (began, mut agent) = (Instant::now(), scene.site.start());
        let first = back(&agent, began);
        let names = scene.names();
        let node = || scene.node(&format!("{DIRECTORY}/{}", names[0]));
        let (before, expected) = (node(), names.clone());
        let reader = Reader::start(&scene, move |client| {
            client.run(|client| async move { client.list_children(DIRECTORY).await.unwrap() }) == expected
        });
        let mut times = Vec::new();
        for _ in 0..count(2, 20) {
            agent.signal(Signal::SIGKILL);
            let began = Instant::now();
            agent = scene.site.start();
            times.push(back(&agent, began));
            agent.says("session resumed from the previous run");
            assert_eq!(node(), before);
        }
        agent.until("the reader has read enough", || reader.reads() >= count(100, 1000));
        let (reads, wrong) = reader.end();
        let slowest = times.iter().max().unwrap();
        println!(
            "{format}: first start {first:?}, {} later ones {:?}, slowest {slowest:?}",
            times.len(),
            median(&times)
        );
        println!("{reads} reads, {wrong} without exactly one node");
        assert_eq!(wrong, 0);
        // The time of a start, and what a busy machine adds.
        assert!(median(&times) < first * 2 + Duration::from_millis(500), "{times:?}, first {first:?}");
    }
}

#[test]
fn a_service_that_died_with_its_agent_is_deregistered() {
    let scene = Scene::new(&service(1));
    let agent = scene.site.start();
    agent.says("service registered");
    agent.signal(Signal::SIGKILL);
    scene.configure(&service(1).replace("\"true\"", "\"false\"").replace("check", "fall = 1\ncheck"));
    let agent = scene.site.start();
    agent.says("service is down");
    scene.becomes(&agent, &[]);
}

#[test]
fn a_service_that_was_removed_while_the_agent_was_away_is_deregistered() {
    let scene = Scene::new(&format!("{}{}", service(1), service(2).replace("\"web\"", "\"two\"")));
    let agent = scene.site.start();
    agent.says_times("service registered", 2);
    drop(agent);
    scene.configure(&service(2));
    let agent = scene.site.start();
    scene.becomes(&agent, &["h:2"]);
}

#[test]
fn without_services_the_session_of_the_last_run_is_left_to_expire() {
    let scene = Scene::new(&service(1));
    let agent = scene.site.start();
    agent.says("service registered");
    drop(agent);
    scene.configure(&format!("[[roster]]\nname = \"web\"\npath = \"{DIRECTORY}\"\nmin = 0\n"));
    let agent = scene.site.start();
    agent.says("roster loaded");
    scene.becomes(&agent, &[]);
}

#[test]
fn hup_moves_exactly_what_changed() {
    let scene = Scene::new(&service(1));
    let agent = scene.site.start();
    agent.says("service registered");
    let reload = |config: &str, times| {
        scene.configure(config);
        agent.signal(Signal::SIGHUP).says_times("configuration loaded", times);
    };
    // Each one is configured before the registry has the last one.
    for (port, times) in [(2, 2), (3, 3), (4, 4)] {
        reload(&service(port), times);
    }
    scene.becomes(&agent, &["h:4"]);
    let before = scene.node("/services/web/h:4").unwrap();
    reload(&format!("{}data = {{ zone = \"a\" }}\n", service(4)), 5);
    agent
        .until("the data is set", || scene.node("/services/web/h:4").is_some_and(|it| it.0.contains("\"zone\":\"a\"")));
    reload(&service(4), 6);
    agent.until("the data is gone", || scene.node("/services/web/h:4").is_some_and(|it| !it.0.contains("zone")));
    assert_eq!(scene.node("/services/web/h:4").unwrap().1.czxid, before.1.czxid, "it was there all the time");
    // A wrong configuration changes nothing.
    reload(&format!("{}oops = 1\n", service(5)), 6);
    agent.says("configuration rejected");
    scene.becomes(&agent, &["h:4"]);
}

/// The directories of the new node are created first, and meanwhile the old node stays.
#[test]
fn a_moved_service_is_registered_all_the_time() {
    let scene = Scene::new(&service(1));
    let moved = |number| format!("/moved{number}/a/b/c/d/e");
    let mut nodes = vec![NODE.to_owned()];
    nodes.extend((0..count(10, 100)).map(|number| format!("{}/h:1", moved(number))));
    let agent = scene.site.start();
    agent.says("service registered");
    let reader = Reader::finds(&scene, &nodes);
    for number in 0..nodes.len() - 1 {
        scene.configure(&service(1).replace(DIRECTORY, &moved(number)));
        agent.signal(Signal::SIGHUP).says_times("service deregistered", number + 1);
    }
    let (reads, absences) = reader.end();
    println!("{reads} reads");
    assert_eq!(absences, 0);
}

#[test]
fn a_renamed_service_keeps_its_node() {
    let scene = Scene::new(&service(1));
    let agent = scene.site.start();
    agent.says("service registered");
    let before = scene.node(NODE).unwrap().1.czxid;
    scene.configure(&service(1).replace("\"web\"", "\"other\""));
    agent.signal(Signal::SIGHUP).says_times("service is up", 2);
    assert_eq!(scene.node(NODE).unwrap().1.czxid, before);
}

#[test]
fn term_deregisters_first_and_waits_for_drain() {
    let scene = Scene::new(&format!("{}drain = \"1s\"\n", service(1)));
    let agent = scene.site.start();
    agent.says("service registered");
    let (mut agent, began) = (agent, Instant::now());
    agent.signal(Signal::SIGTERM);
    agent.until("the node is gone", || scene.node(NODE).is_none());
    let gone = began.elapsed();
    assert!(agent.is_running(), "readers of the registry get time to follow");
    assert!(agent.ends(Duration::from_secs(6)).success());
    assert!(began.elapsed() >= gone.max(Duration::from_secs(1)), "{:?}", began.elapsed());
    assert!(agent.said("service deregistered") == 1 && !scene.site.read("state/sessions/default.json").contains(NODE));
}

#[test]
fn term_ends_in_time_with_a_frozen_server() {
    let zookeeper = ZooKeeper::one();
    let site = Site::new(&format!("[registry]\nurl = \"zk://{}\"\n{}", zookeeper.connect_string(), service(1)));
    let mut agent = site.start();
    agent.says("service registered");
    zookeeper.freeze(0);
    agent.signal(Signal::SIGTERM);
    assert!(agent.ends(Duration::from_secs(5)).success());
    zookeeper.thaw(0);
}

#[test]
fn a_service_that_died_while_the_server_was_away_is_deregistered() {
    let mut zookeeper = ZooKeeper::one();
    let check = |file: &str| format!("check = {{ cmd = \"test -e SITE/{file}\" }}\nfall = 1\ninterval = \"100ms\"\n");
    let one = |name: &str, port| {
        let plain = service(port).replace("\"web\"", &format!("\"{name}\""));
        plain.replace("check = { cmd = \"true\" }\n", &check(name))
    };
    let site = Site::new("");
    let services = format!("{}{}", one("alive", 1), one("dies", 2));
    site.configure(&format!(
        "[registry]\nurl = \"zk://{}\"\nsession_timeout = \"1s\"\n{services}",
        zookeeper.connect_string()
    ));
    site.file("alive", "").file("dies", "");
    let agent = site.start();
    agent.says_times("service registered", 2);
    zookeeper.stop(0);
    agent.says("registry unreachable");
    site.remove("dies");
    agent.says("service is down");
    // A restarted server gives the session its whole timeout again.
    zookeeper.start(0);
    zookeeper.wait_ready();
    let client = zookeeper.client("");
    let names = || client.run(|client| async move { client.list_children(DIRECTORY).await.unwrap_or_default() });
    agent.until("only the living one is registered", || names() == ["h:1"]);
    assert_eq!(agent.said("service registered: /services/web/h:2"), 1, "{}", agent.log().join("\n"));
}

#[test]
fn a_drained_service_stays_out_across_restarts() {
    let scene = Scene::new(&service(1));
    let agent = scene.site.start();
    agent.says("service registered");
    let drained = scene.site.run(&["drain", "web", "--reason", "disk"]).expect(0).stdout();
    assert!(drained.starts_with("web: drained until `rosterd undrain web -c "), "{drained}");
    scene.becomes(&agent, &[]);
    drop(agent);
    let agent = scene.site.start();
    agent.says("service is up");
    let status = scene.site.run(&["status"]).expect(0).stdout();
    assert!(status.contains("DRAINED by uid 0 until `rosterd undrain web -c "), "{status}");
    assert_eq!(scene.names(), [""; 0]);
    scene.site.run(&["undrain", "web"]).expect(0);
    agent.says("service registered");
    assert_eq!(scene.site.run(&["undrain", "web"]).expect(0).stdout(), "web is not drained: nothing to do\n");
    let unknown = scene.site.run(&["drain", "wbe"]);
    assert!(unknown.expect(64).stderr().contains("no service is named wbe; known services: web"));
    // With an end, it comes back by itself.
    scene.site.run(&["drain", "web", "--for", "1s"]).expect(0);
    agent.says("drain ended").says_times("service registered", 2);
}
