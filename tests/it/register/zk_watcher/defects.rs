//! What zk_watcher 0.4.0 does wrong: each test shows it with the real one, and that rosterd does it right.

use super::*;
use crate::support::proxy::Proxy;

/// A service `h:1`.
fn ini(cmd: &str, more: &str) -> String {
    format!("[web]\ncmd: {cmd}\nrefresh: 1\nservice_port: 1\nservice_hostname: h\nzookeeper_path: {DIRECTORY}\n{more}")
}

fn watcher(scene: &Scene) -> ZkWatcher {
    ZkWatcher::start(&scene.site.path("config.cfg"), &scene.servers)
}

/// Waits until a check of zk_watcher that began after this call has ended, and another one has begun. The check is
/// `touch SITE/checked`.
fn next_check(scene: &Scene) {
    for _ in 0..2 {
        let _ = std::fs::remove_file(scene.site.path("checked"));
        assert!(holds(PATIENCE, || scene.site.path("checked").exists()), "zk_watcher checks");
    }
}

#[test]
fn a_failing_check_deletes_no_foreign_node() {
    let scene = Scene::new("");
    scene.site.file("config.cfg", &ini("false", ""));
    let other = foreign(&scene, b"theirs");
    let mut agent = register(&scene.site, &scene.servers);
    agent.says("service is down");
    let status = scene.site.run(&["--socket", &scene.site.path("r.sock").display().to_string(), "status"]);
    assert!(status.expect(0).stdout().contains("DOWN since"));
    assert!(agent.stop().success());
    assert!(scene.node(NODE).is_some());
    let _watcher = watcher(&scene);
    assert!(holds(PATIENCE, || scene.node(NODE).is_none()), "zk_watcher deletes it");
    drop(other);
}

#[test]
fn a_passing_check_overwrites_no_foreign_data() {
    let scene = Scene::new("");
    scene.site.file("config.cfg", &ini("true", "zookeeper_data: zone=a\n"));
    let other = foreign(&scene, b"theirs");
    let before = scene.node(NODE).unwrap();
    let mut agent = register(&scene.site, &scene.servers);
    agent.says("not registered; the node exists and is not this agent's");
    assert!(agent.stop().success());
    assert_eq!(scene.node(NODE).unwrap(), before);
    let _watcher = watcher(&scene);
    let data = || scene.node(NODE).unwrap().0;
    assert!(holds(PATIENCE, || data().contains("\"zone\":\"a\"")), "zk_watcher overwrites it");
    assert_eq!(scene.node(NODE).unwrap().1.ephemeral_owner, before.1.ephemeral_owner, "and does not own it");
    drop(other);
}

#[test]
fn a_restart_after_kill_9_leaves_the_node_as_it_is() {
    let scene = Scene::new("");
    scene.site.file("config.cfg", &ini("true", ""));
    let agent = register(&scene.site, &scene.servers);
    agent.says("service registered");
    let before = scene.node(NODE).unwrap();
    drop(agent);
    let mut agent = register(&scene.site, &scene.servers);
    agent.says("session resumed from the previous run").says("service registered");
    assert_eq!(scene.node(NODE).unwrap(), before);
    assert!(agent.stop().success());

    let mut running = watcher(&scene);
    assert!(holds(PATIENCE, || scene.node(NODE).is_some()));
    // On a busy machine, the session of the dead one may end before Python has started.
    let written = (0..5).find_map(|_| {
        let (data, stat) = scene.node(NODE)?;
        drop(std::mem::replace(&mut running, watcher(&scene)));
        let changed = |node: &(String, Stat)| node.0 != data;
        assert!(holds(PATIENCE, || scene.node(NODE).as_ref().is_some_and(changed)), "zk_watcher writes into it");
        let is_of_the_dead = |node: &(String, Stat)| node.1.ephemeral_owner == stat.ephemeral_owner;
        scene.node(NODE).filter(is_of_the_dead)
    });
    let (_, stat) = written.expect("the node belongs to the session of the dead one");
    let created = |node: &(String, Stat)| node.1.czxid != stat.czxid;
    assert!(holds(PATIENCE, || scene.node(NODE).as_ref().is_some_and(created)), "it goes, and is created again");
}

#[test]
fn data_that_hup_removes_is_removed() {
    let scene = Scene::new("");
    let has_data = || scene.node(NODE).is_some_and(|(data, _)| data.contains("zone"));
    scene.site.file("config.cfg", &ini("true", "zookeeper_data: zone=a\n"));
    let mut agent = register(&scene.site, &scene.servers);
    agent.until("the data is registered", has_data);
    scene.site.file("config.cfg", &ini("true", ""));
    agent.signal(Signal::SIGHUP).until("the data is removed", || !has_data());
    assert!(scene.node(NODE).is_some());
    assert!(agent.stop().success());

    scene.site.file("config.cfg", &ini("true", "zookeeper_data: zone=a\n"));
    let watcher = watcher(&scene);
    assert!(holds(PATIENCE, has_data));
    scene.site.file("config.cfg", &ini(&format!("touch {}", scene.site.path("checked").display()), ""));
    watcher.signal(Signal::SIGHUP);
    next_check(&scene);
    assert!(has_data(), "zk_watcher leaves the old data");
}

