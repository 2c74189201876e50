//! The configuration of zk_watcher 0.4.0, and the real zk_watcher beside rosterd.

use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::*;

/// The files of the blog, of the manual and of the Puppet module. What stands before a file changes its data.
const FILES: [&str; 4] = [
    "[memcached]\ncmd: true\nrefresh: 1\nservice_port: 11211\nservice_hostname: mc1\n\
     zookeeper_path: /services/production/uswest1/memcached\n",
    "[ssh]\ncmd: pgrep -f java\nrefresh: 1\nservice_port: 22\nservice_hostname: ssh1\nzookeeper_path: /services/ssh\n\
     zookeeper_data: { \"foo\": \"bar\", \"bah\": { \"z\": [1, 2.5], \"a\": \"é\" } }\n\
     [apache]\ncmd: false\nrefresh: 1\nservice_port: 80\nservice_hostname: ssh1\nzookeeper_path: /services/web\n",
    "[auth]\nuser: username\npassword: 123456\n[web]\ncmd: true\nrefresh: 1\nservice_port: 80\nservice_hostname: w1\n\
     zookeeper_path: /services/web\nzookeeper_data: zone=a,user=b,\n",
    "# one\n[DEFAULT]\nrefresh = 1\ncmd = true\n[a]\nservice_port = 1\nservice_hostname = h\nzookeeper_path = /s/a\n\
     zookeeper_data = foo=bar, bah=humbug\n[b]\nservice_port = 2\nservice_hostname = h\nzookeeper_path = /s/b\n",
];

/// The real zk_watcher; killed when dropped.
pub struct ZkWatcher(Child);

impl ZkWatcher {
    pub fn start(file: &std::path::Path, servers: &str) -> Self {
        let code = "import sys; from zk_watcher.zk_watcher import main; sys.exit(main())";
        let mut command = Command::new("python3");
        command.args(["-c", code, "-c"]).arg(file).args(["-s", servers]).env("PYTHONPATH", python());
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id().try_into().unwrap()), signal).unwrap();
    }
}

