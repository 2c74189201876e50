//! A fake Exhibitor that answers each request for the list of servers as configured.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A server on its own port, for the lifetime of the test process.
pub struct Exhibitor {
    port: u16,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    /// Status and body; without one the connection is closed without a reply.
    answer: Option<(u16, String)>,
    asked: Vec<String>,
}

impl Exhibitor {
    /// One that lists these servers.
    pub fn naming(servers: &[&str], port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let exhibitor = Self { port: listener.local_addr().unwrap().port(), shared: Arc::default() };
        exhibitor.names(servers, port);
        let shared = Arc::clone(&exhibitor.shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serve(stream, &shared);
            }
        });
        exhibitor
    }

    /// Lists other servers from now on.
    pub fn names(&self, servers: &[&str], port: u16) {
        let list = serde_json::json!({ "servers": servers, "port": port });
        self.answers(200, &list.to_string());
    }

    /// Gives this answer from now on.
    pub fn answers(&self, status: u16, body: &str) {
        self.shared.lock().unwrap().answer = Some((status, body.to_owned()));
    }

    /// Answers no more requests.
    pub fn dies(&self) {
        self.shared.lock().unwrap().answer = None;
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Every request, as a line with its headers.
    pub fn asked(&self) -> Vec<String> {
        self.shared.lock().unwrap().asked.clone()
    }
}

fn serve(mut stream: TcpStream, shared: &Mutex<Shared>) {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let request: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let mut shared = shared.lock().unwrap();
    shared.asked.push(request.join("; "));
    if let Some((status, body)) = &shared.answer {
        let head = format!("HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {}", body.len());
        let _ = stream.write_all(format!("{head}\r\nConnection: close\r\n\r\n{body}").as_bytes());
    }
}
