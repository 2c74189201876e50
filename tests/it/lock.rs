//! `rosterd lock` among contenders of kazoo, in a real ZooKeeper.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use zookeeper_client::{Acls, CreateMode};

use crate::harness::site::{Agent, PATIENCE, Site};
use crate::support::wait::{eventually, holds};
use crate::support::zookeeper::{Zk, ZooKeeper, free_port};

use kazoo::Kazoo;

mod faults;
mod kazoo;

const PATH: &str = "/locks/deploy";

/// A directory, and a chroot of the shared server in which there is nothing yet.
struct Scene {
    site: Site,
    client: Zk,
    servers: String,
    url: String,
}

impl Scene {
    fn new() -> Self {
        let shared = ZooKeeper::shared();
        let chroot = shared.chroot();
        let servers = format!("{}{chroot}", shared.connect_string());
        Self { site: Site::new(""), client: shared.client(&chroot), url: format!("zk://{servers}"), servers }
    }

    fn kazoo(&self, identifier: &str, kind: &str) -> Kazoo {
        Kazoo::start(&self.servers, PATH, identifier, &[kind, "once"], "")
    }

    fn args<'a>(&'a self, options: &[&'a str], command: &[&'a str]) -> Vec<&'a str> {
        let start = ["lock", PATH, "--registry", &self.url, "--session-timeout", "4s"];
        let middle: &[&str] = if command.is_empty() { &[] } else { &["--"] };
        [&start[..], options, middle, command].concat()
    }

    /// Contends in the background, with an identifier.
    fn contend(&self, identifier: &str, options: &[&str], script: &str) -> Agent {
        let options = [&["--identifier", identifier], options].concat();
        self.site.start_with(&self.args(&options, &["sh", "-c", script]))
    }

    fn run(&self, options: &[&str], command: &[&str]) -> crate::harness::site::Ended {
        self.site.run_without_config(&self.args(options, command))
    }

    /// What `--list` prints: what each does, and its identifier.
    fn line(&self) -> Vec<String> {
        let listed = self.site.run_without_config(&["lock", PATH, "--registry", &self.url, "--list"]);
        let short = |line: &str| format!("{} {}", line.split('\t').next().unwrap(), line.rsplit('\t').next().unwrap());
        listed.expect(0).stdout().lines().map(short).collect()
    }

    #[track_caller]
    fn line_is(&self, wanted: &[&str]) {
        let mut line = vec![];
        let is = holds(PATIENCE, || {
            line = self.line();
            line == wanted
        });
        assert!(is, "{line:?}, not {wanted:?}");
    }

    fn nodes(&self) -> Vec<String> {
        self.client.run(|client| async move { client.list_children(PATH).await.unwrap() })
    }
}

