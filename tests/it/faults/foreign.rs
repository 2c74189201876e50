//! Servers that are no ZooKeeper, or a hostile one: they cost little, and nobody else anything.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::file_becomes;
use crate::harness::site::{PATIENCE, Site};
use crate::support::wait::eventually;

/// What a server does with a connection.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Manner {
    /// Closes it at once.
    Closes,
    /// Answers with what is no frame.
    Chatters,
    /// Says that an answer of 2 GiB begins, and goes on sending it.
    Floods,
    /// Gives a session as it should, and floods then.
    FloodsLater,
    /// Gives a session, and answers each request with a frame that means nothing.
    Babbles,
}

/// A server that ends with the test's process. When it was connected to is written down.
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
                    // Who is served ill goes away.
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

/// Gives a session: version, timeout in milliseconds, id, password of 16 bytes, not read-only.
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
    // As much as shows that it is kept, if it is.
    for _ in 0..256 {
        stream.write_all(&vec![0; 1 << 20])?;
    }
    frame(stream).map(|_| ())
}

const MANNERS: [Manner; 5] = [Manner::Closes, Manner::Chatters, Manner::Floods, Manner::FloodsLater, Manner::Babbles];

/// How long it is looked at.
const WATCHED: Duration = Duration::from_secs(8);

#[test]
fn servers_that_hang_up_chatter_or_flood_are_tried_once_a_second_at_most_and_cost_no_memory() {
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
    site.file("tree/services/one", "");
    let before: Vec<_> = (0..servers.len()).map(|index| site.fingerprint(&format!("out/r{index}"))).collect();
    let agent = site.start();
    file_becomes(&agent, &site, "out/near", "one\n");
    let (cpu, began) = (agent.cpu(), Instant::now());
    eventually(PATIENCE, "a while", || began.elapsed() >= WATCHED);
    let tries = servers.each_ref().map(Foreign::accepted);
    let (memory, cpu) = (agent.memory(), agent.cpu().saturating_sub(cpu));
    println!("tries {tries:?} in {:?}; CPU {cpu:?}; {memory:?}", began.elapsed());
    for (manner, tries) in MANNERS.iter().zip(tries) {
        // Jitter takes up to half a second off, and once in a while one looks for the reason.
        assert!((3..=20).contains(&tries), "{manner:?}: {tries} tries in {WATCHED:?}\n{}", agent.log().join("\n"));
    }
    // An agent without optimisation that follows as many well-behaved servers has some 25 MiB, and address space for
    // its threads. What is not written to is not resident, but it is in the space.
    assert!(memory.peak < 64 << 10 && memory.space < 1 << 20, "{memory:?}");
    assert!(cpu < WATCHED / 4, "{cpu:?}");
    // Each is said, no file is touched, and the one that works goes on.
    for (index, before) in before.iter().enumerate() {
        agent.says(&format!("registry=r{index}"));
        assert_eq!(&site.fingerprint(&format!("out/r{index}")), before);
    }
    site.file("tree/services/two", "");
    file_becomes(&agent, &site, "out/near", "one\ntwo\n");
}
