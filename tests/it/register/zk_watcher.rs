//! The configuration of zk_watcher 0.4.0, and the real zk_watcher beside rosterd.

use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::*;

mod defects;
mod wrong_files;

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
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid().try_into().unwrap()), signal).unwrap();
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
            let start = "{\"pid\":";
            let text = match text.strip_prefix(start).and_then(|rest| rest.split_once(",\"created\":\"")) {
                Some((_, rest)) => format!("{{…{}", rest.get(20..).unwrap_or_default()),
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
    register_with(site, servers, &[])
}

fn register_with(site: &Site, servers: &str, options: &[&str]) -> Agent {
    let arguments = ["register", "-c", "config.cfg", "-s", servers, "--state-dir", "state", "--socket", "r.sock"];
    site.start_with(&[&arguments, options].concat())
}

/// Both register the services of a file, each in its own chroot. Returns their trees once the services are registered.
fn trees(text: &str, options: &[&str]) -> (Vec<String>, Vec<String>) {
    let site = Site::new("");
    site.file("config.cfg", text);
    let ((theirs, their_client), (ours, our_client)) = (chroot(), chroot());
    let _watcher = ZkWatcher::start(&site.path("config.cfg"), &theirs);
    let agent = register_with(&site, &ours, options);
    let services = text.matches("service_port").count() - text.matches("cmd: false").count();
    agent.says_times("service registered", services);
    let registered = || tree(&their_client).iter().filter(|line| line.contains("ephemeral: true")).count();
    agent.until("zk_watcher has registered its services", || registered() == services);
    (tree(&their_client), tree(&our_client))
}

#[test]
fn the_same_file_gives_the_same_tree() {
    std::thread::scope(|scope| {
        for text in FILES {
            scope.spawn(move || {
                let (theirs, ours) = trees(text, &["--legacy-untrimmed-keys"]);
                assert_eq!(ours, theirs);
            });
        }
    });
}

#[test]
fn only_spaces_around_keys_differ_without_legacy_untrimmed_keys() {
    let (theirs, ours) = trees(FILES[3], &[]);
    assert_ne!(ours, theirs);
    let trimmed: Vec<String> = theirs.iter().map(|line| line.replace("\" bah\"", "\"bah\"")).collect();
    assert_eq!(ours, trimmed);
}

#[test]
fn a_migrated_file_registers_the_same() {
    for text in FILES {
        let site = Site::new("");
        site.file("config.cfg", text);
        let ((before, old_client), (after, new_client)) = (chroot(), chroot());
        let url = format!("zk://{after}");
        let migrated = site.run(&["migrate", "zk_watcher", "config.cfg", "--output", "new", "--registry", &url]);
        migrated.expect(0);
        let services = text.matches("service_port").count() - text.matches("cmd: false").count();
        let old = register(&site, &before);
        let new = site.start_with(&[
            "register",
            "-c",
            "new/rosterd.toml",
            "--state-dir",
            "new-state",
            "--socket",
            "new.sock",
        ]);
        old.says_times("service registered", services);
        new.says_times("service registered", services);
        assert_eq!(tree(&new_client), tree(&old_client), "{text}");
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
