//! A server that is frozen for longer than the session.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::*;
use crate::support::zookeeper::free_port;

const INTERVAL: Duration = Duration::from_millis(300);

/// A server that records when its port is checked. Once it is dropped, connections are refused.
struct Checked {
    port: u16,
    times: Arc<Mutex<Vec<Instant>>>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Checked {
    fn start(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let (times, stop) = (Arc::<Mutex<Vec<Instant>>>::default(), Arc::<AtomicBool>::default());
        let (seen, stopped) = (Arc::clone(&times), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            for _ in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                seen.lock().unwrap().push(Instant::now());
            }
        });
        Self { port, times, stop, thread: Some(thread) }
    }

    fn times(&self) -> Vec<Instant> {
        self.times.lock().unwrap().clone()
    }
}

impl Drop for Checked {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // The thread is blocked in accept.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        let _ = self.thread.take().unwrap().join();
    }
}

#[test]
fn a_frozen_server_delays_no_check_and_at_its_return_exactly_what_is_up_is_registered() {
    let zookeeper = ZooKeeper::one();
    let (alive, dies, comes) = (Checked::start(free_port()), Checked::start(free_port()), free_port());
    let ports = [alive.port, dies.port, comes];
    let one = |port: u16| {
        let check = format!("{{ tcp = \"127.0.0.1:{port}\" }}\nfall = 1\ninterval = \"300ms\"");
        service(port).replace("\"web\"", &format!("\"s{port}\"")).replace("{ cmd = \"true\" }", &check)
    };
    let services: String = ports.into_iter().map(one).collect();
    let site = Site::new(&format!(
        "[registry]\nurl = \"zk://{}\"\nsession_timeout = \"1s\"\n{services}",
        zookeeper.connect_string()
    ));
    let agent = site.start();
    agent.says_times("service registered", 2).says_times("service is down", 1);
    zookeeper.freeze(0);
    let frozen = Instant::now();
    agent.says("registry unreachable");
    drop(dies);
    agent.says_times("service is down", 2);
    let _comes = Checked::start(comes);
    agent.says_times("service is up", 3);
    // Four times the timeout of the session.
    agent.until("checks go on", || frozen.elapsed() > Duration::from_secs(4));
    let times: Vec<Instant> = alive.times().into_iter().filter(|time| *time >= frozen).collect();
    let distances: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let slowest = distances.iter().max().unwrap();
    println!("{} checks in {:?}, slowest {slowest:?}", times.len(), frozen.elapsed());
    // Intervals vary by 5 %; the rest is for a busy machine.
    assert!(*slowest < INTERVAL * 2 && times.len() >= 10, "{distances:?}");
    assert_eq!(agent.said("service deregistered"), 0, "{}", agent.log().join("\n"));

    zookeeper.thaw(0);
    let client = zookeeper.client("");
    let names = || {
        let mut names = client.run(|client| async move { client.list_children(DIRECTORY).await.unwrap_or_default() });
        names.sort();
        names
    };
    let mut expected = [format!("h:{}", alive.port), format!("h:{comes}")];
    expected.sort();
    agent.says_times(&format!("service registered: {DIRECTORY}/h:{comes}"), 1);
    agent.until("exactly what is up is registered", || names() == expected);
    assert_eq!(agent.said(&format!("service registered: {DIRECTORY}/h:{}", ports[1])), 1, "it is down");
}