#[test]
fn a_port_that_hup_changes_leaves_no_node_behind() {
    let port = |port: &str| ini("true", "").replace("service_port: 1", &format!("service_port: {port}"));
    let (ours, theirs) = (Scene::new(""), Scene::new(""));
    ours.site.file("config.cfg", &port("1"));
    let agent = register(&ours.site, &ours.servers);
    ours.becomes(&agent, &["h:1"]);
    theirs.site.file("config.cfg", &port("1"));
    let watcher = watcher(&theirs);
    assert!(holds(PATIENCE, || theirs.names() == ["h:1"]));
    for new in ["2", "3", "4"] {
        let node = format!("h:{new}");
        ours.site.file("config.cfg", &port(new));
        agent.signal(Signal::SIGHUP);
        ours.becomes(&agent, &[&node]);
        theirs.site.file("config.cfg", &port(new));
        watcher.signal(Signal::SIGHUP);
        assert!(holds(PATIENCE, || theirs.names().contains(&node)));
    }
    assert!(theirs.names().len() > 1, "zk_watcher leaves nodes behind: {:?}", theirs.names());
}

#[test]
fn a_missing_key_in_a_later_section_registers_nothing() {
    let scene = Scene::new("");
    let check = format!("touch {}", scene.site.path("checked").display());
    scene.site.file("config.cfg", &ini(&check, "[half]\ncmd: true\n"));
    let refused = scene.site.run(&["register", "-c", "config.cfg", "-s", &scene.servers, "--state-dir", "state"]);
    let text = refused.expect(78).stderr();
    assert!(text.contains("[half] has no `refresh`") && text.contains("config.cfg:7:1"), "{text}");
    assert_eq!(scene.names(), [""; 0]);

    let mut watcher = watcher(&scene);
    assert!(holds(PATIENCE, || scene.names() == ["h:1"]), "zk_watcher registers the first section");
    watcher.signal(Signal::SIGTERM);
    next_check(&scene);
    assert!(watcher.is_running() && scene.names() == ["h:1"], "and does not stop");
}

/// The CPU time of a process, in hundredths of a second.
fn cpu_time(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn a_stop_ends_while_zookeeper_is_down() {
    let mut zookeeper = ZooKeeper::one();
    let (ours, theirs, servers) = (Site::new(""), Site::new(""), zookeeper.connect_string());
    ours.file("config.cfg", &ini("true", ""));
    theirs.file("config.cfg", &ini("true", "").replace("service_port: 1", "service_port: 2"));
    let mut agent = register(&ours, &servers);
    let mut watcher = ZkWatcher::start(&theirs.path("config.cfg"), &servers);
    let client = zookeeper.client("");
    let names = || client.run(|client| async move { client.list_children(DIRECTORY).await.unwrap_or_default().len() });
    agent.until("both are registered", || names() == 2);
    zookeeper.stop(0);
    assert!(agent.stop().success());
    let before = cpu_time(watcher.pid());
    watcher.signal(Signal::SIGTERM);
    let is_busy = holds(PATIENCE, || !watcher.is_running() || cpu_time(watcher.pid()) > before + 100);
    assert!(is_busy && watcher.is_running(), "zk_watcher uses a second of CPU time, and does not stop");
}

#[test]
fn a_service_that_died_during_an_outage_does_not_reappear() {
    let scene = Scene::new("");
    let server = ZooKeeper::shared().connect_string();
    let proxy = Proxy::to(&server);
    let servers = scene.servers.replace(&server, &proxy.address());
    scene.site.file("healthy", "");
    let check = format!("test -e {}", scene.site.path("healthy").display());
    let failures = scene.site.path("failures").display().to_string();
    scene.site.file(
        "check",
        &format!("{check} && exit\nwhile [ -e {failures} ]; do sleep 0.1; done\necho >>{failures}\nexit 1\n"),
    );
    let (our_service, theirs) = (service(1).replace("\"true\"", &format!("\"{check}\"")), "/services/theirs");
    scene.site.configure(&format!(
        "[registry]\nsession_timeout = \"2s\"\nurl = \"zk://{servers}\"\n{our_service}interval = \"100ms\"\nfall = 1\n"
    ));
    // It fails once during the outage. Its next run does not end, so that zk_watcher reconnects before it.
    let slow = ini(&format!("sh {}", scene.site.path("check").display()), "").replace("refresh: 1", "refresh: 8");
    scene.site.file("config.cfg", &slow.replace(DIRECTORY, theirs));
    let agent = scene.site.start();
    let _watcher = ZkWatcher::start(&scene.site.path("config.cfg"), &servers);
    // How often children of a directory were created and deleted, and how many there are.
    let changes = |directory: &'static str| {
        let found = scene.client.run(move |client| async move { client.check_stat(directory).await.unwrap() });
        found.map_or((0, 0), |stat| (stat.cversion, stat.num_children))
    };
    let both = || changes(DIRECTORY).1 == 1 && changes(theirs).1 == 1;
    agent.until("both are registered", both);
    // Nothing listens on port 1.
    proxy.turn_to("127.0.0.1:1");
    scene.site.remove("healthy");
    agent.says("service is down");
    agent.until("both sessions have ended", || changes(DIRECTORY).1 == 0 && changes(theirs).1 == 0);
    agent.until("the check of zk_watcher has failed", || !scene.site.read("failures").is_empty());
    let (ours_before, theirs_before) = (changes(DIRECTORY).0, changes(theirs).0);
    proxy.turn_to(&server);
    // Its pauses between attempts double, so it may come back long after the server.
    assert!(holds(PATIENCE * 4, || changes(theirs).0 > theirs_before), "zk_watcher registers it again");
    agent.says("reconnected to registry");
    // The next creation is that of the healthy service.
    scene.site.file("healthy", "");
    agent.says_times("service registered", 2);
    assert_eq!(changes(DIRECTORY).0, ours_before + 1);
}