impl Drop for ZkWatcher {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Each node with its data, but for pid and created, its access control list, and whether it is ephemeral.
fn tree(client: &Zk) -> Vec<String> {
    client.run(|client| async move {
        let (mut lines, mut all) = (Vec::new(), vec!["/".to_owned()]);
        while let Some(path) = all.pop() {
            let (data, stat) = client.get_data(&path).await.unwrap();
            let (acl, _) = client.get_acl(&path).await.unwrap();
            let text = String::from_utf8(data).unwrap();
            // Python 2's writers have another order, and zk_watcher keeps the spaces around keys.
            let start = "{\"pid\":";
            let text = match text.strip_prefix(start).and_then(|rest| rest.split_once(",\"created\":\"")) {
                Some((_, rest)) => format!("{{…{}", rest.get(20..).unwrap_or_default().replace("\" ", "\"")),
                None => text,
            };
            lines.push(format!("{path} {text} ephemeral: {} {acl:?}", stat.ephemeral_owner != 0));
            let names = client.list_children(&path).await.unwrap();
            all.extend(names.iter().map(|name| format!("{}/{name}", path.trim_end_matches('/'))));
        }
        lines.sort();
        lines
    })
}

/// A new chroot of the shared server: the servers with it, and a client in it.
fn chroot() -> (String, Zk) {
    let shared = ZooKeeper::shared();
    let chroot = shared.chroot();
    (format!("{}{chroot}", shared.connect_string()), shared.client(&chroot))
}

/// Starts `register` with an INI file.
fn register(site: &Site, servers: &str) -> Agent {
    site.start_with(&["register", "-c", "config.cfg", "-s", servers, "--state-dir", "state", "--socket", "r.sock"])
}

#[test]
fn the_same_file_gives_the_same_tree() {
    for text in FILES {
        let site = Site::new("");
        site.file("config.cfg", text);
        let ((theirs, their_client), (ours, our_client)) = (chroot(), chroot());
        let _watcher = ZkWatcher::start(&site.path("config.cfg"), &theirs);
        let agent = register(&site, &ours);
        let services = text.matches("service_port").count() - text.matches("cmd: false").count();
        agent.says_times("service registered", services);
        agent.until("zk_watcher has registered its services", || {
            tree(&their_client).iter().filter(|line| line.contains("ephemeral: true")).count() == services
        });
        agent.until("the trees are the same", || tree(&our_client) == tree(&their_client));
    }
}

#[test]
fn rosterd_beside_zk_watcher_on_one_node_does_not_fight() {
    let site = Site::new("");
    site.file("config.cfg", FILES[0]);
    let (servers, client) = chroot();
    let watcher = ZkWatcher::start(&site.path("config.cfg"), &servers);
    let node = "/services/production/uswest1/memcached/mc1:11211";
    let stat = || client.run(move |client| async move { client.check_stat(node).await.unwrap() });
    assert!(holds(PATIENCE, || stat().is_some()));
    let agent = register(&site, &servers);
    agent.says("not registered; the node exists and is not this agent's");
    let before = stat().unwrap();
    // zk_watcher checks each second; two checks later nothing was written.
    let began = std::time::Instant::now();
    assert!(holds(PATIENCE, || began.elapsed() > Duration::from_millis(2500)));
    assert_eq!(stat().map(|stat| (stat.mzxid, stat.ephemeral_owner)), Some((before.mzxid, before.ephemeral_owner)));
    watcher.signal(Signal::SIGTERM);
    agent.says("service registered");
    assert_eq!(agent.said("the node exists and is not this agent's"), 1);
}

/// zk_watcher 0.4.0 deletes the node of another client when its own check fails; rosterd does not.
#[test]
fn a_failing_check_deletes_no_foreign_node() {
    let failing = FILES[0]
        .replace("cmd: true", "cmd: false")
        .replace("mc1", "h")
        .replace("/services/production/uswest1/memcached", DIRECTORY);
    let scene = Scene::new("");
    scene.site.file("config.cfg", &failing.replace("11211", "1"));
    let other = foreign(&scene, b"theirs");
    let agent = register(&scene.site, &scene.servers);
    agent.says("service is down");
    let status = scene.site.run(&["--socket", &scene.site.path("r.sock").display().to_string(), "status"]);
    assert!(status.expect(0).stdout().contains("DOWN since"));
    assert!(scene.node(NODE).is_some());
    drop(agent);
    let _watcher = ZkWatcher::start(&scene.site.path("config.cfg"), &scene.servers);
    assert!(holds(PATIENCE, || scene.node(NODE).is_none()), "zk_watcher deletes it");
    drop(other);
}

/// A HUP of zk_watcher 0.4.0 leaves nodes of earlier ports behind; rosterd's does not (`hup_moves_exactly_what_changed`).
#[test]
fn a_hup_of_zk_watcher_leaves_nodes_behind() {
    let site = Site::new("");
    let port = |port: &str| FILES[0].replace("11211", port);
    site.file("config.cfg", &port("1"));
    let (servers, client) = chroot();
    let names = || {
        let path = "/services/production/uswest1/memcached";
        let mut names = client.run(move |client| async move { client.list_children(path).await.unwrap_or_default() });
        names.sort();
        names
    };
    let watcher = ZkWatcher::start(&site.path("config.cfg"), &servers);
    assert!(holds(PATIENCE, || names() == ["mc1:1"]));
    for new in ["2", "3", "4"] {
        site.file("config.cfg", &port(new));
        watcher.signal(Signal::SIGHUP);
        assert!(holds(PATIENCE, || names().contains(&format!("mc1:{new}"))));
    }
    assert!(names().len() > 1, "{:?}", names());
}

#[test]
fn the_container_is_configured_by_variables() {
    let site = Site::new("");
    let (servers, client) = chroot();
    let env = [
        ("ZK_PATH", "/services/x"),
        ("SVC_HOST", "c1"),
        ("SVC_PORT", "8080"),
        ("CMD", "test -n $SVC_HOST"),
        ("REFRESH", "1"),
        ("ROSTERD_REGISTRY", &*format!("zk://{servers}")),
        ("ROSTERD_STATE_DIR", "state"),
        ("ROSTERD_SOCKET", "r.sock"),
    ];
    let mut command = vec!["env".to_owned()];
    command.extend(env.iter().map(|(name, value)| format!("{name}={value}")));
    let rosterd = env!("CARGO_BIN_EXE_rosterd");
    command.extend([rosterd, "register", "--from-env"].map(str::to_owned));
    site.file(
        "start.sh",
        &format!("exec {}\n", command.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ")),
    );
    let script = site.path("start.sh").display().to_string();
    let agent = site.start_by(&["sh", &script]);
    agent.says("service registered: /services/x/c1:8080");
    let found = client.run(|client| async move { client.get_data("/services/x/c1:8080").await.unwrap().0 });
    assert!(String::from_utf8(found).unwrap().starts_with("{\"pid\":"));
    let missing = site.run_without_config(&["register", "--from-env"]);
    assert!(missing.expect(78).stderr().contains("$CMD is not set"));
}

#[test]
fn a_wrong_file_registers_nothing_and_on_hup_the_running_services_stay() {
    let site = Site::new("");
    let (servers, _client) = chroot();
    site.file("config.cfg", &format!("{}[half]\ncmd: true\n", FILES[0]));
    let arguments = ["register", "-c", "config.cfg", "-s", &servers, "--state-dir", "state", "--socket", "r.sock"];
    let refused = site.run(&arguments);
    let text = refused.expect(78).stderr();
    assert!(text.contains("[half] has no `refresh`") && text.contains("config.cfg:7"), "{text}");
    site.file("config.cfg", FILES[0]);
    let agent = register(&site, &servers);
    agent.says("service registered");
    site.file("config.cfg", "[memcached]\nwhat\n");
    agent.signal(Signal::SIGHUP).says("configuration rejected");
    assert_eq!(agent.said("service deregistered"), 0);
}
