//! `[[lock]]`: agents and kazoo contend for one lock in a real ZooKeeper, and a file says who leads.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::harness::site::{Agent, PATIENCE, Site};
use crate::support::wait::holds;
use crate::support::zookeeper::{Zk, ZooKeeper};

mod program;
mod recipes;

/// The session timeout of every contender.
const TIMEOUT: Duration = Duration::from_secs(4);

const LOCK: &str = "/locks/leader";

const TEMPLATE: &str = "{% if locks.leader.held %}leader\n{% endif -%}
{{ locks.leader.position }} of {{ locks.leader.contenders }}, {{ locks.leader.holder }} holds\n";

/// Acquires the lock, prints `held`, and releases it when its input ends.
const KAZOO: &str = r#"
import sys
from kazoo.client import KazooClient
client = KazooClient(hosts=sys.argv[1], timeout=4.0)
client.start()
lock = client.Lock(sys.argv[2], "kazoo")
print("starts", flush=True)
lock.acquire()
print("held " + ",".join(lock.contenders()), flush=True)
sys.stdin.read()
lock.release()
print("released", flush=True)
client.stop()
"#;

/// Where `.ci/install` puts Python's packages.
fn python(program: &str) -> Command {
    let mut python = Command::new("python3");
    python.args(["-c", program]).env("PYTHONDONTWRITEBYTECODE", "1");
    python.env("PYTHONPATH", PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/python"));
    python
}

/// A contender of kazoo.
struct Kazoo {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
}

impl Kazoo {
    fn start(servers: &str) -> Self {
        let mut command = python(KAZOO);
        let mut child = command.args([servers, LOCK]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let stdin = child.stdin.take();
        let kazoo = Self { child, stdin, lines };
        assert_eq!(kazoo.says(), "starts");
        kazoo
    }

    fn says(&self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap()
    }

    fn release(&mut self) {
        self.stdin = None;
        assert_eq!(self.says(), "released");
    }
}

impl Drop for Kazoo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An own server, and the sites of agents that contend for one lock in it.
struct Scene {
    zookeeper: ZooKeeper,
    client: Zk,
    sites: Vec<Site>,
}

impl Scene {
    fn new(agents: usize) -> Self {
        let zookeeper = ZooKeeper::one();
        let client = zookeeper.client("");
        let scene = Self { client, sites: (0..agents).map(|_| Site::new("")).collect(), zookeeper };
        for (at, site) in scene.sites.iter().enumerate() {
            site.configure(&scene.config(at, ""));
            site.file("templates/leader.tera", TEMPLATE);
        }
        scene
    }

    fn config(&self, at: usize, more: &str) -> String {
        format!(
            "[registry]\nurl = \"zk://{}\"\nsession_timeout = \"{}s\"\n\n\
             [[lock]]\npath = \"{LOCK}\"\nidentifier = \"web{}\"\n\n\
             [[template]]\nsrc = \"leader.tera\"\ndest = \"out/leader\"\n\
             reload_cmd = \"echo >> SITE/reloads\"\nreload_interval = \"0s\"\n{more}",
            self.zookeeper.connect_string(),
            TIMEOUT.as_secs(),
            at + 1
        )
    }

    fn leads(&self, at: usize) -> bool {
        self.sites[at].read("out/leader").starts_with("leader\n")
    }

    fn shows(&self, at: usize, text: &str) -> bool {
        self.sites[at].read("out/leader") == text
    }

    /// The contenders in the order of their numbers, as the server has them.
    fn line(&self) -> Vec<String> {
        let mut line: Vec<(String, String)> = self.client.run(|client| async move {
            let mut line = Vec::new();
            for name in client.list_children(LOCK).await.unwrap_or_default() {
                if let Ok((data, _)) = client.get_data(&format!("{LOCK}/{name}")).await {
                    line.push((name[name.len() - 10..].to_owned(), String::from_utf8(data).unwrap()));
                }
            }
            line
        });
        line.sort();
        line.into_iter().map(|(_, data)| data).collect()
    }

    /// Starts the agents one after another, so that the order of the line is known.
    fn start(&self) -> Vec<Agent> {
        let start = |at: usize| {
            let agent = self.sites[at].start();
            agent.until("is in the line", || self.line().len() == at + 1);
            agent
        };
        (0..self.sites.len()).map(start).collect()
    }
}

/// Looks at the files of several sites all the time, and remembers which of them had the line of the leader at once.
struct Observer {
    ends: Arc<AtomicBool>,
    seen: Arc<Mutex<BTreeSet<Vec<usize>>>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Observer {
    fn start(scene: &Scene) -> Self {
        let (ends, seen) = (Arc::new(AtomicBool::default()), Arc::new(Mutex::new(BTreeSet::new())));
        let files: Vec<PathBuf> = scene.sites.iter().map(|site| site.path("out/leader")).collect();
        let (end, all) = (Arc::clone(&ends), Arc::clone(&seen));
        let thread = thread::spawn(move || {
            let leads = |file: &PathBuf| std::fs::read_to_string(file).is_ok_and(|text| text.starts_with("leader"));
            while !end.load(Ordering::Relaxed) {
                // A file that is read first and has lost the line since does not count.
                let one: BTreeSet<usize> = (0..files.len()).filter(|at| leads(&files[*at])).collect();
                let two = one.iter().copied().filter(|at| leads(&files[*at])).collect();
                all.lock().unwrap().insert(two);
                thread::sleep(Duration::from_millis(2));
            }
        });
        Self { ends, seen, thread: Some(thread) }
    }

    /// Fails if two files had the line at once.
    fn finish(mut self) {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        let seen = self.seen.lock().unwrap();
        assert!(seen.iter().all(|leaders| leaders.len() <= 1), "more than one file has the line: {seen:?}");
        assert!(seen.iter().any(|leaders| leaders.len() == 1), "no file ever had the line");
    }
}

#[test]
fn the_line_of_the_leader_moves_in_the_order_of_the_queue_when_agents_stop() {
    let scene = Scene::new(3);
    let mut agents = scene.start();
    let observer = Observer::start(&scene);
    agents[0].until("leads", || scene.shows(0, "leader\n1 of 3, web1 holds\n"));
    agents[1].until("waits", || scene.shows(1, "2 of 3, web1 holds\n"));
    agents[2].until("waits", || scene.shows(2, "3 of 3, web1 holds\n"));
    agents[0].says("lock acquired: /locks/leader event=lock_acquired lock=leader");
    agents[2].says("event=lock_waiting lock=leader");

    let mut kazoo = Kazoo::start(&scene.zookeeper.connect_string());
    agents[2].until("kazoo is in the line", || scene.shows(2, "3 of 4, web1 holds\n"));
    let rerun = scene.sites[0].start_again_after(&mut agents[0]);
    agents[1].until("the second leads", || scene.leads(1));
    // The third sees the new holder although the one before it is the same.
    agents[2].until("it sees the holder", || scene.sites[2].read("out/leader").ends_with("web2 holds\n"));
    rerun.until("it is at the end of the line", || scene.line() == ["web2", "web3", "kazoo", "web1"]);
    assert!(agents[1].stop().success());
    agents[2].until("the third leads", || scene.leads(2));
    assert!(agents[2].stop().success());
    assert!(kazoo.says().starts_with("held kazoo,web1"));
    assert_eq!(scene.line(), ["kazoo", "web1"]);
    rerun.until("it sees kazoo", || scene.shows(0, "2 of 2, kazoo holds\n"));
    kazoo.release();
    rerun.until("it leads again", || scene.leads(0));
    observer.finish();
}

#[test]
fn an_agent_that_was_killed_loses_the_lock_after_the_session_timeout() {
    let scene = Scene::new(2);
    let agents = scene.start();
    agents[0].until("leads", || scene.leads(0));
    let killed = Instant::now();
    agents[0].signal(Signal::SIGKILL);
    agents[1].until("leads", || scene.leads(1));
    assert!(killed.elapsed() < TIMEOUT + Duration::from_secs(3), "{:?}", killed.elapsed());
    // Nobody is left to write the file of the one that was killed. Its next run does it.
    assert!(scene.leads(0));
    let again = scene.sites[0].start();
    again.until("does not lead", || scene.shows(0, "2 of 2, web2 holds\n"));
}

#[test]
fn an_agent_that_resumes_its_session_has_one_node_in_the_line() {
    let scene = Scene::new(2);
    let config = |at: usize| {
        let service = "\n[[service]]\nname = \"app\"\npath = \"/services/app\"\nport = 1\ncheck = { cmd = \"true\" }\n";
        scene.config(at, &format!("{service}host = \"h{at}\"\n"))
    };
    (0..2).for_each(|at| scene.sites[at].configure(&config(at)));
    let agents = scene.start();
    agents[0].says("service registered").until("leads", || scene.leads(0));
    agents[0].signal(Signal::SIGKILL);
    let again = scene.sites[0].start();
    again.says("session resumed from the previous run").says("event=lock_acquired lock=leader");
    again.until("leads", || scene.shows(0, "leader\n1 of 2, web1 holds\n"));
    assert_eq!(scene.line(), ["web1", "web2"]);
    // A node with another identifier is not its own.
    again.says("service registered").signal(Signal::SIGKILL);
    scene.sites[0].configure(&config(0).replace("web1", "web9"));
    let other = scene.sites[0].start();
    other.says("session resumed from the previous run");
    other.until("contends anew", || scene.line() == ["web2", "web9"]);
    agents[1].until("leads", || scene.leads(1));
}

#[test]
fn a_lock_that_is_changed_without_a_connection_is_released_when_the_session_is_resumed() {
    let mut scene = Scene::new(1);
    let agents = scene.start();
    agents[0].until("leads", || scene.leads(0));
    scene.zookeeper.stop(0);
    scene.sites[0].configure(&scene.config(0, "").replace("web1", "web9"));
    agents[0].signal(Signal::SIGHUP).says("event=lock_lost lock=leader");
    scene.zookeeper.start(0);
    scene.zookeeper.wait_ready();
    agents[0].until("the old node is gone", || scene.line() == ["web9"]);
    agents[0].until("leads", || scene.shows(0, "leader\n1 of 1, web9 holds\n"));
}

#[test]
fn an_agent_that_is_cut_off_gives_up_the_lock_before_the_server_can() {
    let scene = Scene::new(2);
    let agents = scene.start();
    agents[0].until("leads", || scene.leads(0));
    let observer = Observer::start(&scene);
    let frozen = Instant::now();
    scene.zookeeper.freeze(0);
    agents[0].until("does not lead", || !scene.leads(0));
    let took = frozen.elapsed();
    assert!(took < TIMEOUT, "{took:?}");
    agents[0].says("event=lock_lost lock=leader");
    scene.zookeeper.thaw(0);
    agents[0].until("one leads again", || scene.leads(0) || scene.leads(1));
    observer.finish();
}

#[test]
fn a_restart_of_the_server_does_not_move_the_lock() {
    let mut scene = Scene::new(2);
    let agents = scene.start();
    agents[0].until("leads", || scene.leads(0));
    agents[0].until("the reload has run", || scene.sites[0].reloads() > 0);
    let observer = Observer::start(&scene);
    scene.zookeeper.stop(0);
    scene.zookeeper.start(0);
    scene.zookeeper.wait_ready();
    agents[0].until("a leader", || scene.leads(0) || scene.leads(1));
    observer.finish();
}

#[test]
fn a_stopped_process_gives_up_the_lock_before_it_does_anything_else() {
    let scene = Scene::new(2);
    let agents = scene.start();
    agents[0].until("leads", || scene.leads(0));
    agents[0].signal(Signal::SIGSTOP);
    agents[1].until("leads", || scene.leads(1));
    agents[0].signal(Signal::SIGCONT);
    agents[0].until("does not lead", || !scene.leads(0));
    agents[0].until("is in the line again", || scene.shows(0, "2 of 2, web2 holds\n"));
    assert!(scene.leads(1));
}

#[test]
fn status_and_explain_and_metrics_tell_of_the_lock() {
    let scene = Scene::new(2);
    let agents = scene.start();
    agents[0].until("leads", || scene.leads(0));
    agents[1].until("waits", || scene.shows(1, "2 of 2, web1 holds\n"));
    let says = |at: usize, args: &[&str], text: &str| {
        let shown = scene.sites[at].run(args).stdout();
        assert!(shown.contains(text), "{args:?}: {shown}");
    };
    says(0, &["status"], "lock leader /locks/leader: held since ");
    says(1, &["status"], "lock leader /locks/leader: waiting, 2nd of 2; web1 holds, fresh\n");
    says(1, &["explain", "leader"], "  lock leader: waiting, 2nd of 2; web1 holds\n");
    let status: Value = serde_json::from_str(&scene.sites[1].run(&["status", "--json"]).stdout()).unwrap();
    let lock = &status["keys"][0]["lock"];
    assert_eq!((&lock["held"], &lock["position"], &lock["holder"]), (&false.into(), &2.into(), &"web1".into()));
}

#[test]
fn a_lock_is_added_and_removed_by_hup() {
    let scene = Scene::new(1);
    let (site, with) = (&scene.sites[0], scene.config(0, ""));
    let without = with.replace(&format!("[[lock]]\npath = \"{LOCK}\"\nidentifier = \"web1\"\n"), "");
    site.file("templates/leader.tera", "{{ vars.text }}\n");
    site.configure(&format!("{without}\n[vars]\ntext = \"none\"\n"));
    let agent = site.start();
    agent.until("is rendered", || site.read("out/leader") == "none\n");
    site.file("templates/leader.tera", TEMPLATE);
    site.configure(&with);
    agent.signal(Signal::SIGHUP).until("leads", || scene.leads(0));
    site.configure(&with.replace("web1", "web9"));
    agent.signal(Signal::SIGHUP).until("contends with the other identifier", || scene.line() == ["web9"]);
    agent.until("leads", || site.read("out/leader").ends_with("web9 holds\n"));
    site.file("templates/leader.tera", "{{ vars.text }}\n");
    site.configure(&format!("{without}\n[vars]\ntext = \"none\"\n"));
    agent.signal(Signal::SIGHUP).until("releases it", || scene.line().is_empty());
    agent.until("is rendered", || site.read("out/leader") == "none\n");
}

#[test]
fn usr2_releases_the_lock() {
    let scene = Scene::new(2);
    let mut agents = scene.start();
    agents[0].until("leads", || scene.leads(0));
    let observer = Observer::start(&scene);
    agents[0].signal(Signal::SIGUSR2);
    assert!(agents[0].ends(Duration::from_secs(5)).success());
    agents[1].until("leads", || scene.leads(1));
    observer.finish();
}

#[test]
fn a_template_waits_until_the_place_in_the_line_is_known() {
    let scene = Scene::new(1);
    scene.sites[0].file("out/leader", "before\n");
    scene.zookeeper.freeze(0);
    let agent = scene.sites[0].start();
    agent.says("registry unreachable");
    assert_eq!(scene.sites[0].read("out/leader"), "before\n");
    scene.zookeeper.thaw(0);
    agent.until("leads", || scene.leads(0));
}

impl Site {
    /// Stops an agent and starts another one.
    fn start_again_after(&self, agent: &mut Agent) -> Agent {
        assert!(agent.stop().success());
        self.start()
    }
}

/// Whether a condition stays true for a moment.
fn stays(condition: impl Fn() -> bool) -> bool {
    !holds(Duration::from_millis(300), || !condition())
}
