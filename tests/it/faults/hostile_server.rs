//! Servers that are not ZooKeeper, or are hostile: they cost little, and do not affect other registries.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::file_becomes;
use crate::harness::site::{PATIENCE, Site};
use crate::support::wait::eventually;

/// How a server treats a connection.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Manner {
    /// Closes it at once.
    Closes,
    /// Answers with bytes that are not a frame.
    Chatters,
    /// Announces a reply of 2 GiB, and keeps sending.
    Floods,
    /// Grants a session, and then floods the client.
    FloodsLater,
    /// Grants a session, and answers each request with a meaningless frame.
    Babbles,
}

/// A server that ends with the test process. The times of connections are recorded.
struct Foreign {
    port: u16,
    accepted: Arc<Mutex<Vec<Instant>>>,
}

impl Foreign {
    fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let accepted = Arc::new(Mutex::new(Vec::new()));
        std::thread::spawn({
            let accepted = Arc::clone(&accepted);
            move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    accepted.lock().unwrap().push(Instant::now());
                    // The client closes the connection.
                    std::thread::spawn(move || drop(serve(manner, stream)));
                }
            }
        });
        Self { port, accepted }
    }

    fn accepted(&self) -> usize {
        self.accepted.lock().unwrap().len()
    }
}

fn serve(manner: Manner, mut stream: TcpStream) -> io::Result<()> {
    match manner {
        Manner::Closes => Ok(()),
        Manner::Chatters => {
            frame(&mut stream)?;
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        }
        Manner::Floods => {
            frame(&mut stream)?;
            flood(&mut stream)
        }
        Manner::FloodsLater => {
            welcome(&mut stream)?;
            frame(&mut stream)?;
            flood(&mut stream)
        }
        Manner::Babbles => {
            welcome(&mut stream)?;
            loop {
                frame(&mut stream)?;
                stream.write_all(&[0, 0, 0, 5, 0xff, 0x00, 0xff, 0x00, 0xff])?;
            }
        }
    }
}

/// Reads one frame.
fn frame(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut frame = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap().min(4096)];
    stream.read_exact(&mut frame)?;
    Ok(frame)
}

/// Grants a session: version, timeout in milliseconds, id, password of 16 bytes, not read-only.
fn welcome(stream: &mut TcpStream) -> io::Result<()> {
    frame(stream)?;
    let mut answer = vec![0, 0, 0, 37, 0, 0, 0, 0];
    answer.extend(4000_u32.to_be_bytes());
    answer.extend(0x1234_5678_u64.to_be_bytes());
    answer.extend(16_u32.to_be_bytes());
    answer.extend([7; 16]);
    answer.push(0);
    stream.write_all(&answer)
}

fn flood(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(&0x7fff_ffff_u32.to_be_bytes())?;
    // Enough bytes to show whether the client stores them.
    for _ in 0..256 {
        stream.write_all(&vec![0; 1 << 20])?;
    }
    frame(stream).map(|_| ())
}

const MANNERS: [Manner; 5] = [Manner::Closes, Manner::Chatters, Manner::Floods, Manner::FloodsLater, Manner::Babbles];

/// The duration of the observation.
const WATCHED: Duration = Duration::from_secs(8);

#[test]
fn broken_servers_are_tried_at_most_once_a_second_and_cost_no_memory() {
    let servers = MANNERS.map(Foreign::start);
    let mut config = String::new();
    let mut add = |name: &str, url: &str| {
        let _ = write!(
            config,
            "[[registry]]\nname = \"{name}\"\nurl = \"{url}\"\n\
             [[roster]]\nname = \"{name}\"\npath = \"/services\"\nregistry = \"{name}\"\nwait = \"0s:0s\"\n\n\
             [[template]]\nsrc = \"{name}.tera\"\ndest = \"out/{name}\"\n\n"
        );
    };
    for (index, server) in servers.iter().enumerate() {
        add(&format!("r{index}"), &format!("zk://127.0.0.1:{}", server.port));
    }
    add("near", "dir:tree");
    let site = Site::new(&config);
    for name in (0..servers.len()).map(|index| format!("r{index}")).chain(["near".to_owned()]) {
        site.file(
            &format!("templates/{name}.tera"),
            &format!("{{% for m in {name} %}}{{{{ m.name }}}}\n{{% endfor %}}"),
        );
        site.file(&format!("out/{name}"), "from before\n");
    }
    fs::create_dir_all(site.path("tree/services")).unwrap();
    site.file("tree/services/one", "-");
    let before: Vec<_> = (0..servers.len()).map(|index| site.fingerprint(&format!("out/r{index}"))).collect();
    let agent = site.start();
    file_becomes(&agent, &site, "out/near", "one\n");
    let (cpu, began) = (agent.cpu(), Instant::now());
    eventually(PATIENCE, "a while", || began.elapsed() >= WATCHED);
    let tries = servers.each_ref().map(Foreign::accepted);
    let (memory, cpu) = (agent.memory(), agent.cpu().saturating_sub(cpu));
    println!("tries {tries:?} in {:?}; CPU {cpu:?}; {memory:?}", began.elapsed());
    for (manner, tries) in MANNERS.iter().zip(tries) {
        // Jitter removes up to half a second, and sometimes one more connection is made to find the reason.
        assert!((3..=20).contains(&tries), "{manner:?}: {tries} tries in {WATCHED:?}\n{}", agent.log().join("\n"));
    }
    // A debug build that follows this many well-behaved servers has about 25 MiB resident, and address space for its
    // threads. Memory that is never written is not resident, but counts as address space.
    assert!(memory.peak < 64 << 10 && memory.space < 1 << 20, "{memory:?}");
    assert!(cpu < WATCHED / 4, "{cpu:?}");
    // Each server is reported, no file is touched, and the working registry is not affected.
    for (index, before) in before.iter().enumerate() {
        agent.says(&format!("registry=r{index}"));
        assert_eq!(&site.fingerprint(&format!("out/r{index}")), before);
    }
    site.file("tree/services/two", "-");
    file_becomes(&agent, &site, "out/near", "one\ntwo\n");
}
