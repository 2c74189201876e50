//! What slow and hostile clients cost: the agent's own work takes as long as without them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::harness::meter::{Meter, median, resident};
use crate::harness::scene::{Scene, State};
use crate::support::random::count;
use crate::support::wait::{PATIENCE, holds};
use crate::support::zookeeper::{ZooKeeper, free_port};

/// The pause of a client before it connects again.
const PAUSE: Duration = Duration::from_millis(500);

/// What a client does.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// It sends a head line by line and never ends it.
    Slowloris,
    /// It sends a head of 1 MB.
    LargeHead,
    /// It names the host of another site, as after DNS rebinding.
    Rebinding,
    /// It sends a long body.
    Post,
    /// It asks again and again, and reads only the beginning of the first answer.
    Unread,
    /// It sends nothing.
    Silent,
}

const KINDS: [Kind; 6] = [Kind::Slowloris, Kind::LargeHead, Kind::Rebinding, Kind::Post, Kind::Unread, Kind::Silent];

/// How often the server answered each kind of client as it should, and closed the connection by itself.
type Answers = Arc<[AtomicUsize; KINDS.len()]>;

/// Clients on a thread of their own, until this is dropped.
struct Clients {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    answers: Answers,
}

impl Clients {
    fn start(port: u16, number: usize) -> Self {
        let answers = Answers::default();
        let (stop, stopped) = oneshot::channel();
        let counted = Arc::clone(&answers);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            for n in 0..number {
                let answers = Arc::clone(&counted);
                let delay = PAUSE * u32::try_from(n).unwrap() / u32::try_from(number).unwrap();
                runtime.spawn(client(n % KINDS.len(), port, delay, answers));
            }
            let _ = runtime.block_on(stopped);
        });
        Self { stop: Some(stop), thread: Some(thread), answers }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

/// A client that connects again and again.
async fn client(kind: usize, port: u16, delay: Duration, answers: Answers) {
    sleep(delay).await;
    loop {
        if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)).await
            && attack(KINDS[kind], stream).await == Some(KINDS[kind].answer())
        {
            answers[kind].fetch_add(1, Ordering::Relaxed);
        }
        sleep(PAUSE).await;
    }
}

impl Kind {
    /// The status of the answer; 0 for a connection that is closed without one.
    fn answer(self) -> u16 {
        match self {
            Self::Slowloris => 408,
            Self::LargeHead => 431,
            Self::Rebinding => 403,
            Self::Post => 405,
            Self::Unread => 200,
            Self::Silent => 0,
        }
    }
}

/// Does what this kind of client does until the server closes the connection. Returns the status of the first answer;
/// `None` if the server does not close it.
async fn attack(kind: Kind, stream: TcpStream) -> Option<u16> {
    let (mut input, mut output) = stream.into_split();
    let get = |host: &str| format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let sends = async {
        match kind {
            Kind::Slowloris => {
                output.write_all(b"GET / HTTP/1.1\r\n").await?;
                loop {
                    output.write_all(b"X: y\r\n").await?;
                    sleep(PAUSE).await;
                }
            }
            Kind::LargeHead => {
                output.write_all(format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(1_000_000)).as_bytes()).await
            }
            Kind::Rebinding => output.write_all(get("evil.example").as_bytes()).await,
            Kind::Post => {
                output
                    .write_all(b"POST /status.json HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n")
                    .await?;
                loop {
                    output.write_all(&[b'x'; 1000]).await?;
                    sleep(PAUSE).await;
                }
            }
            Kind::Unread => loop {
                output.write_all(get("localhost").repeat(100).as_bytes()).await?;
                sleep(PAUSE).await;
            },
            Kind::Silent => Ok(()),
        }
    };
    let mut first = [0; 12];
    let reads = async {
        let is_answered = input.read_exact(&mut first).await.is_ok();
        // A client that reads nothing more learns from its next request that the connection is closed.
        if is_answered && matches!(kind, Kind::Unread) {
            std::future::pending::<()>().await;
        }
        let _ = tokio::io::copy(&mut input, &mut tokio::io::sink()).await;
    };
    let both = async {
        // The connection ends when the server closes it, whatever is still to be sent.
        tokio::select! {
            () = reads => {}
            Err(_) = sends => {}
        }
    };
    timeout(PATIENCE, both).await.ok()?;
    Some(std::str::from_utf8(&first[9..]).ok().and_then(|status| status.parse().ok()).unwrap_or_default())
}

#[test]
fn slow_and_hostile_clients_do_not_slow_a_change() {
    let zookeeper = ZooKeeper::one();
    let scene = Scene::new(&zookeeper, 100, 1);
    let port = free_port();
    let config = scene.site.read("rosterd.toml");
    scene
        .site
        .file("rosterd.toml", &config.replace("[status]\n", &format!("[status]\nlisten = \"127.0.0.1:{port}\"\n")));
    let mut agent = scene.site.start_with(&["--registry", &Scene::url(&zookeeper.connect_string()), "run"]);
    agent.says("event=http_listening");
    scene.await_files("out", State::First);
    scene.latencies("out", 10);

    let (clients, pairs, changes) = (count(100, 1000), count(1, 10), count(20, 60));
    let before = resident(agent.pid());
    let mut ratios = Vec::new();
    let mut seen = [0; KINDS.len()];
    for _ in 0..pairs {
        let without = median(&scene.latencies("out", changes));
        let attack = Clients::start(port, clients);
        // Each kind is under way, and the server has met each limit.
        let counts = || attack.answers.each_ref().map(|count| count.load(Ordering::Relaxed));
        let has_all = holds(PATIENCE, || counts().iter().all(|count| *count > 0));
        assert!(has_all, "answers {:?} of {KINDS:?}", counts());
        let meter = Meter::start(agent.pid());
        let with = median(&scene.latencies("out", changes));
        println!("{without:?} without, {with:?} with {clients} clients, {:?} of processor", meter.used());
        ratios.push(with.as_secs_f64() / without.as_secs_f64());
        seen.iter_mut().zip(counts()).for_each(|(seen, count)| *seen += count);
    }
    ratios.sort_by(f64::total_cmp);
    let (ratio, grown) = (ratios[ratios.len() / 2], resident(agent.pid()) - before);
    println!("ratio {ratio:.3}, {grown:.1} MiB more, answers {seen:?} of {KINDS:?}");
    let is_exact = !cfg!(debug_assertions) && count(false, true);
    assert!(ratio <= if is_exact { 1.1 } else { 10.0 }, "a change takes {ratio:.3} times as long");
    assert!(grown <= 20.0, "{grown} MiB more");
    assert!(agent.stop().success());
}
