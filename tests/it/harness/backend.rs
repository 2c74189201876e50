//! HTTP servers that answer with their name, and clients that send requests continuously.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

/// How long either side waits for data.
const PATIENCE: Duration = Duration::from_secs(20);

/// The pause between two requests of one client, which leaves CPU time to the other processes.
const BREATH: Duration = Duration::from_millis(1);

/// An HTTP server on its own thread, which answers every request with its name. Once it is dropped, new connections are
/// refused.
pub struct Backend {
    name: String,
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Backend {
    /// A server on a free port. Its name is the address `host:port` under which it is registered.
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (name, stop) = (address.to_string(), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (name, stop) = (name.clone(), Arc::clone(&stop));
            move || {
                for stream in listener.incoming() {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    // A connection without a request is haproxy's health check.
                    let _ = stream.and_then(|stream| answer(stream, &name));
                }
            }
        });
        Self { name, address, stop, thread: Some(thread) }
    }

    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // The thread is blocked in accept.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(mut stream: TcpStream, name: &str) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut part = [0; 1024];
        match stream.read(&mut part)? {
            0 => return Ok(()),
            length => request.extend_from_slice(&part[..length]),
        }
    }
    let length = name.len();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{name}");
    stream.write_all(answer.as_bytes())
}

/// One request: when it began and ended, and which server answered it, or the error.
#[derive(Debug, Clone)]
pub struct Asked {
    pub began: Instant,
    pub ended: Instant,
    pub answer: Result<String, String>,
}

/// Clients on their own threads that send requests to one address, each on a new connection.
pub struct Load {
    asked: Arc<Mutex<Vec<Asked>>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    pub fn start(clients: usize, port: u16) -> Self {
        let (asked, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let client = || {
            let (asked, stop) = (Arc::clone(&asked), Arc::clone(&stop));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let answer = ask(port).map_err(|why| why.to_string());
                    asked.lock().unwrap().push(Asked { began, ended: Instant::now(), answer });
                    sleep(BREATH);
                }
            })
        };
        let threads = (0..clients).map(|_| client()).collect();
        Self { asked, stop, threads }
    }

    /// Whether this server has answered a request that began at `since` or later.
    pub fn heard(&self, name: &str, since: Instant) -> bool {
        let asked = self.asked.lock().unwrap();
        let late = asked.iter().rev().filter(|asked| asked.began >= since);
        late.take(10_000).any(|asked| asked.answer.as_deref() == Ok(name))
    }

    /// Stops the clients, and returns all requests.
    pub fn stop(mut self) -> Vec<Asked> {
        self.end();
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end();
    }
}

/// Sends one request on a new connection. Returns the name of the server that answered it.
fn ask(port: u16) -> io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 ") && !body.is_empty() => Ok(body.to_owned()),
        _ => Err(io::Error::other(format!("answered {answer:?}"))),
    }
}
