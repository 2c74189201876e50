//! A TCP proxy between the agent and a ZooKeeper server. It can delay, swallow or truncate replies, and counts
//! requests.
//!
//! It knows the necessary part of the protocol: a frame begins with its length, a request continues with its number (-2
//! for a ping), and the first frame of a connection requests a session.

use std::io::{self, Read, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

/// Kinds of requests (`ZooDefs.OpCode`).
pub const MULTI_READ: i32 = 22;
pub const ADD_WATCH: i32 = 106;

/// No frame in a test is this long. A larger length is in fact the text of a four-letter word.
const WORDS: usize = 64 << 20;

/// A proxy on its own port. Dropping it closes the port and all connections.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    target: Mutex<String>,
    delay: Mutex<Duration>,
    /// Nothing is passed on, and nothing is closed.
    hole: AtomicBool,
    /// Replies longer than this are cut in the middle and the connection closed; 0 for none.
    tear: AtomicUsize,
    torn: AtomicUsize,
    open: Mutex<Vec<TcpStream>>,
    accepted: AtomicUsize,
    /// Maps the kind of a request to the kind that is passed on.
    change: fn(i32) -> i32,
    /// The kinds of all requests since the last call of `take_asked`.
    asked: Mutex<Vec<i32>>,
    requests: AtomicUsize,
    stop: AtomicBool,
}

impl Proxy {
    /// Passes everything on to `target`, `host:port`.
    pub fn to(target: &str) -> Self {
        Self::changing(target, |kind| kind)
    }

    /// Passes everything on to `target`, and changes the kind of each request by `change`.
    pub fn changing(target: &str, change: fn(i32) -> i32) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            target: Mutex::new(target.to_owned()),
            delay: Mutex::default(),
            hole: AtomicBool::default(),
            tear: AtomicUsize::default(),
            torn: AtomicUsize::default(),
            open: Mutex::default(),
            accepted: AtomicUsize::default(),
            change,
            asked: Mutex::default(),
            requests: AtomicUsize::default(),
            stop: AtomicBool::default(),
        });
        spawn({
            let shared = Arc::clone(&shared);
            move || {
                for stream in listener.incoming() {
                    if shared.stop.load(Ordering::Relaxed) {
                        return;
                    }
                    // Connections that are not served are closed.
                    let _ = stream.and_then(|stream| serve(&shared, stream));
                }
            }
        });
        Self { port, shared }
    }

    /// `host:port` of the proxy.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Passes new connections on to this target, and closes the existing ones.
    pub fn turn_to(&self, target: &str) {
        target.clone_into(&mut self.shared.target.lock().unwrap());
        self.hang_up();
    }

    /// Closes all connections.
    pub fn hang_up(&self) {
        for stream in self.shared.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Delays the server's replies by this time, without reducing their rate.
    pub fn delay(&self, delay: Duration) {
        *self.shared.delay.lock().unwrap() = delay;
    }

    /// Passes nothing on in either direction, while connections are accepted and stay open; or passes everything on
    /// again.
    pub fn swallow(&self, is_hole: bool) {
        self.shared.hole.store(is_hole, Ordering::Relaxed);
    }

    /// Passes on half of each reply that is larger than this many bytes, and then closes the connection; 0: none.
    pub fn tear_above(&self, bytes: usize) {
        self.shared.tear.store(bytes, Ordering::Relaxed);
    }

    /// The number of truncated replies.
    pub fn torn(&self) -> usize {
        self.shared.torn.load(Ordering::Relaxed)
    }

    /// The number of connections so far.
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// The number of requests, without pings and session requests.
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// The kinds of these requests since the last call.
    pub fn take_asked(&self) -> Vec<i32> {
        std::mem::take(&mut *self.shared.asked.lock().unwrap())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.hang_up();
        // The thread is blocked in accept.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

fn serve(shared: &Arc<Shared>, client: TcpStream) -> io::Result<()> {
    shared.accepted.fetch_add(1, Ordering::Relaxed);
    let target = shared.target.lock().unwrap().clone();
    let server = TcpStream::connect(target)?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
        shared.open.lock().unwrap().push(stream.try_clone()?);
    }
    pump(shared, client.try_clone()?, server.try_clone()?, Direction::Up);
    pump(shared, server, client, Direction::Down);
    Ok(())
}

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    /// Requests.
    Up,
    /// Replies.
    Down,
}

/// Bytes, and when they are due.
type Parcel = (Instant, Vec<u8>);

/// Passes on one direction. A separate thread reads, so that a delay does not reduce the rate.
fn pump(shared: &Arc<Shared>, mut from: TcpStream, to: TcpStream, direction: Direction) {
    let (send, receive) = channel();
    spawn({
        let shared = Arc::clone(shared);
        move || deliver(&shared, to, &receive)
    });
    let shared = Arc::clone(shared);
    spawn(move || {
        // The end of the input closes the channel.
        let _ = collect(&shared, &mut from, direction, &send);
    });
}

fn collect(shared: &Shared, from: &mut TcpStream, direction: Direction, send: &Sender<Parcel>) -> io::Result<()> {
    let mut is_first = true;
    loop {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let size = usize::try_from(u32::from_be_bytes(length)).unwrap();
        let mut frame = length.to_vec();
        if size > WORDS {
            put(shared, direction, send, frame)?;
            return words(shared, from, direction, send);
        }
        frame.resize(4 + size, 0);
        from.read_exact(&mut frame[4..])?;
        if direction == Direction::Up && !is_first {
            ask(shared, &mut frame);
        }
        let tear = shared.tear.load(Ordering::Relaxed);
        if direction == Direction::Down && tear > 0 && size > tear {
            frame.truncate(size / 2);
            put(shared, direction, send, frame)?;
            shared.torn.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        is_first = false;
        put(shared, direction, send, frame)?;
    }
}

/// Records a request. Its kind follows its length and its number.
fn ask(shared: &Shared, frame: &mut [u8]) {
    if frame[4..].starts_with(&(-2_i32).to_be_bytes()) {
        return;
    }
    let kind = (shared.change)(i32::from_be_bytes(frame[8..12].try_into().unwrap()));
    frame[8..12].copy_from_slice(&kind.to_be_bytes());
    shared.asked.lock().unwrap().push(kind);
    shared.requests.fetch_add(1, Ordering::Relaxed);
}

/// Passes on the rest of a connection that does not consist of frames.
fn words(shared: &Shared, from: &mut TcpStream, direction: Direction, send: &Sender<Parcel>) -> io::Result<()> {
    loop {
        let mut part = vec![0; 4096];
        let size = from.read(&mut part)?;
        if size == 0 {
            return Ok(());
        }
        part.truncate(size);
        put(shared, direction, send, part)?;
    }
}

fn put(shared: &Shared, direction: Direction, send: &Sender<Parcel>, bytes: Vec<u8>) -> io::Result<()> {
    let delay = if direction == Direction::Down { *shared.delay.lock().unwrap() } else { Duration::ZERO };
    send.send((Instant::now() + delay, bytes)).map_err(|_| io::ErrorKind::BrokenPipe.into())
}

fn deliver(shared: &Shared, mut to: TcpStream, parcels: &Receiver<Parcel>) {
    for (due, bytes) in parcels {
        sleep(due.saturating_duration_since(Instant::now()));
        while shared.hole.load(Ordering::Relaxed) && !shared.stop.load(Ordering::Relaxed) {
            sleep(Duration::from_millis(5));
        }
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