#[test]
fn contenders_of_kazoo_and_rosterd_get_the_lock_in_the_order_in_which_they_came() {
    let scene = Scene::new();
    let mut first = scene.kazoo("first", "Lock");
    first.says("held");
    let (mut agents, mut kazoos, mut line) = (vec![], vec![], vec!["holds first".to_owned()]);
    for number in 1..=6 {
        let name = format!("{}{number}", if number % 2 == 0 { "kazoo" } else { "rosterd" });
        if number % 2 == 0 {
            kazoos.push((name.clone(), scene.kazoo(&name, "Lock")));
        } else {
            agents.push(scene.contend(&name, &[], "echo $ROSTERD_LOCK_PATH >> order"));
        }
        line.push(format!("waits {name}"));
        scene.line_is(&line.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let identifiers = r#"["first", "rosterd1", "kazoo2", "rosterd3", "kazoo4", "rosterd5", "kazoo6"]"#;
    first.answers("contenders", identifiers);
    first.answers("release", "released");
    for (at, (name, kazoo)) in kazoos.iter_mut().enumerate() {
        // The one of rosterd before it comes first.
        kazoo.says("held");
        assert_eq!(scene.site.read("order").lines().count(), at + 1, "{name}");
        assert!(agents[at].ends(PATIENCE).success());
        kazoo.answers("release", "released");
    }
    scene.line_is(&[]);
}

#[test]
fn a_release_reaches_the_next_one_at_once() {
    let scene = Scene::new();
    let mut first = scene.kazoo("first", "Lock");
    first.says("held");
    let mut next = scene.contend("next", &[], "touch got; exec sleep 100");
    next.says("waiting for /locks/deploy, 1 before this one; first holds it");
    first.answers("release", "released");
    let took = eventually(PATIENCE, "the lock is got", || scene.site.path("got").exists());
    assert!(took < Duration::from_secs(1), "{took:?}");
    let after = scene.kazoo("after", "Lock");
    scene.line_is(&["holds next", "waits after"]);
    let released = Instant::now();
    next.signal(Signal::SIGTERM);
    after.says("held");
    println!("from rosterd to kazoo: {:?}", released.elapsed());
    assert!(released.elapsed() < Duration::from_secs(1), "{:?}", released.elapsed());
    assert_eq!(next.ends(PATIENCE).code(), Some(143));
}

#[test]
fn a_lock_waits_for_readers_before_it_and_a_reader_waits_for_it() {
    let scene = Scene::new();
    let mut reader = scene.kazoo("reader", "ReadLock");
    reader.says("held");
    let mut own = scene.contend("own", &[], "touch got; exec sleep 100");
    scene.line_is(&["shares reader", "waits own"]);
    let late = scene.kazoo("late", "ReadLock");
    scene.line_is(&["shares reader", "waits own", "waits late"]);
    assert!(!scene.site.path("got").exists());
    reader.answers("release", "released");
    scene.line_is(&["holds own", "waits late"]);
    own.stop();
    late.says("held");
}

#[test]
fn the_exit_code_is_that_of_the_command() {
    let scene = Scene::new();
    let script = "echo $ROSTERD_LOCK_PATH; echo $ROSTERD_LOCK_NODE; cat; exit 7";
    let ended = scene.run(&["-q"], &["sh", "-c", script]);
    let out = ended.expect(7).stdout();
    let node = out.lines().nth(1).unwrap();
    assert!(out.starts_with("/locks/deploy\n/locks/deploy/"), "{out}");
    assert_eq!(node.len(), "/locks/deploy/".len() + 32 + "__lock__".len() + 10, "{node}");
    assert_eq!(ended.stderr(), "");
    assert_eq!(scene.nodes(), Vec::<String>::new(), "the lock is released");
    for (command, code) in [
        (&["true"][..], 0),
        (&["sh", "-c", "kill -9 $$"][..], 137),
        (&["no-such-program"][..], 127),
        (&["/etc/hostname"][..], 126),
    ] {
        scene.run(&[], command).expect(code);
        assert_eq!(scene.nodes(), Vec::<String>::new(), "{command:?}");
    }
    assert!(scene.run(&[], &["no-such-program"]).stderr().contains("no-such-program: "));
    scene.run(&[], &[]).expect(64);
}

#[test]
fn one_that_is_not_got_in_time_is_left_with_the_name_of_the_holder() {
    let scene = Scene::new();
    let first = scene.kazoo("web1", "Lock");
    first.says("held");
    for wait in ["0s", "300ms"] {
        let ended = scene.run(&["--wait-for", wait], &["touch", "got"]);
        let said = ended.expect(3).stderr();
        assert!(said.contains(&format!("/locks/deploy not got within {wait}: web1 (in line for ")), "{said}");
        assert!(said.trim_end().ends_with("holds it"), "{said}");
        scene.line_is(&["holds web1"]);
    }
    assert!(!scene.site.path("got").exists());
    drop(first);
    scene.run(&["--wait-for", "60s"], &["touch", "got"]).expect(0);
    assert!(scene.site.path("got").exists());
}

#[test]
fn a_registry_that_is_away_is_exit_code_4() {
    let scene = Scene::new();
    let away = format!("zk://127.0.0.1:{}", free_port());
    let args = ["lock", PATH, "--registry", &away, "--timeout", "300ms", "--wait-for", "0s", "--", "true"];
    let ended = scene.site.run_without_config(&args);
    assert!(ended.expect(4).stderr().contains("cannot lock /locks/deploy: "), "{}", ended.stderr());
    scene.site.run_without_config(&["lock", PATH, "--registry", &away, "--timeout", "300ms", "--list"]).expect(4);
    scene.site.run_without_config(&["lock", PATH, "--registry", "dir:x", "--", "true"]).expect(64);
    scene.site.run_without_config(&["lock", "locks", "--registry", &away, "--", "true"]).expect(64);
}

#[test]
fn a_signal_ends_the_wait_or_goes_to_the_command() {
    let scene = Scene::new();
    let mut holder = scene.contend("holder", &[], "trap 'exit 5' TERM; touch ready; while :; do sleep 0.05; done");
    eventually(PATIENCE, "the command runs", || scene.site.path("ready").exists());
    let mut waiting = scene.contend("waiting", &[], "true");
    scene.line_is(&["holds holder", "waits waiting"]);
    waiting.signal(Signal::SIGTERM);
    assert_eq!(waiting.ends(PATIENCE).code(), Some(143));
    scene.line_is(&["holds holder"]);
    holder.signal(Signal::SIGTERM);
    assert_eq!(holder.ends(PATIENCE).code(), Some(5), "the command decides");
    scene.line_is(&[]);
}

#[test]
fn a_path_of_others_keeps_its_data_and_its_access() {
    let scene = Scene::new();
    scene.client.put(PATH, b"data");
    scene.run(&[], &["true"]).expect(0);
    let data = scene.client.run(|client| async move { client.get_data(PATH).await.unwrap().0 });
    assert_eq!(data, b"data");

    scene.client.run(|client| async move {
        client.delete(PATH, None).await.unwrap();
        client.create(PATH, b"", &CreateMode::Ephemeral.with_acls(Acls::anyone_all())).await.unwrap();
    });
    let said = scene.run(&[], &["true"]).expect(1).stderr();
    assert!(said.contains("/locks/deploy is an ephemeral node, which cannot have children"), "{said}");
    let none = format!("{}/none", scene.url);
    let args = ["lock", PATH, "--registry", &none, "--", "true"];
    let said = scene.site.run_without_config(&args).expect(1).stderr();
    assert!(said.contains("the chroot does not exist (create it with rosterd prime-chroot)"), "{said}");
}

#[test]
fn a_lock_that_was_created_with_a_credential_is_closed_to_others() {
    let scene = Scene::new();
    scene.site.file("auth", "username:123456\n");
    set_permissions(scene.site.path("auth"), Permissions::from_mode(0o600)).unwrap();
    scene.run(&["--auth", "auth"], &["true"]).expect(0);
    let said = scene.run(&[], &["true"]).expect(1).stderr();
    assert!(said.contains("not authorized: the ACL of /locks/deploy or above it"), "{said}");
    let kazoo = Kazoo::start(&scene.servers, PATH, "k", &["Lock", "once"], "username:123456");
    kazoo.says("held");
    let said = scene.run(&["--auth", "auth", "--wait-for", "0s"], &["true"]).expect(3).stderr();
    assert!(said.contains("k (in line for "), "{said}");
    // Above it, everyone may create.
    scene.site.run_without_config(&["lock", "/locks/other", "--registry", &scene.url, "--", "true"]).expect(0);
}
